"""Tests of a policy: what passes, what fails and how, and what is not tested at all."""

from collections.abc import Mapping
from typing import Any

import pytest

from wicketgate.core.policy.callers import SESSION, USER, taken_as_verified, with_usual_claims
from wicketgate.core.policy.case_document import CaseWords
from wicketgate.core.policy.cases import (
    TEST_TIME,
    Failure,
    coverage_of,
    misspelt,
    run_cases,
)
from wicketgate.core.policy.parse import parse_cases, parse_policy
from wicketgate.core.reason import Reason

POLICY = """
version: 1
rules:
  - name: strict
    shadow: true
    match: { paths: /reports/** }
    allow: { user: { session_age: 10m } }
  - name: health
    match: { paths: /healthz }
    allow: anonymous
  - name: reports
    match: { paths: /reports/** }
    allow: { user: { org_role: admin } }
    headers: { x-org-id: org_id, x-plan: claims.plan }
  - name: jobs
    match: { paths: /jobs/**, context: { exposure: internal } }
    allow: service
  - name: bare
    match: { paths: /bare, headers: x-debug }
    allow: anonymous
  - name: signed
    match: { paths: /signed, headers: authorization }
    allow: [user, service, anonymous]
    credentials: strip
  - name: fresh
    match: { paths: /fresh }
    allow: { user: { second_factor_age: 10m } }
"""
ADMIN = "{ claims: { o: { id: org_1, rol: admin }, fva: [3, 1], plan: pro } }"
INSIDE = "path: /jobs/7, context: { exposure: internal }"


def case(request: str, caller: str, expect: str) -> tuple[CaseWords, ...]:
    """Return one test; `expect` is a word, or what stands between braces."""
    braced = expect if expect in {"allow", "deny"} else f"{{ {expect} }}"
    lines = [f"request: {{ {request} }}", f"as: {caller}", f"expect: {braced}"]
    keys = "\n".join(f"    {line}" for line in lines)
    return parse_cases(f"tests:\n  - name: a test\n{keys}\n")


def failures(request: str, caller: str, expect: str) -> tuple[Failure, ...]:
    (result,) = run_cases(parse_policy(POLICY), case(request, caller, expect))
    return result.failures


@pytest.mark.parametrize(
    ("request_", "caller", "expect"),
    [
        ("path: /healthz", "anonymous", "allow"),
        ("path: /reports/7", "anonymous", "deny"),
        ("path: /healthz", "anonymous", "decision: allow, rule: health, reason: allowed"),
        ("path: /healthz", "user", "decision: allow, status: 200, principal: anonymous"),
        ("path: /nowhere", "user", "decision: deny, rule: default, reason: nobody_admitted"),
        ("path: /a//b", "user", "decision: deny, status: 400, principal: none"),
        ("path: /reports/7", "user", "decision: deny, principal: 'user:user_test'"),
        ("path: /reports/7", "user", "decision: deny, headers: { x-org-id: null }"),
        ("path: /reports/7", "user", "decision: deny, shadows: { strict: session_too_old }"),
        ("path: /reports/7?q=1", ADMIN, "decision: allow, principal: 'user:user_test'"),
        ("path: /reports/7", ADMIN, "decision: allow, shadows: { strict: allowed }"),
        ("path: /reports/7", ADMIN, "decision: allow, headers: { x-org-id: org_1, X-Plan: pro }"),
        ("path: /reports/7", ADMIN, "decision: allow, headers: { clerk_user_id: user_test }"),
        (INSIDE, "{ service: cron }", "decision: allow, principal: 'service:cron'"),
        (INSIDE, "{ service: { name: cron, scopes: [jobs] } }", "decision: allow, rule: jobs"),
        (INSIDE, "{ service: { name: cron, scopes: [a] } }", "decision: deny, rule: jobs"),
        ("path: /jobs/7", "{ service: cron }", "decision: deny, rule: default"),
        ("path: /reports/7", "{ refused: token_expired }", "decision: deny, status: 401"),
        (
            "path: /bare, headers: { x-debug: '1' }",
            "anonymous",
            "decision: allow, headers: { x-debug: '1', x-org-id: null }",
        ),
        (
            "path: /bare, headers: { x-debug: '1', x_org_id: mine }",
            "anonymous",
            "decision: allow, headers: { x_org_id: null }",
        ),
        ("path: /signed", "user", "decision: allow, headers: { authorization: null }"),
        ("path: /signed", "anonymous", "decision: deny, rule: default"),
        ("path: /a//b", "anonymous", "decision: deny, rule: none, reason: ambiguous_path"),
        (
            "path: /fresh, method: POST, host: a.example.com, source: spiffe://a",
            "{ claims: { fva: [3, 9] } }",
            "allow",
        ),
    ],
)
def test_what_is_as_expected_passes(request_: str, caller: str, expect: str) -> None:
    assert failures(request_, caller, expect) == ()


