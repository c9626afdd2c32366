"""Judging again what a log kept: the same verdict, or the admission that it is not known."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW, billing_token, request
from wicketgate.core.claims import Claims
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.policy.callers import taken_as_verified, with_usual_claims
from wicketgate.core.policy.outcome import Outcome, outcome_of
from wicketgate.core.policy.parse import ParsedPolicy, parse_policy
from wicketgate.core.policy.recorded import RecordedDecision, read_line
from wicketgate.core.policy.replay import Undetermined, judge_again
from wicketgate.core.reason import Reason
from wicketgate.core.record import fields_of, record_of
from wicketgate.core.replay_record import MAX_HEADERS, make_replay
from wicketgate.core.request import MAX_PATH, HttpRequest
from wicketgate.core.verdict import (
    Caller,
)

TIME: Final = "2026-09-21T14:13:20Z"
"""`NOW`, as the log writes it."""


def policy(*rules: str, default: str = "deny") -> ParsedPolicy:
    """Return a policy of rules, each without its name."""
    named = "".join(f"  - {{ name: r{n}, {rule} }}\n" for n, rule in enumerate(rules, start=1))
    return parse_policy(f"version: 1\ndefault: {default}\nrules:\n{named or '  []'}\n")


def user(**claims: object) -> Claims:
    found = taken_as_verified(with_usual_claims(claims, now=NOW))
    assert isinstance(found, Claims)
    return found


def recorded(
    asked: HttpRequest,
    caller: Caller | None = NO_CREDENTIAL,
    *,
    under: ParsedPolicy | None = None,
    time: str = TIME,
) -> RecordedDecision:
    """Return what is left of a decision, once it was logged and read back.

    `None` is a caller whom the gate did not look at.
    """
    parsed = under or policy()
    verdict = judge_known(asked, caller=caller or NO_CREDENTIAL, policy=parsed.policy, now=NOW)
    kept = make_replay(replace(verdict, caller=caller), asked, parsed.claims)
    fields = fields_of(record_of(verdict, asked, decision_id="d-1", seconds=0.1))
    line = {"event": "decision", "timestamp": time, **fields, "replay": kept.document()}
    found = read_line(json.dumps(line).encode())
    assert isinstance(found, RecordedDecision)
    return found


def again(decision: RecordedDecision, *rules: str, default: str = "deny") -> str:
    """Return the reason, or why there is none to tell."""
    found = judge_again(decision, policy(*rules, default=default).policy)
    return found.reason if isinstance(found, Outcome) else f"undetermined: {found}"


RULES: Final = (
    "match: { paths: /healthz }, allow: anonymous",
    "match: { paths: /jobs/**, context: { exposure: internal } }, allow: service",
    "match: { paths: /fresh }, allow: { user: { session_age: 10m } }",
    "match: { paths: /debug, headers: x-debug }, allow: anonymous",
    "match: { paths: '/orgs/{org_id}/**' }, allow: user, when: 'user.org_id == path.org_id'",
    "match: { paths: /plans }, allow: user, when: 'has(claims.plan) && claims.plan == \"pro\"'",
    "match: { paths: /told }, allow: user, headers: { x-plan: claims.plan, x-org: org_id }",
    "match: { paths: /mesh }, allow: anonymous, when: 'source.principal.startsWith(\"spiffe:\")'",
    "match: { methods: POST, hosts: '*.example.com', paths: /posts }, allow: user",
    "match: { paths: /helped }, allow: { user: { actor: deny } }",
    "match: { paths: /waiting }, allow: { user: { pending: allow } }",
    "shadow: true, allow: user, when: 'claims.secret == 1 && request.headers.a == \"b\"'",
)
INSIDE: Final = {"exposure": "internal"}
SPIFFE: Final = "spiffe://mesh/billing"
MEMBER: Final = {"o": {"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}, "fea": "o:x"}


@pytest.mark.parametrize(
    ("asked", "caller", "reason"),
    [
        (request(target="/healthz"), NO_CREDENTIAL, "allowed"),
        (request(target="/healthz"), Reason.TOKEN_EXPIRED, "allowed"),
        (request(target="/nowhere"), user(), "nobody_admitted"),
        (request(target="/a//b"), user(), "ambiguous_path"),
        (request(target="/healthz", host="a..b"), user(), "ambiguous_host"),
        (request(target="/healthz", host="a" * 1_000), user(), "ambiguous_host"),
        (request(target="/a", context={"exposure": "?"}), user(), "route_misconfigured"),
        (request(target="/jobs/1", context=INSIDE), billing_token(), "service_scope"),
        (
            request(target="/jobs/1", context=INSIDE),
            billing_token(scopes=frozenset({"r2"})),
            "allowed",
        ),
        (
            request(target="/jobs/1", context=INSIDE),
            billing_token(scopes=frozenset({"*"}), not_after=NOW - 1),
            "service_token_expired",
        ),
        (
            request(target="/jobs/1", context=INSIDE, source_principal=SPIFFE),
            billing_token(scopes=frozenset({"*"}), principal=SPIFFE),
            "allowed",
        ),
        (
            request(target="/jobs/1", context=INSIDE, source_principal="spiffe://mesh/other"),
            billing_token(scopes=frozenset({"*"}), principal=SPIFFE),
            "service_principal_mismatch",
        ),
        (request(target="/fresh"), user(fva=[9, -1]), "allowed"),
        (request(target="/fresh"), user(fva=[11, -1]), "session_too_old"),
        (request(target="/fresh"), user(), "session_too_old"),
        (request(target="/fresh"), Reason.TOKEN_EXPIRED, "token_expired"),
        (request(target="/fresh"), NO_CREDENTIAL, "no_credential"),
        (request(target="/debug", headers={"x-debug": "1"}), NO_CREDENTIAL, "allowed"),
        (request(target="/debug"), NO_CREDENTIAL, "no_credential"),
        (request(target="/orgs/org_1/a?b=c"), user(**MEMBER), "allowed"),
        (request(target="/orgs/org_2/a"), user(**MEMBER), "condition_not_met"),
        (request(target="/orgs/org_2/a"), user(), "condition_failed"),
        (request(target="/orgs/org_1/a"), user(org_id="org_1"), "allowed"),
        (request(target="/plans"), user(plan="pro"), "allowed"),
        (request(target="/plans"), user(), "condition_not_met"),
        (request(target="/told"), user(plan="pro", **MEMBER), "allowed"),
        (request(target="/told"), user(plan={"a": 1}), "claim_unusable"),
        (request(target="/mesh", source_principal=SPIFFE), NO_CREDENTIAL, "allowed"),
        (request(target="/mesh"), NO_CREDENTIAL, "condition_not_met"),
        (request(target="/posts", method="POST"), user(), "allowed"),
        (request(target="/posts"), user(), "nobody_admitted"),
        (request(target="/posts", method="POST", host="a.test"), user(), "nobody_admitted"),
        (request(target="/helped"), user(act={"sub": "user_s", "x": 1}), "impersonation"),
        (request(target="/helped"), user(), "allowed"),
        (request(target="/waiting"), user(sts="pending"), "allowed"),
        (request(target="/fresh"), user(sts="pending"), "session_pending"),
    ],
)
def test_the_policy_of_the_time_says_the_same_again(
    asked: HttpRequest, caller: Caller, reason: str
) -> None:
    parsed = policy(*RULES)
    before = outcome_of(judge_known(asked, caller=caller, policy=parsed.policy, now=NOW))

    after = judge_again(recorded(asked, caller, under=parsed), parsed.policy)

    assert reason == before.reason
    assert replace(before, shadows={}) == after


def test_a_request_is_judged_at_the_time_of_its_record() -> None:
    decision = recorded(request(), user(fva=[9, -1]), time="2026-09-21T14:15:20Z")

    assert again(decision, "allow: { user: { session_age: 10m } }") == "session_too_old"
    assert again(decision, "allow: { user: { session_age: 11m } }") == "allowed"


@pytest.mark.parametrize(
    ("read_then", "condition", "claims", "expected"),
    [
        ("claims.plan == 1", "claims.plan == 1", {"plan": 1}, "allowed"),
        ("claims.plan == 1", "has(claims.plan)", {}, "condition_not_met"),
        ("claims.plan == 1", "has(claims.beta)", {"beta": True}, "undetermined: claims"),
        ("claims.plan == 1", "has(claims.beta)", {}, "undetermined: claims"),
        ("true", "claims.plan == 1", {"plan": 1}, "undetermined: claims"),
        ("true", "claims.azp == 'a'", {"azp": "a"}, "allowed"),
        ("true", "has(claims.azp)", {}, "condition_not_met"),
        ("true", "user.is_impersonated == true", {"act": {"sub": "user_s", "x": 1}}, "allowed"),
        ("true", "user.actor_id == 'user_s'", {"act": {"sub": "user_s", "x": 1}}, "allowed"),
        ("true", "claims.act.x == 1", {"act": {"sub": "user_s", "x": 1}}, "undetermined: claims"),
        ("claims.act.x == 1", "claims.act.x == 1", {"act": {"x": 1}}, "allowed"),
    ],
)
def test_a_claim_that_was_not_kept_is_not_taken_for_absent(
    read_then: str, condition: str, claims: Mapping[str, Any], expected: str
) -> None:
    then = policy(f'allow: user, when: "{read_then}"')
    decision = recorded(request(), user(**claims), under=then)

    assert expected == again(decision, f'allow: user, when: "{condition}"')


def test_a_header_made_of_a_claim_that_was_not_kept_is_not_known() -> None:
    decision = recorded(request(), user(plan="pro"))

    assert again(decision, "allow: user, headers: { x-plan: claims.plan }") == (
        "undetermined: claims"
    )


def test_a_claim_that_nobody_came_to_read_does_not_matter() -> None:
    decision = recorded(request(), user())
    rule = "allow: { user: { org_role: admin } }, when: 'has(claims.beta)'"

    assert again(decision, rule) == "role_not_admitted"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["match: { headers: x-debug }, allow: anonymous"], "allowed"),
        (["match: { headers: x-other }, allow: anonymous"], "no_credential"),
        (["match: { headers: authorization }, allow: anonymous"], "undetermined: headers"),
        (["match: { headers: cookie }, allow: []", "allow: anonymous"], "undetermined: headers"),
        (
            ["match: { paths: /b, headers: cookie }, allow: []", "allow: anonymous"],
            "allowed",
        ),
        (["allow: anonymous, when: '\"x-debug\" in request.headers'"], "undetermined: headers"),
        (['allow: anonymous, when: \'request.headers["a"] == "b"\''], "undetermined: headers"),
        (["allow: anonymous, when: 'request.map(k, k).size() > 1'"], "undetermined: headers"),
        (["allow: anonymous, when: 'request.path == \"/a\"'"], "allowed"),
        (["allow: user, when: 'request.headers.a == \"b\"'"], "no_credential"),
        (["shadow: true, allow: user, when: 'request.headers.a == \"b\"'"], "no_credential"),
    ],
)
def test_headers_are_known_by_name_only(rules: list[str], expected: str) -> None:
    decision = recorded(request("a.b.c", target="/a", headers={"x-debug": "1"}))

    assert expected == again(decision, *rules)


def test_a_request_without_headers_has_none_to_be_read() -> None:
    decision = recorded(request())

    assert again(decision, "allow: anonymous, when: '\"a\" in request.headers'") == (
        "condition_not_met"
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("match: { headers: x-0 }, allow: anonymous", "allowed"),
        ("match: { headers: x-other }, allow: anonymous", "undetermined: headers"),
        ("allow: anonymous", "allowed"),
    ],
)
def test_a_header_beyond_those_kept_is_not_known(rule: str, expected: str) -> None:
    headers = {f"x-{number}": "" for number in range(MAX_HEADERS + 1)}

    assert expected == again(recorded(request(headers=headers)), rule)


def test_headers_too_long_to_be_kept_can_be_read_all_the_same() -> None:
    decision = recorded(request(headers={"x" * 100: "1"}))

    assert again(decision, "allow: anonymous, when: 'size(request.headers) == 0'") == (
        "undetermined: headers"
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(target="/a"), "undetermined: caller"),
        (request(target="/a//b"), "ambiguous_path"),
        (request(host="a..b"), "ambiguous_host"),
        (request(context={"exposure": "?"}), "route_misconfigured"),
    ],
)
def test_a_caller_who_was_not_kept_matters_as_soon_as_a_rule_is_asked(
    asked: HttpRequest, expected: str
) -> None:
    assert expected == again(recorded(asked, None), "allow: anonymous")


@pytest.mark.parametrize(
    "claims",
    [{}, {"sub": 7}, {"iss": "https://a", "sub": "mch_1"}, {"iss": "https://a", "sub": "user_1"}],
)
def test_claims_that_no_gate_would_have_kept_are_nobody_s(claims: Mapping[str, object]) -> None:
    line = {
        "event": "decision",
        "timestamp": TIME,
        "verdict": "allow",
        "reason": "allowed",
        "replay": {
            "method": "GET",
            "host": "",
            "path": "/",
            "caller": {"kind": "user", "claims": claims},
        },
    }
    found = read_line(json.dumps(line).encode())
    assert isinstance(found, RecordedDecision)

    assert again(found, "allow: anonymous") == "undetermined: caller"


@pytest.mark.parametrize(
    ("length", "expected"), [(MAX_PATH, "allowed"), (MAX_PATH + 1, "undetermined: path")]
)
def test_a_path_that_was_cut_is_not_judged(length: int, expected: str) -> None:
    decision = recorded(request(target="/" + "a" * (length - 1)))

    assert expected == again(decision, "allow: anonymous")


def test_every_why_has_a_test() -> None:
    assert {str(each) for each in Undetermined} == {"caller", "claims", "headers", "path"}


PARTS: Final = st.sampled_from(["a", "orgs", "org_1", "healthz", "jobs", "plans", "..", ""])
CALLERS: Final = st.sampled_from(
    [
        NO_CREDENTIAL,
        Reason.TOKEN_EXPIRED,
        billing_token(scopes=frozenset({"*"})),
        user(),
        user(plan="pro", **MEMBER),
        user(act={"sub": "user_s"}),
    ]
)


@given(
    st.lists(PARTS, min_size=1, max_size=4),
    CALLERS,
    st.sampled_from([{}, INSIDE, {"exposure": "public"}]),
    st.dictionaries(st.sampled_from(["x-debug", "accept", "cookie"]), st.text(), max_size=3),
)
def test_what_a_gate_logged_it_says_again(
    parts: list[str], caller: Caller, context: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    parsed = policy(*RULES)
    asked = request(target="/" + "/".join(parts), context=context, headers=headers)
    decision = recorded(asked, caller, under=parsed)

    found = judge_again(decision, parsed.policy)

    assert isinstance(found, Outcome)
    assert (found.decision, found.reason) == (decision.verdict, decision.reason)
