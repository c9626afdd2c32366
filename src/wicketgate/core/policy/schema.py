"""The JSON Schema of policy files, from which editors complete and check.

It is made of the same classes that read the file. What they say in code is said
again here, as far as a schema can say it: what `parse_policy` accepts the schema
accepts, but the schema does not find every mistake.

Source: JSON Schema 2020-12.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from wicketgate.core.policy.document import VERSION, PolicyWords

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER: Final = f"urn:wicketgate:policy:{VERSION}"
TITLE: Final = "Policy of wicketgate"

_ONE_KEY: Final = ("AllowWords", "CallerWords")
"""Mappings with exactly one key."""


def policy_schema() -> dict[str, Any]:
    """Return the schema, its dialect and its name first."""
    schema = PolicyWords.model_json_schema()
    for part in _parts_of(schema):
        _tighten(part)
    definitions = schema["$defs"]
    for name in _ONE_KEY:
        definitions[name] |= {"minProperties": 1, "maxProperties": 1}
    # A word, never a mapping; and a default as one would write it.
    del definitions["AllowWords"]["properties"]["anonymous"]
    definitions["CaseWords"]["properties"]["as"]["default"] = "anonymous"
    _allow_none(definitions["RuleWords"]["properties"]["allow"])
    head = {"$schema": DIALECT, "$id": IDENTIFIER, "title": TITLE}
    return head | {key: value for key, value in schema.items() if key not in head}


def schema_text() -> str:
    """Return the schema as a file holds it."""
    return json.dumps(policy_schema(), indent=2) + "\n"


def _parts_of(value: object) -> Iterator[dict[str, Any]]:
    """Yield every mapping in `value`, itself included."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _parts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from _parts_of(each)


def _tighten(part: dict[str, Any]) -> None:
    # Names of Python's classes and fields, which tell an operator nothing.
    if isinstance(part.get("title"), str):
        del part["title"]
    # What stands for a key that is left out, and could not be written in its place.
    if part.get("default", ...) in (None, []):
        del part["default"]
    if "patternProperties" in part:
        part["additionalProperties"] = False
    for each in _lists_beside_one(part):
        each["minItems"] = 1


def _lists_beside_one(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the list of a part that may be one item or a list of such."""
    for each in part.get("anyOf", ()):
        if each.get("type") == "array":
            yield each


def _allow_none(part: dict[str, Any]) -> None:
    for each in _lists_beside_one(part):
        del each["minItems"]
