"""Why a request gets the answer that it gets: which rules were tried, and what was lacking."""

import pytest
from hypothesis import given

from random_policies import callers, claims, policies, requests, service
from tokens import NOW, request
from wicketgate.core.claims import Claims
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy.explain import Explanation, explain
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.policy.rule import Refusal
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import Revocations
from wicketgate.core.verdict import (
    Allow,
    Caller,
    Deny,
)

USER = claims()


def explained(*rules: str, asked: HttpRequest | None = None, caller: Caller = USER) -> Explanation:
    """Explain a request to `rules` named ``r0``, ``r1`` and so on, in the words of a file."""
    text = "version: 1\nrules:\n" + "".join(
        f"  - {{name: r{number}, {rule}}}\n" for number, rule in enumerate(rules)
    )
    return explain(parse_policy(text).policy, asked or request(), caller=caller, now=NOW)


def reason_of(found: Explanation) -> Reason | None:
    return found.verdict.reason if isinstance(found.verdict, Deny) else None


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("methods: POST", "method GET is not POST"),
        ("methods: [PUT, POST]", "method GET is none of PUT, POST"),
        ("hosts: x.com", "host api.example.com is not x.com"),
        ("paths: /b", "path /a is not /b"),
        (
            "paths: [/b, /c, /d, /e, /f, /g, /h]",
            "path /a is none of /b, /c, /d, /e, /f and 2 more",
        ),
        ("context: {exposure: public}", "context exposure is 'internal', not 'public'"),
        ("context: {team: [red, blue]}", "context team is absent, none of 'blue', 'red'"),
        ("headers: [x-a, x-b]", "header x-b is absent"),
    ],
)
def test_why_a_rule_is_not_about_a_request(match: str, why: str) -> None:
    asked = request(target="/a?b", headers={"x-a": "1"}, context={"exposure": "internal"})

    (step,) = explained(f"match: {{{match}}}, allow: user", asked=asked).steps

    assert step.mismatches == (why,)
    assert not step.decides
    assert step.fits_path == ("path" not in why)


def test_a_request_without_a_host_has_none() -> None:
    (step,) = explained("match: {hosts: x.com}, allow: user", asked=HttpRequest()).steps

    assert step.mismatches == ("host (none) is not x.com",)


def test_everything_that_does_not_fit_is_told() -> None:
    (step,) = explained("match: {methods: PUT, hosts: x.com, paths: /b}, allow: user").steps

    assert [each.split()[0] for each in step.mismatches] == ["method", "host", "path"]


def test_the_rule_that_fits_decides_and_those_below_are_not_tried() -> None:
    found = explained("match: {paths: /b}, allow: []", "allow: user", "allow: []", "allow: []")

    assert [(step.index, step.rule.name, step.decides) for step in found.steps] == [
        (0, "r0", False),
        (1, "r1", True),
    ]
    assert found.untried == 2


def test_shadow_rules_are_tried_and_decide_nothing() -> None:
    found = explained("allow: [], shadow: true", "allow: user")

    assert [(step.mismatches, step.decides) for step in found.steps] == [((), False), ((), True)]
    assert [(each.rule, each.reason) for each in found.verdict.shadows] == [
        ("r0", Reason.NOBODY_ADMITTED)
    ]


def test_when_no_rule_fits_all_were_tried() -> None:
    found = explained("match: {paths: /b}, allow: user")

    assert [step.decides for step in found.steps] == [False]
    assert found.untried == 0
    assert reason_of(found) is Reason.NOBODY_ADMITTED


def test_a_rule_that_may_not_judge_an_ambiguous_target_says_so() -> None:
    text = """
    version: 1
    any_targets: files.example.com
    rules:
      - { name: everywhere, allow: anonymous }
      - { name: files, match: { hosts: files.example.com }, allow: anonymous }
    """
    asked = request(target="/a%2Fb", host="files.example.com")
    found = explain(parse_policy(text).policy, asked, caller=NO_CREDENTIAL, now=NOW)

    assert [(step.mismatches, step.decides) for step in found.steps] == [
        (("target is ambiguous, and the rule is not only about any_targets",), False),
        ((), True),
    ]


