"""Which rule of a file decides a request."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from tokens import request
from wicketgate.core.policy.host import HostPattern, canonical_host
from wicketgate.core.policy.rule import Exposure, Match, Refusal, Rule, Selector
from wicketgate.core.policy.rules import RulePolicy, fits_beside_path
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous

DEFAULT = Rule(name="default")
EVERYTHING = Rule(name="everything")


def selecting(
    *,
    hosts: str = "",
    methods: str = "",
    paths: str = "/**",
    headers: str = "",
    **context: str,
) -> Selector:
    """Return a selector, each part of it a list of words."""
    return Selector(
        hosts=tuple(map(HostPattern.parse, hosts.split())),
        methods=tuple(methods.split()),
        paths=tuple(map(PathTemplate.parse, paths.split())),
        context={key: frozenset(values.split()) for key, values in context.items()},
        headers=tuple(headers.split()),
    )


def rule(name: str = "r", *, is_shadow: bool = False, selector: Selector | None = None) -> Rule:
    return Rule(name=name, selector=selector or selecting(), is_shadow=is_shadow)


def policy(*rules: Rule, any_target_hosts: str = "") -> RulePolicy:
    patterns = tuple(map(HostPattern.parse, any_target_hosts.split()))
    return RulePolicy(rules, default=DEFAULT, any_target_hosts=patterns)


def decided_by(asked: HttpRequest, *rules: Rule) -> str:
    """Return the name of the rule that decides."""
    found = policy(*rules).match(asked)
    assert isinstance(found, Match)
    return found.rule.name


@pytest.mark.parametrize("exposure", Exposure)
def test_without_rules_the_default_decides(exposure: Exposure) -> None:
    asked = request(context={"exposure": exposure})

    assert Match(DEFAULT, exposure) == policy().match(asked)


@pytest.mark.parametrize("exposure", Exposure)
def test_the_rule_that_fits_decides_and_its_template_is_known(exposure: Exposure) -> None:
    fitting = rule(selector=selecting(paths="/b /orgs/{org_id} /orgs/**"))
    asked = request(target="/orgs/org_1?x", context={"exposure": exposure})

    assert Match(fitting, exposure, PathTemplate.parse("/orgs/{org_id}")) == (
        policy(fitting).match(asked)
    )


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (selecting(), True),
        (selecting(hosts="api.example.com"), True),
        (selecting(hosts="*.example.com"), True),
        (selecting(hosts="a.example b.example api.example.com"), True),
        (selecting(hosts="example.com"), False),
        (selecting(hosts="apixexample.com"), False),
        (selecting(hosts="*.api.example.com"), False),
        (selecting(methods="POST"), True),
        (selecting(methods="GET POST"), True),
        (selecting(methods="GET"), False),
        (selecting(methods="POS"), False),
        (selecting(methods="OST"), False),
        (selecting(methods="POST-X"), False),
        (selecting(paths="/orgs/org_1"), True),
        (selecting(paths="/a /orgs/*"), True),
        (selecting(paths="/orgs"), False),
        (selecting(paths="/org_1"), False),
        (selecting(paths="/orgs/*/**"), True),
        (selecting(paths="/orgs/*/*"), False),
        (selecting(tier="gold"), True),
        (selecting(tier="silver gold"), True),
        (selecting(tier="silver"), False),
        (selecting(team="gold"), False),
        (selecting(tier="gold", team="billing"), False),
        (selecting(headers="x-debug"), True),
        (selecting(headers="x-debug x-trace"), True),
        (selecting(headers="x-debug x-other"), False),
        (selecting(hosts="api.example.com", methods="POST", paths="/orgs/**", tier="gold"), True),
        (selecting(hosts="api.example.com", methods="GET", paths="/orgs/**", tier="gold"), False),
    ],
)
def test_every_part_of_a_selector_has_to_fit(selector: Selector, *, fits: bool) -> None:
    asked = request(
        method="POST",
        host="API.example.com:8443",
        target="/orgs/org_1",
        headers={"x-debug": "", "x-trace": "1"},
        context={"tier": "gold"},
    )

    assert ("r" if fits else "default") == decided_by(asked, rule(selector=selector))


@pytest.mark.parametrize("method", ["get", "Get", "dELETE", "", "\n\n"])
def test_a_method_that_some_raise_to_another_is_refused(method: str) -> None:
    assert Refusal(Reason.AMBIGUOUS_METHOD) == policy(rule()).match(request(method=method))


@pytest.mark.parametrize("method", ["GET ", " GET", "G|ET", "GET|POST", "G.T", "M-SEARCH"])
def test_methods_are_compared_as_they_are(method: str) -> None:
    selective = rule(selector=selecting(methods="GET POST"))

    assert decided_by(request(method=method), selective, rule("next")) == "next"


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        rule("items", selector=selecting(paths="/orgs/*/items")),
        rule("orgs", selector=selecting(paths="/orgs/**")),
        rule("items again", selector=selecting(paths="/orgs/*/items")),
    ]

    assert decided_by(request(target="/orgs/1/items"), *rules) == "items"
    assert decided_by(request(target="/orgs/1/items"), *reversed(rules)) == "items again"
    assert decided_by(request(target="/orgs/1"), *rules) == "orgs"
    assert decided_by(request(target="/users"), *rules) == "default"


def test_a_rule_whose_context_does_not_fit_lets_the_next_one_decide() -> None:
    rules = [
        rule("silver", selector=selecting(tier="silver")),
        rule("debug", selector=selecting(headers="x-debug")),
        rule("gold", selector=selecting(tier="gold")),
    ]

    assert decided_by(request(context={"tier": "gold"}), *rules) == "gold"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({}, "public"),
        ({"exposure": "public"}, "public"),
        ({"exposure": "internal"}, "default"),
    ],
)
def test_a_route_that_does_not_say_who_reaches_it_is_public(
    context: dict[str, str], expected: str
) -> None:
    """
    Also to a rule about public routes, which may be one that denies.
    """
    selector = Selector(context={"exposure": frozenset({"public"})})
    policy = RulePolicy([Rule(name="public", selector=selector)], default=Rule(name="default"))
    found = policy.match(request(context=context))

    assert isinstance(found, Match)
    assert expected == found.rule.name


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/@admin/**", "/%40admin/x"),
        ("/v1/x:delete", "/v1/x%3Adelete"),
        ("/v1/x:delete", "/v1/x%3adelete"),
        ("/caf%C3%A9", "/caf%c3%A9"),
        ("/a%2Bb", "/a+b"),
    ],
)
def test_no_other_spelling_walks_past_a_rule(template: str, path: str) -> None:
    selector = Selector(paths=(PathTemplate.parse(template),))
    policy = RulePolicy([Rule(name="r", selector=selector)], default=Rule(name="default"))
    found = policy.match(request(target=path))

    assert isinstance(found, Match)
    assert found.rule.name == "r"


def test_a_request_without_a_host_fits_only_rules_that_name_none() -> None:
    rules = [rule("named", selector=selecting(hosts="*.example.com")), rule("any")]

    assert decided_by(request(host=""), *rules) == "any"


@pytest.mark.parametrize(
    "host",
    [
        *("api.example.com\n", "api.example.com\nx", "api example.com", " api.example.com", "a b"),
        *("user@api.example.com", "api.example.com:", "api.example.com:x", "api..example.com"),
        *("*.example.com", "\udcff", "\u212a", "api.example.com/", "[::1", "-", "."),
        *("[:::]", "[1:2]"),
    ],
)
def test_a_host_that_readers_could_take_for_two_is_refused(host: str) -> None:
    """
    Whatever the rules say, and also where any target is judged.
    """
    expected = Refusal(Reason.AMBIGUOUS_HOST)

    assert expected == policy(rule(), any_target_hosts="*.example.com").match(request(host=host))
    assert expected == policy().match(request(host=host))


@pytest.mark.parametrize("host", ["API.Example.COM", "api.example.com.", "api.example.com.:80"])
def test_a_host_in_another_spelling_is_the_same_host(host: str) -> None:
    selective = rule(selector=selecting(hosts="api.example.com"))

    assert decided_by(request(host=host), selective) == "r"


@pytest.mark.parametrize(
    "method", ["GET\n", "\nGET", "GET\nAPI.EXAMPLE.COM\n/PUBLIC", "GET\nA", "\n\nGET"]
)
@pytest.mark.parametrize("target", ["/", "/public", "/public/x"])
def test_a_method_with_a_line_feed_fits_no_rule(method: str, target: str) -> None:
    """
    It cannot stand in for a host and a path: the default decides.
    """
    rules = [
        rule("get", selector=selecting(methods="GET", paths="/public/**")),
        rule("host", selector=selecting(hosts="api.example.com", paths="/public/**")),
        rule("everything"),
    ]

    assert decided_by(request(method=method, target=target), *rules) == "default"


@pytest.mark.parametrize("target", ["//a", "/a/../b", "/%61", "*", "", "/a\n", "/\udcff"])
def test_an_ambiguous_target_is_refused_before_any_rule(target: str) -> None:
    expected = Refusal(Reason.AMBIGUOUS_PATH)

    assert expected == policy(rule()).match(request(target=target))
    assert expected == policy(rule(), any_target_hosts="*.example.com a.example").match(
        request(target=target, host="example.com")
    )


def test_hosts_for_any_target_are_told_by_the_host_alone() -> None:
    found = policy(any_target_hosts="*.com").match(request(target="//a", host="a.org"))

    assert Refusal(Reason.AMBIGUOUS_PATH) == found


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/files/a%2fb", "files"),
        ("/files/../b", "rest"),
        ("/files//b", "rest"),
        ("//files/a", "rest"),
        ("/files/\udcff", "files"),
        ("/files/caf\u00e9", "files"),
        ("/files/a", "everywhere"),
        ("*", None),
        ("", None),
    ],
)
def test_where_any_target_is_judged_it_is_judged_as_it_is(
    target: str, expected: str | None
) -> None:
    """
    By rules about such hosts alone: the host is the client's to choose.
    """
    rules = [
        rule("everywhere", selector=selecting(paths="/files/**")),
        rule("files", selector=selecting(hosts="api.example.com", paths="/files/*")),
        rule("more", selector=selecting(hosts="api.example.com example.org")),
        rule("rest", selector=selecting(hosts="*.example.com")),
    ]
    found = policy(*rules, any_target_hosts="*.example.com").match(request(target=target))

    if expected is None:
        assert Refusal(Reason.AMBIGUOUS_PATH) == found
    else:
        assert isinstance(found, Match)
        assert expected == found.rule.name


@pytest.mark.parametrize("word", ["", "Public", "private", "\udcff"])
def test_an_exposure_that_is_not_understood_is_told_to_the_operator(word: str) -> None:
    detail = f"context_extensions.exposure is {word!r}; expected one of public, internal"
    found = policy(rule()).match(request(context={"exposure": word}, host="a b", target="//"))

    assert Refusal(Reason.ROUTE_MISCONFIGURED, detail=detail) == found


def test_other_words_of_the_context_are_the_operator_s_own() -> None:
    assert decided_by(request(context={"policy": "x", "team": "billing"}), rule()) == "r"


def test_shadow_rules_are_collected_on_the_way_and_never_decide() -> None:
    before = rule("before", is_shadow=True, selector=selecting(paths="/a/{x} /a/** /**"))
    elsewhere = rule("elsewhere", is_shadow=True, selector=selecting(paths="/b"))
    deciding = rule("deciding", selector=selecting(paths="/a/**"))
    after = rule("after", is_shadow=True)

    found = policy(before, elsewhere, deciding, after).match(request(target="/a/1"))

    assert (
        Match(
            deciding,
            Exposure.PUBLIC,
            PathTemplate.parse("/a/**"),
            shadows=(Match(before, Exposure.PUBLIC, PathTemplate.parse("/a/{x}")),),
        )
        == found
    )


def test_shadow_rules_that_fit_are_collected_for_the_default_as_well() -> None:
    shadows = [rule("one", is_shadow=True), rule("two", is_shadow=True)]
    found = policy(*shadows).match(request(context={"exposure": "internal"}))

    assert isinstance(found, Match)
    assert (found.rule, found.exposure) == (DEFAULT, Exposure.INTERNAL)
    assert [(each.rule.name, each.exposure) for each in found.shadows] == [
        ("one", Exposure.INTERNAL),
        ("two", Exposure.INTERNAL),
    ]


class Exhausted:
    """A set that ran out of memory: it fits nothing, not even what fits everything."""

    def Match(self, _: bytes) -> None:  # noqa: N802 - RE2's own name
        """Fit nothing."""


def test_a_set_that_ran_out_of_memory_lets_nobody_in() -> None:
    """
    The default could let users in, and a rule further up may have been one that denies.
    """
    found = policy(rule())
    found._set = Exhausted()  # noqa: SLF001 - no request is known that does it

    assert Refusal(Reason.INTERNAL_ERROR, detail="the rules could not be matched") == found.match(
        request()
    )


def test_more_than_can_be_compiled_is_refused_before_it_is_tried() -> None:
    long = Selector(
        hosts=(HostPattern.parse("a" * 250),) * 300, paths=(PathTemplate.parse("/a"),) * 300
    )

    with pytest.raises(re2.error, match="too many"):
        policy(rule(selector=long))


def test_a_thousand_rules_are_told_apart() -> None:
    many = policy(
        *(rule(f"r{n}", selector=selecting(paths=f"/v1/r{n}/{{id}}/**")) for n in range(1000))
    )
    found = [many.match(request(target=f"/v1/r{n}/7/x")).rule for n in range(1000)]

    assert [f"r{n}" for n in range(1000)] == [each.name for each in found if each]


# Properties ---------------------------------------------------------------------------


def naive(
    rules: Iterable[Rule], asked: HttpRequest, any_target_hosts: Iterable[HostPattern]
) -> Match | Refusal:
    """Find the rule by asking each in turn."""
    exposure = Exposure(asked.context.get("exposure", "public"))
    host = canonical_host(asked.host)
    if host is None:
        return Refusal(Reason.AMBIGUOUS_HOST)
    if not asked.method.isupper():
        return Refusal(Reason.AMBIGUOUS_METHOD)
    is_doubtful = is_ambiguous(asked.path)
    wide = list(any_target_hosts)
    if is_doubtful and not any(each.matches(host) for each in wide):
        return Refusal(Reason.AMBIGUOUS_PATH)
    shadows: list[Match] = []
    for each in rules:
        selector = each.selector
        named = [any(known.covers(name) for known in wide) for name in selector.hosts]
        if is_doubtful and (not named or not all(named)):
            continue
        fitting = [path for path in selector.paths if path.matches(asked.path)]
        if (
            fitting
            and (not selector.methods or asked.method in selector.methods)
            and (not selector.hosts or any(known.matches(host) for known in selector.hosts))
            and fits_beside_path(selector, asked)
        ):
            found = Match(each, exposure, fitting[0])
            if not each.is_shadow:
                return replace(found, shadows=tuple(shadows))
            shadows.append(found)
    if is_doubtful:
        return Refusal(Reason.AMBIGUOUS_PATH)
    return Match(DEFAULT, exposure, shadows=tuple(shadows))


PATTERNS = st.sampled_from(["a.example", "b.example", "*.example", "*.a.example", "[::1]"]).map(
    HostPattern.parse
)
TEMPLATES = st.sampled_from(
    [
        *("/", "/**", "/a", "/a/", "/a/**", "/*", "/*/**", "/a/*", "/a/{x}", "/{x}/b", "/{x}/{y}"),
        *("/a/b", "/a.b", "/a%20b", "/+", "/(a)", "/a/*/**", "/[a]", "/$"),
    ]
).map(PathTemplate.parse)
SELECTORS = st.builds(
    Selector,
    hosts=st.lists(PATTERNS, max_size=2).map(tuple),
    methods=st.lists(st.sampled_from(["GET", "POST", "M-SEARCH"]), max_size=2).map(tuple),
    paths=st.lists(TEMPLATES, min_size=1, max_size=3).map(tuple),
    context=st.dictionaries(
        st.sampled_from(["tier", "team"]), st.frozensets(st.sampled_from("xy")), max_size=1
    ),
    headers=st.sampled_from([(), ("x-a",), ("x-a", "x-b")]),
)
RULES = st.lists(st.tuples(SELECTORS, st.booleans()), max_size=6).map(
    lambda drawn: [
        Rule(name=f"r{place}", selector=selector, is_shadow=is_shadow)
        for place, (selector, is_shadow) in enumerate(drawn)
    ]
)
SEGMENTS = st.sampled_from(
    [*("a", "b", "a.b", "a%20b", "+", "(a)", "[a]", "$", "", "..", "axb", "%2f", "\u00e9", "aa")]
)
LINE = st.text(st.characters(exclude_characters="\n"), max_size=5)
REQUESTS = st.builds(
    HttpRequest,
    method=st.sampled_from(["GET", "POST", "M-SEARCH", "get", "", "MXSEARCH"]) | LINE,
    host=st.sampled_from(
        ["", "a.example", "A.example:80", "b.example.", "c.a.example", "example", "[::1]", "a b"]
    ),
    target=st.lists(SEGMENTS, max_size=4).map("/".join).map("/{}".format)
    | LINE
    | LINE.map("/a/{}?x".format),
    headers=st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.just("")),
    context=st.fixed_dictionaries(
        {},
        optional={
            "exposure": st.sampled_from(Exposure),
            "tier": st.sampled_from("xyz"),
            "team": st.sampled_from("xyz"),
        },
    ),
)


@given(RULES, st.lists(PATTERNS, max_size=1), REQUESTS)
@example([rule(), rule(is_shadow=True)], [HostPattern("a.example")], request(target="/\x00\udcff"))
def test_the_set_finds_the_rule_that_asking_each_in_turn_finds(
    rules: list[Rule], any_target_hosts: list[HostPattern], asked: HttpRequest
) -> None:
    found = RulePolicy(rules, default=DEFAULT, any_target_hosts=any_target_hosts).match(asked)

    assert naive(rules, asked, any_target_hosts) == found


@given(RULES, REQUESTS)
def test_shadow_rules_change_nothing_but_what_is_collected(
    rules: list[Rule], asked: HttpRequest
) -> None:
    found = policy(*rules).match(asked)
    without = policy(*(each for each in rules if not each.is_shadow)).match(asked)

    assert without == (replace(found, shadows=()) if isinstance(found, Match) else found)


ANY_TEXT = st.text(st.characters())


@given(
    RULES,
    st.builds(
        HttpRequest,
        method=ANY_TEXT,
        host=ANY_TEXT,
        target=ANY_TEXT | ANY_TEXT.map("/{}".format),
        headers=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2),
        context=st.dictionaries(st.sampled_from(["exposure", "tier"]) | ANY_TEXT, ANY_TEXT),
    ),
)
def test_any_request_is_matched_or_refused(rules: list[Rule], asked: HttpRequest) -> None:
    found = policy(*rules, any_target_hosts="a.example").match(asked)

    assert isinstance(found, Match) or found.reason in {
        Reason.ROUTE_MISCONFIGURED,
        Reason.AMBIGUOUS_HOST,
        Reason.AMBIGUOUS_METHOD,
        Reason.AMBIGUOUS_PATH,
    }
