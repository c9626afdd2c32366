"""What the text of a condition tells before it is run: how deep it is, and what it reads.

CEL keeps no record of that, so the text is cut into tokens here. It was compiled
before: whatever is not CEL does not get this far.

Source: Common Expression Language specification, "Syntax" and "Macros".
"""

import re
from collections.abc import Iterator
from typing import Final

from wicketgate.core.policy.variables import KNOWN_FIELDS, NAMES

MAX_NESTING: Final = 2
"""Two nested macros over a token's 8 KiB are a few thousand steps; three could be millions."""

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
_HAS: Final = re.compile(r"\bhas\(\s*(?:user|request|service)\.\w+\s*\)")
_PLAIN_STRING: Final = re.compile(r"""(['"])([A-Za-z0-9_.:/-]+)\1""")


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


Token = tuple[str, str, tuple[int, int]]
"""Kind, text, and line and column."""

_NO_TOKEN: Final[Token] = ("", "", (1, 1))


def tokens_of(source: str) -> Iterator[Token]:
    """Yield the tokens of an expression, without space and comments."""
    for found in _TOKEN.finditer(source):
        kind = str(found.lastgroup)
        if kind != "space":
            start = found.start()
            line = source.count("\n", 0, start) + 1
            yield kind, found[0], (line, start - source.rfind("\n", 0, start))


def limit_nesting(tokens: list[Token]) -> None:
    """Refuse macros that are nested too deep.

    Raises:
        ConditionError: they are.
    """
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


def refuse_rooted_names(tokens: list[Token]) -> None:
    """Refuse ``.claims``, which is ``claims`` to CEL and a field to whoever reads tokens.

    Raises:
        ConditionError: there is one.
    """
    for before, (_, mark, place), (kind, _, _) in zip(
        [_NO_TOKEN, *tokens], tokens, tokens[1:], strict=False
    ):
        is_field = before[1] in _CLOSING or (before[0] in _OPERANDS and before[1] != "in")
        if mark == "." and kind == "word" and not is_field:
            msg = "expected a name without a dot before it"
            raise _misplaced(msg, place)


def refuse_other_patterns(tokens: list[Token]) -> None:
    """Refuse a pattern that is not written in the expression itself.

    Compiling one takes as long as its author likes, and a token's or a request's
    author is not the operator.

    Raises:
        ConditionError: there is one.
    """
    ends = (_NO_TOKEN, _NO_TOKEN, _NO_TOKEN)
    for before, here, *after in zip(
        (_NO_TOKEN, *tokens), tokens, *((*tokens[n:], *ends) for n in (1, 2, 3)), strict=False
    ):
        (_, opening, _), (kind, _, _), (_, closing, _) = after
        if here[:2] != ("word", "matches") or opening != "(":
            continue
        if before[1] != "." or kind not in {"string", "raw"} or closing != ")":
            msg = "expected text.matches('...') with the pattern written there"
            raise _misplaced(msg, here[2])


def fields_in(tokens: list[Token]) -> dict[str, frozenset[str] | None]:
    """Return what is read of each variable: names, or `None` when it may be anything.

    Raises:
        ConditionError: a claim is not read by its name, or a field does not exist.
    """
    found: dict[str, set[str] | None] = {}
    padded = [_NO_TOKEN, *tokens, _NO_TOKEN, _NO_TOKEN, _NO_TOKEN]
    for before, here, *after in zip(padded, *(padded[n:] for n in range(1, 5)), strict=False):
        variable = here[1]
        if here[0] != "word" or variable not in NAMES or before[1] == ".":
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


def _field(after: list[Token]) -> str | None:
    """Return the name in ``.name`` or ``["name"]``; `None` when something else follows."""
    (_, mark, _), (kind, name, _), (_, closing, _) = after
    if mark == "." and kind == "word" and closing != "(":
        return name
    plain = _PLAIN_STRING.fullmatch(name)
    return plain[2] if mark == "[" and closing == "]" and plain is not None else None


def _misplaced(message: str, place: tuple[int, int]) -> ConditionError:
    line, column = place
    return ConditionError(message, line=line, column=column)


def without_has(source: str) -> str:
    """Return `source` with each ``has(user.x)`` replaced by ``true``, nothing else moved."""
    return _HAS.sub(lambda found: "true".ljust(len(found[0])), source)
