"""The words of a policy file: what each key takes, what it refuses, and what it says then."""

from collections.abc import Iterable
from typing import Any

import pytest

from wicketgate.core.policy.case_document import CasesWords, CaseWords
from wicketgate.core.policy.document import (
    MAX_HEADERS,
    MAX_RULES,
    AllowWords,
    Neighbours,
    PolicyWords,
    RuleWords,
    UserWords,
)
from wicketgate.core.policy.reading import PolicyError, read_words

NO_WORD = "is not a word of this file"
COMPARE = "expected something that is true or false; compare it, as in claims.beta == true"
BEGINNING = "(line 1, column 1 of the expression)"
QUOTES = 'put it into quotes, "..."'
ANYBODY = "expected anonymous, user, service, or a mapping with one of user and service"
CALLER = "expected anonymous, user, or one of claims: {...}, service: NAME, refused: REASON"
LEAVE_OUT = "expected at least one; leave the key out to mean any"
NAME = "expected a name of lower-case letters, digits and . _ : -, at most 64 of them"
HOST = "expected a host such as api.example.com or *.example.com, without a port"
METHOD = "expected a method in upper case, such as GET"
HEADER = "expected a header in lower case, such as x-debug"
SET_HEADER = "expected a header in lower case, such as x-org-id"
ROLE = "expected a role such as org:admin"
PERMISSION = "expected a permission such as org:invoices:read"
DURATION = "expected a time such as 30s, 10m, 12h or 7d"
SOURCE = (
    "expected one of user_id, session_id, org_id, org_slug, org_role, org_permissions, actor_id, "
    "or claims.<name>"
)


def read(text: str, *, reserved: Iterable[str] = ()) -> PolicyWords:
    return read_words(PolicyWords, text, context=Neighbours.of(reserved))


def read_rule(keys: str) -> RuleWords:
    """Return a rule with these keys, beside those that it needs."""
    return read(f"version: 1\nrules:\n  - {{name: a, allow: user, {keys}}}\n").rules[0]


def mistakes(text: str, *, reserved: Iterable[str] = ()) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(text, reserved=reserved)
    return [each.message for each in caught.value.mistakes]


def mistake_in_rule(keys: str) -> str:
    """Return the one complaint about a rule with these keys, without the rule's own place."""
    (message,) = mistakes(f"version: 1\nrules:\n  - {{name: a, allow: user, {keys}}}\n")
    assert message.startswith("rules[0].")
    return message.removeprefix("rules[0].")


# --- the file ----------------------------------------------------------------


def test_what_is_left_out_has_a_default() -> None:
    words = read("version: 1\nrules: []\n")

    assert (words.default, words.any_targets, words.rules, words.tests) == ("deny", (), [], [])


def test_what_a_rule_leaves_out_is_no_demand() -> None:
    rule = read_rule("")

    assert rule.allow == [AllowWords(user=UserWords())]
    assert (rule.match.hosts, rule.match.methods, rule.match.paths) == ((), (), ())
    assert (rule.match.context, rule.match.headers) == ({}, ())
    assert (rule.when, rule.headers, rule.credentials, rule.shadow) == (None, {}, None, False)
    assert UserWords().model_dump() == {
        "org_id": (),
        "org_role": (),
        "org_permission": (),
        "session_age": None,
        "second_factor_age": None,
        "actor": None,
        "pending": None,
    }


