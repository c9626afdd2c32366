"""Conditions: what may be asked, and what comes of it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.policy.condition import (
    FIELD_TYPES,
    MAX_DEPTH,
    MAX_LENGTH,
    VARIABLES,
    Condition,
    compile_condition,
)
from wicketgate.core.policy.condition_text import ConditionError
from wicketgate.core.policy.variables import KNOWN_FIELDS
from wicketgate.core.reason import Reason


def outcome(expression: str, **values: Mapping[str, Any]) -> Reason | None:
    """Return what a condition makes of these values; variables that are not given are empty."""
    return compile_condition(expression).refusal({**{name: {} for name in VARIABLES}, **values})


BY_NAME = r"expected a claim by its name, such as claims\.plan or has\(claims\.plan\)"
ROOTED = "expected a name without a dot before it"
NESTED = "expected at most 2 macros inside each other"


@pytest.mark.parametrize(
    ("source", "message", "line", "column"),
    [
        pytest.param("", "Syntax error: .*", 1, 1, id="nothing"),
        pytest.param("true &&", "Syntax error: .*", 1, 8, id="not CEL"),
        pytest.param("true &&\n  &&", "Syntax error: .*", 2, 3, id="not CEL on its second line"),
        pytest.param("x = 1", "Syntax error: .*", 1, 3, id="another language"),
        pytest.param("\udcff", "expected an expression in CEL", 1, 1, id="surrogate"),
        pytest.param("(" * 300, "expected an expression in CEL", 1, 1, id="too deep to be read"),
        pytest.param(
            "plan == 'pro'", "undeclared reference to 'plan'", 1, 1, id="unknown variable"
        ),
        pytest.param("true ||\n x", "undeclared reference to 'x'", 2, 2, id="on the second line"),
        pytest.param("lower('A') == 'a'", "undeclared reference to 'lower'", 1, 6, id="function"),
        pytest.param("1 + 1", "expected something that is true or false, not int", 1, 1, id="int"),
        pytest.param(
            "'true'", "expected something that is true or false, not string", 1, 1, id="string"
        ),
        pytest.param(
            "claims.is_admin",
            "expected something that is true or false; compare it, as in claims.beta == true",
            1,
            1,
            id="dyn",
        ),
        pytest.param(
            "path.id == 1",
            r"found no matching overload for '_==_' applied to '\(string, int\)'",
            1,
            9,
            id="a segment of a path is text",
        ),
        pytest.param(
            "context.tier > 3", "found no matching overload .*", 1, 14, id="so is a context's word"
        ),
        pytest.param(
            " " * (MAX_LENGTH - 3) + "true",
            f"expected at most {MAX_LENGTH} characters, not {MAX_LENGTH + 1}",
            1,
            1,
            id="too long",
        ),
        pytest.param(
            "claims.a.exists(a, claims.b.exists(b, claims.c.exists(c, a == b)))",
            NESTED,
            1,
            54,
            id="three macros inside each other",
        ),
        pytest.param(
            "claims.a.all(a,\n a.map(b, b\n . filter (c, c)) == a)", NESTED, 3, 11, id="spread out"
        ),
        pytest.param("claims == {}", BY_NAME, 1, 1, id="all claims"),
        pytest.param("true ||\n claims == {}", BY_NAME, 2, 2, id="all claims, second line"),
        pytest.param("size(claims) > 3", BY_NAME, 1, 6, id="number of claims"),
        pytest.param("claims.exists(c, c == 'x')", BY_NAME, 1, 1, id="macro over claims"),
        pytest.param("claims . size() > 3", BY_NAME, 1, 1, id="method of claims"),
        pytest.param("'x' in claims", BY_NAME, 1, 8, id="in claims"),
        pytest.param("claims[path.x] == 1", BY_NAME, 1, 1, id="a name from the request"),
        pytest.param("claims['x' + 'y'] == 1", BY_NAME, 1, 1, id="a name that is made"),
        pytest.param("claims[r'x'] == 1", BY_NAME, 1, 1, id="a raw string"),
        pytest.param("claims['\\x61'] == 1", BY_NAME, 1, 1, id="an escape"),
        pytest.param("claims[''] == 1", BY_NAME, 1, 1, id="the empty name"),
        pytest.param("claims[dyn(1)] == 1", BY_NAME, 1, 1, id="a number"),
        pytest.param("[claims].exists(c, c.x == 1)", BY_NAME, 1, 2, id="by another name"),
        pytest.param("[1].exists(claims, claims == 1)", BY_NAME, 1, 12, id="as another's name"),
        pytest.param("dyn(claims).x == 1", BY_NAME, 1, 5, id="dyn"),
        pytest.param("(claims).x == 1", BY_NAME, 1, 2, id="in parentheses"),
        pytest.param("{claims: 1} == {}", BY_NAME, 1, 2, id="as a key"),
        pytest.param("claims // x\n == {}", BY_NAME, 1, 1, id="before a comment"),
        pytest.param(".claims.x == 1", ROOTED, 1, 1, id="from the root"),
        pytest.param("'x' in .claims", ROOTED, 1, 8, id="from the root, after in"),
        pytest.param("true ||\n(.claims == {})", ROOTED, 2, 2, id="from the root, inside"),
        pytest.param("[1, .claims] == []", ROOTED, 1, 5, id="from the root, in a list"),
        pytest.param("has(.user.id)", ROOTED, 1, 5, id="from the root, another"),
        pytest.param(
            "path.x.matches('(') || .claims == {}", ROOTED, 1, 24, id="after an operator"
        ),
    ],
)
def test_expressions_that_are_refused_say_what_and_where(
    source: str, message: str, line: int, column: int
) -> None:
    with pytest.raises(ConditionError) as refused:
        compile_condition(source)

    assert re.fullmatch(message, str(refused.value))
    assert (line, column) == (refused.value.line, refused.value.column)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("true", {}),
        ("claims.plan == 'pro'", {"claims": {"plan"}}),
        ("has(claims.plan)", {"claims": {"plan"}}),
        ("claims\n .\n plan == 1", {"claims": {"plan"}}),
        ("claims.plan.exists(x, x == 1)", {"claims": {"plan"}}),
        ("claims.a == claims.b || claims.a == 1", {"claims": {"a", "b"}}),
        ("claims['plan'] == 1", {"claims": {"plan"}}),
        ('claims["https://a.example/x-y_z.1"] == 1', {"claims": {"https://a.example/x-y_z.1"}}),
        ("claims.claims.claims == 1", {"claims": {"claims"}}),
        ("claims.path == 1", {"claims": {"path"}}),
        ("context.claims == '1'", {"context": {"claims"}}),
        ("[user.id].size() == 1 && .5 < 1.0", {"user": {"id"}}),
        ("{'a': user}.a.id == ''", {"user": None}),
        ("user.id == '' || size(user) == 0", {"user": None}),
        ("size(user) == 0 || user.id == ''", {"user": None}),
        ("user.exists(x, x == 'id')", {"user": None}),
        ("path.org_id == user.org_id", {"path": {"org_id"}, "user": {"org_id"}}),
        ("path['org_id'] == ''", {"path": {"org_id"}}),
        ("request.headers['x'] == context.tier", {"request": {"headers"}, "context": {"tier"}}),
        ("request.path == ''", {"request": {"path"}}),
        ("service.name == source.principal", {"service": {"name"}, "source": {"principal"}}),
    ],
)
def test_what_an_expression_reads_is_known(
    source: str, fields: dict[str, set[str] | None]
) -> None:
    condition = compile_condition(source)

    assert fields == condition.fields
    assert (fields.get("claims") or set()) == condition.claims
    assert (fields.get("path") or set()) == condition.parameters


@pytest.mark.parametrize(
    "source",
    [
        "'claims' == ''",
        '"claims" == ""',
        "'a claims.b' == ''",
        "'\\' claims' == ''",
        '"\\" claims" == ""',
        "r'\\claims' == ''",
        'R"\\claims" == ""',
        "'''claims\nclaims ' '' claims''' == ''",
        '"""claims " "" claims""" == ""',
        "r'''\\claims ' claims''' == ''",
        'r"""\\claims " claims""" == ""',
        "b'claims' == b''",
        "br'claims' == bR\"claims\"",
        "'' == '' + 'claims'",
        "true // claims",
        "// claims\ntrue",
        "true // 'claims\n // '\n",
        "'//' == 'claims'",
        "request.path.matches('^/claims/[a-z]+$')",
        "'(' == ')' || [1].exists(a, [1].exists(b, '.exists(' == '.exists('))",
    ],
)
def test_words_in_strings_and_comments_are_not_read(source: str) -> None:
    assert not compile_condition(source).claims


