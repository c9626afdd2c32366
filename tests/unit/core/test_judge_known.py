"""Judging with a caller who is known is judging, but for the credential."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from random_policies import callers, claims, policies, requests
from tokens import (
    NOW,
    SERVICE_TOKEN,
    decision_on,
    judge,
    keys,
    request,
    settled,
    token,
    valid_token,
)
from wicketgate.core.claims import Claims
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.policy.rule import ANY_USER, Policy, Refusal, Rule
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import Revocations
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    Allow,
    Caller,
    Deny,
)

USERS = RulePolicy([], default=Rule(name="default", users=(ANY_USER,)))


def known_to(bearer: str) -> Caller:
    """Return who the bearer of a token is, as the gate would find out."""
    service = ServiceTokens([SERVICE_TOKEN]).recognise(bearer)
    return service or judge().verifier.verify(bearer, keys=keys(), now=NOW)


@pytest.mark.parametrize(
    "bearer",
    [
        None,
        valid_token(),
        token({"o": {"id": "org_1"}, "fva": [0, -1]}),
        token({"act": {"sub": "user_2"}}),
        token({"exp": NOW - 60, "iat": NOW - 120}),
        token(header={"kid": "unknown"}),
        SERVICE_TOKEN,
        "opaque",
    ],
    ids=["none", "user", "member", "impersonated", "expired", "unknown-key", "service", "opaque"],
)
@settings(max_examples=30)
@given(policies, requests)
def test_it_is_what_the_gate_decides(
    bearer: str | None, policy: Policy, asked: HttpRequest
) -> None:
    with_credential = request(bearer).headers
    same = replace(asked, headers={**asked.headers, **with_credential})
    caller = NO_CREDENTIAL if bearer is None else known_to(bearer)

    assert judge_known(same, caller=caller, policy=policy, now=NOW) == settled(
        decision_on(same, policy=policy)
    )


def test_the_credential_of_the_request_is_not_looked_at() -> None:
    verdict = judge_known(request(valid_token()), caller=NO_CREDENTIAL, policy=USERS, now=NOW)

    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.NO_CREDENTIAL


def test_a_key_that_is_missing_does_not_exist() -> None:
    missing = MissingKey("kid", if_current=Reason.KEY_UNKNOWN, if_stale=Reason.KEYS_UNAVAILABLE)

    verdict = judge_known(request(), caller=missing, policy=USERS, now=NOW)

    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.KEY_UNKNOWN


def test_revocations_count() -> None:
    user = claims()
    assert isinstance(user, Claims)
    revoked = Revocations(users={user.user_id: NOW})

    assert isinstance(judge_known(request(), caller=user, policy=USERS, now=NOW), Allow)
    verdict = judge_known(request(), caller=user, policy=USERS, now=NOW, revocations=revoked)
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.USER_REVOKED


@given(policies, requests, callers)
def test_what_is_refused_before_any_rule_is_refused(
    policy: Policy, asked: HttpRequest, caller: Caller
) -> None:
    found = policy.match(asked)
    verdict = judge_known(asked, caller=caller, policy=policy, now=NOW)

    if isinstance(found, Refusal):
        assert verdict == Deny(found.reason, found.rule, detail=found.detail)
    else:
        assert verdict.rule is found.rule