@pytest.mark.parametrize("default", ["deny", "user"])
def test_the_default_denies_or_lets_users_in(default: str) -> None:
    assert default == read(f"version: 1\ndefault: {default}\nrules: []\n").default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping"),
        ("[]", "expected a mapping"),
        ("rules: []", "version: is missing; expected it here"),
        ("version: 1", "rules: is missing; expected it here"),
        ("{version: 2, rules: []}", "version: expected the number 1"),
        ("{version: '1', rules: []}", "version: expected the number 1"),
        ("{version: 1.0, rules: []}", "version: expected the number 1"),
        ("{version: true, rules: []}", "version: expected the number 1"),
        ("{version: , rules: []}", "version: expected the number 1"),
        ("{version: 1, rules: }", "rules: expected a list"),
        ("{version: 1, rules: {}}", "rules: expected a list"),
        ("{version: 1, rules: a}", "rules: expected a list"),
        ("{version: 1, rules: [a]}", "rules[0]: expected a mapping"),
        ("{version: 1, rules: [[]]}", "rules[0]: expected a mapping"),
        ("{version: 1, rules: [~]}", "rules[0]: expected a mapping"),
        ("{version: 1, rules: [], default: allow}", "default: expected 'deny' or 'user'"),
        ("{version: 1, rules: [], default: }", "default: expected 'deny' or 'user'"),
        ("{version: 1, rules: [], default: [deny]}", "default: expected 'deny' or 'user'"),
        ("{version: 1, rules: [], any_targets: []}", f"any_targets: {LEAVE_OUT}"),
        ("{version: 1, rules: [], any_targets: 'a:1'}", f"any_targets: {HOST}"),
        ("{version: 1, rules: [], tests: }", "tests: expected a list"),
        ("{version: 1, rules: [], tests: {}}", "tests: expected a list"),
        ("{version: 1, rules: [{allow: user}]}", "rules[0].name: is missing; expected it here"),
        ("{version: 1, rules: [{name: a}]}", "rules[0].allow: is missing; expected it here"),
    ],
)
def test_any_other_file_is_refused(text: str, message: str) -> None:
    assert mistakes(text) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{version: 1, rules: [], ruels: []}", "ruels: {}did you mean rules?"),
        ("{version: 1, rules: [], Default: user}", "Default: {}did you mean default?"),
        (
            "{version: 1, rules: [{name: a, allow: user, alow: user}]}",
            "rules[0].alow: {}did you mean allow?",
        ),
        (
            "{version: 1, rules: [{name: a, allow: user, match: {path: /a}}]}",
            "rules[0].match.path: {}did you mean paths?",
        ),
        (
            "{version: 1, rules: [{name: a, allow: {user: {org_roles: a}}}]}",
            "rules[0].allow.user.org_roles: {}did you mean org_role?",
        ),
        (
            "{version: 1, rules: [{name: a, allow: [anonymous, {service: {scopes: a}}]}]}",
            "rules[0].allow[1].service.scopes: {}did you mean scope?",
        ),
        (
            "{version: 1, rules: [], roles: []}",
            "roles: {}did you mean rules?",
        ),
        ("{version: 1, rules: [], x: 1}", "x: {}see docs/policy.md for those that are"),
        ("{version: 1, rules: [], '': 1}", "'': {}see docs/policy.md for those that are"),
        ("{version: 1, rules: [], 1: 1}", "1: {}see docs/policy.md for those that are"),
    ],
)
def test_what_is_no_word_of_the_file_is_refused_at_every_level(text: str, message: str) -> None:
    assert mistakes(text) == [message.format(f"{NO_WORD}; ")]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((), ("tests",)),
        (("tests", 3), ("name", "request", "as", "expect")),
        (("tests", 3, "as", "service"), ("name", "scopes", "principal")),
        (("tests", 3, "as", "claims"), ()),
        (("tests", 3, "as", "claims", "org"), ()),
        (("nothing", "below"), ()),
    ],
)
def test_the_keys_of_a_mapping_are_known_by_its_place(
    place: tuple[str | int, ...], expected: tuple[str, ...]
) -> None:
    assert expected == CasesWords.keys_at(place)


def test_there_is_an_end_to_the_number_of_rules() -> None:
    text = f"{{version: 1, rules: [{'~,' * (MAX_RULES + 1)}]}}"

    assert mistakes(text) == [f"rules: expected at most {MAX_RULES} rules, not {MAX_RULES + 1}"]


# --- a rule ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("description: Anything at all.", {"description": "Anything at all."}),
        ("description: no", {"description": "no"}),
        ("shadow: true", {"shadow": True}),
        ("shadow: false", {"shadow": False}),
        ("credentials: forward", {"credentials": "forward"}),
        ("credentials: strip", {"credentials": "strip"}),
        ("headers: {x-a: user_id}", {"headers": {"x-a": "user_id"}}),
        ("headers: {x_a: claims.a/b}", {"headers": {"x_a": "claims.a/b"}}),
        ("headers: {a-b-c-d-e-f-g: org_id}", {"headers": {"a-b-c-d-e-f-g": "org_id"}}),
    ],
)
def test_a_rule_takes(keys: str, expected: dict[str, object]) -> None:
    rule = read_rule(keys)

    assert expected == {key: getattr(rule, key) for key in expected}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("hosts: api.example.com", "hosts: api.example.com"),
        ("hosts: [a, '*.Example.com', '[::1]']", "hosts: a *.example.com [::1]"),
        ("methods: GET", "methods: GET"),
        ("methods: [GET, M-SEARCH]", "methods: GET M-SEARCH"),
        ("paths: /a", "paths: /a"),
        ("paths: ['/{a}/*', /**]", "paths: /{a}/* /**"),
        ("headers: x-debug", "headers: x-debug"),
        ("headers: [x-a, x_b]", "headers: x-a x_b"),
    ],
)
def test_a_match_takes_one_or_several(keys: str, expected: str) -> None:
    match = read_rule(f"match: {{{keys}}}").match

    key = expected.partition(":")[0]
    found = [getattr(each, "text", each) for each in getattr(match, key)]
    assert expected == f"{key}: {' '.join(found)}"


