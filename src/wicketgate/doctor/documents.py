"""From the text of a file to its documents, and from a place in them to a line.

A file of Kubernetes' holds many documents, and one of them may hold another as text:
Istio keeps its mesh configuration in a ConfigMap. Each keeps the number of the line
that it begins after. What YAML repeats by aliases counts once, where it is written.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from wicketgate.core.policy.reading import written
from wicketgate.core.policy.source import (
    Place,
    Position,
    SourceError,
    parse_source,
    position_of,
    positions_in,
)

MAX_DOCUMENTS: Final = 10_000
"""A list of Kubernetes' is one document."""
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)[^\n]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        value: What it holds.
        text: Its text.
        above: The number of lines in front of it.
        label: What tells it from the others; empty for the first.
    """

    value: Any
    text: str
    above: int = 0
    label: str = ""


def documents_in(text: str) -> tuple[Document, ...]:
    """Return the documents of a file, those within others behind them.

    Raises:
        SourceError: it is not the YAML or JSON that is read here.
    """
    found = [_document(part, above) for part, above in _parts(text)]
    kept = [
        replace(each, label=f"document {number}" if number > 1 else "")
        for number, each in enumerate((each for each in found if each.value is not None), start=1)
    ]
    nested = [inner for each in kept for inner in _nested(each)]
    return (*kept, *nested)


class Places:
    """Knows where the things in some documents are written."""

    def __init__(self, root: Sequence[Any]) -> None:
        """Look at `root`, the values of the documents."""
        self._root = root
        self._first = _first_places(root)

    def canonical(self, place: Place) -> Place:
        """Return where the thing at `place` is written, if an alias leads there."""
        value: Any = self._root
        found: Place = ()
        for part in place:
            found = (*found, part)
            value = _behind(value, part)
            if isinstance(value, dict | list):
                found = self._first.get(id(value), found)
        return found


class Locator:
    """Finds lines in the text of some documents."""

    def __init__(self, documents: Sequence[Document]) -> None:
        """Read `documents` once more, as far as anything is looked up in them."""
        self._documents = documents
        self._places = Places([each.value for each in documents])
        self._positions: dict[int, dict[Place, Position]] = {}

    def canonical(self, place: Place) -> Place:
        """Return where the thing at `place` is written."""
        return self._places.canonical(place)

    def path(self, place: Place) -> str:
        """Return a place as one reads it: ``static_resources.clusters[0]``."""
        label = self._documents[self._index_of(place)].label
        return ": ".join(filter(None, (label, written(place[1:]))))

    def position(self, place: Place) -> Position:
        """Return the line and the column of `place`, or of the nearest thing that is there.

        Args:
            place: The index of a document, and the place in it.
        """
        index = self._index_of(place)
        document = self._documents[index]
        if index not in self._positions:
            self._positions[index] = positions_in(document.text)
        position = position_of(self._positions[index], place[1:])
        return Position(position.line + document.above, position.column)

    def _index_of(self, place: Place) -> int:
        index = place[0] if place and isinstance(place[0], int) else 0
        return min(index, len(self._documents) - 1)


def _parts(text: str) -> list[tuple[str, int]]:
    parts, begin, above = [], 0, 0
    for separator in _SEPARATOR.finditer(text):
        parts.append((text[begin : separator.start()], above))
        # From the last one on: from the start it would take a square of the time.
        above += text.count("\n", begin, separator.start())
        # The line stays, because a document may begin on it.
        begin = separator.start()
        if len(parts) >= MAX_DOCUMENTS:
            msg = f"expected at most {MAX_DOCUMENTS} documents"
            raise SourceError(msg, Position(above + 1, 1))
    return [*parts, (text[begin:], above)]


def _document(text: str, above: int) -> Document:
    try:
        return Document(parse_source(text), text, above)
    except SourceError as error:
        position = Position(error.position.line + above, error.position.column)
        raise SourceError(str(error), position) from None


def _nested(document: Document) -> list[Document]:
    value = document.value
    items = value.get("items") if isinstance(value, dict) else None
    objects: list[tuple[Place, Any]] = [((), value)]
    objects += [
        (("items", at), each) for at, each in enumerate(items if isinstance(items, list) else [])
    ]
    return [
        _mesh_in(document, (*place, "data", "mesh"), mesh)
        for place, each in objects
        if isinstance(mesh := _mesh_of(each), str)
    ]


def _mesh_of(value: Any) -> Any:  # noqa: ANN401 - YAML holds anything
    if not isinstance(value, dict) or value.get("kind") != "ConfigMap":
        return None
    return _behind(value.get("data"), "mesh")


def _mesh_in(document: Document, place: Place, text: str) -> Document:
    line = position_of(positions_in(document.text), place).line
    return replace(_document(text, document.above + line), label=written(place))


def _first_places(root: Sequence[Any]) -> dict[int, Place]:
    found: dict[int, Place] = {}
    waiting: list[tuple[Any, Place]] = [(root, ())]
    while waiting:
        value, place = waiting.pop()
        if not isinstance(value, dict | list | tuple) or id(value) in found:
            continue
        found[id(value)] = place
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        # Reversed, because the last that waits comes first.
        waiting += [(inner, (*place, key)) for key, inner in reversed(list(pairs))]
    return found


def _behind(value: Any, part: str | int) -> Any:  # noqa: ANN401 - YAML holds anything
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None
