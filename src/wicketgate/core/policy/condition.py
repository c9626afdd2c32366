"""Conditions: CEL expressions that are true or false of one request.

An expression is compiled and type-checked once, and must be a bool. What it
costs is bounded: its length, two levels of nested macros, and CEL's own budget of
10,000 iterations. A condition that cannot be evaluated is not true.

Claims are read by name (``claims.plan``), so that it is known which claims a
policy reads; nothing else of a token is ever kept in a log.

Source: Common Expression Language specification, "Macros" and "Evaluation".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cel_expr_python import cel

from wicketgate.core.policy.variables import KNOWN_FIELDS
from wicketgate.core.reason import Reason

MAX_LENGTH: Final = 4096
MAX_NESTING: Final = 2
"""Two nested macros over a token's 8 KiB are a few thousand steps; three could be millions."""

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

_MACROS: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_OPERANDS: Final = frozenset({"word", "string", "raw"})
_CLOSING: Final = frozenset({")", "]", "}"})

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<raw>[bB]?[rR][bB]?(?:\'{3}.*?\'{3}|"{3}.*?"{3}|\'[^\'\n]*\'|"[^"\n]*"))
  | (?P<string>[bB]?(?:\'{3}(?:[^\\]|\\.)*?\'{3}|"{3}(?:[^\\]|\\.)*?"{3}
                |\'(?:[^\'\\\n]|\\.)*\'|"(?:[^"\\\n]|\\.)*"))
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN_STRING: Final = re.compile(r"""(['"])([A-Za-z0-9_.:/-]+)\1""")
_PLACE: Final = re.compile(r"<input>:(\d+):(\d+): (.*)")

_ENVIRONMENT: Final = cel.NewEnv(variables=dict(VARIABLES))


class ConditionError(ValueError):
    """An expression that cannot be used.

    Attributes:
        line: Where in the expression, from 1.
        column: Likewise, from 1.
    """

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


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
    if expression.return_type() != cel.Type.BOOL:
        raise ConditionError(_not_bool(expression.return_type()))
    tokens = list(_tokens(source))
    _limit_nesting(tokens)
    _refuse_rooted_names(tokens)
    return Condition(source, _fields_in(tokens), expression)


def _not_bool(kind: cel.Type) -> str:
    if kind == cel.Type.DYN:
        return "expected something that is true or false; compare it, as in claims.beta == true"
    return f"expected something that is true or false, not {kind.name().lower()}"


_Token = tuple[str, str, tuple[int, int]]
"""Kind, text, and line and column."""

_NO_TOKEN: Final[_Token] = ("", "", (1, 1))


def _tokens(source: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(source):
        kind = str(found.lastgroup)
        if kind != "space":
            start = found.start()
            line = source.count("\n", 0, start) + 1
            yield kind, found[0], (line, start - source.rfind("\n", 0, start))


def _limit_nesting(tokens: list[_Token]) -> None:
    open_macros: list[bool] = []
    for before, name, (_, mark, place) in zip(
        [_NO_TOKEN, _NO_TOKEN, *tokens], [_NO_TOKEN, *tokens], tokens, strict=False
    ):
        if mark == "(":
            open_macros.append(before[1] == "." and name[1] in _MACROS)
            if sum(open_macros) > MAX_NESTING:
                msg = f"expected at most {MAX_NESTING} macros inside each other"
                raise _misplaced(msg, place)
        elif mark == ")" and open_macros:
            open_macros.pop()


def _refuse_rooted_names(tokens: list[_Token]) -> None:
    """Refuse ``.claims``, which is ``claims`` to CEL and a field to whoever reads tokens."""
    for before, (_, mark, place), (kind, _, _) in zip(
        [_NO_TOKEN, *tokens], tokens, tokens[1:], strict=False
    ):
        is_field = before[1] in _CLOSING or (before[0] in _OPERANDS and before[1] != "in")
        if mark == "." and kind == "word" and not is_field:
            msg = "expected a name without a dot before it"
            raise _misplaced(msg, place)


def _fields_in(tokens: list[_Token]) -> dict[str, frozenset[str] | None]:
    found: dict[str, set[str] | None] = {}
    padded = [_NO_TOKEN, *tokens, _NO_TOKEN, _NO_TOKEN, _NO_TOKEN]
    for before, here, *after in zip(padded, *(padded[n:] for n in range(1, 5)), strict=False):
        variable = here[1]
        if here[0] != "word" or variable not in VARIABLES or before[1] == ".":
            continue
        name = _field(after)
        if name is None and variable == "claims":
            msg = "expected a claim by its name, such as claims.plan or has(claims.plan)"
            raise _misplaced(msg, here[2])
        _require_known(variable, name, here[2])
        known = found.setdefault(variable, set())
        if name is None or known is None:
            found[variable] = None
        else:
            known.add(name)
    return {key: None if names is None else frozenset(names) for key, names in found.items()}


def _require_known(variable: str, name: str | None, place: tuple[int, int]) -> None:
    """Refuse a field that is misspelt: asking whether it is there would always say no."""
    fields = KNOWN_FIELDS.get(variable)
    if name is not None and fields is not None and name not in fields:
        msg = f"expected a field of {variable} instead of {name}: {', '.join(sorted(fields))}"
        raise _misplaced(msg, place)


def _field(after: list[_Token]) -> str | None:
    """Return the name in ``.name`` or ``["name"]``; `None` when something else follows."""
    (_, mark, _), (kind, name, _), (_, closing, _) = after
    if mark == "." and kind == "word" and closing != "(":
        return name
    plain = _PLAIN_STRING.fullmatch(name)
    return plain[2] if mark == "[" and closing == "]" and plain is not None else None


def _misplaced(message: str, place: tuple[int, int]) -> ConditionError:
    line, column = place
    return ConditionError(message, line=line, column=column)


def _explained(error: Exception) -> ConditionError:
    found = _PLACE.search(str(error))
    if found is None:
        return ConditionError("expected an expression in CEL")
    message = found[3].replace(" (in container '')", "")
    return ConditionError(message, line=int(found[1]), column=int(found[2]))