@pytest.mark.parametrize(
    "source",
    [
        "claims.a.exists(a, claims.b.exists(b, a == b))",
        "claims.a.exists(a, a == 1) && claims.b.exists(b, b.exists(c, c == 1))",
        "claims.a.filter(a, a > 1).map(b, b + 1).all(c, c > 2)",
        "claims.a.exists_one(a, (((a)) == 1))",
        " " * (MAX_LENGTH - 4) + "true",
    ],
)
def test_expressions_within_the_limits(source: str) -> None:
    assert source == compile_condition(source).source


FAILED = Reason.CONDITION_FAILED
NOT_MET = Reason.CONDITION_NOT_MET
HUGE = 10**400


@pytest.mark.parametrize(
    ("source", "claims", "expected"),
    [
        ("claims.plan == 'pro'", {"plan": "pro"}, None),
        ("claims.plan == 'pro'", {"plan": "free"}, NOT_MET),
        ("claims.plan == 'pro'", {"plan": 1}, NOT_MET),
        ("claims.plan == 'pro'", {"plan": None}, NOT_MET),
        ("claims.plan == 'pro'", {"plan": ["pro"]}, NOT_MET),
        ("claims.plan == 'pro'", {}, FAILED),
        ("claims.plan != 'pro'", {}, FAILED),
        ("!(claims.plan == 'pro')", {}, FAILED),
        ("has(claims.plan) && claims.plan == 'pro'", {}, NOT_MET),
        ("!has(claims.plan) || claims.plan == 'pro'", {}, None),
        ("claims.plan == 'pro' || true", {}, None),
        ("claims.plan == 'pro' && false", {}, NOT_MET),
        ("claims.flag == true", {"flag": True}, None),
        ("claims.flag == true", {"flag": 1}, NOT_MET),
        ("claims.flag == true", {"flag": "true"}, NOT_MET),
        ("claims.flag || false", {"flag": True}, None),
        ("claims.flag || false", {"flag": "yes"}, FAILED),
        ("claims.flag && true", {"flag": 1}, FAILED),
        ("claims.level > 3", {"level": 4}, None),
        ("claims.level > 3", {"level": 4.5}, None),
        ("claims.level > 3", {"level": 3}, NOT_MET),
        ("claims.level > 3", {"level": "4"}, FAILED),
        ("claims.level > 3", {"level": [4]}, FAILED),
        ("claims.level + 1 > 3", {"level": 2**63 - 1}, FAILED),
        ("1 / claims.level > 3", {"level": 0}, FAILED),
        ("claims.level == 9223372036854775808u", {"level": 2**63}, None),
        ("claims.level < 0", {"level": 2**63}, NOT_MET),
        ("claims.level > 3", {"level": 2**64}, FAILED),
        ("claims.level > 3", {"level": -(2**63) - 1}, FAILED),
        ("claims.level > 3", {"level": HUGE}, FAILED),
        ("claims.level > 3", {"level": -HUGE}, FAILED),
        ("claims.level > 3.0", {"level": float("inf")}, None),
        ("claims.level == claims.level", {"level": float("nan")}, NOT_MET),
        ("'a' in claims.teams", {"teams": ["a", "b"]}, None),
        ("'a' in claims.teams", {"teams": {"a": 1}}, None),
        ("'a' in claims.teams", {"teams": ["b"]}, NOT_MET),
        ("'a' in claims.teams", {"teams": "abc"}, FAILED),
        ("claims.meta.plan.name == 'pro'", {"meta": {"plan": {"name": "pro"}}}, None),
        ("claims.meta.plan.name == 'pro'", {"meta": {"plan": "pro"}}, FAILED),
        ("claims.name.matches('^a+$')", {"name": "aaa"}, None),
        ("claims.name.matches('(')", {"name": "aaa"}, FAILED),
        ("claims.name.matches('^(a+)+$')", {"name": "a" * 4000 + "b"}, NOT_MET),
        ("claims.name == 'a'", {"name": "\udcff"}, FAILED),
        ("size(claims.name) == 1", {"name": "\u00e9"}, None),
        ("claims['https://a.example/plan'] == 1", {"https://a.example/plan": 1}, None),
    ],
)
def test_what_comes_of_a_condition(
    source: str, claims: dict[str, object], expected: Reason | None
) -> None:
    assert expected == outcome(source, claims=claims)


