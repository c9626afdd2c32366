"""Whom a rule admits, each of its terms at its boundary."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW, billing_token, claims_of
from wicketgate.core.policy.rule import ANY_SERVICE, ANY_USER, Rule, ServiceTerms, UserTerms
from wicketgate.core.policy.terms import refused_service, refused_user
from wicketgate.core.reason import Reason

MEMBER = {
    "v": 2,
    "o": {"id": "org_1", "rol": "member", "per": "read,manage", "fpm": "1"},
    "fea": "o:invoices",
    "fva": [10, 5],
}
"""The claims of a member of an organisation, who may ``org:invoices:read``."""


def org(*, ids: str = "", roles: str = "", permissions: str = "") -> UserTerms:
    """Return terms about the organisation, each a list of words."""
    return UserTerms(
        org_ids=frozenset(ids.split()),
        org_roles=frozenset(roles.split()),
        org_permissions=frozenset(permissions.split()),
    )


@pytest.mark.parametrize(
    ("terms", "claims", "expected"),
    [
        (ANY_USER, {}, None),
        (ANY_USER, {"sts": "pending", "act": {"sub": "user_9"}}, None),
        (UserTerms(pending=False), {}, None),
        (UserTerms(pending=False), {"sts": "active"}, None),
        (UserTerms(pending=False), {"sts": "pending"}, Reason.SESSION_PENDING),
        (UserTerms(pending=True, actor=False), {"sts": "pending"}, None),
        (UserTerms(actor=False), {}, None),
        (UserTerms(actor=False), {"act": None}, None),
        (UserTerms(actor=False), {"act": {"sub": "user_9"}}, Reason.IMPERSONATION),
        (UserTerms(actor=False), {"act": {}}, Reason.IMPERSONATION),
        (UserTerms(actor=True, pending=False), {"act": {"sub": "user_9"}}, None),
        (org(ids="org_1"), MEMBER, None),
        (org(ids="org_0 org_1"), MEMBER, None),
        (org(ids="org_0 org_2"), MEMBER, Reason.ORGANIZATION_NOT_ADMITTED),
        (org(ids="org_1"), {}, Reason.ORGANIZATION_NOT_ADMITTED),
        (org(roles="org:member"), MEMBER, None),
        (org(roles="org:admin org:member"), MEMBER, None),
        (org(roles="org:admin"), MEMBER, Reason.ROLE_NOT_ADMITTED),
        (org(roles="member"), MEMBER, Reason.ROLE_NOT_ADMITTED),
        (org(roles="org:member"), {}, Reason.ROLE_NOT_ADMITTED),
        (org(permissions="org:invoices:read"), MEMBER, None),
        (org(permissions="org:invoices:manage org:invoices:read"), MEMBER, None),
        (org(permissions="org:invoices:manage"), MEMBER, Reason.PERMISSION_MISSING),
        (org(permissions="org:invoices:read"), {}, Reason.PERMISSION_MISSING),
        (
            org(permissions="org:invoices:read"),
            {**MEMBER, "fea": "x:invoices"},
            Reason.PERMISSIONS_UNDECODABLE,
        ),
        (org(ids="org_1"), {**MEMBER, "fea": "x:invoices"}, None),
        (org(ids="org_1", roles="org:member", permissions="org:invoices:read"), MEMBER, None),
        (org(ids="org_1", roles="org:admin"), MEMBER, Reason.ROLE_NOT_ADMITTED),
        (org(ids="org_2", roles="org:member"), MEMBER, Reason.ORGANIZATION_NOT_ADMITTED),
    ],
)
def test_what_a_user_must_be(
    terms: UserTerms, claims: dict[str, Any], expected: Reason | None
) -> None:
    assert expected == refused_user([terms], claims_of(claims), now=NOW)


FIRST = Reason.SESSION_TOO_OLD
SECOND = Reason.SECOND_FACTOR_TOO_OLD
HUGE = 10**400


@pytest.mark.parametrize(
    ("factors", "elapsed", "limit", "is_old"),
    [
        pytest.param([10, 10], 0.0, 600.0, False, id="exactly"),
        pytest.param([10, 10], 0.0, 599.0, True, id="one second short"),
        pytest.param([9, 9], 60.0, 600.0, False, id="exactly, the token's age added"),
        pytest.param([9, 9], 60.001, 600.0, True, id="a moment later"),
        pytest.param([10, 10], -5.0, 600.0, False, id="a token from ahead is no younger"),
        pytest.param([10, 10], -5.0, 599.0, True, id="and its factor neither"),
        pytest.param([0, 0], 0.0, 0.0, False, id="this moment"),
        pytest.param([0, 0], 0.001, 0.0, True, id="just past"),
        pytest.param([-1, -1], 0.0, 1e9, True, id="never"),
        pytest.param(None, 0.0, 1e9, True, id="not said"),
        pytest.param(["1", "1"], 0.0, 1e9, True, id="not a number"),
        pytest.param([HUGE, HUGE], 0.0, 1e9, True, id="beyond what a float can hold"),
    ],
)
@pytest.mark.parametrize(
    ("word", "reason"), [("session_age", FIRST), ("second_factor_age", SECOND)]
)
def test_how_long_ago_a_factor_may_have_been(
    word: str, reason: Reason, factors: object, elapsed: float, limit: float, *, is_old: bool
) -> None:
    claims = claims_of({"fva": factors})
    terms = UserTerms(**{word: limit})  # type: ignore[arg-type]  # a limit by its name

    assert (reason if is_old else None) == refused_user([terms], claims, now=NOW + elapsed)


@pytest.mark.parametrize(
    ("factors", "expected"),
    [([1, 2], SECOND), ([2, 1], FIRST), ([1, 1], None), ([1, -1], SECOND), ([-1, 1], FIRST)],
)
def test_each_limit_is_held_against_its_own_factor(
    factors: list[int], expected: Reason | None
) -> None:
    terms = UserTerms(session_age=60.0, second_factor_age=60.0)

    assert expected == refused_user([terms], claims_of({"fva": factors}), now=NOW)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ((), Reason.USER_NOT_ADMITTED),
        ((org(ids="org_2"), org(roles="org:admin")), Reason.ORGANIZATION_NOT_ADMITTED),
        ((org(roles="org:admin"), org(ids="org_2")), Reason.ROLE_NOT_ADMITTED),
        ((org(ids="org_2"), org(roles="org:member")), None),
        ((org(roles="org:member"), org(ids="org_2")), None),
        ((org(ids="org_2"), ANY_USER), None),
    ],
)
def test_any_of_several_is_enough_and_the_first_says_why_not(
    terms: tuple[UserTerms, ...], expected: Reason | None
) -> None:
    assert expected == refused_user(terms, claims_of(MEMBER), now=NOW)


def service(*, names: str = "", scopes: str = "") -> ServiceTerms:
    """Return terms about a service, each a list of words."""
    return ServiceTerms(names=frozenset(names.split()), scopes=frozenset(scopes.split()))


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ((), Reason.SERVICE_NOT_ADMITTED),
        ((service(names="billing", scopes="invoices"),), None),
        ((service(names="mail billing", scopes="mail invoices"),), None),
        ((service(names="mail", scopes="invoices"),), Reason.SERVICE_NOT_ADMITTED),
        ((service(names="billing", scopes="mail"),), Reason.SERVICE_SCOPE),
        ((service(scopes="invoices"),), None),
        ((service(scopes="invoice"),), Reason.SERVICE_SCOPE),
        ((service(names="billing"),), Reason.SERVICE_SCOPE),
        ((service(names="mail"), service(scopes="invoices")), None),
        ((service(scopes="mail"), service(names="mail")), Reason.SERVICE_SCOPE),
        ((service(names="mail"), service(scopes="mail")), Reason.SERVICE_NOT_ADMITTED),
    ],
)
def test_what_a_service_must_be(terms: tuple[ServiceTerms, ...], expected: Reason | None) -> None:
    rule = Rule(name="orders", services=terms)

    assert expected == refused_service(rule, billing_token())


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ({"orders"}, None),
        ({"invoices", "orders"}, None),
        ({"*"}, None),
        ({"orders:read"}, Reason.SERVICE_SCOPE),
        (set[str](), Reason.SERVICE_SCOPE),
    ],
)
def test_a_rule_that_names_no_scope_asks_for_one_with_its_own_name(
    scopes: set[str], expected: Reason | None
) -> None:
    rule = Rule(name="orders", services=(ANY_SERVICE,))

    assert expected == refused_service(rule, billing_token(scopes=frozenset(scopes)))


WORDS = st.frozensets(st.sampled_from(["org_1", "org:member", "org:invoices:read", "x"]))
TERMS = st.builds(
    UserTerms,
    org_ids=WORDS,
    org_roles=WORDS,
    org_permissions=WORDS,
    session_age=st.none() | st.floats(0, 2000),
    second_factor_age=st.none() | st.floats(0, 2000),
    actor=st.booleans(),
    pending=st.booleans(),
)


@given(st.lists(TERMS, max_size=4), st.booleans(), st.integers(-60, 2000))
def test_alternatives_admit_exactly_whom_one_of_them_admits(
    terms: list[UserTerms],
    is_impersonated: bool,  # noqa: FBT001 - drawn by Hypothesis
    elapsed: int,
) -> None:
    claims = claims_of({**MEMBER, **({"act": {}} if is_impersonated else {})})
    alone = [refused_user([each], claims, now=NOW + elapsed) for each in terms]
    together = refused_user(terms, claims, now=NOW + elapsed)

    assert (None in alone) == (together is None)
    assert together in {*alone, Reason.USER_NOT_ADMITTED}
