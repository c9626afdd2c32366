"""From a policy file to what it means, or to every mistake in it and where each is."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wicketgate.core.policy.condition import compile_condition
from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.parse import (
    DEFAULT_RULE,
    MAX_MISTAKES,
    Defaults,
    PolicyError,
    parse_cases,
    parse_policy,
)
from wicketgate.core.policy.reading import MAX_MESSAGE
from wicketgate.core.policy.rule import (
    ClaimHeader,
    Credentials,
    Rule,
    Selector,
    ServiceTerms,
    UserTerms,
)
from wicketgate.core.policy.template import PathTemplate

BASE = """\
version: 1
rules:
  - name: a
    allow: user
"""
EVERYTHING = """\
# A policy that says all that can be said.
version: 1
default: user
any_targets: legacy.example.com
rules:
  - name: pages
    description: Anybody may read them.
    match:
      hosts: [api.example.com, '*.example.org']
      methods: [GET, HEAD]
      paths: ['/orgs/{org}/pages/**', '/{org}']
      context: {exposure: internal, tier: [gold, "1"]}
      headers: [x-debug, x-trace]
    allow: [anonymous, user, service]
    when: &same path.org == user.org_id || claims.plan == 'pro'
    headers:
      x-org: org_id
      x-plan: claims.plan
    credentials: strip
  - name: admin
    allow:
      - user:
          org_id: [org_1, org_2]
          org_role: admin
          org_permission: [org:invoices:read, invoices:write]
          session_age: 10m
          second_factor_age: 30s
          actor: deny
          pending: allow
      - user: {org_id: org_3, actor: allow, pending: deny}
      - service: {name: billing, scope: [read, write]}
      - service:
    shadow: true
  - {name: nobody, match: {paths: /**}, allow: [], credentials: forward}
tests:
  - name: somebody
    request: {path: /a, method: PUT, host: b, context: {exposure: c}, headers: {d: e}, source: f}
    as: {claims: {sub: user_1}}
    expect: {decision: allow, rule: pages, status: 200, headers: {x-org: , x-plan: pro}}
  - {name: nobody, request: {path: /}, as: {service: {name: a, scopes: b}}, expect: deny}
"""
ANYTHING = PathTemplate.parse("/**")
CONDITION = compile_condition("path.org == user.org_id || claims.plan == 'pro'")


def mistakes(text: str, defaults: Defaults | None = None) -> list[tuple[str, str]]:
    """Return where the mistakes in `text` are, and what they are."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, defaults or Defaults())
    return [(str(each.position), each.message) for each in caught.value.mistakes]


# --- what a policy means -----------------------------------------------------


def test_a_rule_means_what_it_says() -> None:
    pages, admin, nobody = parse_policy(EVERYTHING).policy.rules

    assert pages == Rule(
        name="pages",
        selector=Selector(
            hosts=(HostPattern("api.example.com"), HostPattern("*.example.org")),
            methods=("GET", "HEAD"),
            paths=(PathTemplate.parse("/orgs/{org}/pages/**"), PathTemplate.parse("/{org}")),
            context={"exposure": frozenset({"internal"}), "tier": frozenset({"gold", "1"})},
            headers=("x-debug", "x-trace"),
        ),
        anonymous=True,
        users=(UserTerms(pending=False),),
        services=(ServiceTerms(),),
        condition=CONDITION,
        headers=(ClaimHeader("x-org", "org_id"), ClaimHeader("x-plan", "claims.plan")),
        removed_headers=("x_org", "x_plan"),
        credentials=Credentials.STRIP,
    )
    assert admin == Rule(
        name="admin",
        users=(
            UserTerms(
                org_ids=frozenset({"org_1", "org_2"}),
                org_roles=frozenset({"org:admin"}),
                org_permissions=frozenset({"org:invoices:read", "org:invoices:write"}),
                session_age=600,
                second_factor_age=30,
                actor=False,
                pending=True,
            ),
            UserTerms(org_ids=frozenset({"org_3"}), actor=True, pending=False),
        ),
        services=(
            ServiceTerms(names=frozenset({"billing"}), scopes=frozenset({"read", "write"})),
            ServiceTerms(),
        ),
        removed_headers=("x-org", "x-plan", "x_org", "x_plan"),
        is_shadow=True,
    )
    assert nobody == Rule(
        name="nobody",
        selector=Selector(paths=(ANYTHING,)),
        removed_headers=("x-org", "x-plan", "x_org", "x_plan"),
        credentials=Credentials.FORWARD,
    )


def test_headers_of_a_shadow_rule_are_nobody_s_business() -> None:
    text = """
    version: 1
    default: user
    rules:
      - { name: s, shadow: true, allow: user, headers: { x-org: org_id } }
      - { name: r, allow: user }
    """
    policy = parse_policy(text).policy

    assert [policy.rules[1].removed_headers, policy.default.removed_headers] == [()] * 2


def test_the_default_lets_users_in_who_sent_no_header_of_a_rule() -> None:
    assert parse_policy(EVERYTHING).policy.default == Rule(
        name=DEFAULT_RULE,
        users=(UserTerms(pending=False),),
        removed_headers=("x-org", "x-plan", "x_org", "x_plan"),
    )


def test_the_default_is_nobody_when_nothing_is_said() -> None:
    assert parse_policy(BASE).policy.default == Rule(name=DEFAULT_RULE)


@pytest.mark.parametrize("actor", [False, True])
@pytest.mark.parametrize("pending", [False, True])
def test_what_a_rule_does_not_say_about_users_is_as_usual(*, actor: bool, pending: bool) -> None:
    parsed = parse_policy(EVERYTHING, Defaults(actor=actor, pending=pending))

    usual = UserTerms(actor=actor, pending=pending)
    pages, admin, _ = parsed.policy.rules
    assert pages.users == parsed.policy.default.users == (usual,)
    # These do say it.
    assert [(each.actor, each.pending) for each in admin.users] == [(False, True), (True, False)]


def test_the_claims_that_a_policy_reads_are_known() -> None:
    text = BASE + "    when: claims['a.b'] == 'c'\n    headers: {x-d: claims.d, x-e: user_id}\n"

    assert parse_policy(text).claims == {"a.b", "d"}
    assert parse_policy(BASE).claims == frozenset()


def test_the_tests_in_the_same_file_are_read() -> None:
    first, second = parse_policy(EVERYTHING).cases

    assert (first.name, first.request.method, first.expect.rule) == ("somebody", "PUT", "pages")
    assert first.expect.headers == {"x-org": None, "x-plan": "pro"}
    assert second.caller.service is not None
    assert second.caller.service.scopes == ("b",)


def test_a_policy_keeps_its_text() -> None:
    assert parse_policy(BASE).text == BASE


def test_a_file_may_hold_nothing_but_tests() -> None:
    text = EVERYTHING[EVERYTHING.index("tests:") :]

    assert parse_cases(text) == parse_policy(EVERYTHING).cases


def test_a_file_of_tests_holds_no_rules() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_cases(EVERYTHING)

    assert [each.message.partition(":")[0] for each in caught.value.mistakes] == [
        "version",
        "default",
        "any_targets",
        "rules",
    ]


@pytest.mark.parametrize(
    "text", [BASE, BASE.replace("\n", "\r\n"), f"\ufeff{BASE}", f"# é 日本\n---\n{BASE}...\n"]
)
def test_it_does_not_matter_which_editor_wrote_a_policy(text: str) -> None:
    assert parse_policy(text).policy.rules == parse_policy(BASE).policy.rules


def test_json_is_yaml() -> None:
    text = '{"version": 1, "rules": [{"name": "a", "allow": "user"}]}'

    assert parse_policy(text).policy.rules == parse_policy(BASE).policy.rules


# --- mistakes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        # The YAML itself.
        (BASE + "x: [", "5:5", "expected YAML: while parsing a flow node, did not find expected"),
        (BASE + "\tx: y", "5:1", "expected YAML: while scanning a plain scalar, found a tab"),
        (BASE + "---\n", "5:1", "expected one document, found a second"),
        (BASE + "version: 1\n", "5:1", "expected each key once; version is there twice"),
        (BASE + "    name: b\n", "5:5", "expected each key once; name is there twice"),
        (
            BASE + "    match: {hosts: a, hosts: b}",
            "5:23",
            "expected each key once; hosts is there",
        ),
        (BASE + "    match: !!map {}", "5:12", "expected plain YAML, without tags"),
        (BASE + "    <<: {shadow: true}", "5:5", "expected a plain word as a key; merge keys"),
        (BASE + "    match: *x", "5:12", "expected *x to stand for something that is complete"),
        (BASE + "# \0", "5:3", "expected text without control characters, not U+0000"),
        # A key is found where it is, not where its value begins.
        (BASE + "    alow: user", "5:5", "rules[0].alow: is not a word of this file; did you"),
        (BASE + "    mach:\n      paths: /a", "5:5", "rules[0].mach: is not a word of this file"),
        (BASE + "    headers:\n      X-A:\n        user_id", "6:7", "rules[0].headers.X-A: expe"),
        (
            BASE + "    headers: {cookie: org_id}",
            "5:15",
            "rules[0].headers.cookie: expected a hea",
        ),
        (
            BASE + "    match: {context: {'': a}}",
            "5:23",
            "rules[0].match.context.'': expected a k",
        ),
        # A value likewise.
        (BASE + "    shadow:\n      no", "6:7", "rules[0].shadow: expected true or false"),
        (BASE + "    match: {hosts: 1.0}", "5:20", "rules[0].match.hosts: expected text, not a n"),
        (
            BASE + "    match:\n      paths:\n      - /a\n      - b",
            "8:9",
            "rules[0].match.paths[1]",
        ),
        (BASE + "    headers: {x-a: b}", "5:20", "rules[0].headers.x-a: expected one of user_id"),
        (BASE + "  - name: a\n    allow: user", "5:11", "rules[1].name: a is taken; expected"),
        (BASE + "  - name: default\n    allow: user", "5:11", "rules[1].name: default is what th"),
        (BASE + "    when: path.x == 'y'", "5:11", "rules[0].when: reads path.x; expected {x} in"),
        (
            BASE + "    when: |\n      true &&\n      x",
            "5:11",
            "rules[0].when: undeclared reference to 'x' (line 2, column 1 of the expression)",
        ),
        (BASE.replace("user", "usr"), "4:12", "rules[0].allow: expected anonymous, user, servi"),
        (
            BASE.replace("user", "[user, {user: {org_role: 7}}]"),
            "4:37",
            "rules[0].allow[1].user.org_role: expected text, not a number; put it into quotes",
        ),
        (BASE.replace("1", "2"), "1:10", "version: expected the number 1"),
        # What is missing is so where it should be.
        (BASE.replace("    allow: user\n", ""), "3:5", "rules[0].allow: is missing; expected it"),
        ("rules: []", "1:1", "version: is missing; expected it here"),
        ("# nothing", "1:1", "expected a mapping"),
        # What an alias repeats is where the alias is.
        ("x: &x {nam: a}\nrules: [*x]\nversion: 1", "2:9", "rules[0].nam: is not a word of this"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, where: str, message: str) -> None:
    assert (where, message) in [(at, what[: len(message)]) for at, what in mistakes(text)]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = """\
rules:
  - name: Bad
    match: {paths: a, host: b}
    allow: user
    when: path.x == 'y'
  - name: b
    headers: {host: user_id, x-me: org_id, x-a: nothing}
    allow: {user: {session_age: 5}}
    when: path.x ==
  - {name: b, allow: [], shadow: 1}
  - {name: default, allow: [], when: path.y == 'z'}
tests: [{name: 1}]
version: 0
"""

    found = mistakes(text, Defaults(reserved_headers=frozenset({"x_me"})))

    assert [f"{where} {message.partition(':')[0]}" for where, message in found] == [
        "2:11 rules[0].name",
        "3:20 rules[0].match.paths",
        "3:23 rules[0].match.host",
        "7:15 rules[1].headers.host",
        "7:30 rules[1].headers.x-me",
        "7:49 rules[1].headers.x-a",
        "8:33 rules[1].allow.user.session_age",
        "9:11 rules[1].when",
        "10:12 rules[2].name",
        "10:34 rules[2].shadow",
        "11:12 rules[3].name",
        "11:38 rules[3].when",
        "12:9 tests[0].expect",
        "12:9 tests[0].request",
        "12:16 tests[0].name",
        "13:10 version",
    ]


def test_there_is_an_end_to_the_mistakes() -> None:
    found = mistakes("version: 1\nrules:\n" + "- {name: A}\n" * MAX_MISTAKES)

    assert len(found) == MAX_MISTAKES


def test_the_error_tells_all_of_them() -> None:
    with pytest.raises(PolicyError, match=r"^1:10: version: .*; 2:8: rules: expected a list$"):
        parse_policy("version: 2\nrules: a")


@pytest.mark.parametrize(
    "text",
    [
        '{version: 1, rules: [], "a\\nb\\0\\e[2J": 1}',
        '{version: 1, rules: [{name: a, allow: user, match: {paths: "/a\\nb{"}}]}',
        '{version: 1, rules: [{name: a, allow: user, when: "x\\n\\n\\u2028"}]}',
        '{version: 1, rules: [], "a\\nb": 1, "a\\nb": 2}',
    ],
)
def test_a_mistake_is_one_line_whatever_it_quotes(text: str) -> None:
    ((_, message),) = mistakes(text)

    assert message.isprintable()


def test_a_mistake_that_quotes_a_whole_paragraph_is_cut() -> None:
    ((_, message),) = mistakes(f"{{version: 1, rules: [], {'a' * 900}: 1}}")

    assert message == "a" * MAX_MESSAGE + "…"


def test_headers_that_carry_the_identity_are_reserved_in_every_spelling() -> None:
    text = BASE + "    headers: {x_account-id: org_id, x-account: org_id}\n"
    defaults = Defaults(reserved_headers=frozenset({"x-account-id"}))

    assert mistakes(text, defaults) == [
        ("5:15", "rules[0].headers.x_account-id: carries the identity; expected another")
    ]


def test_more_than_can_be_matched_together_is_refused() -> None:
    """
    Not the default decides then, but the policy from before.
    """
    hosts = ", ".join(f"h{number}.{'label.' * 30}example" for number in range(300))
    first = f"version: 1\nrules:\n- {{name: a, allow: [], match: {{hosts: &h [{hosts}]}}}}\n"
    others = "".join(f"- {{name: r{n}, allow: [], match: {{hosts: *h}}}}\n" for n in range(50))

    assert mistakes(first + others) == [
        ("1:1", "rules: are too many, or too long, to be matched together; expected fewer")
    ]


# --- any text ----------------------------------------------------------------


def check_refused_or_read(text: str) -> None:
    """Check that nothing but mistakes comes of `text`, each one line, and inside it."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        parse_policy(text)
    except PolicyError as error:
        found = error.mistakes
    else:
        return

    assert found
    assert found == tuple(sorted(found))
    for mistake in found:
        assert 1 <= mistake.position.line <= len(lines)
        assert 1 <= mistake.position.column <= len(lines[mistake.position.line - 1]) + 1
        assert mistake.message
        assert mistake.message.isprintable()


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_list_of_mistakes(text: str) -> None:
    check_refused_or_read(text)


PIECES = st.sampled_from(
    [
        *(
            "",
            " ",
            "  ",
            "\n",
            "\r",
            "\t",
            ":",
            ": ",
            "- ",
            ",",
            "[",
            "]",
            "{",
            "}",
            "'",
            '"',
            "#",
        ),
        *("&same ", "*same", "*other", "<<: ", "!!str ", "|\n", "? ", "---\n", "\0", "\ufeff"),
        *("no", "on", "1.0", "1", "~", "null", "true", "é", "A", "user", "x: ", "path.x == 'y'"),
        *("name: a\n", "allow: [user]\n", "{user: {}}", "/**", "{a}", "org:", "claims.", "\\"),
    ]
)


@given(
    st.integers(0, len(EVERYTHING)), st.integers(0, 12), st.lists(PIECES, max_size=3).map("".join)
)
def test_a_policy_whose_text_is_spoilt_somewhere_is_refused_or_read(
    start: int, removed: int, added: str
) -> None:
    check_refused_or_read(EVERYTHING[:start] + added + EVERYTHING[start + removed :])


@given(
    st.lists(st.sampled_from([*EVERYTHING.splitlines(keepends=True)]), max_size=30).map("".join)
)
def test_lines_of_a_policy_in_any_order_are_refused_or_read(text: str) -> None:
    check_refused_or_read(text)


TREE: Any = yaml.safe_load(EVERYTHING)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "no", "1.0", "user", "*", "/**", "GET", "org:a:b", "30s", "claims.a"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


def places_in(value: object) -> list[tuple[str | int, ...]]:
    """Return the places of everything in `value`, its own excluded."""
    pairs: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    return [
        place
        for key, inner in pairs
        for place in ((key,), *((key, *below) for below in places_in(inner)))
    ]


def replaced(value: Any, place: tuple[str | int, ...], by: object) -> Any:  # noqa: ANN401 - a tree
    """Return `value` with something else at `place`."""
    if not place:
        return by
    key, *rest = place
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    copied = dict(pairs) | {key: replaced(value[key], tuple(rest), by)}
    return copied if isinstance(value, dict) else list(copied.values())


@given(st.sampled_from(places_in(TREE)), JUNK)
def test_a_policy_with_anything_in_any_one_place_is_refused_or_read(
    place: tuple[str | int, ...], junk: object
) -> None:
    check_refused_or_read(yaml.safe_dump(replaced(TREE, place, junk), allow_unicode=True))


@given(st.sampled_from([place for place in places_in(TREE) if isinstance(place[-1], str)]))
def test_a_policy_with_any_one_key_misspelt_is_refused_at_that_key(
    place: tuple[str | int, ...],
) -> None:
    if {"context", "headers", "claims"} & set(place[:-1]):
        return  # their keys are the operator's own
    *above, key = place
    holder = TREE
    for part in above:
        holder = holder[part]
    misspelt = {(f"{key}_" if each == key else each): value for each, value in holder.items()}
    text = yaml.safe_dump(replaced(TREE, tuple(above), misspelt))

    found = mistakes(text)

    unknown = [(where, what) for where, what in found if f"{key}_: is not a word" in what]
    if above[-1:] == ["allow"] or (above and above[-2:-1] == ["allow"]):
        assert [what for _, what in found if ": expected anonymous, user" in what]
    else:
        (((line, _, column), what),) = [(where.partition(":"), what) for where, what in unknown]
        assert text.splitlines()[int(line) - 1][int(column) - 1 :].startswith(f"{key}_:")
        assert "did you mean" in what


# --- any policy --------------------------------------------------------------

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._:-]{0,8}", fullmatch=True).filter(DEFAULT_RULE.__ne__)
WORDS = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
DURATIONS = st.tuples(st.integers(0, 999), st.sampled_from(["s", "m", "h", "d"]))
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LET = st.sampled_from(["allow", "deny"])
USERS = st.fixed_dictionaries(
    {},
    optional={
        "org_id": st.lists(st.text(min_size=1, max_size=5, alphabet="org_1no"), min_size=1),
        "org_role": st.lists(WORDS, min_size=1),
        "session_age": DURATIONS,
        "actor": LET,
        "pending": LET,
    },
)
SERVICES = st.fixed_dictionaries(
    {}, optional={"name": st.lists(NAMES, min_size=1), "scope": st.lists(NAMES, min_size=1)}
)
RULES = st.fixed_dictionaries(
    {
        "users": st.lists(USERS, max_size=2),
        "services": st.lists(SERVICES, max_size=2),
        "anonymous": st.booleans(),
        "methods": st.lists(st.sampled_from(["GET", "PUT", "NO"]), max_size=2),
        "hosts": st.lists(st.sampled_from(["a", "*.b.example", "1.0", "no"]), max_size=2),
        "paths": st.lists(st.sampled_from(["/a", "/{b}/**", "/no", "/*/1"]), max_size=2),
        "context": st.dictionaries(
            WORDS, st.lists(st.sampled_from(["1", "no", "a b"]), min_size=1)
        ),
        "shadow": st.booleans(),
    }
)


