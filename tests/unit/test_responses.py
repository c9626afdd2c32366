"""Answers to Envoy: what is kept of one is good for another, and only for its like."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from tokens import STATIC_SERVICE, USER_RULE, claims_of
from wicketgate._gen.ext_authz_pb2 import CheckResponse
from wicketgate.adapters.envoy import Responses
from wicketgate.core.claims import UserId
from wicketgate.core.identity import HeaderPlan, IdentityHeaders
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.verdict import ANONYMOUS, Allow, Deny, User, Verdict

OPEN = Rule(name="open", anonymous=True)
TWIN = Rule(name="twin", anonymous=True)


def user(user_id: str) -> User:
    """Return a user by that id."""
    return User(replace(claims_of({}), user_id=UserId(user_id)))


ANN, BOB, LONG = user("user_ann"), user("user_bob"), user("user_with_a_longer_id")
VERDICTS: dict[str, Verdict] = {
    "a user": Allow(ANN, USER_RULE),
    "another user": Allow(BOB, USER_RULE),
    "a user with a longer id": Allow(LONG, USER_RULE),
    "a user by another rule": Allow(ANN, OPEN),
    "a user by a rule of the same length": Allow(ANN, TWIN),
    "a user with a cookie less": Allow(ANN, USER_RULE, cookie="a=b"),
    "a user without cookies": Allow(ANN, USER_RULE, cookie=""),
    "a user of whom more is told": Allow(ANN, USER_RULE, set_headers=(("x-plan", "pro"),)),
    "... or something else": Allow(ANN, USER_RULE, set_headers=(("x-plan", "max"),)),
    "a user of whom less is told": Allow(ANN, USER_RULE, removed_headers=("x-plan",)),
    "a service": Allow(STATIC_SERVICE, OPEN, carries_service_token=True),
    "nobody": Allow(ANONYMOUS, OPEN),
    "nobody who shows a service token": Allow(ANONYMOUS, OPEN, carries_service_token=True),
    "no credential": Deny(Reason.NO_CREDENTIAL, OPEN),
    "no credential by another rule": Deny(Reason.NO_CREDENTIAL, TWIN),
    "no rule": Deny(Reason.AMBIGUOUS_PATH),
    "a user who is refused": Deny(Reason.USER_REVOKED, USER_RULE, principal=ANN),
    "another user who is refused": Deny(Reason.USER_REVOKED, USER_RULE, principal=BOB),
    "a service that is refused": Deny(Reason.SERVICE_SCOPE, OPEN, principal=STATIC_SERVICE),
    "no decision": Deny(Reason.KEYS_UNAVAILABLE, OPEN),
}
OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "grpc": {"is_grpc": True},
    "local id": {"local_id": "0e1c-7"},
}


def asked() -> Iterator[tuple[Verdict, dict[str, object]]]:
    """Yield every verdict with every option, under ids of two lengths."""
    for verdict, options, decision_id in product(
        VERDICTS.values(), OPTIONS.values(), ("d-1", "d-2", "d-10")
    ):
        yield verdict, {"is_grpc": False, **options, "decision_id": decision_id}


@pytest.mark.parametrize("error_response", [False, True])
def test_what_was_answered_before_changes_no_answer(*, error_response: bool) -> None:
    def fresh() -> Responses:
        return Responses(IdentityHeaders(), error_response=error_response)

    keeping = fresh()
    for verdict, options in [*asked()] * 2:
        given = keeping.serialise(verdict, **options)  # type: ignore[arg-type] # drawn

        assert given == fresh().serialise(verdict, **options)  # type: ignore[arg-type] # drawn


# With a word in it that stands in for an id of three characters while answers are prepared.
BASES = ("https://docs.example.com/reasons#", "https://docs.example.com/~~~/~~~~/")


@pytest.mark.parametrize("base", BASES)
def test_what_is_kept_has_the_type_that_was_configured(base: str) -> None:
    def fresh() -> Responses:
        return Responses(IdentityHeaders(), type_base=base)

    keeping = fresh()
    for verdict, options in [*asked()] * 2:
        given = keeping.serialise(verdict, **options)  # type: ignore[arg-type] # drawn

        assert given == fresh().serialise(verdict, **options)  # type: ignore[arg-type] # drawn
        if isinstance(verdict, Deny):
            body = CheckResponse.FromString(given).denied_response.body
            leads = f'"type":"{base}{verdict.reason}"' in body
            assert leads != ("is_grpc" in options and bool(options["is_grpc"]))


@pytest.mark.parametrize("name", VERDICTS)
def test_an_answer_names_its_own_decision_and_user_and_no_other(name: str) -> None:
    responses, verdict = Responses(IdentityHeaders()), VERDICTS[name]
    named = {"d-1", *(each.principal.claims.user_id for each in (verdict,) if is_user(each))}  # type: ignore[union-attr] # is_user
    for each, options in asked():
        responses.serialise(each, **options)  # type: ignore[arg-type] # drawn

    raw = responses.serialise(verdict, decision_id="d-1", is_grpc=False)

    CheckResponse.FromString(raw)
    others = {"d-2", "d-10", "user_ann", "user_bob", "user_with_a_longer_id"} - named
    assert not [other for other in others if other.encode() in raw]
    assert all(text.encode() in raw for text in named)


def is_user(verdict: Verdict) -> bool:
    """Tell whether the verdict is about a user."""
    return isinstance(verdict.principal, User)


class Counting(IdentityHeaders):
    """Counts the plans that are made."""

    def __init__(self) -> None:
        super().__init__()
        self.plans = 0

    def plan(self, allow: Allow, *, local_id: str = "") -> HeaderPlan:
        """Count, and plan."""
        self.plans += 1
        return super().plan(allow, local_id=local_id)


@pytest.mark.parametrize(
    ("name", "is_prepared"),
    [
        ("another user", True),
        ("a user by another rule", False),
        ("a user with a longer id", False),
        ("a user of whom more is told", False),
        ("a user with a cookie less", False),
    ],
)
def test_users_share_what_is_prepared(name: str, *, is_prepared: bool) -> None:
    """
    So the memory that it takes does not grow with the number of users.
    """
    identity = Counting()
    responses = Responses(identity)
    responses.serialise(VERDICTS["a user"], decision_id="d-1", is_grpc=False)
    before = identity.plans

    responses.serialise(VERDICTS[name], decision_id="d-2", is_grpc=False)

    assert is_prepared == (identity.plans == before)
