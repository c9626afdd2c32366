"""What is most likely not meant: rules that are never asked, and holes in what they protect."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_policies import requests, rules, selectors, templates
from wicketgate.core.policy.host import canonical_host
from wicketgate.core.policy.lint import MAX_NAMED, MAX_WARNINGS, LintWarning, Suspicion, lint
from wicketgate.core.policy.mismatch import mismatches
from wicketgate.core.policy.overlap import accidental_meetings, portion
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.path_index import PathIndex
from wicketgate.core.policy.rule import ANY_USER, Match, Rule, Selector
from wicketgate.core.policy.rule_index import CoverIndex, MeetIndex, telling_context_key
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.request import HttpRequest

DEFAULT = Rule(name="default")


def warnings_about(*lines: str) -> list[LintWarning]:
    """Lint rules, each of them ``match: ALLOW``, in the words of a file."""
    text = "version: 1\nrules:\n" + "".join(
        f"  - {{name: r{number}, {line}}}\n" for number, line in enumerate(lines)
    )
    return list(lint(parse_policy(text).policy))


def suspicions(*lines: str) -> list[tuple[str, str]]:
    return [(each.rule, each.kind.value) for each in warnings_about(*lines)]


def rule(match: str, allow: str = "user", **more: str) -> str:
    words = "".join(f", {key}: {value}" for key, value in more.items())
    return f"match: {{{match}}}, allow: {allow}{words}"


EVERYTHING = rule("paths: /**")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("paths: /**", "paths: /a"),
        ("paths: /a/**", "paths: [/a, /a/b]"),
        ("paths: [/a/**, /b/*]", "paths: [/b/x, /a/x]"),
        ("paths: '/a/{id}'", "paths: '/a/*'"),
        ("paths: /a", "paths: /a, hosts: x.com"),
        ("paths: /a, hosts: '*.x.com'", "paths: /a, hosts: [a.x.com, '*.b.x.com']"),
        ("paths: /a", "paths: /a, methods: GET"),
        ("paths: /a, methods: [GET, PUT]", "paths: /a, methods: PUT"),
        ("paths: /a", "paths: /a, context: {exposure: public}"),
        (
            "paths: /a, context: {team: [red, blue]}",
            "paths: /a, context: {team: blue, exposure: internal}",
        ),
        ("paths: /a", "paths: /a, headers: x-a"),
        ("paths: /a, headers: x-a", "paths: /a, headers: [x-b, x-a]"),
    ],
)
def test_a_rule_all_of_whose_requests_are_taken_is_unreachable(earlier: str, later: str) -> None:
    assert suspicions(rule(earlier), rule(later)) == [("r1", "unreachable")]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("paths: /a", "paths: /**"),
        ("paths: /a/*", "paths: /a/**"),
        ("paths: /a, hosts: x.com", "paths: /a"),
        ("paths: /a, hosts: '*.x.com'", "paths: /a, hosts: x.com"),
        ("paths: /a, methods: GET", "paths: /a"),
        ("paths: /a, context: {team: red}", "paths: /a"),
        ("paths: /a, context: {team: red}", "paths: /a, context: {team: [red, blue]}"),
        ("paths: /a, context: {team: red}", "paths: /a, context: {exposure: public}"),
        ("paths: /a, headers: x-a", "paths: /a"),
        ("paths: /a, headers: [x-a, x-b]", "paths: /a, headers: x-a"),
    ],
)
def test_a_rule_of_whose_requests_no_whole_part_is_taken_is_not_suspicious(
    earlier: str, later: str
) -> None:
    assert not suspicions(rule(earlier), rule(later))


def test_two_rules_that_together_take_everything_leave_it_reachable() -> None:
    """
    One rule must take it all; what several take is told part by part.
    """
    found = suspicions(rule("paths: /a"), rule("paths: /b"), rule("paths: [/a, /b]"))

    assert found == [("r2", "shadowed"), ("r2", "shadowed")]


def test_a_rule_that_admits_nobody_is_as_unreachable_as_any() -> None:
    assert suspicions(EVERYTHING, rule("paths: /a", "[]")) == [("r1", "unreachable")]


def test_shadow_rules_take_nothing() -> None:
    assert not suspicions(rule("paths: /**", shadow="true"), rule("paths: /a"))


def test_a_shadow_rule_that_is_never_asked_is_unreachable() -> None:
    assert suspicions(EVERYTHING, rule("paths: /a", shadow="true")) == [("r1", "unreachable")]


def test_a_rule_that_is_never_asked_takes_nothing() -> None:
    """
    Whatever it would take is taken by the rule before it.
    """
    found = warnings_about(EVERYTHING, rule("paths: /a/**"), rule("paths: /a"))

    assert ["r0" in each.message for each in found] == [True, True]


@pytest.mark.parametrize(
    ("earlier", "later", "what"),
    [
        ("paths: /a", "paths: [/a, /b]", "the path /a"),
        ("paths: ['/{x}']", "paths: [/a, /b, /c/d]", "the paths /a, /b"),
        ("methods: GET, paths: /a", "methods: [GET, PUT], paths: /a", "the method GET"),
        ("hosts: x.com, paths: /a", "hosts: [y.org, x.com], paths: /a", "the host x.com"),
        (
            "methods: GET, paths: /a",
            "methods: [GET, PUT], paths: [/a, /b]",
            "the method GET with the path /a",
        ),
    ],
)
def test_a_rule_of_which_a_part_is_taken_is_shadowed(earlier: str, later: str, what: str) -> None:
    assert [
        LintWarning(
            1, "r1", Suspicion.SHADOWED, f"r1 is never asked about {what}: r0, before it, is"
        )
    ] == warnings_about(rule(earlier), rule(later))


def test_what_was_taken_already_is_not_told_again() -> None:
    found = suspicions(
        rule("paths: /a, methods: GET"),
        rule("paths: /a"),
        rule("paths: [/a, /b], methods: [GET]"),
    )

    assert found == [("r2", "shadowed")]


@pytest.mark.parametrize(
    ("earlier", "later", "where"),
    [
        ("paths: ['/{tenant}/public']", "paths: /admin/**", "/{tenant}/public meets /admin/**"),
        ("paths: '/*/x'", "paths: [/a/*, /b/*]", "/*/x meets /a/*, /*/x meets /b/*"),
        ("paths: /a/**, methods: GET", "paths: /a/b", "/a/** meets /a/b"),
        ("paths: /a, methods: GET", "paths: /a, hosts: x.com", "/a meets /a"),
        ("paths: /a, hosts: a.x.com", "paths: /a, context: {team: red}", "/a meets /a"),
        ("paths: /a, headers: x-a", "paths: /a, headers: x-b", "/a meets /a"),
        ("paths: /a, hosts: '*.a.x.com'", "paths: /a, headers: x-a, hosts: '*.x.com'", "/a meets"),
    ],
)
def test_what_anybody_is_let_in_to_is_not_protected_below(
    earlier: str, later: str, where: str
) -> None:
    (found,) = warnings_about(rule(earlier, "anonymous"), rule(later))

    assert found.kind is Suspicion.PUBLIC_ABOVE
    assert f"r0, before it, lets anybody in where {where}" in found.message


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        # They never meet.
        ("paths: '/*/x'", "paths: /a/y"),
        ("paths: '/*/x', methods: GET", "paths: /a/**, methods: PUT"),
        ("paths: '/*/x', hosts: x.com", "paths: /a/**, hosts: ['*.x.com', y.org]"),
        ("paths: '/*/x', context: {team: red}", "paths: /a/**, context: {team: blue}"),
        # They are exceptions.
        ("paths: /healthz", "paths: /**"),
        ("paths: /healthz", "paths: /**, context: {exposure: public}"),
        ("paths: /docs/public/**", "paths: /docs/**"),
        ("paths: /docs/**, methods: GET", "paths: /docs/**"),
        ("paths: /docs/**, hosts: a.x.com", "paths: /docs/**, hosts: '*.x.com'"),
        ("paths: /docs/**, context: {team: red}", "paths: /docs/**"),
        ("paths: /docs/**, headers: x-a", "paths: /docs/**"),
    ],
)
def test_exceptions_and_strangers_open_nothing(earlier: str, later: str) -> None:
    assert not suspicions(rule(earlier, "anonymous"), rule(later))


@pytest.mark.parametrize(
    ("opener", "protector", "is_suspicious"),
    [
        ("anonymous", "user", True),
        ("anonymous", "service", True),
        ("anonymous", "[]", True),
        ("anonymous", "[user, anonymous]", False),
        ("anonymous", "anonymous", False),
        ("[user, anonymous]", "user", True),
        ("user", "user", False),
        ("[]", "user", False),
    ],
)
def test_only_rules_that_ignore_credentials_open_and_only_those_that_do_not_protect(
    opener: str, protector: str, *, is_suspicious: bool
) -> None:
    found = suspicions(rule("paths: '/*/x'", opener), rule("paths: /a/**", protector))

    assert ([("r1", "public-above")] if is_suspicious else []) == found


def test_a_shadow_rule_protects_nothing() -> None:
    assert not suspicions(rule("paths: '/*/x'", "anonymous"), rule("paths: /a/**", shadow="true"))


def test_a_part_that_anybody_is_let_in_to_is_named_once() -> None:
    assert [
        LintWarning(
            1,
            "r1",
            Suspicion.PUBLIC_ABOVE,
            "r1 protects the path /a/x in vain: r0, before it, lets anybody in",
        )
    ] == warnings_about(rule("paths: '/*/x'", "anonymous"), rule("paths: [/a/x, /b/**]"))


def test_a_rule_all_of_which_anybody_is_let_in_to_is_unreachable_and_nothing_else() -> None:
    assert [
        LintWarning(
            1,
            "r1",
            Suspicion.UNREACHABLE,
            "r1 is never asked: r0, before it, takes all its requests, and lets anybody in",
        )
    ] == warnings_about(rule("paths: /a/**", "anonymous"), rule("paths: /a/b"))


def test_long_lists_are_cut() -> None:
    paths = ", ".join(f"/a/{number}" for number in range(MAX_NAMED + 2))

    (found,) = warnings_about(rule("paths: '/a/*'"), rule(f"paths: [{paths}, /b]"))

    assert "/a/4 and 2 more: r0" in found.message


def test_not_everybody_who_opens_is_named() -> None:
    openers = [rule(f"paths: '/*/x{number}'", "anonymous") for number in range(MAX_NAMED + 2)]

    found = suspicions(*openers, rule("paths: /a/**"))

    assert [(f"r{MAX_NAMED + 2}", "public-above")] * MAX_NAMED == found


def test_there_is_an_end_to_it() -> None:
    found = lint(
        RulePolicy(
            [Rule(name=f"r{number}") for number in range(MAX_WARNINGS + 2)], default=DEFAULT
        )
    )

    assert len(found) == MAX_WARNINGS


def test_warnings_come_in_the_order_of_the_rules() -> None:
    found = warnings_about(
        rule("paths: '/*/x'", "anonymous"),
        rule("paths: /a/**"),
        rule("paths: /a/b"),
        rule("paths: [/a/c, /d]"),
    )

    assert [each.index for each in found] == [1, 2, 3]


def test_the_key_of_the_context_with_most_values_tells_most_rules_apart() -> None:
    def about(**context: str) -> Rule:
        values = {key: frozenset(value.split()) for key, value in context.items()}
        return Rule(name="r", selector=Selector(context=values))

    assert telling_context_key([about(a="1"), about(b="1 2"), about(c="1")]) == "b"
    assert not telling_context_key([about()])


def fits(selector: Selector, asked: HttpRequest) -> bool:
    return not mismatches(selector, asked, canonical_host(asked.host) or "")


@given(selectors, selectors, requests)
def test_what_is_taken_fits_the_taker(
    taker: Selector, other: Selector, asked: HttpRequest
) -> None:
    part = portion(taker, other)
    if part is None:
        return
    taken = Selector(
        hosts=part.hosts,
        methods=part.methods,
        paths=part.paths,
        context=other.context,
        headers=other.headers,
    )

    assert not fits(taken, asked) or (fits(taker, asked) and fits(other, asked))


@given(rules, st.lists(requests, min_size=1, max_size=20))
def test_an_unreachable_rule_never_decides(
    every: tuple[Rule, ...], asked: list[HttpRequest]
) -> None:
    policy = RulePolicy(every, default=DEFAULT)
    found = [policy.match(each) for each in asked]
    asked_rules = {
        match.rule.name
        for each in found
        if isinstance(each, Match)
        for match in (each, *each.shadows)
    }
    unreachable = {each.rule for each in lint(policy) if each.kind is Suspicion.UNREACHABLE}

    assert unreachable.isdisjoint(asked_rules)


@given(rules)
def test_nothing_is_missed_for_the_sake_of_speed(every: tuple[Rule, ...]) -> None:
    """
    The same as comparing every rule with every one before it.
    """
    expected = set()
    for index, each in enumerate(every):
        takers = [one.selector for one in every[:index] if not one.is_shadow]
        parts = [portion(taker, each.selector) for taker in takers]
        if any(part is not None and part.is_all for part in parts):
            expected.add((each.name, Suspicion.UNREACHABLE))
        elif any(parts):
            expected.add((each.name, Suspicion.SHADOWED))
    # Whatever is public says so instead.
    guarded = [replace(each, anonymous=False) for each in every]
    found = lint(RulePolicy(guarded, default=DEFAULT))

    assert {(each.rule, each.kind) for each in found} == expected


@given(selectors, selectors, st.sampled_from(["", "team", "exposure"]))
def test_whatever_takes_or_opens_something_is_near(
    earlier: Selector, later: Selector, key: str
) -> None:
    covers, meets = CoverIndex(key), MeetIndex(key)
    covers.add(earlier, 7)
    meets.add(earlier, 7)

    assert portion(earlier, later) is None or covers.near(later) == {7}
    assert not accidental_meetings(earlier, later) or meets.near(later) == {7}


@pytest.mark.parametrize(
    ("own", "other", "covers", "meets_beside"),
    [
        ("/a", "/a", True, True),
        ("/a/**", "/a/**", True, True),
        ("/*/**", "/*/**", True, True),
        ("/**", "/a/b", True, True),
        ("/a/*", "/a/b", True, True),
        ("/*/b", "/a/*", False, True),
        ("/*/b", "/a/**", False, True),
        ("/*/b/**", "/a/**", False, True),
        ("/*/b/c", "/a/**", False, True),
        ("/a/**", "/a", True, True),
        ("/a/**", "/a/*", True, True),
        ("/a", "/b", False, False),
        ("/a", "/a/b", False, False),
        ("/a/b", "/a", False, False),
        # Within the other.
        ("/a", "/*", False, False),
        ("/a", "/a/**", False, False),
        ("/a/b", "/a/**", False, False),
        ("/a/b/**", "/a/**", False, False),
        ("/a/**", "/*/**", False, False),
        ("/a/**", "/**", False, False),
    ],
)
def test_which_path_covers_another_and_which_meets_it_without_being_within(
    own: str, other: str, *, covers: bool, meets_beside: bool
) -> None:
    index = PathIndex()
    index.add(PathTemplate.parse(own), 7)
    asked = PathTemplate.parse(other)

    assert list(index.covering(asked)) == ([7] if covers else [])
    assert list(index.meeting(asked)) == ([7] if meets_beside else [])


@given(templates, templates)
def test_the_index_of_paths_knows_what_covers_and_what_meets(
    own: PathTemplate, other: PathTemplate
) -> None:
    index = PathIndex()
    index.add(own, 7)
    is_within = other.covers(own) and not own.covers(other)

    assert own.covers(other) == (list(index.covering(other)) == [7])
    assert (own.meets(other) and not is_within) == (list(index.meeting(other)) == [7])


def merged(own: PathTemplate, other: PathTemplate) -> str:
    """Return a path that fits both templates, which meet."""
    length = max(len(own.segments), len(other.segments))

    def padded(segments: Iterable[str | None]) -> list[str | None]:
        known = list(segments)
        return known + [None] * (length - len(known))

    pairs = zip(padded(own.segments), padded(other.segments), strict=True)
    return "/" + "/".join(mine or theirs or "z" for mine, theirs in pairs)


@given(selectors, selectors)
def test_where_two_rules_meet_there_is_a_path_that_fits_both(
    earlier: Selector, later: Selector
) -> None:
    for own, other in accidental_meetings(earlier, later):
        path = merged(own, other)

        assert own.matches(path)
        assert other.matches(path)


def test_rules_of_the_same_words_are_told_apart_by_their_place() -> None:
    same = [Rule(name=name, users=(ANY_USER,)) for name in "ab"]

    assert [each.index for each in lint(RulePolicy(same, default=DEFAULT))] == [1]