def test_what_is_not_a_claim_is_text_or_a_list_of_it() -> None:
    source = (
        "request.method == 'GET' && request.headers['x-a'] == 'b' && path.id.startsWith('org_')"
        " && context.tier == 'gold' && source.principal == 'spiffe://a' && 'x' in service.scopes"
    )

    assert (
        outcome(
            source,
            request={"method": "GET", "headers": {"x-a": "b"}},
            path={"id": "org_1"},
            context={"tier": "gold"},
            source={"principal": "spiffe://a"},
            service={"scopes": ["x"]},
        )
        is None
    )


@pytest.mark.parametrize(
    ("source", "items", "expected"),
    [
        ("claims.a.all(x, x >= 0)", 9_000, None),
        ("claims.a.all(x, x >= 0)", 11_000, FAILED),
        ("claims.a.all(x, claims.a.all(y, x + y >= 0))", 90, None),
        ("claims.a.all(x, claims.a.all(y, x + y >= 0))", 110, FAILED),
        ("claims.a.exists(x, claims.a.exists(y, x + y < 0))", 11_000, FAILED),
        ("!claims.a.exists(x, claims.a.exists(y, x + y < 0))", 110, FAILED),
        ("size(claims.a.map(x, claims.a.map(y, x + y))) > 0", 110, FAILED),
    ],
)
def test_a_condition_that_takes_too_long_fails(
    source: str, items: int, expected: Reason | None
) -> None:
    """
    The budget is CEL's: 10,000 iterations. Negated, it fails as well.
    """
    assert expected == outcome(source, claims={"a": list(range(items))})