def test_a_context_has_one_or_several_values_for_a_key() -> None:
    match = read_rule("match: {context: {exposure: internal, tier: [a, '1']}}").match

    assert match.context == {"exposure": ("internal",), "tier": ("a", "1")}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("org_id: org_1", {"org_id": ("org_1",)}),
        ("org_id: [org_1, org_2]", {"org_id": ("org_1", "org_2")}),
        ("org_role: admin", {"org_role": ("org:admin",)}),
        ("org_role: [org:admin, editor]", {"org_role": ("org:admin", "org:editor")}),
        ("org_permission: a:read", {"org_permission": ("org:a:read",)}),
        ("org_permission: [org:a:read]", {"org_permission": ("org:a:read",)}),
        ("session_age: 30s", {"session_age": 30}),
        ("session_age: 10m", {"session_age": 600}),
        ("second_factor_age: 12h", {"second_factor_age": 43_200}),
        ("second_factor_age: 7d", {"second_factor_age": 604_800}),
        ("actor: deny", {"actor": "deny"}),
        ("actor: allow", {"actor": "allow"}),
        ("pending: deny", {"pending": "deny"}),
        ("pending: allow", {"pending": "allow"}),
    ],
)
def test_a_user_is_known_by(keys: str, expected: dict[str, object]) -> None:
    (allow,) = (
        read(f"version: 1\nrules: [{{name: a, allow: {{user: {{{keys}}}}}}}]").rules[0].allow
    )

    assert allow.user is not None
    assert expected == allow.user.model_dump(exclude_unset=True)


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        ("anonymous", ["anonymous"]),
        ("user", ["user"]),
        ("service", ["service"]),
        ("[]", []),
        ("[user, service]", ["user", "service"]),
        ("{user: }", ["user"]),
        ("{user: {}}", ["user"]),
        ("[{user: {org_id: a}}, {user: {org_id: b}}]", ["user", "user"]),
        ("{service: {name: a, scope: [b, c]}}", ["service"]),
    ],
)
def test_there_are_several_ways_in_or_none(allow: str, expected: list[str]) -> None:
    (rule,) = read(f"version: 1\nrules: [{{name: a, allow: {allow}}}]").rules

    found = [
        key
        for each in rule.allow
        for key in ("anonymous", "user", "service")
        if getattr(each, key) is not None
    ]
    assert expected == found


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        # text
        ("description: 1.0", f"description: expected text, not a number; {QUOTES}"),
        ("description: 7", f"description: expected text, not a number; {QUOTES}"),
        ("description: true", f"description: expected text, not true or false; {QUOTES}"),
        ("description: ", "description: expected text, not nothing"),
        ("description: []", "description: expected text, not a list"),
        ("description: {}", "description: expected text, not a mapping"),
        # what is matched
        ("match: ", "match: expected a mapping"),
        ("match: []", "match: expected a mapping"),
        ("match: /a", "match: expected a mapping"),
        ("match: {hosts: }", f"match.hosts: {LEAVE_OUT}"),
        ("match: {hosts: []}", f"match.hosts: {LEAVE_OUT}"),
        ("match: {hosts: 1.0}", f"match.hosts: expected text, not a number; {QUOTES}"),
        ("match: {hosts: {a: b}}", "match.hosts: expected text, not a mapping"),
        ("match: {hosts: 'a:1'}", f"match.hosts: {HOST}"),
        ("match: {hosts: [a, '']}", f"match.hosts[1]: {HOST}"),
        ("match: {hosts: ['*']}", f"match.hosts[0]: {HOST}"),
        ("match: {hosts: [a.*]}", f"match.hosts[0]: {HOST}"),
        ("match: {methods: []}", f"match.methods: {LEAVE_OUT}"),
        ("match: {methods: on}", f"match.methods: {METHOD}"),
        ("match: {methods: [GET, get]}", f"match.methods[1]: {METHOD}"),
        ("match: {methods: [GET, [PUT]]}", "match.methods[1]: expected text, not a list"),
        ("match: {paths: []}", f"match.paths: {LEAVE_OUT}"),
        ("match: {paths: a}", "match.paths: expected a path that begins with /"),
        ("match: {paths: /**/a}", "match.paths: expected ** only as the last segment"),
        (
            "match: {paths: /a//b}",
            "match.paths: expected a segment that means one thing to every reader instead of ''",
        ),
        (
            "match: {paths: ['/{a}/{a}']}",
            "match.paths[0]: expected each name once; {a} is there twice",
        ),
        ("match: {context: }", "match.context: expected a mapping"),
        ("match: {context: {a: []}}", f"match.context.a: {LEAVE_OUT}"),
        ("match: {context: {a: 1}}", f"match.context.a: expected text, not a number; {QUOTES}"),
        (
            "match: {context: {'a b': c}}",
            "match.context.a b: expected a key of context_extensions",
        ),
        ("match: {headers: []}", f"match.headers: {LEAVE_OUT}"),
        ("match: {headers: X-Debug}", f"match.headers: {HEADER}"),
        ("match: {headers: {x-a: b}}", "match.headers: expected text, not a mapping"),
        # the rest of a rule
        ("shadow: no", "shadow: expected true or false"),
        ("shadow: 1", "shadow: expected true or false"),
        ("shadow: ", "shadow: expected true or false"),
        ("credentials: ", "credentials: expected 'forward' or 'strip'"),
        ("credentials: keep", "credentials: expected 'forward' or 'strip'"),
        ("headers: ", "headers: expected a mapping"),
        ("headers: [x-a]", "headers: expected a mapping"),
        ("headers: {X-A: user_id}", f"headers.X-A: {SET_HEADER}"),
        ("headers: {':path': user_id}", f"headers.:path: {SET_HEADER}"),
        ("headers: {x-a: nobody}", f"headers.x-a: {SOURCE}"),
        ("headers: {x-a: claims.}", f"headers.x-a: {SOURCE}"),
        ("headers: {x-a: claims.a b}", f"headers.x-a: {SOURCE}"),
        ("headers: {x-a: 1}", f"headers.x-a: expected text, not a number; {QUOTES}"),
        (
            "headers: {a-b-c-d_e-f-g-h: user_id}",
            "headers.a-b-c-d_e-f-g-h: expected a header with at most 6 dashes and underscores",
        ),
        # conditions
        ("when: ", "when: expected text, not nothing"),
        ("when: true", f"when: expected text, not true or false; {QUOTES}"),
        (
            "when: user.id",
            f"when: expected something that is true or false, not string {BEGINNING}",
        ),
        (
            'when: "true &&\\n  nobody == 1"',
            "when: undeclared reference to 'nobody' (line 2, column 3 of the expression)",
        ),
        ("when: path.a == 'b'", "when: reads path.a; expected {a} in every path of the rule"),
        (
            "when: path.a == path.b, match: {paths: ['/{a}/{b}', '/{b}']}",
            "when: reads path.a; expected {a} in every path of the rule",
        ),
        (
            "when: path.a == path.b, match: {paths: /**}",
            "when: reads path.a, path.b; expected {a}, {b} in every path of the rule",
        ),
    ],
)
def test_a_rule_refuses(keys: str, message: str) -> None:
    assert message == mistake_in_rule(keys)


