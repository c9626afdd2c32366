"""What the rules of a policy file make of a request, once one of them decides it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FixedPolicy
from tokens import (
    BILLING,
    BILLING_TOKEN,
    NOW,
    ORIGIN,
    SERVICE_TOKEN,
    STATIC_SERVICE,
    billing_token,
    clerk,
    decision_on,
    judge,
    refusal,
    request,
    rules,
    settled,
    stranger_key,
    token,
    valid_token,
)
from wicketgate.core.claims import Claims, SessionId
from wicketgate.core.credential import NO_CREDENTIAL, CookieRules
from wicketgate.core.decision import (
    Judge,
    judge_known,
)
from wicketgate.core.policy.condition import compile_condition
from wicketgate.core.policy.rule import (
    ANY_SERVICE,
    ANY_USER,
    ClaimHeader,
    Credentials,
    Exposure,
    Match,
    Refusal,
    Rule,
    Selector,
    ServiceTerms,
    UserTerms,
)
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS, Revocations
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Caller,
    Deny,
    NeedKey,
    Shadow,
    User,
    Verdict,
)
from wicketgate.local.clerk_instance import SESSION, USER

COOKIES = CookieRules(frozenset({"__session", "__session_R4pxPy2l"}), frozenset({ORIGIN}))
EDGE = "spiffe://mesh/billing"
PAST = Revocations(sessions=frozenset({SessionId(SESSION)}))
ORG_1 = UserTerms(org_ids=frozenset({"org_1"}))
ORG_2 = UserTerms(org_ids=frozenset({"org_2"}))
MEMBER = {"v": 2, "o": {"id": "org_1", "rol": "member"}}


@cache
def member() -> str:
    """Return a token of a member of ``org_1``, whose plan is ``pro``."""
    return token({**MEMBER, "plan": "pro"})


@cache
def of_unknown_key() -> str:
    return token(header={"kid": "ins_other"})


@cache
def forged() -> str:
    return clerk().mint(now=NOW, key=stranger_key())


def inside(rule: Rule) -> Match:
    return Match(rule, Exposure.INTERNAL)


def when(expression: str, **parts: Any) -> Rule:  # noqa: ANN401 - any field of the record
    return Rule(**{"name": "r", "condition": compile_condition(expression), **parts})


# Who is let in ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bearer", "rule", "reason", "status"),
    [
        (None, Rule(name="r", users=(ORG_2,)), Reason.NO_CREDENTIAL, 401),
        (forged(), Rule(name="r", users=(ORG_2,)), Reason.SIGNATURE_INVALID, 401),
        (member(), Rule(name="r", users=(ORG_2,)), Reason.ORGANIZATION_NOT_ADMITTED, 403),
        (member(), Rule(name="r", services=(ANY_SERVICE,)), Reason.USER_NOT_ADMITTED, 403),
        (None, Rule(name="r", services=(ANY_SERVICE,)), Reason.NO_CREDENTIAL, 401),
        (BILLING_TOKEN, Rule(name="r", services=(ANY_SERVICE,)), Reason.SERVICE_SCOPE, 403),
        (BILLING_TOKEN, Rule(name="r", users=(ANY_USER,)), Reason.SERVICE_NOT_ADMITTED, 403),
        (None, Rule(name="r"), Reason.NO_CREDENTIAL, 401),
        (member(), Rule(name="r"), Reason.NOBODY_ADMITTED, 403),
        (forged(), Rule(name="r"), Reason.SIGNATURE_INVALID, 401),
        (of_unknown_key(), Rule(name="r"), Reason.KEY_UNKNOWN, 401),
        ("opaque", Rule(name="r"), Reason.TOKEN_MALFORMED, 401),
        (BILLING_TOKEN, Rule(name="r"), Reason.NOBODY_ADMITTED, 403),
        (None, when("false", users=(ANY_USER,)), Reason.NO_CREDENTIAL, 401),
        (member(), when("false", users=(ANY_USER,)), Reason.CONDITION_NOT_MET, 403),
    ],
)
def test_without_a_credential_it_is_401_and_with_one_that_is_not_enough_403(
    bearer: str | None, rule: Rule, reason: Reason, status: int
) -> None:
    decision = decision_on(request(bearer), by=judge(named=(billing_token(),)), rule=inside(rule))

    assert reason == refusal(decision)
    assert status == ANSWERS[reason].status


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ((ORG_1,), None),
        ((ORG_2, ORG_1), None),
        ((ORG_1, ORG_2), None),
        ((ORG_2,), Reason.ORGANIZATION_NOT_ADMITTED),
        ((ORG_2, UserTerms(org_roles=frozenset({"x"}))), Reason.ORGANIZATION_NOT_ADMITTED),
    ],
)
def test_any_of_several_terms_lets_a_user_in(
    terms: tuple[UserTerms, ...], reason: Reason | None
) -> None:
    assert reason == refusal(decision_on(request(member()), rule=Rule(name="r", users=terms)))


@pytest.mark.parametrize(
    ("age", "now", "reason"),
    [
        (60.0, NOW, None),
        (60.0, NOW + 0.5, Reason.SESSION_TOO_OLD),
        (61.0, NOW + 1, None),
        (59.0, NOW, Reason.SESSION_TOO_OLD),
    ],
)
def test_a_session_grows_older_while_its_token_is_remembered(
    age: float, now: float, reason: Reason | None
) -> None:
    remembering = judge()
    asked = request(token({"fva": [1, -1]}))
    rule = Rule(name="r", users=(UserTerms(session_age=age),))
    decision_on(asked, by=remembering)

    assert reason == refusal(decision_on(asked, by=remembering, rule=rule, now=now))
    assert remembering.verifier.cache_hits == 1


@pytest.mark.parametrize(
    ("claims", "terms", "reason"),
    [
        ({"act": {"sub": "user_9"}}, UserTerms(), None),
        ({"act": {"sub": "user_9"}}, UserTerms(actor=False), Reason.IMPERSONATION),
        ({}, UserTerms(actor=False), None),
        ({"sts": "pending"}, UserTerms(), None),
        ({"sts": "pending"}, UserTerms(pending=False), Reason.SESSION_PENDING),
        ({}, UserTerms(pending=False), None),
    ],
)
def test_impersonated_and_pending_users_count_where_the_rule_says_so(
    claims: dict[str, object], terms: UserTerms, reason: Reason | None
) -> None:
    by = judge(rules(pending_sessions=True))
    rule = Rule(name="r", users=(terms,))

    assert reason == refusal(decision_on(request(token(claims)), by=by, rule=rule))


def test_no_rule_lets_in_what_the_mesh_refuses() -> None:
    """
    A rule narrows the mesh-wide rules about tokens; it cannot widen them.
    """
    pending = request(token({"sts": "pending"}))
    rule = Rule(name="r", users=(UserTerms(pending=True),))

    assert refusal(decision_on(pending, rule=rule)) == Reason.SESSION_PENDING


@pytest.mark.parametrize(
    ("bearer", "revocations", "expected"),
    [
        (None, NO_REVOCATIONS, ANONYMOUS),
        (member(), NO_REVOCATIONS, ANONYMOUS),
        (member(), PAST, Reason.SESSION_REVOKED),
        (forged(), NO_REVOCATIONS, Reason.SIGNATURE_INVALID),
    ],
)
def test_where_anyone_may_pass_a_user_who_is_not_admitted_passes_unnamed(
    bearer: str | None, revocations: Revocations, expected: object
) -> None:
    rule = Rule(name="r", anonymous=True, users=(ORG_2,))
    verdict = decision_on(request(bearer), rule=rule, revocations=revocations)

    assert expected == (verdict.principal if isinstance(verdict, Allow) else refusal(verdict))


# Services -----------------------------------------------------------------------------

ORDERS = Rule(name="orders", services=(ServiceTerms(scopes=frozenset({"invoices"})),))
PUBLIC, INTERNAL = Exposure


@pytest.mark.parametrize(
    ("known", "principal", "exposure", "expected"),
    [
        pytest.param({}, "", INTERNAL, BILLING, id="inside"),
        pytest.param({}, EDGE, INTERNAL, BILLING, id="inside, from anywhere"),
        pytest.param({}, "", PUBLIC, Reason.SERVICE_TOKEN_EXPOSED, id="outside"),
        pytest.param({}, EDGE, PUBLIC, Reason.SERVICE_TOKEN_EXPOSED, id="not its principal"),
        pytest.param({"principal": EDGE}, EDGE, INTERNAL, BILLING, id="vouched for, inside"),
        pytest.param({"principal": EDGE}, EDGE, PUBLIC, BILLING, id="vouched for, outside"),
        pytest.param(
            {"principal": EDGE}, "", INTERNAL, Reason.SERVICE_PRINCIPAL_MISMATCH, id="unproven"
        ),
        pytest.param(
            {"principal": EDGE},
            f"{EDGE}/x",
            INTERNAL,
            Reason.SERVICE_PRINCIPAL_MISMATCH,
            id="another's",
        ),
        pytest.param(
            {"principal": EDGE}, "", PUBLIC, Reason.SERVICE_TOKEN_EXPOSED, id="unproven, outside"
        ),
        pytest.param({"not_after": NOW}, "", INTERNAL, BILLING, id="in its last moment"),
        pytest.param(
            {"not_after": NOW - 0.001}, "", INTERNAL, Reason.SERVICE_TOKEN_EXPIRED, id="expired"
        ),
        pytest.param(
            {"not_after": NOW - 1, "principal": EDGE},
            EDGE,
            PUBLIC,
            Reason.SERVICE_TOKEN_EXPIRED,
            id="expired, outside",
        ),
        pytest.param(
            {"not_after": NOW - 1}, "", PUBLIC, Reason.SERVICE_TOKEN_EXPOSED, id="expired, exposed"
        ),
        pytest.param(
            {"scopes": frozenset({"orders"})}, "", INTERNAL, Reason.SERVICE_SCOPE, id="its name"
        ),
        pytest.param({"scopes": frozenset({"*"})}, "", INTERNAL, BILLING, id="every scope"),
    ],
)
def test_when_a_service_is_let_in(
    known: dict[str, Any], principal: str, exposure: Exposure, expected: object
) -> None:
    asked = request(BILLING_TOKEN, source_principal=principal)
    by = judge(named=(billing_token(**known),))
    verdict = decision_on(asked, by=by, rule=Match(ORDERS, exposure))

    assert expected == (verdict.principal if isinstance(verdict, Allow) else refusal(verdict))
    assert isinstance(verdict, Allow | Deny)
    assert isinstance(verdict, Allow) or verdict.principal == BILLING
    assert isinstance(verdict.caller, ServiceToken)


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        ((ServiceTerms(names=frozenset({"billing"}), scopes=frozenset({"invoices"})),), None),
        ((ServiceTerms(names=frozenset({"mail"})),), Reason.SERVICE_NOT_ADMITTED),
        ((ANY_SERVICE,), None),
        ((), Reason.SERVICE_NOT_ADMITTED),
    ],
)
def test_a_service_is_admitted_by_name_and_by_the_rule_s_own_name_as_a_scope(
    services: tuple[ServiceTerms, ...], reason: Reason | None
) -> None:
    rule = Rule(name="invoices", users=(ANY_USER,), services=services)
    by = judge(named=(billing_token(),))

    assert reason == refusal(decision_on(request(BILLING_TOKEN), by=by, rule=inside(rule)))


@pytest.mark.parametrize(
    ("known", "exposure", "expected"),
    [
        ({}, INTERNAL, ANONYMOUS),
        ({"not_after": NOW - 1}, INTERNAL, ANONYMOUS),
        ({"principal": "spiffe://another"}, INTERNAL, ANONYMOUS),
        ({}, PUBLIC, Reason.SERVICE_TOKEN_EXPOSED),
        ({"principal": EDGE}, PUBLIC, ANONYMOUS),
    ],
)
def test_where_credentials_do_not_matter_a_service_goes_unnamed_and_may_not_be_exposed(
    known: dict[str, Any], exposure: Exposure, expected: object
) -> None:
    asked = request(BILLING_TOKEN, source_principal=EDGE)
    rule = Rule(name="r", anonymous=True)
    verdict = decision_on(
        asked, by=judge(named=(billing_token(**known),)), rule=Match(rule, exposure)
    )

    assert expected == (verdict.principal if isinstance(verdict, Allow) else refusal(verdict))
    assert not isinstance(verdict, Allow) or verdict.carries_service_token


def test_a_static_token_has_every_scope_and_no_principal() -> None:
    verdict = decision_on(request(SERVICE_TOKEN), rule=inside(ORDERS))

    assert isinstance(verdict, Allow)
    assert verdict.principal == STATIC_SERVICE
    assert refusal(decision_on(request(SERVICE_TOKEN, source_principal=EDGE), rule=ORDERS)) == (
        Reason.SERVICE_TOKEN_EXPOSED
    )


# Conditions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bearer", "rule", "expected"),
    [
        (member(), when("claims.plan == 'pro'", users=(ANY_USER,)), USER),
        (
            member(),
            when("claims.plan == 'free'", users=(ANY_USER,)),
            Reason.CONDITION_NOT_MET,
        ),
        (valid_token(), when("claims.plan == 'pro'", users=(ANY_USER,)), Reason.CONDITION_FAILED),
        (member(), when("path.org_id == user.org_id", users=(ANY_USER,)), USER),
        (
            valid_token(),
            when("path.org_id == user.org_id", users=(ANY_USER,)),
            Reason.CONDITION_FAILED,
        ),
        (
            token({"plan": "pro\x00"}),
            when("claims.plan == 'pro'", users=(ANY_USER,)),
            Reason.CONDITION_FAILED,
        ),
        (BILLING_TOKEN, when("service.name == 'billing'", services=(ANY_SERVICE,)), "billing"),
        (
            BILLING_TOKEN,
            when("service.name == 'mail'", services=(ANY_SERVICE,)),
            Reason.CONDITION_NOT_MET,
        ),
        (
            BILLING_TOKEN,
            when("user.id == ''", services=(ANY_SERVICE,)),
            Reason.CONDITION_FAILED,
        ),
        (BILLING_TOKEN, when("has(service.name)", anonymous=True), Reason.CONDITION_NOT_MET),
        (None, when("request.path == '/orgs/org_1'", anonymous=True), "nobody"),
        (None, when("request.path == '/'", anonymous=True), Reason.CONDITION_NOT_MET),
        (member(), when("has(user.id)", anonymous=True), Reason.CONDITION_NOT_MET),
        (member(), when("!has(claims.plan)", anonymous=True, users=(ORG_2,)), "nobody"),
        (
            member(),
            when("has(claims.plan)", anonymous=True, users=(ORG_2,)),
            Reason.CONDITION_NOT_MET,
        ),
        (None, when("has(user.id)", anonymous=True, users=(ANY_USER,)), Reason.NO_CREDENTIAL),
        (
            None,
            when("has(service.name)", anonymous=True, services=(ANY_SERVICE,)),
            Reason.NO_CREDENTIAL,
        ),
        (
            None,
            when("user.id == ''", anonymous=True, users=(ANY_USER,)),
            Reason.CONDITION_FAILED,
        ),
        (member(), when("has(user.id)", anonymous=True, users=(ANY_USER,)), USER),
    ],
)
def test_a_condition_is_asked_of_whom_the_rule_admits(
    bearer: str | None, rule: Rule, expected: str
) -> None:
    named = billing_token(scopes=frozenset({"r"}))
    match = Match(rule, INTERNAL, PathTemplate.parse("/orgs/{org_id}"))
    asked = request(bearer, target="/orgs/org_1?token=x")
    verdict = decision_on(asked, by=judge(named=(named,)), rule=match)

    match verdict:
        case Allow(User(claims)):
            assert expected == claims.user_id
        case Allow(principal):
            assert expected == ("nobody" if principal is ANONYMOUS else BILLING.name)
            assert principal in {ANONYMOUS, BILLING}
        case Deny(reason):
            assert expected is reason
        case NeedKey():
            pytest.fail("every key is known")


@pytest.mark.parametrize(
    ("bearer", "named"),
    [(member(), True), (BILLING_TOKEN, True), (None, False)],
)
def test_who_is_refused_by_a_condition_is_named_when_known(
    bearer: str | None, *, named: bool
) -> None:
    rule = when("false", anonymous=True, users=(ANY_USER,), services=(ANY_SERVICE,))
    by = judge(named=(billing_token(scopes=frozenset({"r"})),))
    verdict = decision_on(request(bearer), by=by, rule=inside(rule))

    assert isinstance(verdict, Deny)
    assert named == (verdict.principal is not None)


def test_a_request_without_a_template_has_no_parameters() -> None:
    rule = when("path.size() == 0", anonymous=True)

    assert refusal(decision_on(request(), rule=rule)) is None


# What the upstream is told ------------------------------------------------------------

TELLING = Rule(
    name="r",
    anonymous=True,
    users=(ORG_1,),
    services=(ANY_SERVICE,),
    headers=(ClaimHeader("x-plan", "claims.plan"), ClaimHeader("x-org", "org_id")),
    removed_headers=("x_plan", "x_org"),
)


@pytest.mark.parametrize(
    ("bearer", "told", "missing"),
    [
        (member(), (("x-plan", "pro"), ("x-org", "org_1")), ()),
        (token(MEMBER), (("x-org", "org_1"),), ("x-plan",)),
        (token({**MEMBER, "plan": ""}), (("x-org", "org_1"),), ("x-plan",)),
        (token({"plan": "pro"}), (), ("x-plan", "x-org")),
        (BILLING_TOKEN, (), ("x-plan", "x-org")),
        (None, (), ("x-plan", "x-org")),
    ],
)
def test_headers_are_set_from_the_token_or_taken_away(
    bearer: str | None, told: tuple[tuple[str, str], ...], missing: tuple[str, ...]
) -> None:
    """
    Also for a user who passes unnamed: nothing of a token that does not count is told.
    """
    by = judge(named=(billing_token(scopes=frozenset({"r"})),))
    verdict = decision_on(request(bearer), by=by, rule=inside(TELLING))

    assert isinstance(verdict, Allow)
    assert told == verdict.set_headers
    assert ("x_plan", "x_org", *missing) == verdict.removed_headers


@pytest.mark.parametrize("plan", ["a\r\nx-admin: 1", "a" * 2049, [["a"]], ["a,b"], {}, 1.5])
def test_a_claim_that_no_header_can_carry_denies(plan: object) -> None:
    verdict = decision_on(request(token({**MEMBER, "plan": plan})), rule=TELLING)

    assert isinstance(verdict, Deny)
    assert (verdict.reason, verdict.rule) == (Reason.CLAIM_UNUSABLE, TELLING)
    assert verdict.detail == "the value for the header x-plan cannot be sent"
    assert isinstance(verdict.principal, User)
    assert isinstance(verdict.caller, Claims)


def test_a_rule_without_headers_takes_away_those_of_other_rules() -> None:
    rule = Rule(name="r", anonymous=True, removed_headers=("x-plan", "x_plan"))
    verdict = decision_on(request(), rule=rule)

    assert Allow(ANONYMOUS, rule, removed_headers=("x-plan", "x_plan")) == verdict


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("a=1; __session=T; b=2", "a=1; b=2"),
        ("__session=T", ""),
        ("__session=T; __session_R4pxPy2l=T", ""),
        ("a=1,__session=T", "a=1"),
        ("a=1; __session = T", "a=1"),
        ("a=1; __session", "a=1"),
        ("\t__session=T ;a=__session=T", "a=__session=T"),
        ("a=1; __session=T; __session=T", "a=1"),
        ("a=1; b=2", None),
        ("a=1; __session_other=T", None),
        ("__Session=T", None),
        ("x__session=T", None),
        ("", None),
        (None, None),
    ],
)
def test_a_rule_that_strips_credentials_takes_session_cookies_out(
    cookie: str | None, expected: str | None
) -> None:
    rule = Rule(name="r", anonymous=True, credentials=Credentials.STRIP)
    asked = request(headers={} if cookie is None else {"cookie": cookie})
    verdict = decision_on(asked, by=judge(cookies=COOKIES), rule=rule)

    assert isinstance(verdict, Allow)
    assert expected == verdict.cookie


@pytest.mark.parametrize(
    ("credentials", "cookies"),
    [(None, COOKIES), (Credentials.FORWARD, COOKIES), (Credentials.STRIP, None)],
)
def test_otherwise_cookies_are_left_alone(
    credentials: Credentials | None, cookies: CookieRules | None
) -> None:
    rule = Rule(name="r", anonymous=True, credentials=credentials)
    asked = request(headers={"cookie": "__session=T"})
    verdict = decision_on(asked, by=judge(cookies=cookies), rule=rule)

    assert isinstance(verdict, Allow)
    assert verdict.cookie is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["__session", "__session_R4pxPy2l", "a", "b", "__sessio", ""]),
            st.text("x=_", max_size=3),
            st.sampled_from(["; ", ";", ",", " ; ", ";\t"]),
        ),
        max_size=5,
    )
)
def test_whatever_is_left_of_the_cookies_holds_no_session(
    pairs: list[tuple[str, str, str]],
) -> None:
    """
    To a reader that splits at semicolons; every other pair is still there, in its order.
    """
    header = "".join(f"{name}={value}{mark}" for name, value, mark in pairs)
    rule = Rule(name="r", anonymous=True, credentials=Credentials.STRIP)
    asked = request(headers={"cookie": header})
    verdict = decision_on(asked, by=judge(cookies=COOKIES), rule=rule)
    assert isinstance(verdict, Allow)

    if verdict.cookie is None:
        assert not COOKIES.names & {name for name, _, _ in pairs}
    else:
        left = [pair.strip() for pair in verdict.cookie.split(";")]
        others = [f"{name}={value}" for name, value, _ in pairs if name not in COOKIES.names]
        assert others == [pair for pair in left if pair]


# Shadows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shadow", "bearer", "reason"),
    [
        (Rule(name="s", users=(ORG_1,)), member(), None),
        (Rule(name="s", users=(ORG_2,)), member(), Reason.ORGANIZATION_NOT_ADMITTED),
        (Rule(name="s", users=(ANY_USER,)), None, Reason.NO_CREDENTIAL),
        (Rule(name="s", users=(ANY_USER,)), forged(), Reason.SIGNATURE_INVALID),
        (Rule(name="s", users=(ANY_USER,)), of_unknown_key(), Reason.KEY_UNKNOWN),
        (Rule(name="s"), member(), Reason.NOBODY_ADMITTED),
        (Rule(name="s"), None, Reason.NO_CREDENTIAL),
        (Rule(name="s", anonymous=True), forged(), None),
        (when("false", name="s", users=(ANY_USER,)), member(), Reason.CONDITION_NOT_MET),
        (Rule(name="s", users=(ANY_USER,)), SERVICE_TOKEN, Reason.SERVICE_NOT_ADMITTED),
    ],
)
def test_a_shadow_says_what_it_would_have_said(
    shadow: Rule, bearer: str | None, reason: Reason | None
) -> None:
    deciding = Rule(name="r", anonymous=True)
    match = Match(deciding, INTERNAL, shadows=(inside(shadow),))
    verdict = decision_on(request(bearer), rule=match)

    assert isinstance(verdict, Allow)
    assert (ANONYMOUS, deciding) == (verdict.principal, verdict.rule)
    assert (Shadow("s", reason),) == verdict.shadows


def test_what_another_rule_learnt_of_the_caller_changes_no_shadow() -> None:
    """
    Where nobody can sign in, a condition that is false asks nobody to.
    """
    shadow = when("false", name="s", anonymous=True)
    deciding = Rule(name="r", anonymous=True, users=(ANY_USER,))
    verdict = decision_on(request(), rule=Match(deciding, shadows=(Match(shadow),)))

    assert isinstance(verdict, Allow)
    assert (Shadow("s", Reason.CONDITION_NOT_MET),) == verdict.shadows


def test_shadows_are_told_whichever_way_a_key_turns_out() -> None:
    shadows = (Match(Rule(name="s")), Match(Rule(name="t", anonymous=True)))
    match = Match(Rule(name="r", users=(ANY_USER,)), shadows=shadows)
    decision = decision_on(request(of_unknown_key()), rule=match)
    expected = (Shadow("s", Reason.KEY_UNKNOWN), Shadow("t", None))

    assert isinstance(decision, NeedKey)
    assert expected == decision.if_current.shadows == decision.if_stale.shadows


def test_the_shadows_of_a_file_are_told() -> None:
    policy = RulePolicy(
        [
            Rule(name="s", is_shadow=True, selector=Selector()),
            Rule(name="elsewhere", is_shadow=True, selector=Selector(methods=("POST",))),
            Rule(name="r", users=(ANY_USER,), selector=Selector()),
        ],
        default=Rule(name="default"),
    )
    verdict = decision_on(request(member()), policy=policy)

    assert isinstance(verdict, Allow)
    assert (verdict.rule.name, verdict.template) == ("r", "/**")
    assert (Shadow("s", Reason.NOBODY_ADMITTED),) == verdict.shadows


# Who asked ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bearer", "caller"),
    [
        (None, NO_CREDENTIAL),
        ("x", Reason.TOKEN_MALFORMED),
        (forged(), MissingKey("", Reason.SIGNATURE_INVALID, Reason.SIGNATURE_INVALID)),
        (of_unknown_key(), MissingKey("", Reason.KEY_UNKNOWN, Reason.KEYS_UNAVAILABLE)),
    ],
)
def test_who_asked_is_looked_up_where_nobody_cares_only_if_it_always_is(
    bearer: str | None, caller: Caller
) -> None:
    """
    And a key that is not known is not waited for.
    """
    rule = Rule(name="r", anonymous=True)
    unasked = decision_on(request(bearer), rule=rule)
    asked = decision_on(request(bearer), rule=rule, by=judge(always_identify=True))
    kid = "" if bearer is None else "ins_other" if bearer == of_unknown_key() else clerk().kid

    assert isinstance(unasked, Allow | Deny)
    assert isinstance(asked, Allow | Deny)
    assert unasked.caller is None
    assert (replace(caller, kid=kid) if isinstance(caller, MissingKey) else caller) == asked.caller
    assert unasked == replace(asked, caller=None)


@pytest.mark.parametrize("always_identify", [True, False])
@pytest.mark.parametrize("rule", [Rule(name="r", anonymous=True), Rule(name="r"), ORDERS])
def test_a_service_is_always_known(*, always_identify: bool, rule: Rule) -> None:
    by = judge(named=(billing_token(),), always_identify=always_identify)
    verdict = decision_on(request(BILLING_TOKEN), by=by, rule=inside(rule))

    assert isinstance(verdict, Allow | Deny)
    assert billing_token() == verdict.caller


@pytest.mark.parametrize("always_identify", [True, False])
def test_where_the_rule_cares_who_asked_is_known(*, always_identify: bool) -> None:
    by = judge(always_identify=always_identify)
    verdict = decision_on(request(member()), by=by)

    assert isinstance(verdict, Allow)
    assert isinstance(verdict.principal, User)
    assert verdict.principal.claims == verdict.caller


def test_a_request_that_no_rule_may_decide_is_not_looked_into() -> None:
    refused = Refusal(Reason.AMBIGUOUS_HOST)
    verdict = decision_on(request(member()), rule=refused, by=judge(always_identify=True))

    assert Deny(Reason.AMBIGUOUS_HOST) == verdict


def test_the_template_that_fitted_is_kept_either_way() -> None:
    template = PathTemplate.parse("/orgs/{org_id}")
    asked = request(member(), target="/orgs/org_1")
    verdicts = [
        settled(decision_on(asked, rule=Match(rule, template=template)))
        for rule in (Rule(name="r", users=(ANY_USER,)), Rule(name="r", users=(ORG_2,)))
    ]

    assert [Allow, Deny] == [type(each) for each in verdicts]
    assert [each.template for each in verdicts] == ["/orgs/{org_id}"] * 2


# Properties ---------------------------------------------------------------------------

TERMS = st.builds(
    UserTerms,
    org_ids=st.sampled_from([frozenset(), frozenset({"org_1"}), frozenset({"org_2"})]),
    session_age=st.none() | st.sampled_from([0.0, 60.0]),
    second_factor_age=st.none() | st.just(60.0),
    actor=st.booleans(),
)
SERVICES = st.builds(
    ServiceTerms,
    names=st.sampled_from([frozenset(), frozenset({"billing"}), frozenset({"static"})]),
    scopes=st.sampled_from([frozenset(), frozenset({"invoices"}), frozenset({"x"})]),
)
CONDITIONS = st.none() | st.sampled_from(
    [
        compile_condition(source)
        for source in (
            "true",
            "false",
            "claims.plan == 'pro'",
            "has(user.id)",
            "has(service.name)",
        )
    ]
)
DRAWN_RULES = st.builds(
    Rule,
    name=st.sampled_from(["r", "s", "invoices"]),
    anonymous=st.booleans(),
    users=st.lists(TERMS | st.just(ANY_USER), max_size=2).map(tuple),
    services=st.lists(SERVICES, max_size=2).map(tuple),
    condition=CONDITIONS,
    headers=st.sampled_from([(), (ClaimHeader("x-plan", "claims.plan"),)]),
    credentials=st.none() | st.sampled_from(Credentials),
)
BEARERS: st.SearchStrategy[Callable[[], str | None]] = st.sampled_from(
    [
        *(lambda: None, valid_token, member, forged, of_unknown_key),
        *(lambda: SERVICE_TOKEN, lambda: BILLING_TOKEN, lambda: "x"),
        cache(lambda: token({**MEMBER, "act": {"sub": "user_9"}, "plan": "a\n"})),
        cache(lambda: token({"exp": NOW - 10, "iat": NOW - 70})),
    ]
)
DRAWN_REQUESTS = st.builds(
    lambda bearer, principal: request(bearer(), source_principal=principal),
    BEARERS,
    st.sampled_from(["", EDGE]),
)
JUDGES = st.builds(
    lambda known, always: judge(named=(billing_token(**known),), always_identify=always),
    st.sampled_from([{}, {"principal": EDGE}, {"not_after": NOW - 1}]),
    st.booleans(),
)
EXPOSURES = st.sampled_from(Exposure)
REVOCATIONS = st.sampled_from([NO_REVOCATIONS, NO_REVOCATIONS, PAST])


def without_shadows(verdict: Verdict) -> Verdict:
    return replace(verdict, shadows=())


@given(DRAWN_REQUESTS, JUDGES, DRAWN_RULES, st.lists(DRAWN_RULES, max_size=3), EXPOSURES)
def test_shadows_change_no_verdict_and_say_what_they_would_say_alone(
    asked: HttpRequest, by: Judge, rule: Rule, shadows: list[Rule], exposure: Exposure
) -> None:
    match = Match(rule, exposure, shadows=tuple(Match(each, exposure) for each in shadows))
    alone = decision_on(asked, by=by, rule=Match(rule, exposure))
    together = decision_on(asked, by=by, rule=match)
    expected = tuple(
        Shadow(each.name, settled_reason(asked, by, Match(each, exposure))) for each in shadows
    )

    assert type(alone) is type(together)
    for keys_are_current in (True, False):
        verdict = settled(together, keys_are_current=keys_are_current)
        assert settled(alone, keys_are_current=keys_are_current) == without_shadows(verdict)
        assert expected == verdict.shadows


def settled_reason(asked: HttpRequest, by: Judge, match: Match) -> Reason | None:
    """Return why `match` alone would deny."""
    verdict = settled(decision_on(asked, by=by, rule=match))
    return verdict.reason if isinstance(verdict, Deny) else None


@given(DRAWN_REQUESTS, JUDGES, DRAWN_RULES, EXPOSURES, REVOCATIONS)
def test_whoever_is_let_in_under_a_name_is_one_whom_the_rule_admits(
    asked: HttpRequest, by: Judge, rule: Rule, exposure: Exposure, revocations: Revocations
) -> None:
    verdict = settled(
        decision_on(asked, by=by, rule=Match(rule, exposure), revocations=revocations)
    )

    if isinstance(verdict, Allow):
        match verdict.principal:
            case User(claims):
                assert claims == verdict.caller
                assert rule.users
                assert revocations == NO_REVOCATIONS
            case service if service in {BILLING, STATIC_SERVICE}:
                assert rule.services
                assert exposure is INTERNAL or asked.source_principal
            case _:
                assert rule.anonymous
                assert not verdict.set_headers
    else:
        assert ANSWERS[verdict.reason].status in {401, 403}


@given(DRAWN_REQUESTS, JUDGES, DRAWN_RULES, EXPOSURES, REVOCATIONS)
def test_a_caller_who_is_known_beforehand_is_judged_alike(
    asked: HttpRequest, by: Judge, rule: Rule, exposure: Exposure, revocations: Revocations
) -> None:
    """
    What was recorded of a decision is enough to take it again.
    """
    match = Match(rule, exposure, shadows=(Match(Rule(name="s", users=(ORG_1,)), exposure),))
    verdict = settled(
        decision_on(
            asked, by=replace(by, always_identify=True), rule=match, revocations=revocations
        )
    )
    assert verdict.caller is not None

    again = judge_known(
        asked,
        caller=verdict.caller,
        policy=FixedPolicy(match),
        now=NOW,
        revocations=revocations,
    )

    assert replace(verdict, caller=None) == replace(again, caller=None)


CURIOUS = RulePolicy(
    [
        Rule(name="shadow", is_shadow=True, users=(ORG_1,), selector=Selector()),
        when(
            "request.path != path.id || context.tier == source.principal",
            name="path",
            anonymous=True,
            selector=Selector(paths=(PathTemplate.parse("/a/{id}/**"),)),
        ),
        when(
            "request.headers.exists(name, name == request.host + request.method)",
            name="headers",
            anonymous=True,
            users=(ANY_USER,),
            credentials=Credentials.STRIP,
        ),
    ],
    default=Rule(name="default"),
)
ANY_TEXT = st.text(st.characters())


@given(
    st.builds(
        HttpRequest,
        method=ANY_TEXT,
        host=ANY_TEXT | st.just("api.example.com"),
        target=ANY_TEXT | ANY_TEXT.map("/a/{}".format),
        headers=st.dictionaries(
            st.sampled_from(["authorization", "cookie", "x-a"]) | ANY_TEXT, ANY_TEXT, max_size=3
        ),
        context=st.dictionaries(st.sampled_from(["exposure", "tier"]), ANY_TEXT),
        source_principal=ANY_TEXT,
    ),
    st.booleans(),
)
def test_any_request_gets_a_verdict_under_any_rule(
    asked: HttpRequest,
    always: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """
    Nothing is raised, and without a token nobody is let in under a name.
    """
    by = judge(cookies=COOKIES, always_identify=always)
    verdict = decision_on(asked, by=by, policy=CURIOUS)

    assert isinstance(verdict, Deny) or (
        isinstance(verdict, Allow) and verdict.principal is ANONYMOUS
    )


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "rol", "per", "fpm", "sub"]) | ANY_TEXT, inner, max_size=3
        )
    ),
    max_leaves=6,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["v", "o", "fea", "fva", "act", "plan", "org_id", "org_permissions"]),
    JSON | st.just(2) | st.lists(st.just(10**400) | st.integers(), min_size=2, max_size=2),
    min_size=1,
    max_size=4,
)
DEMANDING = when(
    "has(claims.plan) && claims.plan == claims.o || user.session_age < 60 || has(user.org_id)",
    users=(
        replace(ORG_1, actor=False),
        UserTerms(org_permissions=frozenset({"org:a:b"}), session_age=60.0),
        UserTerms(second_factor_age=60.0),
        UserTerms(session_age=60.0),
    ),
    headers=(ClaimHeader("x-plan", "claims.plan"), ClaimHeader("x-org", "org_permissions")),
)


@given(CLAIMS)
def test_any_signed_claims_get_a_verdict_under_any_rule(claims: dict[str, Any]) -> None:
    """
    Whatever a token says beside who it is, nothing is raised.
    """
    match = Match(DEMANDING, shadows=(Match(TELLING),))
    verdict = decision_on(request(token(claims)), rule=match)

    assert isinstance(verdict, Allow | Deny)
    if isinstance(verdict, Allow):
        assert isinstance(verdict.principal, User)


def test_a_caller_who_is_known_beforehand_cannot_pass_where_no_rule_may_decide() -> None:
    refused = Refusal(Reason.AMBIGUOUS_PATH, detail="told")
    found = judge_known(request(), caller=NO_CREDENTIAL, policy=FixedPolicy(refused), now=NOW)

    assert Deny(Reason.AMBIGUOUS_PATH, detail="told") == found


def test_the_request_s_own_credential_does_not_matter_when_the_caller_is_known() -> None:
    policy = FixedPolicy(Rule(name="r", users=(ANY_USER,)))
    found = judge_known(request(member()), caller=NO_CREDENTIAL, policy=policy, now=NOW)

    assert isinstance(found, Deny)
    assert found.reason is Reason.NO_CREDENTIAL