@pytest.mark.parametrize(
    ("request_", "caller", "expect", "expected"),
    [
        ("path: /healthz", "anonymous", "deny", [Failure("decision", "deny", "allow")]),
        (
            "path: /reports/7",
            "user",
            "decision: allow, rule: jobs, reason: allowed, status: 200, principal: anonymous",
            [
                Failure("decision", "allow", "deny"),
                Failure("rule", "jobs", "reports"),
                Failure("reason", "allowed", "role_not_admitted"),
                Failure("status", "200", "403"),
                Failure("principal", "anonymous", "user:user_test"),
            ],
        ),
        (
            "path: /reports/7",
            ADMIN,
            "decision: allow, headers: { x-org-id: org_2, x-plan: null, x-a: '1', x-b: null }",
            [
                Failure("headers.x-org-id", "org_2", "org_1"),
                Failure("headers.x-plan", "nothing", "pro"),
                Failure("headers.x-a", "1", "nothing"),
            ],
        ),
        (
            "path: /reports/7",
            ADMIN,
            "decision: allow, shadows: { strict: session_too_old, other: allowed }",
            [
                Failure("shadows.strict", "session_too_old", "allowed"),
                Failure("shadows.other", "allowed", "nothing"),
            ],
        ),
        (
            "path: /bare, headers: { x-debug: '1' }",
            "anonymous",
            "decision: allow, headers: { x-debug: null }",
            [Failure("headers.x-debug", "nothing", "1")],
        ),
        (
            "path: /healthz",
            "anonymous",
            "decision: allow, headers: { x-word: nothing }",
            [Failure("headers.x-word", "nothing", "nothing")],
        ),
    ],
)
def test_what_is_not_as_expected_is_told_field_by_field(
    request_: str, caller: str, expect: str, expected: list[Failure]
) -> None:
    assert expected == list(failures(request_, caller, expect))


def test_tests_are_run_in_their_order() -> None:
    text = "\n".join(
        f"  - {{ name: {name}, request: {{ path: /healthz }}, expect: {decision} }}"
        for name, decision in [("a", "allow"), ("b", "deny"), ("c", "allow")]
    )

    results = run_cases(parse_policy(POLICY), parse_cases(f"tests:\n{text}\n"))

    assert [(each.case.name, bool(each.failures)) for each in results] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]


