"""What a tool prints for a person: words in colour, and tables.

Colour is for people at a terminal, and for those among them who did not set
``NO_COLOR`` (https://no-color.org).
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

_GREEN: Final = "32"
_RED: Final = "31"
_YELLOW: Final = "33"
_DIM: Final = "2"
_BOLD: Final = "1"

_COLOUR: Final = re.compile(r"\x1b\[(?:0|1|2|31|32|33)m")
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Style:
    """Makes words stand out, or leaves them as they are.

    Attributes:
        is_coloured: Whether there is anybody to see colours.
    """

    is_coloured: bool = False

    @classmethod
    def for_stream(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> "Style":
        """Return the style for `stream`: coloured at a terminal, unless ``NO_COLOR`` is set."""
        return cls(stream.isatty() and not environ.get("NO_COLOR"))

    def good(self, text: str) -> str:
        """Return `text` as good news."""
        return self._painted(text, _GREEN)

    def bad(self, text: str) -> str:
        """Return `text` as bad news."""
        return self._painted(text, _RED)

    def warn(self, text: str) -> str:
        """Return `text` as something to look at."""
        return self._painted(text, _YELLOW)

    def dim(self, text: str) -> str:
        """Return `text` as something beside the point."""
        return self._painted(text, _DIM)

    def bold(self, text: str) -> str:
        """Return `text` as a head, or as what matters most."""
        return self._painted(text, _BOLD)

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_coloured and text else text


def table(rows: Iterable[Sequence[str]], headers: Sequence[str], style: Style) -> str:
    """Return `rows` in columns under `headers`, without a line feed at the end.

    Args:
        rows: As many cells as there are headers; a cell may be painted, and what
            is in it that would move the cursor is shown, not done.
        headers: The names of the columns.
        style: How the headers stand out.
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(headers, *cells, strict=True)]
    head = style.bold(_line(headers, widths))
    return "\n".join([head, *(_line(row, widths) for row in cells)])


def visible(text: str) -> str:
    """Return `text` on one line, with its control characters escaped, but for our own colours.

    What comes from a request or a file must not write to the operator's terminal.
    """
    parts = _COLOUR.split(text)
    colours = _COLOUR.findall(text)
    plain = ["".join(map(_shown, part)) for part in parts]
    return "".join(map("".join, zip(plain, [*colours, ""], strict=True)))


def _shown(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _width(cell: str) -> int:
    return len(_COLOUR.sub("", cell))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return _GAP.join(cell + " " * (width - _width(cell)) for cell, width in pairs).rstrip()
