"""Validate objects of other projects as strictly as a careful API server would.

The schemas are trimmed ones of Istio, Envoy Gateway and the Gateway API (``schemas/README.md``). A
field that they do not know is a mistake; ``kubectl apply`` would report it or drop it. Their CEL
rules (``x-kubernetes-validations``) are asked after defaults were filled in, as in a cluster.
Not checked: rules about changes and those with functions that only Kubernetes has (`is_asked`),
and the syntax of labels.

Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from cel_expr_python import cel
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # no stubs here

SCHEMAS: Final = Path(__file__).parent / "schemas"
MESH_CONFIG: Final = SCHEMAS / "MeshConfig.json"
_METADATA: Final = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"},
        "namespace": {"type": "string"},
        "labels": {"additionalProperties": {"type": "string"}},
        "annotations": {"additionalProperties": {"type": "string"}},
    },
}
_PLAIN: Final = (
    *("type", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "required", "multipleOf"),
    *("oneOf", "anyOf", "allOf", "not"),
)
_NOT_ASKED: Final = ("oldSelf", "upperAscii", ".split(")
"""Rules about changes, and with functions that only Kubernetes' CEL has."""
_ENVIRONMENT: Final = cel.NewEnv(variables={"self": cel.Type.DYN})


def documents_of(*paths: Path) -> list[dict[str, Any]]:
    """Return the objects in files, with keys as JSON has them."""
    texts = (path.read_text("utf-8") for path in paths)
    found = (each for text in texts for each in yaml.load_all(text, Loader=yaml.CSafeLoader))
    return [json.loads(json.dumps(each)) for each in found]


def mistakes_in(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an object whose kind has a schema.

    Raises:
        LookupError: there is none.
    """
    schema = _schema_of(str(document["apiVersion"]), str(document["kind"]))
    value = _with_defaults(json.loads(json.dumps(document)), schema)
    found = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(_strict(schema)).iter_errors(value)
    ]
    return found or [*_broken_rules(value, schema, "$")]


def mesh_config_mistakes(config: object) -> list[str]:
    """Return what is wrong with Istio's ``meshConfig``."""
    return [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(_json(MESH_CONFIG)).iter_errors(config)
    ]


def kinds() -> frozenset[str]:
    """Return the kinds that have a schema."""
    return frozenset(path.stem for path in SCHEMAS.glob("*.yaml"))


@cache
def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return] # parsed JSON


@cache
def _file(kind: str) -> dict[str, Any]:
    return documents_of(SCHEMAS / f"{kind}.yaml")[0]


def _schema_of(api_version: str, kind: str) -> dict[str, Any]:
    if kind not in kinds():
        msg = f"there is no schema of {kind}"
        raise LookupError(msg)
    known = _file(kind)
    if api_version != f"{known['group']}/{known['version']}":
        msg = f"there is no schema of {kind} in {api_version}"
        raise LookupError(msg)
    schema: dict[str, Any] = known["schema"]
    words = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    properties = words | schema["properties"] | {"metadata": _METADATA}
    return schema | {"properties": properties, "required": ["apiVersion", "kind", "metadata"]}


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a structural schema as one of JSON Schema's that knows no other fields."""
    made = {key: schema[key] for key in _PLAIN if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return made | {"type": ["integer", "string"]}
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    if "properties" in schema:
        made["properties"] = {key: _strict(each) for key, each in schema["properties"].items()}
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping):
        made["additionalProperties"] = _strict(others)
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = bool(others)
    return made


def _with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - parsed YAML
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        known = schema.get("properties", {})
        for key, each in known.items():
            if key not in value and "default" in each:
                value[key] = each["default"]
        for key in value:
            inner = known.get(key, others if isinstance(others, Mapping) else {})
            value[key] = _with_defaults(value[key], inner)
    elif isinstance(value, list):
        return [_with_defaults(each, schema.get("items", {})) for each in value]
    return value


def _broken_rules(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:  # noqa: ANN401
    for rule in schema.get("x-kubernetes-validations", ()):
        if is_asked(rule["rule"]) and not holds(rule["rule"], value):
            yield f"{place}: {rule.get('message', rule['rule'])}"
    yield from _repeated(value, schema, place)
    if isinstance(value, dict):
        others = schema.get("additionalProperties")
        for key, each in value.items():
            inner = schema.get("properties", {}).get(key)
            inner = inner if inner is not None else others if isinstance(others, Mapping) else {}
            yield from _broken_rules(each, inner, f"{place}.{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _broken_rules(each, schema.get("items", {}), f"{place}[{index}]")


def _repeated(value: object, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    kind = schema.get("x-kubernetes-list-type")
    if not isinstance(value, list) or kind not in {"map", "set"}:
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    names = [json.dumps([each.get(key) for key in keys] if keys else each) for each in value]
    if len(set(names)) < len(names):
        yield f"{place}: the same entry twice"


def is_asked(rule: str) -> bool:
    """Tell whether a rule can be asked here."""
    return not any(each in rule for each in _NOT_ASKED)


def holds(rule: str, value: object) -> bool:
    """Ask a rule about what it calls ``self``."""
    return bool(_compiled(rule).eval(data={"self": value}).value())


@cache
def _compiled(rule: str) -> "cel.Expression":
    return _ENVIRONMENT.compile(rule)