def test_a_user_of_whom_a_test_says_nothing_is_usual() -> None:
    claims = taken_as_verified(with_usual_claims({}, now=TEST_TIME + 0.5))

    assert not isinstance(claims, Reason)
    assert (claims.user_id, claims.session_id) == (USER, SESSION)
    assert (claims.issued_at, claims.expires_at) == (TEST_TIME, TEST_TIME + 60)
    assert claims.document["v"] == 2
    assert claims.facts.org_id is None
    assert not claims.facts.is_pending


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"sub": "user_7"}, "sub", "user_7"),
        ({"plan": "pro"}, "plan", "pro"),
        ({"iat": 1_000}, "exp", 1_060),
        ({"iat": 1_000.5}, "exp", 1_060.5),
        ({"iat": 1_000, "exp": 1_010}, "exp", 1_010),
        ({"iat": "soon"}, "exp", None),
        ({"iat": True}, "exp", None),
        ({"v": 1}, "v", 1),
        ({"org_role": "org:admin"}, "v", None),
        ({"org_role": "org:admin", "v": 2}, "v", 2),
        ({"sid": None}, "sid", None),
    ],
)
def test_what_a_test_says_of_a_user_wins(
    given: Mapping[str, Any], name: str, expected: object
) -> None:
    assert expected == with_usual_claims(given, now=TEST_TIME).get(name)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"sub": "mallory"}, Reason.SUBJECT_INVALID),
        ({"sid": 7}, Reason.SESSION_MISSING),
        ({"iat": "soon"}, Reason.CLAIMS_MALFORMED),
        ({"iss": 7}, Reason.ISSUER_MISMATCH),
        ({"iss": ["https://clerk.test"]}, Reason.ISSUER_MISMATCH),
        ({"sub": "mch_1"}, Reason.MACHINE_TOKEN),
        ({"sts": "ended"}, Reason.SESSION_PENDING),
    ],
)
def test_a_user_that_no_gate_would_take_for_one_is_refused(
    given: Mapping[str, Any], reason: Reason
) -> None:
    assert reason == taken_as_verified(with_usual_claims(given, now=TEST_TIME))


@pytest.mark.parametrize(
    "given",
    [
        {"iss": "https://elsewhere.example.com"},
        {"exp": 9_999_999_999},
        {"iat": 1_000},
        {"sid": None},
        {"sts": "pending"},
        {"act": {"sub": "user_support"}},
        {"aud": "anybody", "azp": "https://elsewhere.example.com"},
    ],
)
def test_a_user_is_taken_whoever_issued_the_token_and_whenever(given: Mapping[str, Any]) -> None:
    assert not isinstance(taken_as_verified(with_usual_claims(given, now=TEST_TIME)), Reason)


@pytest.mark.parametrize(
    ("caller", "expect", "where", "expected"),
    [
        ("{ refused: token_expird }", "deny", ("as", "refused"), "as token_expired, not 'token_"),
        ("{ refused: allowed }", "deny", ("as", "refused"), "not 'allowed'"),
        (
            "anonymous",
            "decision: deny, reason: '?'",
            ("expect", "reason"),
            "expected a reason such as token_expired, not '?'",
        ),
    ],
)
def test_a_reason_that_there_is_not_is_a_mistake(
    caller: str, expect: str, where: tuple[str, ...], expected: str
) -> None:
    ((place, message),) = misspelt(case("path: /", caller, expect))

    assert place == ("tests", 0, *where)
    assert expected in message


@pytest.mark.parametrize(
    ("caller", "expect"),
    [
        ("anonymous", "allow"),
        ("anonymous", "decision: allow, reason: allowed"),
        *((f"{{ refused: {each} }}", f"decision: deny, reason: {each}") for each in Reason),
    ],
)
def test_a_reason_that_there_is_is_none(caller: str, expect: str) -> None:
    assert not list(misspelt(case("path: /", caller, expect)))


def test_coverage_tells_of_every_rule_how_many_tests_it_decided() -> None:
    parsed = parse_policy(POLICY)
    words = [
        *case("path: /healthz", "anonymous", "allow"),
        *case("path: /healthz", "anonymous", "deny"),
        *case("path: /reports/7", "anonymous", "deny"),
        *case("path: /nowhere", "anonymous", "deny"),
        *case("path: /a//b", "anonymous", "deny"),
    ]

    found = coverage_of(parsed.policy, run_cases(parsed, words))

    assert [(each.rule, each.index, each.tests, each.is_missing) for each in found] == [
        ("strict", 0, 1, False),
        ("health", 1, 2, False),
        ("reports", 2, 1, False),
        ("jobs", 3, 0, True),
        ("bare", 4, 0, True),
        ("signed", 5, 0, True),
        ("fresh", 6, 0, True),
        ("default", None, 1, False),
    ]
    assert [each.rule for each in found if each.is_shadow] == ["strict"]


def test_a_default_that_no_test_reaches_is_not_missing() -> None:
    parsed = parse_policy("version: 1\nrules: [{ name: all, allow: user }]\n")

    *_, default = coverage_of(parsed.policy, ())

    assert (default.rule, default.tests, default.is_missing) == ("default", 0, False)
