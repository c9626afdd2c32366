"""Conditions: CEL expressions that are true or false of one request.

An expression is compiled and type-checked once, and must be a bool. What it
costs is bounded: its length, two levels of nested macros, and CEL's own budget of
10,000 iterations. A condition that cannot be evaluated is not true.

Claims are read by name (``claims.plan``), so that it is known which claims a
policy reads; nothing else of a token is ever kept in a log.

Source: Common Expression Language specification, "Macros" and "Evaluation".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cel_expr_python import cel

from wicketgate.core.policy.condition_text import (
    ConditionError,
    fields_in,
    limit_nesting,
    refuse_other_patterns,
    refuse_rooted_names,
    tokens_of,
    without_has,
)
from wicketgate.core.reason import Reason

MAX_LENGTH: Final = 4096
MAX_DEPTH: Final = 64
"""How deep the values that are read may nest; a segmentation fault takes thousands."""

_TEXTS: Final = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
_VALUES: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)

VARIABLES: Final[Mapping[str, cel.Type]] = {
    "request": _VALUES,
    "claims": _VALUES,
    "user": _VALUES,
    "service": _VALUES,
    "source": _TEXTS,
    "path": _TEXTS,
    "context": _TEXTS,
}
"""What an expression can speak about, with its CEL type."""

_PLACE: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")

FIELD_TYPES: Final[Mapping[str, cel.Type]] = {
    **dict.fromkeys(("user.id", "user.session_id", "user.actor_id"), cel.Type.STRING),
    **dict.fromkeys(("user.org_id", "user.org_slug", "user.org_role"), cel.Type.STRING),
    "user.org_permissions": cel.Type.List(cel.Type.STRING),
    **dict.fromkeys(("user.session_age", "user.second_factor_age"), cel.Type.INT),
    **dict.fromkeys(("user.is_impersonated", "user.is_pending"), cel.Type.BOOL),
    **dict.fromkeys(("request.method", "request.host", "request.path"), cel.Type.STRING),
    "request.headers": _TEXTS,
    "service.name": cel.Type.STRING,
    "service.scopes": cel.Type.List(cel.Type.STRING),
    "source.principal": cel.Type.STRING,
}
"""The types of the fields that are known; claims may be anything."""

_ENVIRONMENT: Final = cel.NewEnv(variables=dict(VARIABLES))
_TYPED: Final = cel.NewEnv(variables={**VARIABLES, **FIELD_TYPES})


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled expression.

    Attributes:
        source: The expression.
        fields: What it reads of each of `VARIABLES` that it speaks about: names, or
            `None` when it may be anything.
    """

    source: str
    fields: Mapping[str, frozenset[str] | None]
    _expression: "cel.Expression" = field(repr=False, compare=False)

    @property
    def claims(self) -> frozenset[str]:
        """The claims that it reads."""
        return self.fields.get("claims") or frozenset()

    @property
    def parameters(self) -> frozenset[str]:
        """The named segments of the path that it reads."""
        return self.fields.get("path") or frozenset()

    def refusal(self, values: Mapping[str, Mapping[str, Any]]) -> Reason | None:
        """Return why the condition does not hold, or `None` when it does.

        Args:
            values: At least one mapping for each of `fields`.
        """
        try:
            read = {name: _selected(values[name], fields) for name, fields in self.fields.items()}
            if not _is_readable(read):
                return Reason.CONDITION_FAILED
            result = self._expression.eval(data=read)
            holds = result.value() if result.type() == cel.Type.BOOL else None
        # Whatever the runtime raises, over budget or not to be converted: not true.
        except Exception:  # noqa: BLE001
            return Reason.CONDITION_FAILED
        if holds is True:
            return None
        return Reason.CONDITION_NOT_MET if holds is False else Reason.CONDITION_FAILED


def _selected(value: Mapping[str, Any], names: frozenset[str] | None) -> Mapping[str, Any]:
    """Return what is read of `value`; the rest is nothing that the runtime need convert."""
    if names is None:
        return dict(value)
    return {name: value[name] for name in names if name in value}


def _is_readable(value: object, depth: int = 0) -> bool:
    """Tell whether the runtime would read `value` as it is.

    It takes a NUL for the end of a text, and converts what is nested on the stack.
    """
    # Loops, because every condition of every request goes through here.
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        return False
    if isinstance(value, dict):
        for key, inner in value.items():
            if "\x00" in key or not _is_readable(inner, depth + 1):
                return False
        return True
    if isinstance(value, list):
        return all(_is_readable(inner, depth + 1) for inner in value)
    # Whatever else JSON knows. Nothing else gets here.
    return value is None or isinstance(value, int | float)


def compile_condition(source: str) -> Condition:
    """Compile an expression.

    Raises:
        ConditionError: it is too long or nested too deep, is not CEL, does not
            type-check, is not a bool, or reads claims other than by name.
    """
    if len(source) > MAX_LENGTH:
        msg = f"expected at most {MAX_LENGTH} characters, not {len(source)}"
        raise ConditionError(msg)
    try:
        expression = _ENVIRONMENT.compile(source)
    # The library raises RuntimeError for what it understood not to be CEL, and
    # others for what cannot even be handed to it, such as a lone surrogate.
    except Exception as error:  # noqa: BLE001
        raise _explained(error) from None
    tokens = list(tokens_of(source))
    limit_nesting(tokens)
    refuse_rooted_names(tokens)
    refuse_other_patterns(tokens)
    fields = fields_in(tokens)
    kind = _checked(source)
    if kind != cel.Type.BOOL:
        raise ConditionError(_not_bool(kind))
    return Condition(source, fields, expression)


def _checked(source: str) -> cel.Type:
    """Return the type of an expression whose every field has its own.

    What is evaluated knows only mappings, because a field that the token lacks has to
    be an error, and ``has`` has to work. This is for finding mistakes.

    Raises:
        ConditionError: types do not fit.
    """
    try:
        return _TYPED.compile(without_has(source)).return_type()
    except Exception as error:  # noqa: BLE001 - as above
        raise _explained(error) from None


def _not_bool(kind: cel.Type) -> str:
    if kind == cel.Type.DYN:
        return "expected something that is true or false; compare it, as in claims.beta == true"
    return f"expected something that is true or false, not {kind.name().lower()}"


def _explained(error: Exception) -> ConditionError:
    found = _PLACE.search(str(error))
    if found is None:
        return ConditionError("expected an expression in CEL")
    message = found[3].replace(" (in container '')", "")
    return ConditionError(message, line=int(found[1]), column=int(found[2]))
