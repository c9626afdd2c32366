"""From the text of a YAML file to plain values, and back to a line and a column.

A stricter YAML than most: no tags, no merge keys, no duplicate keys or anchors, one
document; aliases only within bounds. Words that YAML 1.1 took for booleans (``no``,
``on``) are words. Values are built from libyaml's events, because ten thousand rules
are read while an operator waits; positions are looked up only when there is something
to say about them.

Source: YAML 1.2.2, sections 3.2.1.3 (duplicate keys) and 10.3.2 (core schema).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_VALUES: Final = 500_000
"""Ten thousand rules have 200,000."""
MAX_REPEATED: Final = 100_000
"""How many of them may be there by aliases, which can make a short text endless."""
MAX_DEPTH: Final = 32

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

KEY: Final = "[key]"
"""After the place of a value, it makes the place of that value's key; pydantic's word."""

_BREAK: Final = re.compile(r"\r\n?|\n")
_REFUSED: Final = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Control characters, and U+0085, U+2028 and U+2029: they end a line for libyaml and for
no editor, so that what looks like a comment would be a rule."""

_ADVICE: Final = {
    "scanning an alias": "; put text that begins with * into quotes",
    "scanning an anchor": "; put text that begins with & into quotes",
    "scanning a directive": "; put text that begins with % into quotes",
    "cannot start any token": "; indent with spaces, and put text that begins with @ into quotes",
    "parsing a flow": "; put text that has { } [ ] or , into quotes",
    "mapping values are not allowed": "; put text that has a colon and a space into quotes",
}
"""What to write instead, by what libyaml says."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})")
_WORDS: Final[dict[str, object]] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A line and a column, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        """Return them as editors understand them."""
        return f"{self.line}:{self.column}"


class SourceError(ValueError):
    """The text is not the YAML that is read here.

    Attributes:
        position: Where.
    """

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


def parse_source(text: str) -> Any:  # noqa: ANN401 - YAML holds anything
    """Return the one value that `text` holds.

    Raises:
        SourceError: it is not YAML, or uses what is not read here.
    """
    return _Builder(_readable(text)).build()


def positions_in(text: str) -> dict[Place, Position]:
    """Return where everything in `text` is: values, and with `KEY` behind, their keys.

    Raises:
        SourceError: as `parse_source` does.
    """
    text = _readable(text)
    builder = _Builder(text, remember=True)
    builder.build()
    end = _end_of(text)
    return {place: min(position, end) for place, position in builder.positions.items()}


def place_in(positions: dict[Place, Position], place: Place) -> Place:
    """Return `place` as the text has it, where one item may stand for a list of it."""
    found: Place = ()
    for part in place:
        if part == 0 and found in positions and (*found, part) not in positions:
            continue
        found = (*found, part)
    return found


def position_of(positions: dict[Place, Position], place: Place) -> Position:
    """Return the position of `place`, or of the nearest thing around it that is there."""
    place = place_in(positions, place)
    while place and place not in positions:
        place = place[:-1]
    return positions.get(place, Position(1, 1))


class _Builder:
    def __init__(self, text: str, *, remember: bool = False) -> None:
        self._text = text
        self._names: set[str] = set()
        self._anchors: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._count = 0
        self._repeated = 0
        self._remember = remember
        self.positions: dict[Place, Position] = {}

    def build(self) -> Any:  # noqa: ANN401 - as above
        try:
            return self._document(iter(yaml.parse(self._text, Loader=yaml.CSafeLoader)))
        except yaml.MarkedYAMLError as error:
            message, position = _complaint(error), _position(error.problem_mark)
        except SourceError as error:
            message, position = str(error), error.position
        raise SourceError(message, min(position, _end_of(self._text)))

    def _document(self, events: Iterator[Any]) -> Any:  # noqa: ANN401 - as above
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    msg = "expected one document, found a second"
                    raise SourceError(msg, _position(event.start_mark))
                value = self._value(next(events), events, ())
        return value

    def _value(self, event: Any, events: Iterator[Any], place: Place) -> Any:  # noqa: ANN401 - as above
        self._admit(event, place)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            msg = "expected plain YAML, without tags; put text that begins with ! into quotes"
            raise SourceError(msg, _position(event.start_mark))
        if event.anchor is not None:
            self._name(event)
        before = self._count
        if isinstance(event, yaml.ScalarEvent):
            # Quoted text is text, also when it looks like a number.
            value: Any = _plain(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(events, place)
        else:
            value = self._mapping(events, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
            self._sizes[event.anchor] = self._count - before + 1
        return value

    def _admit(self, event: Any, place: Place) -> None:  # noqa: ANN401 - an untyped library's event
        self._count += 1
        if self._count > MAX_VALUES or len(place) > MAX_DEPTH:
            msg = f"expected at most {MAX_VALUES} values, {MAX_DEPTH} deep"
            raise SourceError(msg, _position(event.start_mark))
        if self._remember:
            self.positions[place] = _position(event.start_mark)

    def _name(self, event: Any) -> None:  # noqa: ANN401 - as above
        # A second meaning would be one that other readers give to an alias between the two.
        if event.anchor in self._names:
            msg = f"expected each anchor once; &{event.anchor} is there twice"
            raise SourceError(msg, _position(event.start_mark))
        self._names.add(event.anchor)

    def _alias(self, event: Any) -> Any:  # noqa: ANN401 - as above
        if event.anchor not in self._anchors:
            msg = f"expected *{event.anchor} to stand for something that is complete before it"
            raise SourceError(msg, _position(event.start_mark))
        self._count += self._sizes[event.anchor]
        self._repeated += self._sizes[event.anchor]
        if self._repeated > MAX_REPEATED:
            msg = f"expected aliases to repeat at most {MAX_REPEATED} values"
            raise SourceError(msg, _position(event.start_mark))
        return self._anchors[event.anchor]

    def _sequence(self, events: Iterator[Any], place: Place) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            values.append(self._value(event, events, (*place, len(values))))
        return values

    def _mapping(self, events: Iterator[Any], place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = _key(event)
            if key in values:
                msg = f"expected each key once; {key} is there twice"
                raise SourceError(msg, _position(event.start_mark))
            if self._remember:
                self.positions[(*place, key, KEY)] = _position(event.start_mark)
            values[key] = self._value(next(events), events, (*place, key))
        return values


def _key(event: Any) -> str:  # noqa: ANN401 - an untyped library's event
    if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
        msg = "expected a plain word as a key"
        raise SourceError(msg, _position(event.start_mark))
    if event.value == "<<" and event.implicit[0]:
        msg = "expected a plain word as a key; merge keys (<<) are not read"
        raise SourceError(msg, _position(event.start_mark))
    return str(event.value)


def _plain(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _readable(text: str) -> str:
    # A mark of the encoding, and no part of the text.
    text = text.removeprefix("\ufeff")
    found = _REFUSED.search(text)
    if found is not None:
        msg = f"expected text without control characters, not U+{ord(found[0]):04X}"
        raise SourceError(msg, _position_at(text, found.start()))
    return text


def _end_of(text: str) -> Position:
    """Return where `text` ends; libyaml adds a line of its own, and finds things there."""
    return _position_at(text, len(text))


def _position_at(text: str, index: int) -> Position:
    breaks = list(_BREAK.finditer(text, 0, index))
    begin = breaks[-1].end() if breaks else 0
    return Position(len(breaks) + 1, index - begin + 1)


def _position(mark: Any) -> Position:  # noqa: ANN401 - an untyped library's mark
    return Position(mark.line + 1, mark.column + 1)


def _complaint(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    said = ", ".join(parts)
    advice = next((advice for symptom, advice in _ADVICE.items() if symptom in said), "")
    return f"expected YAML: {said}{advice}"