@pytest.mark.parametrize(
    ("source", "claims"),
    [
        ("claims.plan == 'pro'", {"plan": "pro\x00"}),
        ("claims.plan == 'pro'", {"plan": "pro\x00 "}),
        ("claims.plan != 'free'", {"plan": "free\x00"}),
        ("claims.plan == 'pro\\x00'", {"plan": "pro\x00"}),
        ("'pro' in claims.plans", {"plans": ["pro\x00"]}),
        ("'pro' in claims.plans", {"plans": {"pro\x00": 1}}),
        ("claims.a.b[0].c == 'pro'", {"a": {"b": [{"c": "pro\x00"}]}}),
        ("claims.plan == 'pro' || true", {"plan": "pro\x00"}),
    ],
)
def test_a_claim_with_a_nul_fails_the_condition_that_reads_it(
    source: str, claims: dict[str, object]
) -> None:
    """
    The runtime would read no further: ``pro\\0`` is ``pro`` to it.
    """
    assert FAILED is outcome(source, claims=claims)


@pytest.mark.parametrize(
    "read", ["request.path", "user.id", "service.name", "source.principal", "path.x", "context.x"]
)
def test_so_does_any_other_value_with_a_nul(read: str) -> None:
    variable, _, name = read.partition(".")

    assert FAILED is outcome(f"{read} == 'a'", **{variable: {name: "a\x00"}})


@pytest.mark.parametrize(
    "source",
    [
        "request.path.matches(claims.pattern)",
        "request.path.matches('a' + claims.pattern)",
        "request.path.matches(('a'))",
        "matches(request.path, 'a')",
        "claims.paths.exists(p, request.path.matches(p))",
    ],
)
def test_a_pattern_is_the_operator_s(source: str) -> None:
    """
    Compiling one takes as long as its author likes.
    """
    with pytest.raises(ConditionError, match="with the pattern written there"):
        compile_condition(source)


@pytest.mark.parametrize(
    "source",
    [
        "user.session_age < 'x'",
        "user.org_permissions == 'x'",
        "request.method == 5",
        "user.is_pending == 'no'",
        "has(user.org_id) && user.org_id == 1",
        "request.headers.x == 1",
        "service.scopes == 'x'",
        "source.principal == 1",
    ],
)
def test_fields_have_types(source: str) -> None:
    with pytest.raises(ConditionError, match="no matching overload"):
        compile_condition(source)


@pytest.mark.parametrize(
    ("source", "user", "expected"),
    [
        ("user.is_pending", {"is_pending": True}, None),
        ("!user.is_pending", {"is_pending": True}, Reason.CONDITION_NOT_MET),
        ("has(user.org_id) && user.org_id == 'a'", {"org_id": "a"}, None),
        ("has(user.org_id) && user.org_id == 'a'", {}, Reason.CONDITION_NOT_MET),
        ("has( user.org_id )", {"org_id": "a"}, None),
        ("'a' in user.org_permissions", {"org_permissions": ["a"]}, None),
    ],
)
def test_what_has_a_type_is_evaluated_as_before(
    source: str, user: dict[str, object], expected: Reason | None
) -> None:
    assert expected == outcome(source, user=user)


def test_every_known_field_has_a_type() -> None:
    known = {f"{name}.{field}" for name, fields in KNOWN_FIELDS.items() for field in fields}

    assert known == FIELD_TYPES.keys()


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("user.orgid == 'a'", 1),
        ("has(user.orgid)", 5),
        ("user['orgid'] == 'a'", 1),
        ("request.query == 'a'", 1),
        ("true && service.scope == 'a'", 9),
        ("source.principle == 'a'", 1),
    ],
)
def test_a_field_that_does_not_exist_is_refused(source: str, column: int) -> None:
    """
    Asking whether it is there would always say no.
    """
    with pytest.raises(ConditionError, match="expected a field of") as caught:
        compile_condition(source)

    assert (1, column) == (caught.value.line, caught.value.column)