def test_a_request_that_is_refused_before_any_rule_has_no_steps() -> None:
    found = explained("allow: user", asked=request(target="//"))

    assert found == Explanation(verdict=Deny(Reason.AMBIGUOUS_PATH))


def test_the_policy_of_the_routes_has_no_steps() -> None:
    found = explain(RoutePolicy(), request(), caller=USER, now=NOW)

    assert not found.steps
    assert isinstance(found.verdict, Allow)


def test_the_named_segments_of_the_path_are_told() -> None:
    asked = request(target="/orgs/7/items/8?x=9")

    found = explained("match: {paths: '/orgs/{org}/items/{item}'}, allow: user", asked=asked)

    assert found.parameters == (("org", "7"), ("item", "8"))


def test_what_the_upstream_would_be_told_is_what_the_gate_tells_it() -> None:
    found = explained("allow: user, headers: {x-org: org_id}")

    assert isinstance(found.verdict, Allow)
    assert found.headers == IdentityHeaders().plan(found.verdict)
    assert "x-org" in found.headers.remove


def test_the_upstream_of_a_denied_request_is_told_nothing() -> None:
    assert explained("allow: []").headers is None


@pytest.mark.parametrize(
    ("terms", "user", "why"),
    [
        ("org_id: org_2", claims(), "org_id: no organization is not org_2"),
        (
            "org_id: [org_2, org_3]",
            claims(o={"id": "org_1"}),
            "org_id: org_1 is not any of org_2, org_3",
        ),
        ("org_role: admin", claims(), "org_role: no role is not org:admin"),
        (
            "org_role: admin",
            claims(o={"id": "org_1", "rol": "member"}),
            "org_role: org:member is not org:admin",
        ),
        ("org_permission: a:b", claims(), "org_permission: has nothing, not org:a:b"),
        (
            "org_permission: a:b",
            claims(v=1, org_id="org_1", org_permissions=["org:c:d", "org:a:c"]),
            "org_permission: has org:a:c, org:c:d, not org:a:b",
        ),
        (
            "org_permission: a:b",
            claims(v=1, org_id="org_1", org_permissions="org:a:b"),
            "org_permission: those of the token cannot be read",
        ),
        ("session_age: 1m", claims(fva=[2, -1]), "session_age: 180s, not at most 60s"),
        ("session_age: 1m", claims(), "session_age: not known, not at most 60s"),
        (
            "second_factor_age: 1m",
            claims(fva=[0, 1]),
            "second_factor_age: 120s, not at most 60s",
        ),
        ("actor: deny", claims(act={"sub": "user_2"}), "actor: user_2 acts as the user, and may"),
        ("actor: deny", claims(act={}), "actor: somebody acts as the user, and may not"),
        ("pending: deny", claims(sts="pending"), "pending: the session is pending, and pending"),
    ],
)
def test_which_term_a_user_does_not_meet(terms: str, user: Claims, why: str) -> None:
    (found,) = explained(f"allow: {{user: {{{terms}}}}}", caller=user).unmet

    assert found.startswith(why)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ("name: ml", "name: billing is not ml"),
        ("scope: [a, b]", "scope: has jobs, not any of a, b"),
        ("name: billing", "scope: has jobs, not r0"),
    ],
)
def test_which_term_a_service_does_not_meet(terms: str, why: str) -> None:
    found = explained(
        f"allow: {{service: {{{terms}}}}}",
        asked=request(context={"exposure": "internal"}),
        caller=service("billing", "jobs"),
    )

    assert found.unmet == (why,)


def test_each_alternative_says_what_is_lacking() -> None:
    found = explained("allow: [{user: {org_id: org_2}}, {user: {org_role: admin}}]")

    assert [each.partition(":")[0] for each in found.unmet] == ["org_id", "org_role"]


def test_who_is_let_in_as_nobody_in_particular_is_told_why() -> None:
    found = explained("allow: [anonymous, {user: {org_id: org_2}}]")

    assert reason_of(found) is None
    assert found.unmet == ("org_id: no organization is not org_2",)


