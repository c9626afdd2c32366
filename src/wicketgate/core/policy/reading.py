"""From the text of a file to its words, or to every mistake in them.

Two steps: `parse_source` makes plain values of the text, and pydantic makes words of
the values. Positions are looked up only for mistakes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from wicketgate.core.policy.source import (
    KEY,
    Place,
    Position,
    SourceError,
    parse_source,
    place_in,
    position_of,
    positions_in,
)
from wicketgate.core.policy.words import Words

MAX_MISTAKES: Final = 100
"""Whoever has more begins with these."""

MAX_MESSAGE: Final = 500
"""Longer ones quote a whole paragraph that was forgotten to be indented."""

POLICY_HINT: Final = "see docs/policy.md for those that are"

SomeWords = TypeVar("SomeWords", bound=Words)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong.

    Attributes:
        position: Where.
        message: What was found at which key, and what was expected.
    """

    position: Position
    message: str


class PolicyError(ValueError):
    """The text is not a policy, or not the other file that was expected.

    Attributes:
        mistakes: All of them, in the order of the text; never empty.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("; ".join(f"{each.position}: {each.message}" for each in self.mistakes))


def read_words(
    kind: type[SomeWords], text: str, *, hint: str = POLICY_HINT, context: object = None
) -> SomeWords:
    """Return the words that `text` holds.

    Args:
        kind: The mapping at the top of the file.
        text: The file.
        hint: Where the words of this file are to be found; ends a sentence.
        context: For validators that need one.

    Raises:
        PolicyError: the mistakes in it, at most `MAX_MISTAKES`.
    """
    try:
        value = parse_source(text)
    except SourceError as error:
        raise PolicyError([Mistake(error.position, _on_one_line(str(error)))]) from None
    try:
        return kind.model_validate(value, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_MISTAKES]
        positions = positions_in(text)
        raise PolicyError(_mistake(each, kind, positions, hint) for each in details) from None


def written(place: Place) -> str:
    """Return a place as one reads it: ``rules[3].match.paths[0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else "." + (part or "''") for part in place]
    return "".join(parts).removeprefix(".")


_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is missing; expected it here",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "string_type": "expected text",
    "int_type": "expected a whole number",
}


def _mistake(
    details: ErrorDetails, kind: type[Words], positions: dict[Place, Position], hint: str
) -> Mistake:
    place: Place = details["loc"]
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            message = str(context["error"])
        case "literal_error":
            message = f"expected {context['expected']}"
        case "extra_forbidden":
            near = get_close_matches(str(place[-1]), kind.keys_at(place[:-1]), n=1)
            meant = f"did you mean {near[0]}?" if near else hint
            message = f"is not a word of this file; {meant}"
            place = (*place, KEY)
        case name:
            message = _MESSAGES.get(name, details["msg"])
    where = written(tuple(part for part in place_in(positions, place) if part != KEY))
    return Mistake(
        position_of(positions, place), _on_one_line(f"{where}: {message}" if where else message)
    )


def _on_one_line(message: str) -> str:
    """Return `message` as a log can hold it, whatever it quotes."""
    line = message if message.isprintable() else repr(message)[1:-1]
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}…"