@pytest.mark.parametrize(
    "paths", ["'/{a}/**'", "['/{a}', '/x/{b}/{a}']"], ids=["one path", "several"]
)
def test_a_condition_reads_segments_that_are_in_every_path(paths: str) -> None:
    rule = read_rule(f"match: {{paths: {paths}}}, when: path.a == 'b'")

    assert rule.when is not None
    assert rule.when.parameters == {"a"}


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        ("", f"allow: {ANYBODY}"),
        ("nobody", f"allow: {ANYBODY}"),
        ("User", f"allow: {ANYBODY}"),
        ("true", f"allow: {ANYBODY}"),
        ("{}", f"allow: {ANYBODY}"),
        ("{anonymous: true}", f"allow: {ANYBODY}"),
        ("{user: {}, service: {}}", f"allow: {ANYBODY}"),
        ("{usr: {}}", f"allow: {ANYBODY}"),
        ("[user, [service]]", f"allow[1]: {ANYBODY}"),
        ("{user: org:admin}", "allow.user: expected a mapping"),
        ("{user: []}", "allow.user: expected a mapping"),
        ("{user: {org_id: []}}", f"allow.user.org_id: {LEAVE_OUT}"),
        ("{user: {org_id: 7}}", f"allow.user.org_id: expected text, not a number; {QUOTES}"),
        ("{user: {org_role: }}", f"allow.user.org_role: {LEAVE_OUT}"),
        ("{user: {org_role: 'a b'}}", f"allow.user.org_role: {ROLE}"),
        ("{user: {org_role: [a, org:b:c]}}", f"allow.user.org_role[1]: {ROLE}"),
        ("{user: {org_permission: read}}", f"allow.user.org_permission: {PERMISSION}"),
        ("{user: {org_permission: 'a:b:c'}}", f"allow.user.org_permission: {PERMISSION}"),
        (
            "{user: {session_age: 10}}",
            f"allow.user.session_age: {DURATION}",
        ),
        ("{user: {session_age: 10 m}}", f"allow.user.session_age: {DURATION}"),
        ("{user: {session_age: '1.5h'}}", f"allow.user.session_age: {DURATION}"),
        ("{user: {session_age: '-1s'}}", f"allow.user.session_age: {DURATION}"),
        ("{user: {session_age: '٣s'}}", f"allow.user.session_age: {DURATION}"),
        ("{user: {session_age: }}", f"allow.user.session_age: {DURATION}"),
        (
            "{user: {second_factor_age: }}",
            f"allow.user.second_factor_age: {DURATION}",
        ),
        ("{user: {second_factor_age: 1w}}", f"allow.user.second_factor_age: {DURATION}"),
        ("{user: {actor: }}", "allow.user.actor: expected 'allow' or 'deny'"),
        ("{user: {actor: no}}", "allow.user.actor: expected 'allow' or 'deny'"),
        ("{user: {pending: }}", "allow.user.pending: expected 'allow' or 'deny'"),
        ("{user: {pending: true}}", "allow.user.pending: expected 'allow' or 'deny'"),
        ("{service: {name: Billing}}", f"allow.service.name: {NAME}"),
        ("{service: {scope: []}}", f"allow.service.scope: {LEAVE_OUT}"),
        ("{service: {scope: '*'}}", f"allow.service.scope: {NAME}"),
    ],
)
def test_whoever_is_nobody_is_refused(allow: str, message: str) -> None:
    (found,) = mistakes(f"version: 1\nrules: [{{name: a, allow: {allow}}}]")

    assert found == f"rules[0].{message}"