@pytest.mark.parametrize(
    ("rule", "asked", "caller", "reason"),
    [
        ("allow: user", request(), USER, None),
        ("allow: [{user: {org_id: org_2}}, user]", request(), USER, None),
        ("allow: anonymous", request(), USER, None),
        ("allow: {user: {org_id: a}}", request(), NO_CREDENTIAL, Reason.NO_CREDENTIAL),
        ("allow: {user: {org_id: a}}", request(), Reason.TOKEN_EXPIRED, Reason.TOKEN_EXPIRED),
        ("allow: service", request(), USER, Reason.USER_NOT_ADMITTED),
        (
            "allow: service",
            request(context={"exposure": "internal"}),
            service(),
            None,
        ),
        (
            "allow: []",
            request(context={"exposure": "internal"}),
            service(),
            Reason.NOBODY_ADMITTED,
        ),
    ],
)
def test_where_no_term_is_to_blame_none_is_named(
    rule: str, asked: HttpRequest, caller: Caller, reason: Reason | None
) -> None:
    found = explained(rule, asked=asked, caller=caller)

    assert reason_of(found) is reason
    assert found.unmet == ()


def test_a_revoked_user_lacks_nothing_else() -> None:
    policy = parse_policy("version: 1\nrules: [{name: r, allow: {user: {org_id: org_2}}}]").policy
    revoked = Revocations(users={USER.user_id: NOW})

    found = explain(policy, request(), caller=USER, now=NOW, revocations=revoked)

    assert reason_of(found) is Reason.USER_REVOKED
    assert found.unmet == ()


@pytest.mark.parametrize(
    ("rule", "caller", "reason", "why"),
    [
        (
            "allow: user, when: request.method == 'PUT'",
            USER,
            Reason.CONDITION_NOT_MET,
            "when: request.method == 'PUT'",
        ),
        (
            "allow: user, when: claims.plan == 'pro'",
            USER,
            Reason.CONDITION_FAILED,
            "when: claims.plan == 'pro'",
        ),
        (
            "allow: user, headers: {x-plan: claims.plan}",
            claims(plan={"name": "pro"}),
            Reason.CLAIM_UNUSABLE,
            "the value for the header x-plan cannot be sent",
        ),
        (
            "allow: service",
            service(),
            Reason.SERVICE_TOKEN_EXPOSED,
            "context exposure: service tokens count where it is internal",
        ),
    ],
)
def test_what_else_is_to_blame_is_named(
    rule: str, caller: Caller, reason: Reason, why: str
) -> None:
    found = explained(rule, caller=caller)

    assert reason_of(found) is reason
    assert found.unmet == (why,)


@given(policies, requests, callers)
def test_the_explanation_is_of_what_the_gate_does(
    policy: RulePolicy, asked: HttpRequest, caller: Caller
) -> None:
    """
    The steps are worked out without the automaton, and lead to the same rule.
    """
    found = explain(policy, asked, caller=caller, now=NOW)
    match = policy.match(asked)

    assert found.verdict == judge_known(asked, caller=caller, policy=policy, now=NOW)
    if isinstance(match, Refusal):
        assert not found.steps
        return
    decider = next((step.rule for step in found.steps if step.decides), policy.default)
    fitting = [step.rule.name for step in found.steps if not step.mismatches]
    assert decider is match.rule
    assert decider is found.verdict.rule
    assert fitting == [
        *(each.rule.name for each in match.shadows),
        *([] if decider is policy.default else [decider.name]),
    ]
    assert len(found.steps) + found.untried == len(policy.rules)


@given(policies, requests, callers)
def test_whoever_is_denied_by_terms_is_told_which(
    policy: RulePolicy, asked: HttpRequest, caller: Caller
) -> None:
    found = explain(policy, asked, caller=caller, now=NOW)

    by_terms = {Reason.ORGANIZATION_NOT_ADMITTED, Reason.IMPERSONATION, Reason.SESSION_TOO_OLD}
    assert reason_of(found) not in by_terms or found.unmet