def meant(name: str, drawn: dict[str, Any]) -> Rule:
    """Return the rule that is meant."""
    paths = tuple(map(PathTemplate.parse, drawn["paths"])) or (ANYTHING,)
    return Rule(
        name=name,
        selector=Selector(
            hosts=tuple(map(HostPattern, drawn["hosts"])),
            methods=tuple(drawn["methods"]),
            paths=paths,
            context={key: frozenset(values) for key, values in drawn["context"].items()},
        ),
        anonymous=drawn["anonymous"],
        users=tuple(
            UserTerms(
                org_ids=frozenset(each.get("org_id", ())),
                org_roles=frozenset(f"org:{role}" for role in each.get("org_role", ())),
                session_age=(
                    each["session_age"][0] * SECONDS[each["session_age"][1]]
                    if "session_age" in each
                    else None
                ),
                actor=each.get("actor", "allow") == "allow",
                pending=each.get("pending", "deny") == "allow",
            )
            for each in drawn["users"]
        ),
        services=tuple(
            ServiceTerms(
                names=frozenset(each.get("name", ())), scopes=frozenset(each.get("scope", ()))
            )
            for each in drawn["services"]
        ),
        is_shadow=drawn["shadow"],
    )


def written(name: str, drawn: dict[str, Any], *, is_short: bool) -> dict[str, Any]:
    """Return the rule as a file has it, short wherever it can be."""

    def one(values: list[str]) -> str | list[str]:
        return values[0] if is_short and len(values) == 1 else values

    match = {key: one(drawn[key]) for key in ("methods", "hosts", "paths") if drawn[key]}
    context = {key: one(values) for key, values in drawn["context"].items()}
    allow: list[Any] = ["anonymous"] if drawn["anonymous"] else []
    for user in drawn["users"]:
        terms = {
            key: one(value) if key.startswith("org") else value for key, value in user.items()
        }
        if "session_age" in terms:
            terms["session_age"] = "{}{}".format(*terms["session_age"])
        allow.append("user" if is_short and not terms else {"user": terms})
    for service in drawn["services"]:
        terms = {key: one(value) for key, value in service.items()}
        allow.append("service" if is_short and not terms else {"service": terms})
    rule = {
        "name": name,
        "match": {**match, "context": context},
        "allow": allow[0] if is_short and len(allow) == 1 else allow,
        "shadow": drawn["shadow"],
    }
    return {key: value for key, value in rule.items() if not (is_short and value is False)}


class Writer(yaml.SafeDumper):
    """Puts into quotes what begins like a number; 08 is one in YAML 1.2 only."""


def _quoted(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if text[:1] in "+-.0123456789" else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Writer.add_representer(str, _quoted)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, RULES, max_size=4), st.booleans(), st.booleans())
def test_a_policy_means_what_was_meant(
    drawn: dict[str, dict[str, Any]],
    is_short: bool,  # noqa: FBT001 - drawn
    is_flow: bool,  # noqa: FBT001 - drawn
) -> None:
    rules = [written(name, each, is_short=is_short) for name, each in drawn.items()]
    text = yaml.dump({"version": 1, "rules": rules}, Dumper=Writer, default_flow_style=is_flow)

    assert tuple(meant(*each) for each in drawn.items()) == parse_policy(text).policy.rules
