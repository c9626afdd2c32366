"""What a token must say, and when it may say it."""

from typing import Any

import pytest

from tokens import ISSUER, NOW, ORIGIN, clerk, rules
from wicketgate.core.claims import (
    MACHINE_CATEGORY,
    MAX_LIFETIME_SECONDS,
    SKEW_SECONDS,
    TEMPLATE_CATEGORY,
    Claims,
    PartyCheck,
    check_claims,
    check_time,
)
from wicketgate.core.reason import Reason
from wicketgate.local.clerk_instance import ABSENT, SESSION, USER

PARTY_REQUIRED = {
    "party_check": PartyCheck.REQUIRED,
    "authorized_parties": frozenset({ORIGIN, "https://app.example.com"}),
}
PARTY_IF_PRESENT = {**PARTY_REQUIRED, "party_check": PartyCheck.IF_PRESENT}
AUDIENCE = {"audiences": frozenset({"api", "web"})}


def check(
    claims: dict[str, object] | None = None,
    *,
    category: object = "cl_B7d4PD111AAA",
    **options: Any,  # noqa: ANN401 - any field of the rules
) -> Claims | Reason:
    merged = {**clerk().claims(now=NOW), **(claims or {})}
    present = {name: value for name, value in merged.items() if value is not ABSENT}
    return check_claims(present, category=category, rules=rules(**options))


def timed(**times: float) -> Claims:
    """Return verified claims with these times."""
    return Claims(
        **{
            "user_id": USER,
            "session_id": SESSION,
            "issued_at": NOW,
            "not_before": NOW,
            "expires_at": NOW + 60,
            "document": {},
            **times,
        }  # type: ignore[arg-type]  # one record, its fields by name
    )


def test_a_session_token_s_claims_become_typed() -> None:
    found = check({"nbf": NOW - 10, "custom": {"x": 1}})

    assert isinstance(found, Claims)
    assert (found.user_id, found.session_id) == (USER, SESSION)
    assert (found.issued_at, found.not_before, found.expires_at) == (NOW, NOW - 10, NOW + 60)
    assert found.document["custom"] == {"x": 1}


def test_without_nbf_a_token_is_valid_from_its_issue() -> None:
    found = check({"nbf": ABSENT})

    assert isinstance(found, Claims)
    assert found.not_before == NOW


@pytest.mark.parametrize(
    ("claims", "options"),
    [
        ({"v": ABSENT, "org_id": "org_1", "sts": ABSENT}, {}),
        ({"azp": "https://evil.example"}, {}),
        ({"azp": ORIGIN}, PARTY_REQUIRED),
        ({"azp": "https://app.example.com"}, PARTY_REQUIRED),
        ({"azp": ORIGIN}, PARTY_IF_PRESENT),
        ({"azp": ABSENT}, PARTY_IF_PRESENT),
        ({"azp": None}, PARTY_IF_PRESENT),
        ({"azp": ""}, PARTY_IF_PRESENT),
        ({"aud": "anything"}, {}),
        ({"aud": "api"}, AUDIENCE),
        ({"aud": ["other", "web"]}, AUDIENCE),
        ({"sts": "pending"}, {"pending_sessions": True}),
        ({"sts": "active"}, {"pending_sessions": True}),
        ({"act": {"sub": "user_admin"}}, {}),
        ({"act": None}, {"impersonation": False}),
        ({"act": ABSENT}, {"impersonation": False}),
        ({"sid": ABSENT}, {"template_tokens": True}),
        ({"sub": "user_a"}, {}),
        ({"sub": "user_" + "a" * 64}, {}),
        ({"sid": "sess_" + "a" * 64}, {}),
        ({"exp": NOW + 0.5}, {}),
        ({"exp": NOW + MAX_LIFETIME_SECONDS}, {}),
        ({"exp": NOW + 61}, {"max_lifetime_seconds": 61.0}),
        (
            {"iss": "https://clerk.example.com"},
            {"issuers": frozenset({ISSUER, "https://clerk.example.com"})},
        ),
        ({"jti": 5, "fva": None, "__proto__": {}}, {}),
    ],
)
def test_claims_within_the_rules_are_accepted(
    claims: dict[str, object], options: dict[str, Any]
) -> None:
    assert isinstance(check(claims, **options), Claims)


