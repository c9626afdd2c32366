"""The table that the tour prints, a line at a time.

Colour is for people at a terminal, and for those among them who did not set
``NO_COLOR`` (https://no-color.org).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from wicketgate.core.identity import PRINCIPAL_HEADER, USER_HEADER
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import NO_ANSWER
from wicketgate.local.tour_row import Identity

_WIDTHS: Final = (3, 39, 25, 13)
_SHORT_USER: Final = f"{USER[:9]}.."
_GREEN: Final = "32"
_RED: Final = "31"
_BOLD: Final = "1"

_FIRST_ERROR: Final = 400

NOT_REACHED: Final = "not reached"
REQUEST_HEADS: Final = ("request", "answer", USER_HEADER, f"{PRINCIPAL_HEADER} (upstream saw)")
WEBHOOK_HEADS: Final = ("webhook", "answer", "row in users", "what it says")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What came of a request.

    Attributes:
        status: The status of the answer.
        reason: The ``reason`` in it.
        upstream: The identity that the upstream was told; `None` if not reached.
        note: What else there is to say; both sides of a comparison say the same.
    """

    status: int
    reason: str = ""
    upstream: Identity | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What came of a webhook.

    Attributes:
        answer: What the receiver answered, or a command.
        row: What the user's row is now.
        note: What it says.
    """

    answer: str
    row: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A row of the table: what was tried, what came of it, and what should have."""

    title: str
    observed: Observed | Kept
    expected: Observed | Kept

    @property
    def is_as_expected(self) -> bool:
        """Whether it came out in every respect as it should."""
        return self.observed == self.expected


class Table:
    """Prints outcomes and keeps count."""

    def __init__(self, out: TextIO, environment: Mapping[str, str]) -> None:
        """Print to `out`, in colour when it is a terminal and `environment` has no objection."""
        self._out = out
        self._is_coloured = out.isatty() and not environment.get("NO_COLOR")
        self._shown = 0
        self._wrong = 0

    def start(self, *heads: str) -> None:
        """Print a head, after an empty line unless it is the first."""
        if self._shown:
            self._print("")
        self._print(self._painted(_line("", *heads), _BOLD))

    def show(self, outcome: Outcome) -> None:
        """Print one row, and under it what was expected if that is something else."""
        self._shown += 1
        is_right = outcome.is_as_expected
        mark = "ok" if is_right else "NO"
        line = _line(mark, outcome.title, *_cells(outcome.observed))
        self._print(self._painted(mark, _GREEN if is_right else _RED) + line[len(mark) :])
        if not is_right:
            self._wrong += 1
            expected = _line("", "  expected:", *_cells(outcome.expected))
            self._print(self._painted(expected, _RED))

    def finish(self) -> bool:
        """Print the sum; tell whether every row came out as it should."""
        if self._wrong:
            self._print(f"{self._wrong} of {self._shown} rows are not as they should be")
        else:
            self._print(f"all {self._shown} rows are as they should be")
        return self._wrong == 0 and self._shown > 0

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_coloured else text

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _line(*cells: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return " ".join((*padded, *cells[len(_WIDTHS) :])).rstrip()


def _cells(observed: Observed | Kept) -> tuple[str, str, str]:
    if isinstance(observed, Kept):
        return observed.answer, observed.row, observed.note
    if observed.upstream is None:
        return _answer(observed), NOT_REACHED, observed.note
    named = dict(observed.upstream)
    user = named.pop(USER_HEADER, "-")
    principal = named.pop(PRINCIPAL_HEADER, "-")
    leaks = [f"{name}: {value}" for name, value in named.items()]
    rest = " ".join((principal, *leaks, observed.note))
    return _answer(observed), user.replace(USER, _SHORT_USER), rest.replace(USER, _SHORT_USER)


def _answer(observed: Observed) -> str:
    if observed.status == NO_ANSWER:
        return "none"
    if observed.status < _FIRST_ERROR:
        return str(observed.status)
    return f"{observed.status} {observed.reason or '(Envoy)'}"