# --- names and headers -------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "7", "a.b_c:d-e", "a" * 64, "no"])
def test_a_rule_has_a_name(name: str) -> None:
    (rule,) = read(f"version: 1\nrules: [{{name: '{name}', allow: user}}]").rules

    assert name == rule.name


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 65, "é", "a\\n"])
def test_a_rule_has_no_other_name(name: str) -> None:
    assert mistakes(f'version: 1\nrules: [{{name: "{name}", allow: user}}]') == [
        f"rules[0].name: {NAME}"
    ]


def test_a_name_is_given_once() -> None:
    text = "version: 1\nrules:\n" + "".join(f"- {{name: {n}, allow: user}}\n" for n in "abaca")

    assert mistakes(text) == [
        "rules[2].name: a is taken; expected another",
        "rules[4].name: a is taken; expected another",
    ]


def test_the_name_of_the_default_is_taken() -> None:
    assert mistakes("version: 1\nrules: [{name: default, allow: user}]") == [
        "rules[0].name: default is what the default is called; expected another"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "cookie", "host", "content-length", "content_length", "connection"),
        *("transfer-encoding", "transfer_encoding", "te", "trailer", "upgrade", "keep-alive"),
        *("proxy-authorization", "proxy_authorization", "proxy-connection", "forwarded"),
        *("x-request-id", "x_request-id", "x-envoy-peer-metadata", "x_envoy_original_path"),
        *("x-forwarded-for", "x_forwarded_for", "x-forwarded_proto"),
        *("clerk_user_id", "clerk-user-id", "clerk-user_id", "x-clerk-user-id", "x_clerk_user_id"),
        *("wicketgate-principal", "wicketgate_principal"),
    ],
)
def test_a_header_that_means_something_to_others_is_not_set(name: str) -> None:
    assert mistake_in_rule(f"headers: {{{name}: user_id}}") == (
        f"headers.{name}: expected a header of your own; {name} is not the policy's to set"
    )