@pytest.mark.parametrize(
    ("claims", "options", "reason"),
    [
        ({"iss": ABSENT}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": None}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": 5}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": [ISSUER]}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": {ISSUER: 1}}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": f"{ISSUER}/"}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": ISSUER.upper()}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": f"{ISSUER}.evil.example"}, {}, Reason.ISSUER_MISMATCH),
        ({"iss": ""}, {}, Reason.ISSUER_MISMATCH),
        ({"azp": ABSENT}, PARTY_REQUIRED, Reason.PARTY_MISSING),
        ({"azp": None}, PARTY_REQUIRED, Reason.PARTY_MISSING),
        ({"azp": ""}, PARTY_REQUIRED, Reason.PARTY_MISSING),
        ({"azp": f"{ORIGIN}/"}, PARTY_REQUIRED, Reason.PARTY_MISMATCH),
        ({"azp": f"{ORIGIN}/"}, PARTY_IF_PRESENT, Reason.PARTY_MISMATCH),
        ({"azp": [ORIGIN]}, PARTY_REQUIRED, Reason.PARTY_MISMATCH),
        ({"azp": []}, PARTY_IF_PRESENT, Reason.PARTY_MISMATCH),
        ({"azp": False}, PARTY_IF_PRESENT, Reason.PARTY_MISMATCH),
        ({"azp": 0}, PARTY_IF_PRESENT, Reason.PARTY_MISMATCH),
        ({"aud": ABSENT}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": "other"}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": ""}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": []}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": [["api"]]}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": ["api", 5]}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": {"api": 1}}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"aud": "api web"}, AUDIENCE, Reason.AUDIENCE_MISMATCH),
        ({"sts": "pending"}, {}, Reason.SESSION_PENDING),
        ({"sts": "revoked"}, {}, Reason.SESSION_PENDING),
        ({"sts": "revoked"}, {"pending_sessions": True}, Reason.SESSION_PENDING),
        ({"sts": ""}, {}, Reason.SESSION_PENDING),
        ({"sts": None}, {}, Reason.SESSION_PENDING),
        ({"sts": ["active"]}, {}, Reason.SESSION_PENDING),
        ({"act": {"sub": "user_admin"}}, {"impersonation": False}, Reason.IMPERSONATION),
        ({"act": {}}, {"impersonation": False}, Reason.IMPERSONATION),
        ({"act": ""}, {"impersonation": False}, Reason.IMPERSONATION),
        ({"sub": ABSENT}, {}, Reason.SUBJECT_INVALID),
        ({"sub": None}, {}, Reason.SUBJECT_INVALID),
        ({"sub": 1}, {}, Reason.SUBJECT_INVALID),
        ({"sub": [USER]}, {}, Reason.SUBJECT_INVALID),
        ({"sub": ""}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "org_1"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "USER_1"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_1\n"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_1\r\nx-admin: 1"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_1,user_2"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_\u0661"}, {}, Reason.SUBJECT_INVALID),
        ({"sub": "user_" + "a" * 65}, {}, Reason.SUBJECT_INVALID),
        ({"sid": ABSENT}, {}, Reason.SESSION_MISSING),
        ({"sid": None}, {}, Reason.SESSION_MISSING),
        ({"sid": ""}, {}, Reason.SESSION_MISSING),
        ({"sid": 1}, {}, Reason.SESSION_MISSING),
        ({"sid": "user_1"}, {}, Reason.SESSION_MISSING),
        ({"sid": "sess_1\n"}, {}, Reason.SESSION_MISSING),
        ({"sid": ""}, {"template_tokens": True}, Reason.SESSION_MISSING),
        ({"sid": 1}, {"template_tokens": True}, Reason.SESSION_MISSING),
        ({"exp": NOW + MAX_LIFETIME_SECONDS + 1}, {}, Reason.TOKEN_LIFETIME),
        ({"exp": NOW + 60.5}, {"max_lifetime_seconds": 60.0}, Reason.TOKEN_LIFETIME),
        ({"exp": NOW}, {}, Reason.CLAIMS_MALFORMED),
        ({"exp": NOW - 1}, {}, Reason.CLAIMS_MALFORMED),
    ],
)
def test_claims_outside_the_rules_are_refused(
    claims: dict[str, object], options: dict[str, Any], reason: Reason
) -> None:
    assert reason is check(claims, **options)


