"""What a person, or another program, gets to see of a ``wicketgate sync``.

A bar on a terminal, one JSON object a line elsewhere. Rows are named by Clerk's
user id and by nothing else. Every row of a dry run is named, and of a real one
those that were deleted, as only these cannot be had again.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, TextIO

from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Effect

SHOWN: Final = 20
"""Rows of each kind that are named on a terminal; JSON lines name them all."""
REDRAW_SECONDS: Final = 0.1
REPORT_SECONDS: Final = 1.0
"""The least time between two lines about progress."""

_WIDTH: Final = 28
_CLEAR: Final = "\r\x1b[K"
_COUNTED: Final = (Effect.CREATED, Effect.UPDATED, Effect.UNCHANGED, Effect.DELETED)
_WHY: Final = {
    Effect.BURIED: "{count:,} listed by Clerk and deleted here before: left as they are",
    "unusable": "{count:,} that cannot be kept, for their id or what else they hold: left out",
}


class BarReport:
    """Draws a bar, and says in the end what was done."""

    def __init__(
        self, bar: TextIO, out: TextIO, *, timer: Callable[[], float], is_dry: bool
    ) -> None:
        """Draw on `bar`, write lines to `out`; `timer` counts seconds."""
        self._bar = bar
        self._out = out
        self._timer = timer
        self._is_dry = is_dry
        self._drawn_at = float("-inf")
        self._named: Counter[Effect] = Counter()

    def listing(self, *, position: int, total: int) -> None:
        """Draw how much of the list was read."""
        self._draw("comparing", position, total)

    def asking(self, *, done: int, total: int) -> None:
        """Draw how many of those who were not listed were asked about."""
        self._draw("asking about the missing", done, total)

    def changed(self, user_id: UserId, effect: Effect) -> None:
        """Name a row."""
        if not self._is_dry and effect is not Effect.DELETED:
            return
        self._named[effect] += 1
        if self._named[effect] <= SHOWN:
            self._say(f"{'would be ' if self._is_dry else ''}{effect}: {user_id}")
        elif self._named[effect] == SHOWN + 1:
            self._say(f"... and more that are {effect}; --json names them all")

    def finished(self, tally: Mapping[str, int]) -> None:
        """Write the sum."""
        sums = ", ".join(f"{tally.get(effect, 0):,} {effect}" for effect in _COUNTED)
        self._say(f"{'nothing was written; it would be: ' if self._is_dry else ''}{sums}")
        for kind, words in _WHY.items():
            if count := tally.get(kind, 0):
                self._say(words.format(count=count))

    def close(self) -> None:
        """Wipe the bar, so that an error does not stand beside it."""
        self._bar.write(_CLEAR)
        self._bar.flush()

    def _draw(self, what: str, done: int, total: int) -> None:
        now = self._timer()
        if done < total and now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        share = done / total if total else 1.0
        bar = ("#" * int(share * _WIDTH)).ljust(_WIDTH, ".")
        self._bar.write(f"{_CLEAR}{what} [{bar}] {done:,} of {total:,}")
        self._bar.flush()

    def _say(self, text: str) -> None:
        self.close()
        print(text, file=self._out, flush=True)


class LineReport:
    """Writes JSON objects, one a line."""

    def __init__(self, out: TextIO, *, timer: Callable[[], float], is_dry: bool) -> None:
        """Write to `out`; `timer` counts seconds."""
        self._out = out
        self._timer = timer
        self._is_dry = is_dry
        self._reported_at = float("-inf")

    def listing(self, *, position: int, total: int) -> None:
        """Tell how much of the list was read."""
        self._progress("listing", position, total)

    def asking(self, *, done: int, total: int) -> None:
        """Tell how many of those who were not listed were asked about."""
        self._progress("asking", done, total)

    def changed(self, user_id: UserId, effect: Effect) -> None:
        """Name a row."""
        if self._is_dry or effect is Effect.DELETED:
            self._write("change", effect=str(effect), clerk_user_id=user_id)

    def finished(self, tally: Mapping[str, int]) -> None:
        """Write the sum."""
        kinds = (*_COUNTED, *_WHY)
        self._write("finished", **{str(kind): tally.get(kind, 0) for kind in kinds})

    def close(self) -> None:
        """Do nothing: every line was written when it was said."""

    def _progress(self, event: str, done: int, total: int) -> None:
        now = self._timer()
        if done >= total or now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._write(event, done=done, total=total)

    def _write(self, event: str, **fields: str | int) -> None:
        line = json.dumps({"event": event, "dry_run": self._is_dry, **fields})
        print(line, file=self._out, flush=True)