@pytest.mark.parametrize("name", ["x-user", "x_user", "user-x"])
def test_a_header_that_carries_the_identity_is_not_set_in_any_spelling(name: str) -> None:
    text = f"version: 1\nrules: [{{name: a, allow: user, headers: {{{name}: org_id}}}}]"
    reserved = ["x-user", "user_x"]

    assert mistakes(text, reserved=reserved) == [
        f"rules[0].headers.{name}: carries the identity; expected another"
    ]
    assert list(read(text).rules[0].headers) == [name]


def test_there_is_an_end_to_the_number_of_headers() -> None:
    rules = [
        f"- {{name: r{n}, allow: user, headers: {{x-{n}: org_id}}}}\n"
        for n in [*range(MAX_HEADERS), 0, MAX_HEADERS]
    ]
    rules[MAX_HEADERS] = "- {name: again, allow: user, headers: {x-0: org_id}}\n"

    (message,) = mistakes("version: 1\nrules:\n" + "".join(rules))

    place, _, why = message.partition(": ")
    assert place == f"rules[{MAX_HEADERS + 1}].headers.x-{MAX_HEADERS}"
    assert why == f"expected at most {MAX_HEADERS} different headers in all rules"


# --- tests -------------------------------------------------------------------


def case(keys: str = "", *, request: str = "path: /", expect: str = "deny") -> str:
    return f"tests: [{{name: a, request: {{{request}}}, expect: {expect}, {keys}}}]"


def read_case(text: str) -> CaseWords:
    return read_words(CasesWords, text).tests[0]


