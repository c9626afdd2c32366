"""The identity headers: set for the right one, removed for all others."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import STATIC_SERVICE, USER_RULE
from wicketgate.core.claims import Claims, UserId
from wicketgate.core.identity import STRIPPED, IdentityHeaders, spellings_of
from wicketgate.core.policy.rule import Credentials, Rule
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Principal,
    User,
)

ADA = User(
    Claims(
        user_id=UserId("user_1"),
        session_id=None,
        issued_at=0,
        not_before=0,
        expires_at=60,
        document={},
    )
)
PRINCIPALS: tuple[Principal, ...] = (ADA, STATIC_SERVICE, ANONYMOUS)


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (ADA, (("clerk_user_id", "user_1"), ("wicketgate-principal", "user:user_1"))),
        (STATIC_SERVICE, (("wicketgate-principal", "service:static"),)),
        (ANONYMOUS, (("wicketgate-principal", "anonymous"),)),
    ],
)
def test_what_upstream_is_told(
    principal: Principal, expected: tuple[tuple[str, str], ...]
) -> None:
    assert expected == IdentityHeaders().plan(Allow(principal, USER_RULE)).set


def test_a_user_s_plan_removes_every_name_that_it_does_not_set() -> None:
    expected = {
        "clerk-user-id",
        "clerk-user_id",
        "clerk_user-id",
        "wicketgate_principal",
        "x-clerk-user-id",
        "x-clerk-user_id",
        "x-clerk_user-id",
        "x-clerk_user_id",
        "x_clerk-user-id",
        "x_clerk-user_id",
        "x_clerk_user-id",
        "x_clerk_user_id",
        "x-user-id",
        "x-user_id",
        "x_user-id",
        "x_user_id",
    }

    removed = IdentityHeaders().plan(Allow(ADA, USER_RULE)).remove

    assert expected == set(removed)
    assert len(expected) == len(removed)


@pytest.mark.parametrize("principal", [STATIC_SERVICE, ANONYMOUS])
def test_nobody_else_is_given_a_user_id(principal: Principal) -> None:
    headers = IdentityHeaders(aliases=["x-clerk-user-id"])
    plan = headers.plan(Allow(principal, USER_RULE))

    names = ("clerk_user_id", "x-clerk-user-id", "x-user-id")
    assert {each for name in names for each in spellings_of(name)} <= set(plan.remove)


def test_a_user_whose_own_id_is_known_carries_it() -> None:
    plan = IdentityHeaders().plan(Allow(ADA, USER_RULE), local_id="7a1c")

    assert plan.set == (
        ("clerk_user_id", "user_1"),
        ("x-user-id", "7a1c"),
        ("wicketgate-principal", "user:user_1"),
    )
    assert "x-user-id" not in plan.remove
    assert {"x-user_id", "x_user-id", "x_user_id"} <= set(plan.remove)


@pytest.mark.parametrize("principal", [STATIC_SERVICE, ANONYMOUS])
def test_nobody_else_carries_an_id_of_ours(principal: Principal) -> None:
    headers = IdentityHeaders()

    assert headers.plan(Allow(principal, USER_RULE)) == headers.plan(
        Allow(principal, USER_RULE), local_id="7a1c"
    )


def test_an_alias_carries_the_user_id_too() -> None:
    headers = IdentityHeaders(aliases=["x-clerk-user-id", "x-user"])
    plan = headers.plan(Allow(ADA, USER_RULE))

    assert plan.set == (
        ("clerk_user_id", "user_1"),
        ("x-clerk-user-id", "user_1"),
        ("x-user", "user_1"),
        ("wicketgate-principal", "user:user_1"),
    )


@pytest.mark.parametrize("principal", [STATIC_SERVICE, ADA, ANONYMOUS])
@pytest.mark.parametrize(
    ("carries", "forward", "is_removed"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_only_a_service_s_token_stops_at_the_gate(
    principal: Principal, *, carries: bool, forward: bool, is_removed: bool
) -> None:
    headers = IdentityHeaders(forward_service_token=forward)

    plan = headers.plan(Allow(principal, USER_RULE, carries_service_token=carries))

    assert is_removed == ("authorization" in plan.remove)


@pytest.mark.parametrize("principal", [STATIC_SERVICE, ADA, ANONYMOUS])
@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize(
    ("credentials", "is_removed"), [(Credentials.STRIP, True), (Credentials.FORWARD, False)]
)
def test_a_rule_that_says_what_becomes_of_credentials_is_obeyed(
    principal: Principal,
    credentials: Credentials,
    *,
    carries: bool,
    forward: bool,
    is_removed: bool,
) -> None:
    rule = Rule(name="r", credentials=credentials)
    headers = IdentityHeaders(forward_service_token=forward)

    plan = headers.plan(Allow(principal, rule, carries_service_token=carries))

    assert is_removed == ("authorization" in plan.remove)
    assert "cookie" not in plan.remove


@pytest.mark.parametrize(
    ("cookie", "told", "is_removed"),
    [(None, (), False), ("a=1; b=2", (("cookie", "a=1; b=2"),), False), ("", (), True)],
)
def test_what_is_left_of_the_cookies_is_sent_and_nothing_is_not(
    cookie: str | None, told: tuple[tuple[str, str], ...], *, is_removed: bool
) -> None:
    plan = IdentityHeaders().plan(Allow(ANONYMOUS, USER_RULE, cookie=cookie))

    assert (("wicketgate-principal", "anonymous"), *told) == plan.set
    assert is_removed == ("cookie" in plan.remove)


@pytest.mark.parametrize("principal", [STATIC_SERVICE, ADA, ANONYMOUS])
def test_the_headers_of_a_rule_are_planned_beside_those_of_the_gate(principal: Principal) -> None:
    usual = IdentityHeaders().plan(Allow(principal, USER_RULE))

    plan = IdentityHeaders().plan(
        Allow(
            principal,
            USER_RULE,
            set_headers=(("x-plan", "pro"),),
            removed_headers=("x_plan", "x-team"),
        )
    )

    assert (*usual.set, ("x-plan", "pro")) == plan.set
    assert (*usual.remove, "x_plan", "x-team") == plan.remove


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", {"a"}),
        ("a-b", {"a-b", "a_b"}),
        ("a_b-c", {"a-b-c", "a_b-c", "a-b_c", "a_b_c"}),
        ("_a", {"-a", "_a"}),
    ],
)
def test_spellings(name: str, expected: set[str]) -> None:
    found = spellings_of(name)

    assert expected == set(found)
    assert len(expected) == len(found)


NAMES = st.from_regex(re.compile(r"[a-z]{1,4}(?:[-_][a-z]{1,4}){0,3}"), fullmatch=True)


@given(
    st.lists(NAMES, max_size=3),
    st.sampled_from(PRINCIPALS),
    st.booleans(),
    st.sampled_from(["", "7a1c"]),
)
def test_no_spelling_of_an_identity_header_is_the_client_s(
    aliases: list[str],
    principal: Principal,
    forward: bool,  # noqa: FBT001 - drawn by Hypothesis
    local_id: str,
) -> None:
    """
    Whatever names are configured: set and removed are disjoint, and together complete.
    """
    headers = IdentityHeaders(aliases=aliases, forward_service_token=forward)
    plan = headers.plan(Allow(principal, USER_RULE), local_id=local_id)
    written = {name for name, _ in plan.set}
    folded = {name.replace("_", "-") for name in (*STRIPPED, *aliases)}

    assert not written & set(plan.remove)
    for name in folded:
        assert set(spellings_of(name)) <= written | set(plan.remove)
