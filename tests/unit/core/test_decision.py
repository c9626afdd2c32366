"""One request, one verdict: who is let in, and every way of being kept out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fakes import FixedPolicy
from tokens import (
    BILLING_TOKEN,
    ISSUER,
    NOW,
    ORIGIN,
    SERVICE_TOKEN,
    STATIC_SERVICE,
    USER_RULE,
    billing_token,
    clerk,
    decision_on,
    judge,
    keys,
    refusal,
    request,
    route,
    rules,
    settled,
    stranger_key,
    token,
    valid_token,
)
from wicketgate.core.claims import Claims, PartyCheck, SessionId, TokenRules, UserId
from wicketgate.core.credential import CookieRules
from wicketgate.core.decision import (
    decide,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.condition import compile_condition
from wicketgate.core.policy.routes import Admission, RoutePolicy, Targets
from wicketgate.core.policy.rule import (
    ANY_USER,
    ClaimHeader,
    Exposure,
    Match,
    Policy,
    Refusal,
    Rule,
    UserTerms,
)
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous
from wicketgate.core.revocation import (
    NO_REVOCATIONS,
    Revocations,
    RevocationSet,
    RevocationSource,
)
from wicketgate.core.revocation_table import Kind, Revocation
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Anonymous,
    Deny,
    NeedKey,
    Service,
    User,
)
from wicketgate.local.clerk_instance import (
    ABSENT,
    SESSION,
    USER,
    ClerkInstance,
    base64url,
    sign,
    sign_segments,
)

COOKIES = CookieRules(frozenset({"__session", "__session_R4pxPy2l"}), frozenset({ORIGIN}))
SERVICES_ONLY = route(Admission.SERVICE, Exposure.INTERNAL)
USERS_INSIDE = route(Admission.USER, Exposure.INTERNAL)
ANYONE_INSIDE = route(Admission.ANONYMOUS, Exposure.INTERNAL)
ANY_TARGET = {"targets": "any"}
MEMBER = {"id": "org_1", "rol": "member", "per": "read", "fpm": "1"}
PARTIES = {"party_check": PartyCheck.REQUIRED, "authorized_parties": frozenset({ORIGIN})}
IF_PRESENT = {**PARTIES, "party_check": PartyCheck.IF_PRESENT}

# The transport denies these before or instead of a decision.
NOT_OF_THE_CORE = {Reason.PEER_NOT_ALLOWED, Reason.REQUEST_UNREADABLE, Reason.INTERNAL_ERROR}


@dataclass(frozen=True, kw_only=True)
class Denial:
    """One way of being denied, everything else being as it should be."""

    bearer: Callable[[], str | None] = valid_token
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    host: str = "api.example.com"
    target: str = "/"
    context: Mapping[str, str] = field(default_factory=dict)
    rule: Rule | Match | Refusal = USER_RULE
    policy: Policy | None = None
    token_rules: Mapping[str, Any] = field(default_factory=dict)
    named: tuple[ServiceToken, ...] = ()
    cookies: CookieRules | None = None
    key_set: Callable[[], KeySet] = keys
    keys_are_current: bool = True
    revocations: RevocationSource = NO_REVOCATIONS
    now: float = NOW


def nothing() -> None:
    """Send no bearer token."""


def with_claims(**claims: object) -> Callable[[], str]:
    return lambda: token(claims)


def with_header(**header: object) -> Callable[[], str]:
    return lambda: token(header=header)


def for_users(**terms: Any) -> Rule:  # noqa: ANN401 - any field of the record
    return Rule(name="r", users=(UserTerms(**terms),))


def revoked(kind: Kind, row_id: str) -> RevocationSet:
    revocations = RevocationSet()
    revocations.table.apply(Revocation(kind, row_id, NOW, NOW + 60))
    return revocations


def untrusted() -> RevocationSet:
    revocations = RevocationSet()
    revocations.is_trusted = False
    return revocations


def shows_billing() -> str:
    return BILLING_TOKEN


DENIALS: dict[Reason, Denial] = {
    Reason.NO_CREDENTIAL: Denial(bearer=nothing),
    Reason.AUTHORIZATION_MALFORMED: Denial(headers={"authorization": "Bearer"}),
    Reason.COOKIE_AMBIGUOUS: Denial(
        bearer=nothing, cookies=COOKIES, headers={"cookie": "__session=A; __session=B"}
    ),
    Reason.COOKIE_CROSS_SITE: Denial(
        bearer=nothing, cookies=COOKIES, headers={"cookie": "__session=A"}, method="POST"
    ),
    Reason.TOKEN_TOO_LARGE: Denial(bearer=lambda: "x" * 10_000),
    Reason.TOKEN_MALFORMED: Denial(bearer=lambda: "x"),
    Reason.TOKEN_ALGORITHM: Denial(bearer=with_header(alg="none")),
    Reason.TOKEN_TYPE: Denial(bearer=with_header(typ="dpop+jwt")),
    Reason.TOKEN_HEADER_UNSUPPORTED: Denial(bearer=with_header(crit=["exp"])),
    Reason.TOKEN_CLASS: Denial(bearer=with_header(cat="cl_unknown")),
    Reason.TEMPLATE_TOKEN: Denial(bearer=with_header(cat="cl_B7d4PD222AAA")),
    Reason.MACHINE_TOKEN: Denial(bearer=lambda: "mt_abc"),
    Reason.KEY_ID_INVALID: Denial(bearer=with_header(kid=ABSENT)),
    Reason.KEY_UNKNOWN: Denial(bearer=with_header(kid="ins_other")),
    Reason.SIGNATURE_INVALID: Denial(bearer=lambda: clerk().mint(now=NOW, key=stranger_key())),
    Reason.CLAIMS_MALFORMED: Denial(bearer=with_claims(exp=str(int(NOW) + 60))),
    Reason.ISSUER_MISMATCH: Denial(bearer=with_claims(iss="https://clerk.evil.example")),
    Reason.SUBJECT_INVALID: Denial(bearer=with_claims(sub="user_1\r\nx-admin: 1")),
    Reason.SESSION_MISSING: Denial(bearer=with_claims(sid=ABSENT)),
    Reason.SESSION_PENDING: Denial(bearer=with_claims(sts="pending")),
    Reason.TOKEN_EXPIRED: Denial(now=NOW + 65),
    Reason.TOKEN_NOT_YET_VALID: Denial(bearer=with_claims(nbf=NOW + 6)),
    Reason.TOKEN_ISSUED_IN_FUTURE: Denial(bearer=with_claims(iat=NOW + 6)),
    Reason.TOKEN_LIFETIME: Denial(bearer=with_claims(exp=NOW * 1000)),
    Reason.PARTY_MISSING: Denial(bearer=with_claims(azp=ABSENT), token_rules=PARTIES),
    Reason.PARTY_MISMATCH: Denial(bearer=with_claims(azp="https://x"), token_rules=PARTIES),
    Reason.AUDIENCE_MISMATCH: Denial(token_rules={"audiences": frozenset({"api"})}),
    Reason.IMPERSONATION: Denial(
        bearer=with_claims(act={"sub": "user_admin"}), token_rules={"impersonation": False}
    ),
    Reason.USER_REVOKED: Denial(revocations=Revocations(users={UserId(USER): NOW})),
    Reason.SESSION_REVOKED: Denial(revocations=Revocations(sessions={SessionId(SESSION)})),
    Reason.USER_NOT_ADMITTED: Denial(rule=SERVICES_ONLY),
    Reason.SERVICE_NOT_ADMITTED: Denial(bearer=lambda: SERVICE_TOKEN, rule=USERS_INSIDE),
    Reason.SERVICE_TOKEN_EXPOSED: Denial(bearer=lambda: SERVICE_TOKEN),
    Reason.SERVICE_TOKEN_EXPIRED: Denial(
        bearer=shows_billing, rule=SERVICES_ONLY, named=(billing_token(not_after=NOW - 1),)
    ),
    Reason.SERVICE_PRINCIPAL_MISMATCH: Denial(
        bearer=shows_billing,
        rule=SERVICES_ONLY,
        named=(billing_token(principal="spiffe://mesh/billing"),),
    ),
    Reason.SERVICE_SCOPE: Denial(
        bearer=shows_billing, rule=SERVICES_ONLY, named=(billing_token(scopes=frozenset({"x"})),)
    ),
    Reason.NOBODY_ADMITTED: Denial(rule=Rule(name="r")),
    Reason.ORGANIZATION_NOT_ADMITTED: Denial(rule=for_users(org_ids=frozenset({"org_1"}))),
    Reason.ROLE_NOT_ADMITTED: Denial(rule=for_users(org_roles=frozenset({"org:admin"}))),
    Reason.PERMISSION_MISSING: Denial(rule=for_users(org_permissions=frozenset({"org:a:b"}))),
    Reason.PERMISSIONS_UNDECODABLE: Denial(
        bearer=with_claims(o=MEMBER, fea="x:invoices"),
        rule=for_users(org_permissions=frozenset({"org:invoices:read"})),
    ),
    Reason.SESSION_TOO_OLD: Denial(
        bearer=with_claims(fva=[2, -1]), rule=for_users(session_age=60.0)
    ),
    Reason.SECOND_FACTOR_TOO_OLD: Denial(rule=for_users(second_factor_age=60.0)),
    Reason.CONDITION_NOT_MET: Denial(
        rule=Rule(name="r", users=(ANY_USER,), condition=compile_condition("false"))
    ),
    Reason.CONDITION_FAILED: Denial(
        rule=Rule(name="r", users=(ANY_USER,), condition=compile_condition("claims.plan == 'pro'"))
    ),
    Reason.CLAIM_UNUSABLE: Denial(
        bearer=with_claims(team="a\nb"),
        rule=Rule(name="r", users=(ANY_USER,), headers=(ClaimHeader("x-team", "claims.team"),)),
    ),
    Reason.AMBIGUOUS_PATH: Denial(target="//admin", policy=RoutePolicy()),
    Reason.AMBIGUOUS_METHOD: Denial(method="get", policy=RulePolicy((), default=USER_RULE)),
    Reason.AMBIGUOUS_HOST: Denial(host="a b", policy=RulePolicy((), default=USER_RULE)),
    Reason.KEYS_UNAVAILABLE: Denial(bearer=with_header(kid="ins_other"), keys_are_current=False),
    Reason.REVOCATIONS_UNAVAILABLE: Denial(revocations=untrusted()),
    Reason.ROUTE_MISCONFIGURED: Denial(context={"policy": "usr"}, policy=RoutePolicy()),
}


def test_every_reason_of_the_core_has_a_way_here() -> None:
    assert set(Reason) - NOT_OF_THE_CORE == set(DENIALS)


@pytest.mark.parametrize(("reason", "denial"), DENIALS.items())
def test_each_way_of_being_denied_has_its_own_reason(reason: Reason, denial: Denial) -> None:
    verdict = settled(
        decision_on(
            request(
                denial.bearer(),
                headers=denial.headers,
                method=denial.method,
                host=denial.host,
                target=denial.target,
                context=denial.context,
            ),
            by=judge(rules(**denial.token_rules), named=denial.named, cookies=denial.cookies),
            rule=denial.rule,
            policy=denial.policy,
            key_set=denial.key_set(),
            revocations=denial.revocations,
            now=denial.now,
        ),
        keys_are_current=denial.keys_are_current,
    )

    assert isinstance(verdict, Deny)
    assert reason is verdict.reason


@pytest.mark.parametrize(
    "denial",
    [
        pytest.param(Denial(), id="bearer"),
        pytest.param(Denial(now=NOW + 64.999), id="in its last moment"),
        pytest.param(Denial(bearer=with_claims(nbf=NOW + 5, iat=NOW + 5)), id="ahead by 5 s"),
        pytest.param(Denial(token_rules=PARTIES), id="authorized party"),
        pytest.param(Denial(rule=USERS_INSIDE), id="inside"),
        pytest.param(
            Denial(target="//a", context=ANY_TARGET, policy=RoutePolicy()), id="any target allowed"
        ),
        pytest.param(
            Denial(policy=RulePolicy((), default=USER_RULE)), id="a host that is plainly one"
        ),
        pytest.param(
            Denial(
                bearer=with_claims(o=MEMBER, fea="o:invoices", fva=[1, 1]),
                rule=for_users(
                    org_ids=frozenset({"org_1"}),
                    org_roles=frozenset({"org:member"}),
                    org_permissions=frozenset({"org:invoices:read"}),
                    session_age=60.0,
                    second_factor_age=60.0,
                ),
            ),
            id="everything that a rule can ask",
        ),
        pytest.param(
            Denial(
                bearer=with_claims(plan="pro"),
                rule=Rule(
                    name="r",
                    users=(ANY_USER,),
                    condition=compile_condition("claims.plan == 'pro'"),
                    headers=(ClaimHeader("x-plan", "claims.plan"),),
                ),
            ),
            id="a condition that holds",
        ),
        pytest.param(
            Denial(revocations=Revocations(users={UserId(USER): NOW - 1})),
            id="issued after the revocation",
        ),
        pytest.param(
            Denial(headers={"cookie": "__session=A; __session=B"}, cookies=COOKIES),
            id="the header makes bad cookies irrelevant",
        ),
    ],
)
def test_the_same_ways_unspoiled_let_the_user_in(denial: Denial) -> None:
    """
    The negative twin of the table above.
    """
    assert not isinstance(denial.rule, Refusal)
    verdict = decision_on(
        request(
            denial.bearer(), headers=denial.headers, target=denial.target, context=denial.context
        ),
        by=judge(rules(**denial.token_rules), cookies=denial.cookies),
        rule=denial.rule,
        policy=denial.policy,
        revocations=denial.revocations,
        now=denial.now,
    )

    assert isinstance(verdict, Allow)
    assert isinstance(verdict.principal, User)
    assert verdict.principal.claims.user_id == USER
    assert verdict.rule == (denial.rule.rule if isinstance(denial.rule, Match) else denial.rule)


@pytest.mark.parametrize(
    "named",
    [
        billing_token(scopes=frozenset({"internal:service"}), not_after=NOW),
        billing_token(scopes=frozenset({"*"})),
    ],
)
def test_a_service_unspoiled_is_let_in(named: ServiceToken) -> None:
    verdict = decision_on(request(BILLING_TOKEN), by=judge(named=(named,)), rule=SERVICES_ONLY)

    assert isinstance(verdict, Allow)
    assert verdict.principal == Service("billing")


USERS = "a user"
SERVICE = "a service"
NOBODY = "nobody"

NONE, GOOD, BAD, STATIC = "no credential", "user token", "bad token", "service token"


@pytest.mark.parametrize(
    ("admission", "exposure", "sent", "outcome"),
    [
        ("user", "public", NONE, Reason.NO_CREDENTIAL),
        ("user", "public", GOOD, USERS),
        ("user", "public", BAD, Reason.TOKEN_MALFORMED),
        ("user", "public", STATIC, Reason.SERVICE_TOKEN_EXPOSED),
        ("user", "internal", NONE, Reason.NO_CREDENTIAL),
        ("user", "internal", GOOD, USERS),
        ("user", "internal", BAD, Reason.TOKEN_MALFORMED),
        ("user", "internal", STATIC, Reason.SERVICE_NOT_ADMITTED),
        ("optional", "public", NONE, NOBODY),
        ("optional", "public", GOOD, USERS),
        ("optional", "public", BAD, Reason.TOKEN_MALFORMED),
        ("optional", "public", STATIC, Reason.SERVICE_TOKEN_EXPOSED),
        ("optional", "internal", NONE, NOBODY),
        ("optional", "internal", GOOD, USERS),
        ("optional", "internal", BAD, Reason.TOKEN_MALFORMED),
        ("optional", "internal", STATIC, Reason.SERVICE_NOT_ADMITTED),
        ("anonymous", "public", NONE, NOBODY),
        ("anonymous", "public", GOOD, NOBODY),
        ("anonymous", "public", BAD, NOBODY),
        ("anonymous", "public", STATIC, Reason.SERVICE_TOKEN_EXPOSED),
        ("anonymous", "internal", NONE, NOBODY),
        ("anonymous", "internal", GOOD, NOBODY),
        ("anonymous", "internal", BAD, NOBODY),
        ("anonymous", "internal", STATIC, NOBODY),
        ("service", "public", NONE, Reason.NO_CREDENTIAL),
        ("service", "public", GOOD, Reason.USER_NOT_ADMITTED),
        ("service", "public", BAD, Reason.TOKEN_MALFORMED),
        ("service", "public", STATIC, Reason.SERVICE_TOKEN_EXPOSED),
        ("service", "internal", NONE, Reason.NO_CREDENTIAL),
        ("service", "internal", GOOD, Reason.USER_NOT_ADMITTED),
        ("service", "internal", BAD, Reason.TOKEN_MALFORMED),
        ("service", "internal", STATIC, SERVICE),
        ("user-or-service", "public", NONE, Reason.NO_CREDENTIAL),
        ("user-or-service", "public", GOOD, USERS),
        ("user-or-service", "public", BAD, Reason.TOKEN_MALFORMED),
        ("user-or-service", "public", STATIC, Reason.SERVICE_TOKEN_EXPOSED),
        ("user-or-service", "internal", NONE, Reason.NO_CREDENTIAL),
        ("user-or-service", "internal", GOOD, USERS),
        ("user-or-service", "internal", BAD, Reason.TOKEN_MALFORMED),
        ("user-or-service", "internal", STATIC, SERVICE),
    ],
)
def test_whom_a_route_lets_in(admission: str, exposure: str, sent: str, outcome: str) -> None:
    """
    Every admission, every exposure, every kind of credential: the whole matrix.
    """
    bearer = {NONE: None, GOOD: valid_token(), BAD: "x", STATIC: SERVICE_TOKEN}[sent]
    verdict = decision_on(
        request(bearer, context={"policy": admission, "exposure": exposure}),
        policy=RoutePolicy(),
    )

    match verdict:
        case Allow(User()):
            assert outcome == USERS
        case Allow(Service() as service):
            assert (outcome, service) == (SERVICE, STATIC_SERVICE)
        case Allow(Anonymous()):
            assert outcome == NOBODY
        case Deny(reason):
            assert outcome is reason
        case NeedKey():
            pytest.fail("every key is known")


@pytest.mark.parametrize("authorization", ["", "Basic dTpw", "Bearer a b"])
@pytest.mark.parametrize(
    ("admission", "reason"),
    [
        (Admission.ANONYMOUS, None),
        (Admission.OPTIONAL, Reason.AUTHORIZATION_MALFORMED),
        (Admission.USER, Reason.AUTHORIZATION_MALFORMED),
    ],
)
def test_a_malformed_header_is_looked_past_only_where_nobody_is_asked(
    authorization: str, admission: Admission, reason: Reason | None
) -> None:
    asked = request(headers={"authorization": authorization})

    assert reason == refusal(decision_on(asked, rule=route(admission)))


@pytest.mark.parametrize("admission", Admission)
def test_an_ambiguous_target_is_refused_whoever_asks(admission: Admission) -> None:
    """
    Also where anyone may pass: the route was found by a reader that may have erred.
    """
    expected = Deny(Reason.AMBIGUOUS_PATH, route(admission, Exposure.INTERNAL).rule)
    context = {"policy": admission, "exposure": "internal"}

    for bearer in (None, valid_token(), SERVICE_TOKEN):
        asked = request(bearer, target="/a/../b", context=context)

        assert expected == decision_on(asked, policy=RoutePolicy())


def test_the_query_is_not_part_of_the_path() -> None:
    asked = request(valid_token(), target="/a?x=../..//")

    assert refusal(decision_on(asked, policy=RoutePolicy())) is None


def test_the_operator_is_told_what_is_wrong_with_the_route() -> None:
    refused = Refusal(Reason.ROUTE_MISCONFIGURED, detail="policy is 'usr'")
    verdict = decision_on(request(valid_token()), rule=refused)

    assert Deny(Reason.ROUTE_MISCONFIGURED, detail="policy is 'usr'") == verdict


def test_a_token_of_an_unknown_key_waits_for_it() -> None:
    decision = decision_on(request(token(header={"kid": "ins_other"})))
    caller = MissingKey(
        "ins_other", if_current=Reason.KEY_UNKNOWN, if_stale=Reason.KEYS_UNAVAILABLE
    )

    assert (
        NeedKey(
            "ins_other",
            if_current=Deny(Reason.KEY_UNKNOWN, USER_RULE, caller=caller),
            if_stale=Deny(Reason.KEYS_UNAVAILABLE, USER_RULE, caller=caller),
        )
        == decision
    )


def test_only_who_is_known_beyond_doubt_is_named_in_a_denial() -> None:
    """
    A revoked user is known by a signature; a forged token names nobody.
    """
    revoked = decision_on(
        request(valid_token()), revocations=Revocations(users={UserId(USER): NOW})
    )
    forged = settled(decision_on(request(clerk().mint(now=NOW, key=stranger_key()))))
    service = decision_on(request(SERVICE_TOKEN))

    assert isinstance(revoked, Deny)
    assert isinstance(revoked.principal, User)
    assert isinstance(forged, Deny)
    assert forged.principal is None
    assert isinstance(service, Deny)
    assert service.principal == STATIC_SERVICE


@pytest.mark.parametrize(
    ("rule", "reason"),
    [(route(Admission.USER), None), (SERVICES_ONLY, Reason.USER_NOT_ADMITTED)],
)
def test_a_remembered_token_is_still_held_against_the_policy(
    rule: Match, reason: Reason | None
) -> None:
    remembering = judge()
    decision_on(request(valid_token()), by=remembering)

    assert reason == refusal(decision_on(request(valid_token()), by=remembering, rule=rule))
    assert remembering.verifier.cache_hits == 1


@pytest.mark.parametrize(
    ("revocations", "reason"),
    [
        (NO_REVOCATIONS, None),
        (Revocations(users={UserId(USER): NOW}), Reason.USER_REVOKED),
        (Revocations(sessions={SessionId(SESSION)}), Reason.SESSION_REVOKED),
        (revoked(Kind.USER, USER), Reason.USER_REVOKED),
        (revoked(Kind.SESSION, SESSION), Reason.SESSION_REVOKED),
        (untrusted(), Reason.REVOCATIONS_UNAVAILABLE),
    ],
)
def test_a_remembered_token_is_still_held_against_the_revocations(
    revocations: RevocationSource, reason: Reason | None
) -> None:
    remembering = judge()
    decision_on(request(valid_token()), by=remembering)
    again = decision_on(request(valid_token()), by=remembering, revocations=revocations)

    assert reason == refusal(again)
    assert remembering.verifier.cache_hits == 1


@pytest.mark.parametrize(
    ("bearer", "rule", "reason"),
    [
        (lambda: SERVICE_TOKEN, SERVICES_ONLY, None),
        (nothing, route(Admission.OPTIONAL), None),
        (nothing, route(Admission.ANONYMOUS), None),
        (valid_token, route(Admission.ANONYMOUS), None),
        (valid_token, route(Admission.OPTIONAL), Reason.REVOCATIONS_UNAVAILABLE),
    ],
)
def test_only_users_depend_on_knowing_who_was_revoked(
    bearer: Callable[[], str | None], rule: Match, reason: Reason | None
) -> None:
    decision = decision_on(request(bearer()), rule=rule, revocations=untrusted())

    assert reason == refusal(decision)


def cookie_of(old: str | None, suffixed: str | None) -> HttpRequest:
    pairs = {"__session": old, "__session_R4pxPy2l": suffixed}
    cookie = "; ".join(f"{name}={value}" for name, value in pairs.items() if value is not None)
    return request(headers={"cookie": cookie})


def session_of(asked: HttpRequest) -> str | None:
    """Return the id of the session that a cookie lets in, or the reason why not."""
    verdict = settled(decision_on(asked, by=judge(cookies=COOKIES)))
    match verdict:
        case Allow(User(claims)):
            return claims.session_id
        case Deny(reason):
            return reason
        case _:
            return "nobody"


@pytest.mark.parametrize(
    ("old", "suffixed", "expected"),
    [
        pytest.param({}, None, SESSION, id="old name alone"),
        pytest.param(None, {}, SESSION, id="suffixed alone"),
        pytest.param({"sid": "sess_old"}, {"sid": "sess_new"}, "sess_new", id="same age"),
        pytest.param(
            {"sid": "sess_old", "iat": NOW - 1},
            {"sid": "sess_new"},
            "sess_new",
            id="newer new",
        ),
        pytest.param(
            {"sid": "sess_old"}, {"sid": "sess_new", "iat": NOW - 1}, "sess_old", id="newer old"
        ),
        pytest.param(
            {"sid": "sess_old"}, {"iss": "https://other"}, "sess_old", id="only the old verifies"
        ),
        pytest.param(
            {"iss": "https://other"}, {"sid": "sess_new"}, "sess_new", id="only the suffixed does"
        ),
        pytest.param(
            {"sub": ""}, {"iss": "https://other"}, Reason.ISSUER_MISMATCH, id="neither verifies"
        ),
    ],
)
def test_of_two_cookies_the_newer_one_that_verifies_counts(
    old: dict[str, object] | None, suffixed: dict[str, object] | None, expected: str
) -> None:
    asked = cookie_of(
        None if old is None else token(old), None if suffixed is None else token(suffixed)
    )

    assert expected == session_of(asked)


@pytest.mark.parametrize("newer", ["old", "suffixed"])
def test_two_cookies_that_name_two_users_name_nobody(newer: str) -> None:
    """
    A sibling domain can write the old name, and must not choose who somebody is.
    """
    old = token({"sub": "user_old", "iat": NOW - (newer == "suffixed")})
    suffixed = token({"sub": "user_new", "iat": NOW - (newer == "old")})

    assert session_of(cookie_of(old, suffixed)) == Reason.COOKIE_AMBIGUOUS


@pytest.mark.parametrize("rotated_is_suffixed", [True, False])
def test_of_two_cookies_one_that_newer_keys_could_verify_asks_for_them(
    *, rotated_is_suffixed: bool
) -> None:
    rotated = token(header={"kid": "ins_rotated"})
    expired = token({"iss": "https://other"})
    old, suffixed = (expired, rotated) if rotated_is_suffixed else (rotated, expired)

    decision = decision_on(cookie_of(old, suffixed), by=judge(cookies=COOKIES))

    assert isinstance(decision, NeedKey)
    assert decision.kid == "ins_rotated"


@pytest.mark.parametrize(
    ("bearer", "rule", "carries"),
    [
        (SERVICE_TOKEN, SERVICES_ONLY, True),
        (SERVICE_TOKEN, ANYONE_INSIDE, True),
        (valid_token(), route(Admission.USER), False),
        (valid_token(), ANYONE_INSIDE, False),
        (None, route(Admission.OPTIONAL), False),
    ],
)
def test_an_allow_says_whether_the_request_carries_a_service_token(
    bearer: str | None, rule: Match, *, carries: bool
) -> None:
    """
    Also where credentials are not looked at: upstream has no use for the secret.
    """
    verdict = decision_on(request(bearer), rule=rule)

    assert isinstance(verdict, Allow)
    assert carries == verdict.carries_service_token


def test_a_service_token_in_a_cookie_is_no_service_token() -> None:
    asked = request(headers={"cookie": f"__session={SERVICE_TOKEN}"})
    verdict = decision_on(asked, by=judge(cookies=COOKIES), rule=SERVICES_ONLY)

    assert refusal(verdict) == Reason.TOKEN_MALFORMED


# Properties ---------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters())  # surrogates and controls included
HEADER_NAMES = st.sampled_from(
    ["authorization", "cookie", "origin", "sec-fetch-site", "content-type", "x-request-id"]
)
CONTEXT_NAMES = st.sampled_from(["policy", "exposure", "targets", "team"])


@given(
    method=ANY_TEXT,
    host=ANY_TEXT,
    target=ANY_TEXT | ANY_TEXT.map("/{}".format),
    headers=st.dictionaries(HEADER_NAMES, ANY_TEXT),
    context=st.dictionaries(
        CONTEXT_NAMES, ANY_TEXT | st.sampled_from([*Admission, *Exposure, *Targets])
    ),
)
def test_any_request_gets_a_decision(
    method: str, host: str, target: str, headers: dict[str, str], context: dict[str, str]
) -> None:
    """
    Nothing is raised, and without a token nobody is let in under a name.
    """
    asked = HttpRequest(method=method, host=host, target=target, headers=headers, context=context)
    decision = decision_on(asked, by=judge(cookies=COOKIES), policy=RoutePolicy())

    if isinstance(decision, Allow):
        assert decision.principal is ANONYMOUS
        assert context["policy"] in {"optional", "anonymous"}
        assert context.get("targets") == "any" or not is_ambiguous(asked.path)


@given(
    st.sampled_from(["authorization", "target", "policy", "exposure", "targets", "cookie"]),
    ANY_TEXT,
)
@example("authorization", "Bearer ")
@example("target", "/\udcff")
@example("policy", "")
def test_one_thing_spoiled_in_a_valid_request_is_refused_or_harmless(
    name: str, value: str
) -> None:
    """
    Whatever replaces one part, the only user ever let in is the token's.
    """
    headers = {"authorization": f"Bearer {valid_token()}"}
    context = {"policy": "user", "exposure": "public", "targets": "strict"}
    if name in context:
        context[name] = value
    elif name != "target":
        headers[name] = value
    asked = HttpRequest(
        target=value if name == "target" else "/v1/me", headers=headers, context=context
    )
    decision = decision_on(asked, by=judge(cookies=COOKIES), policy=RoutePolicy())

    if name == "cookie":
        assert isinstance(decision, Allow)
    elif name == "target":
        assert is_ambiguous(asked.path) == isinstance(decision, Deny)
    else:
        valid = {"policy": [*Admission], "exposure": [*Exposure], "targets": [*Targets]}
        assert value in valid.get(name, ()) or isinstance(decision, Deny | NeedKey)
    if isinstance(decision, Allow) and isinstance(decision.principal, User):
        assert decision.principal.claims.user_id == USER


@given(st.data())
def test_a_valid_token_with_one_character_changed_is_never_allowed(data: st.DataObject) -> None:
    text = valid_token()
    place = data.draw(st.integers(0, len(text) - 1))
    left, right = text[:place], text[place:]
    letter = data.draw(st.characters() | st.sampled_from("ABab01-_.=+/ \n"))
    changed = data.draw(st.sampled_from([left + letter + right[1:], left + letter + right]))
    shorter = left + right[1:]
    assume(changed != text)
    verifier = judge().verifier
    assert isinstance(verifier.verify(text, keys=keys(), now=NOW), Claims)

    for spoiled in (changed, shorter):
        assert not isinstance(verifier.verify(spoiled, keys=keys(), now=NOW), Claims)


@pytest.mark.parametrize("bit", range(8))
def test_a_valid_signature_with_one_bit_flipped_is_never_allowed(bit: int) -> None:
    """
    Every bit of every byte of the last ten, flipped and encoded properly.
    """
    body, _, signature = valid_token().rpartition(".")
    octets = _decoded(signature)
    for place in range(len(octets) - 10, len(octets)):
        spoiled = bytearray(octets)
        spoiled[place] ^= 1 << bit

        assert refusal(decision_on(request(f"{body}.{base64url(bytes(spoiled))}"))) == (
            Reason.SIGNATURE_INVALID
        )


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
TIMES = st.one_of(
    st.integers(int(NOW) - 120, int(NOW) + 120),
    st.floats(NOW - 120, NOW + 120),
    st.sampled_from([NOW - 5, NOW + 5, NOW + 86_400, NOW * 1000, 0, -1]),
    JSON,
)
CLAIMS: dict[str, st.SearchStrategy[Any]] = {
    "iss": st.sampled_from([ISSUER, f"{ISSUER}/", "https://clerk.example.com", ""]) | JSON,
    "sub": st.sampled_from([USER, "user_", "mch_1", "user_1\n", "user_x"]) | JSON,
    "sid": st.sampled_from([SESSION, "sess_", "sess_x", "", None]) | JSON,
    "iat": TIMES,
    "nbf": TIMES,
    "exp": TIMES,
    "azp": st.sampled_from([ORIGIN, f"{ORIGIN}/", "", None, [ORIGIN]]) | JSON,
    "aud": st.sampled_from(["api", ["api"], ["api", 5], [], "web", {"api": 1}]) | JSON,
    "sts": st.sampled_from(["active", "pending", "revoked", None]) | JSON,
    "act": st.sampled_from([{"sub": "user_admin"}, None, {}]) | JSON,
}


def _decoded(segment: str) -> bytes:
    # Not the decoder under test: letter by letter, as the RFC's table has it.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bits = "".join(f"{alphabet.index(letter):06b}" for letter in segment)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits) - 7, 8))


def _is_date(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _keeps_every_rule(claims: dict[str, Any], category: str | None, accepted: TokenRules) -> bool:
    """Restate the rules of architecture.md in one expression each, from their prose."""
    identifiers = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    subject: str = claims["sub"]
    session: Any = claims.get("sid")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    issued, expires, start = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
    return (
        claims["iss"] == ISSUER
        and 5 < len(subject) <= 69
        and subject[:5] == "user_"
        and set(subject[5:]) <= identifiers
        and (
            (session is None and accepted.template_tokens)
            or (session[:5] == "sess_" and set(session[5:]) <= identifiers and len(session) > 5)
        )
        and all(_is_date(value) for value in (issued, expires, start))
        and 0 < expires - issued <= 86_400
        and expires > NOW - 5
        and issued <= NOW + 5
        and start <= NOW + 5
        and (
            accepted.party_check is PartyCheck.OFF
            or claims.get("azp") == ORIGIN
            or (accepted.party_check is PartyCheck.IF_PRESENT and claims.get("azp") in (None, ""))
        )
        and (not accepted.audiences or "api" in named)
        and (
            claims.get("sts", "active") == "active"
            or (accepted.pending_sessions and claims["sts"] == "pending")
        )
        and (accepted.impersonation or claims.get("act") is None)
        and (
            category in {None, "cl_B7d4PD111AAA", "cl_I7d4PD111III"}
            or (category == "cl_B7d4PD222AAA" and accepted.template_tokens)
        )
    )


RULES = st.builds(
    rules,
    party_check=st.sampled_from(PartyCheck),
    authorized_parties=st.just(frozenset({ORIGIN})),
    audiences=st.sampled_from([frozenset(), frozenset({"api"})]),
    template_tokens=st.booleans(),
    pending_sessions=st.booleans(),
    impersonation=st.booleans(),
)
CATEGORIES = st.sampled_from(
    [None, "cl_B7d4PD111AAA", "cl_B7d4PD222AAA", "cl_B7d4PD333AAA", "cl_I7d4PD111III", "x"]
)
CHANGES = st.lists(st.sampled_from(sorted(CLAIMS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: CLAIMS[name] | st.just(ABSENT) for name in names})
)


@given(changes=CHANGES, category=CATEGORIES, accepted=RULES)
@example(
    changes={"azp": []},
    category=None,
    accepted=rules(**{**PARTIES, "party_check": PartyCheck.IF_PRESENT}),
)
@example(changes={"jti": 1}, category=None, accepted=rules())
@example(changes={"exp": float("inf")}, category=None, accepted=rules())
def test_signed_claims_are_allowed_exactly_when_every_rule_holds(
    changes: dict[str, Any], category: str | None, accepted: TokenRules
) -> None:
    """
    Clerk's own key signs anything here: the claims alone decide.
    """
    merged = {**clerk().claims(now=NOW), **changes}
    claims = {name: value for name, value in merged.items() if value is not ABSENT}
    header = {"alg": "RS256", "kid": clerk().kid, **({"cat": category} if category else {})}
    text = sign(header, claims, clerk().key)
    decision = decision_on(request(text), by=judge(accepted))

    if isinstance(decision, Allow):
        assert _keeps_every_rule(claims, category, accepted)
    else:
        assert isinstance(decision, Deny)
        assert _is_refused_for_cause(claims, category, accepted)


def _is_refused_for_cause(
    claims: dict[str, Any], category: str | None, accepted: TokenRules
) -> bool:
    try:
        json.dumps(claims, allow_nan=False)
    except ValueError:
        return True  # NaN and Infinity are no JSON
    try:
        if accepted.audiences and any(
            not isinstance(name, str) for name in _listed(claims.get("aud"))
        ):
            return True
        return not _keeps_every_rule(claims, category, accepted)
    except (KeyError, TypeError):
        return True  # a claim that the rules read is absent or of another type


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_signed_segments_get_a_decision(header: bytes, payload: bytes) -> None:
    """
    A good signature over rubbish is rubbish.
    """
    text = sign_segments(base64url(header), base64url(payload), clerk().key)

    assert refusal(decision_on(request(text))) is not None


def test_another_instance_s_user_is_nobody_here() -> None:
    """
    Its key is sound and its claims are well formed; it is simply not ours.
    """
    other = ClerkInstance(
        host="other-bat-2.clerk.accounts.dev", instance_id="ins_other", key=stranger_key()
    )

    assert refusal(decision_on(request(other.mint(now=NOW)))) == Reason.KEY_UNKNOWN
    assert refusal(decision_on(request(clerk().mint(now=NOW)))) is None


def test_decide_takes_all_it_knows_as_arguments() -> None:
    """
    The same arguments give the same verdict: nothing else is looked at.
    """
    verdicts = [
        decide(
            request(valid_token()),
            judge=judge(),
            policy=FixedPolicy(USER_RULE),
            keys=keys(),
            revocations=NO_REVOCATIONS,
            now=NOW,
        )
        for _ in range(2)
    ]

    assert verdicts[0] == verdicts[1]