def mistake_in_case(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        read_words(CasesWords, text)
    (mistake,) = caught.value.mistakes
    return mistake.message.removeprefix("tests[0].")


def test_what_a_test_leaves_out_has_a_default() -> None:
    found = read_case(case())

    assert (found.request.method, found.request.host, found.request.source) == ("GET", "", "")
    assert (found.request.context, found.request.headers) == ({}, {})
    assert found.caller.model_dump() == {"claims": None, "service": None, "refused": None}
    assert found.expect.model_dump() == {
        "decision": "deny",
        "rule": None,
        "reason": None,
        "status": None,
        "principal": None,
        "headers": {},
        "shadows": {},
    }


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        ("anonymous", {}),
        ("user", {"claims": {}}),
        ("{claims: {sub: user_1, v: 2, o: {id: org_1}}}", None),
        (
            "{service: billing}",
            {"service": {"name": "billing", "scopes": ("*",), "principal": ""}},
        ),
        (
            "{service: {name: a, scopes: [b], principal: p}}",
            {"service": {"name": "a", "scopes": ("b",), "principal": "p"}},
        ),
        ("{refused: expired}", {"refused": "expired"}),
    ],
)
def test_a_caller_is(caller: str, expected: dict[str, object] | None) -> None:
    found = read_case(case(f"as: {caller}")).caller.model_dump(exclude_none=True)

    wanted = {"claims": {"sub": "user_1", "v": 2, "o": {"id": "org_1"}}}
    assert found == (wanted if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tests: ", "tests: expected a list"),
        ("", "expected a mapping"),
        (case("is: user"), f"is: {NO_WORD}; see docs/policy.md for those that are"),
        (case(request="path: /, contxt: {}"), f"request.contxt: {NO_WORD}; did you mean context?"),
        (case("as: {claim: {}}"), f"as.claim: {NO_WORD}; did you mean claims?"),
        (
            case("as: {service: {name: a, scope: b}}"),
            f"as.service.scope: {NO_WORD}; did you mean scopes?",
        ),
        (
            case(expect="{decision: deny, reasons: a}"),
            f"expect.reasons: {NO_WORD}; did you mean reason?",
        ),
        ("tests: [a]", "tests[0]: expected a mapping"),
        ("{tests: [{name: a, expect: deny}]}", "request: is missing; expected it here"),
        (case(request="method: GET"), "request.path: is missing; expected it here"),
        (case(request="path: 1"), f"request.path: expected text, not a number; {QUOTES}"),
        (case(request="path: /, method: get"), f"request.method: {METHOD}"),
        (case(request="path: /, headers: {X-A: b}"), f"request.headers.X-A: {HEADER}"),
        (
            case(request="path: /, headers: {x-a: 1.0}"),
            f"request.headers.x-a: expected text, not a number; {QUOTES}",
        ),
        (case(request="path: /, context: []"), "request.context: expected a mapping"),
        (case("as: nobody"), f"as: {CALLER}"),
        (case("as: "), f"as: {CALLER}"),
        (case("as: {}"), f"as: {CALLER}"),
        (case("as: {claims: {}, service: a}"), f"as: {CALLER}"),
        # A caller who is left empty must not turn out to be an anonymous one.
        (case("as: {claims: }"), "as.claims: expected a mapping"),
        (case("as: {service: }"), "as.service: expected a mapping"),
        (case("as: {refused: }"), "as.refused: expected text, not nothing"),
        (case("as: {service: {scopes: a}}"), "as.service.name: is missing; expected it here"),
        (case("as: {service: A}"), f"as.service.name: {NAME}"),
        (case("as: {service: {name: a, scopes: []}}"), f"as.service.scopes: {LEAVE_OUT}"),
        (case(expect="maybe"), "expect.decision: expected 'allow' or 'deny'"),
        (case(expect="true"), "expect: expected a mapping"),
        (case(expect="{rule: a}"), "expect.decision: is missing; expected it here"),
        (case(expect="{decision: deny, rule: }"), "expect.rule: expected text, not nothing"),
        (case(expect="{decision: deny, reason: }"), "expect.reason: expected text, not nothing"),
        (case(expect="{decision: deny, status: }"), "expect.status: expected a whole number"),
        (case(expect="{decision: deny, status: '403'}"), "expect.status: expected a whole number"),
        (case(expect="{decision: deny, status: 1.0}"), "expect.status: expected a whole number"),
        (
            case(expect="{decision: deny, principal: 1}"),
            f"expect.principal: expected text, not a number; {QUOTES}",
        ),
        (
            case(expect="{decision: allow, headers: {x-a: 1}}"),
            f"expect.headers.x-a: expected text, not a number; {QUOTES}",
        ),
        (
            case(expect="{decision: allow, shadows: {a: }}"),
            "expect.shadows.a: expected text, not nothing",
        ),
    ],
)
def test_any_other_test_is_refused(text: str, message: str) -> None:
    assert message == mistake_in_case(text)


def test_an_expectation_can_be_that_a_header_is_not_told() -> None:
    found = read_case(case(expect="{decision: allow, headers: {x-a: b, x-c: }}"))

    assert found.expect.headers == {"x-a": "b", "x-c": None}


def test_words_are_never_changed_once_they_are_read() -> None:
    words = read("version: 1\nrules: []\n")

    with pytest.raises(ValueError, match="frozen"):
        words.default = "user"


# --- the schema --------------------------------------------------------------


def definition(name: str) -> dict[str, Any]:
    found: dict[str, Any] = PolicyWords.model_json_schema()["$defs"][name]["properties"]
    return found


def test_the_schema_knows_that_one_may_stand_for_several() -> None:
    one, several = definition("MatchWords")["methods"]["anyOf"]

    assert one == {
        "type": "string",
        "description": "a method in upper case, such as GET",
        "pattern": "^[A-Z][A-Z0-9-]{0,31}$",
    }
    assert several == {"type": "array", "items": one}


def test_the_schema_knows_the_words_that_stand_for_mappings() -> None:
    (one, several), caller = definition("RuleWords")["allow"]["anyOf"], definition("CallerWords")

    assert one["anyOf"][0] == {"enum": ["anonymous", "user", "service"]}
    assert several["items"] == one
    assert caller["service"]["anyOf"][0] == {"type": "string"}


def test_the_schema_knows_that_what_is_there_is_not_empty() -> None:
    assert definition("RuleWords")["when"]["type"] == "string"
    assert definition("UserWords")["actor"]["enum"] == ["allow", "deny"]
