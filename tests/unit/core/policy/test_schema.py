"""The schema that editors complete from says what the file's reader says, as far as it can."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # has no types

from wicketgate.core.policy.parse import PolicyError, parse_policy
from wicketgate.core.policy.schema import DIALECT, policy_schema, schema_text
from wicketgate.core.policy.source import parse_source

ROOT: Final = Path(__file__).parents[4]
SCHEMA_FILE: Final = ROOT / "docs" / "policy.schema.json"

MINIMAL: Final = "version: 1\nrules: []\n"


def is_valid(text: str) -> bool:
    return bool(Draft202012Validator(policy_schema()).is_valid(parse_source(text)))


def is_read(text: str) -> bool:
    try:
        parse_policy(text)
    except PolicyError:
        return False
    return True


def rule(words: str) -> str:
    return f"version: 1\nrules:\n  - {{name: r, {words}}}\n"


def case(words: str) -> str:
    return f"{MINIMAL}tests:\n  - {{name: t, request: {{path: /}}, {words}}}\n"


def test_the_file_is_what_the_code_makes() -> None:
    """
    If not: wicketgate policy schema > docs/policy.schema.json.
    """
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_it_is_a_schema_of_its_dialect() -> None:
    schema = policy_schema()

    Draft202012Validator.check_schema(schema)
    assert list(schema)[:3] == ["$schema", "$id", "title"]
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == "urn:wicketgate:policy:1"


def test_it_names_no_class_of_the_code() -> None:
    def titles(value: object) -> list[Any]:
        if isinstance(value, dict):
            own = [value["title"]] if isinstance(value.get("title"), str) else []
            return own + [title for each in value.values() for title in titles(each)]
        return (
            [title for each in value for title in titles(each)] if isinstance(value, list) else []
        )

    assert titles(json.loads(schema_text())) == ["Policy of wicketgate"]


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        MINIMAL + "default: user\nany_targets: ['*.x.com']\ntests: []\n",
        rule("allow: user"),
        rule("allow: [user, service, anonymous]"),
        rule("allow: []"),
        rule("allow: {user: {org_role: admin, session_age: 10m, actor: deny}}"),
        rule("allow: [{user: {}}, {service: {name: [a, b], scope: c}}]"),
        rule("allow: user, match: {}"),
        rule("allow: user, match: {hosts: x.com, methods: [GET], paths: ['/{a}/**']}"),
        rule("allow: user, match: {context: {a: b, c: [d, e]}, headers: x-a}"),
        rule("allow: user, when: claims.a == 1, shadow: true, description: why"),
        rule("allow: user, headers: {x-org: org_id, x-plan: claims.plan}, credentials: strip"),
        case("expect: deny"),
        case("as: user, expect: {decision: allow, headers: {x-a: null}, shadows: {r: allowed}}"),
        case("as: {claims: {sub: user_1}}, expect: allow"),
        case("as: {service: a}, expect: allow"),
        case("as: {service: {name: a, scopes: [b]}}, expect: allow"),
        case("as: {refused: token_expired}, expect: {decision: deny, status: 401}"),
    ],
)
def test_what_is_read_is_valid(text: str) -> None:
    assert is_read(text)
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "rules: []",
        "version: 2\nrules: []",
        "version: 1",
        MINIMAL + "defaults: deny\n",
        MINIMAL + "default: allow\n",
        MINIMAL + "any_targets: []\n",
        "version: 1\nrules: [{allow: user}]",
        "version: 1\nrules: [{name: r}]",
        rule("allow: users"),
        rule("allow: {user: {}, service: {}}"),
        rule("allow: {anonymous: true}"),
        rule("allow: {}"),
        rule("allow: [[]]"),
        rule("allow: {user: {role: admin}}"),
        rule("allow: {user: {session_age: 10}}"),
        rule("allow: {user: {session_age: 10 minutes}}"),
        rule("allow: {user: {actor: no}}"),
        rule("allow: {user: {org_id: []}}"),
        rule("allow: user, match: {path: /a}"),
        rule("allow: user, match: {paths: []}"),
        rule("allow: user, match: {paths: a}"),
        rule("allow: user, match: {methods: get}"),
        rule("allow: user, match: {hosts: [1]}"),
        rule("allow: user, match: {headers: X-A}"),
        rule("allow: user, match: {context: {a: []}}"),
        rule("allow: user, match: {context: {'a b': c}}"),
        rule("allow: user, headers: {X-Org: org_id}"),
        rule("allow: user, headers: {x-org: org}"),
        rule("allow: user, credentials: keep"),
        rule("allow: user, shadow: 1"),
        rule("allow: user, name: R").replace("name: r, ", ""),
        case("expect: maybe"),
        case("expect: {}"),
        case("as: {}, expect: allow"),
        case("as: nobody, expect: allow"),
        case("as: {claims: {}, service: a}, expect: allow"),
        case("request: {}, expect: allow").replace("request: {path: /}, ", ""),
    ],
)
def test_what_is_not_read_for_its_words_is_not_valid(text: str) -> None:
    assert not is_read(text)
    assert not is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        rule("allow: user, when: '1 +'"),
        rule("allow: user, match: {paths: '/a*'}"),
        rule("allow: user, match: {hosts: 'x.com:80'}"),
        rule("allow: user, headers: {cookie: org_id}"),
    ],
)
def test_the_reader_finds_more(text: str) -> None:
    """
    Not everything can be said in a schema: it helps to write, and only the check decides.
    """
    assert not is_read(text)
    assert is_valid(text)


def test_the_policy_that_is_shipped_is_valid() -> None:
    assert is_valid((ROOT / "deploy" / "policy.yaml").read_text(encoding="utf-8"))
