"""The rules as a page can show them."""

import pytest

from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.status.rules import (
    IN_ORDER,
    MAX_ABOUT,
    MOST_USED,
    RuleLine,
    chosen,
    hits,
    line_of,
    undeclared,
)

SHOWN = IN_ORDER + MOST_USED
MANY = tuple(RuleLine(name=f"r{number}") for number in range(10_000))


def policy(text: str) -> RulePolicy:
    return parse_policy(f"version: 1\nrules:\n{text}").policy


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{ name: a, allow: user }", RuleLine(name="a", about="/**", admits="users")),
        (
            "{ name: a, match: { methods: [GET, PUT], paths: [/x, '/y/{i}'] }, allow: anonymous }",
            RuleLine(name="a", about="GET|PUT /x /y/{i}", admits="anyone"),
        ),
        (
            "{ name: a, allow: [user, anonymous] }",
            RuleLine(name="a", about="/**", admits="anyone, users"),
        ),
        ("{ name: a, allow: service }", RuleLine(name="a", about="/**", admits="services")),
        (
            "{ name: a, allow: { user: { org_role: admin } } }",
            RuleLine(name="a", about="/**", admits="some users"),
        ),
        (
            "{ name: a, allow: [user, { service: { scope: billing } }] }",
            RuleLine(name="a", about="/**", admits="users, some services"),
        ),
        ("{ name: a, allow: [] }", RuleLine(name="a", about="/**", admits="nobody")),
        (
            "{ name: a, allow: user, when: user.id == 'u' }",
            RuleLine(name="a", about="/**", admits="users, on a condition"),
        ),
        (
            "{ name: a, allow: user, shadow: true }",
            RuleLine(name="a", about="/**", admits="users", is_shadow=True),
        ),
    ],
)
def test_a_line_says_what_a_rule_does(rule: str, expected: RuleLine) -> None:
    assert expected == line_of(policy(f"  - {rule}").rules[0])


@pytest.mark.parametrize(("length", "is_cut"), [(MAX_ABOUT, False), (MAX_ABOUT + 1, True)])
def test_long_paths_are_cut(length: int, *, is_cut: bool) -> None:
    path = "/" + "x" * (length - 1)

    about = line_of(
        policy(f"  - {{ name: a, match: {{ paths: {path} }}, allow: user }}").rules[0]
    ).about

    assert len(about) == MAX_ABOUT
    assert is_cut is about.endswith("…")


def test_a_line_is_sent_with_all_that_it_has() -> None:
    line = RuleLine(name="a", about="/x", admits="users", is_shadow=True)

    assert line.document() == {"name": "a", "about": "/x", "admits": "users", "shadow": True}


@pytest.mark.parametrize("number", [0, 1, SHOWN])
def test_few_rules_are_all_shown(number: int) -> None:
    assert MANY[:number] == chosen(MANY[:number], {})


def test_of_very_many_the_first_are_shown_and_those_that_decide_most() -> None:
    counts = {("r9000", "deny"): 5, ("r500", "allow"): 4, ("r0", "allow"): 100}

    lines = chosen(MANY, counts)

    assert len(lines) == SHOWN
    assert lines[:IN_ORDER] == MANY[:IN_ORDER]
    assert lines[-2:] == (MANY[500], MANY[9000])


def test_of_rules_that_are_used_alike_the_earlier_is_shown() -> None:
    assert MANY[:SHOWN] == chosen(MANY, {})


def test_where_routes_declare_rules_those_that_decided_are_shown() -> None:
    counts = {("b", "deny"): 1, ("a", "allow"): 2, ("b", "allow"): 1}

    assert undeclared(counts) == (RuleLine(name="a"), RuleLine(name="b"))
    assert len(undeclared({(f"r{number}", "deny"): 1 for number in range(999)})) == SHOWN


def test_each_line_has_its_hits_and_a_shadow_rule_those_that_it_would_have_had() -> None:
    lines = [RuleLine(name="a"), RuleLine(name="s", is_shadow=True), RuleLine(name="new")]

    found = hits(
        lines, {("a", "allow"): 2, ("a", "deny"): 1, ("s", "deny"): 9}, {("s", "deny"): 3}
    )

    assert found == [[2, 1], [0, 3], [0, 0]]