def nested(depth: int) -> object:
    """Return a one in lists and mappings, `depth` of them together."""
    value: object = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(MAX_DEPTH - 2, None), (MAX_DEPTH - 1, FAILED), (MAX_DEPTH, FAILED), (100_000, FAILED)],
)
def test_a_claim_that_nests_deep_fails_the_condition_that_reads_it(
    depth: int, expected: Reason | None
) -> None:
    """
    The runtime converts on the stack, and the stack ends.
    """
    assert expected == outcome("claims.x == claims.x", claims={"x": nested(depth)})


@pytest.mark.parametrize(
    "other",
    [
        {"x": nested(100_000)},
        {"x": HUGE},
        {"x": "\x00"},
        {"x": "\udcff"},
        {"plan\x00": "free"},
        {"\udcff": "free"},
    ],
)
def test_what_a_condition_does_not_read_does_not_matter(other: dict[str, object]) -> None:
    assert outcome("claims.plan == 'pro'", claims={**other, "plan": "pro"}) is None
    assert outcome("claims.plan == 'pro'", claims={"plan": "pro", **other}) is None


# Properties ---------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63 - 1, 2**63, -(2**63) - 1, 2**64, HUGE])
    | st.floats()
    | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT | st.just("x"), inner, max_size=3)
    ),
    max_leaves=8,
)
CONDITIONS = [
    compile_condition(source)
    for source in (
        "claims.x == 'a'",
        "claims.x != 1 && claims.x < claims.y",
        "claims.x || claims.y",
        "!has(claims.x)",
        "has(claims.x.x) ? claims.x.x == 1 : false",
        "claims.x.exists(a, a == claims.y)",
        "claims.x.all(a, claims.y.exists(b, a == b))",
        "'a' in claims.x",
        "size(claims.x) > 1 || claims.x.startsWith('a')",
        "claims.x + claims.y == claims.y + claims.x",
        "timestamp(claims.x) < timestamp(claims.y) || int(claims.x) > 3",
        "string(claims.x) == '' || string(claims.y).matches('x+')",
    )
]


@given(
    st.sampled_from(CONDITIONS),
    st.dictionaries(st.sampled_from("xyz") | ANY_TEXT, JSON, max_size=4),
)
@example(CONDITIONS[0], {"x": "a", "\udcff": 1})
def test_any_claims_get_an_answer(condition: Condition, claims: dict[str, Any]) -> None:
    """
    Nothing is raised, whatever a token holds.
    """
    assert condition.refusal({"claims": claims}) in {None, NOT_MET, FAILED}


WORDS = st.sampled_from(
    [
        *("claims", ".", "[", "]", "(", ")", "'", '"', "'''", "\\", "//", "\n", " ", "r", "b"),
        *("user", "path", "in", "true", "==", "&&", "exists", "x", ",", "1", "has", "{", "}", ":"),
    ]
)


@given(st.lists(WORDS, max_size=12).map("".join) | ANY_TEXT)
def test_any_text_is_a_condition_or_refused_with_its_place(source: str) -> None:
    try:
        condition: Condition | ConditionError = compile_condition(source)
    except ConditionError as error:
        condition = error

    if isinstance(condition, Condition):
        assert condition.fields.keys() <= VARIABLES.keys()
        assert condition.fields.get("claims", frozenset()) is not None
    else:
        assert 1 <= condition.line <= source.count("\n") + 1
        assert condition.column >= 1


SPACES = st.sampled_from(["", " ", "\n", " // claims.z\n", "\t"])
SELECTED = st.sampled_from([".{}", "['{}']", '["{}"]'])
ELSEWHERE = st.sampled_from(
    ["", " || 'claims.z' == ''", ' || "claims[\'z\']" == r"claims.z"', " // claims.z", "\n"]
)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), SELECTED, SPACES), min_size=1, max_size=4),
    ELSEWHERE,
)
def test_however_claims_are_spelt_their_names_are_found(
    read: list[tuple[str, str, str]], elsewhere: str
) -> None:
    """
    What is found is what the expression asks for, and neither more nor less.
    """
    asked = " || ".join(
        f"{space}claims{space}{select.format(name)}{space} == 1" for name, select, space in read
    )

    assert {name for name, _, _ in read} == compile_condition(asked + elsewhere).claims