@pytest.mark.parametrize("name", ["iat", "nbf", "exp"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param(str(int(NOW)), id="string"),
        pytest.param(True, id="true"),
        pytest.param([NOW], id="list"),
        pytest.param(float("inf"), id="infinity, as 1e400 reads"),
        pytest.param(float("-inf"), id="minus infinity"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(10**400, id="beyond floating point"),
    ],
)
def test_only_a_finite_number_is_a_date(name: str, value: object) -> None:
    assert check({name: value}) is Reason.CLAIMS_MALFORMED


@pytest.mark.parametrize("name", ["iat", "exp"])
def test_both_ends_of_a_token_s_life_are_required(name: str) -> None:
    assert check({name: ABSENT, "nbf": ABSENT}) is Reason.CLAIMS_MALFORMED


@pytest.mark.parametrize(
    ("category", "subject", "template_tokens", "reason"),
    [
        (None, USER, False, None),
        ("cl_B7d4PD111AAA", USER, False, None),
        ("cl_I7d4PD111III", USER, False, None),
        (TEMPLATE_CATEGORY, USER, False, Reason.TEMPLATE_TOKEN),
        (TEMPLATE_CATEGORY, USER, True, None),
        (MACHINE_CATEGORY, USER, False, Reason.MACHINE_TOKEN),
        (MACHINE_CATEGORY, USER, True, Reason.MACHINE_TOKEN),
        (MACHINE_CATEGORY, "mch_1", False, Reason.MACHINE_TOKEN),
        (None, "mch_1", False, Reason.MACHINE_TOKEN),
        (TEMPLATE_CATEGORY, "mch_1", True, Reason.MACHINE_TOKEN),
        ("cl_unknown", USER, False, Reason.TOKEN_CLASS),
        ("cl_unknown", USER, True, Reason.TOKEN_CLASS),
        ("", USER, False, Reason.TOKEN_CLASS),
        (1, USER, False, Reason.TOKEN_CLASS),
        (["cl_B7d4PD111AAA"], USER, False, Reason.TOKEN_CLASS),
        ({}, USER, False, Reason.TOKEN_CLASS),
    ],
)
def test_only_session_tokens_are_session_tokens(
    category: object, subject: str, *, template_tokens: bool, reason: Reason | None
) -> None:
    found = check({"sub": subject}, category=category, template_tokens=template_tokens)

    assert reason == (None if isinstance(found, Claims) else found)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW + 60, None),
        (NOW + 60 + SKEW_SECONDS - 0.001, None),
        (NOW + 60 + SKEW_SECONDS, Reason.TOKEN_EXPIRED),
        (NOW + 1e9, Reason.TOKEN_EXPIRED),
    ],
)
def test_a_token_expires_when_the_skew_has_passed(now: float, reason: Reason | None) -> None:
    assert reason is check_time(timed(), now=now, rules=rules())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("not_before", Reason.TOKEN_NOT_YET_VALID),
        ("issued_at", Reason.TOKEN_ISSUED_IN_FUTURE),
    ],
)
def test_a_start_may_be_ahead_by_the_skew_and_no_more(name: str, reason: Reason) -> None:
    inside = timed(**{name: NOW + SKEW_SECONDS})
    outside = timed(**{name: NOW + SKEW_SECONDS + 0.001})

    assert check_time(inside, now=NOW, rules=rules()) is None
    assert reason is check_time(outside, now=NOW, rules=rules())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        (timed(expires_at=NOW), Reason.TOKEN_EXPIRED),
        (timed(not_before=NOW + 0.001), Reason.TOKEN_NOT_YET_VALID),
        (timed(issued_at=NOW + 0.001), Reason.TOKEN_ISSUED_IN_FUTURE),
        (timed(expires_at=NOW + 0.001), None),
    ],
)
def test_a_skew_of_zero_is_zero(claims: Claims, reason: Reason | None) -> None:
    assert reason is check_time(claims, now=NOW, rules=rules(skew_seconds=0.0))


def test_rules_without_an_issuer_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one issuer"):
        rules(issuers=frozenset())


@pytest.mark.parametrize("party_check", [PartyCheck.IF_PRESENT, PartyCheck.REQUIRED])
def test_a_check_of_parties_without_parties_is_refused(party_check: PartyCheck) -> None:
    """
    Clerk's SDKs read an empty list as "off" and as "nobody"; here it cannot be said.
    """
    with pytest.raises(ValueError, match="at least one authorized party"):
        rules(party_check=party_check)


def test_no_check_of_parties_needs_no_parties() -> None:
    assert rules().authorized_parties == frozenset()
