"""Lifts that somebody spoke of, until the table of the database has confirmed them.

That an id is revoked can be believed of anybody: it closes. That it no longer is would let
somebody in, so it is a question first. A revocation that is told while the question is
under way comes later than the answer, which is void then: it is asked again.
"""

from collections.abc import Sequence
from typing import Final

from wicketgate.core.revocation_table import Key, RevocationTable

MOST_WAITING: Final = 10_000
"""Lifts kept for later: 2 MiB at most, and a tenant whose users are readmitted at once."""
MOST_ASKED: Final = 1000
"""Ids in one question, which Postgres answers in some milliseconds."""


class Lifts:
    """What to ask the table about.

    Attributes:
        is_overrun: There were more than are kept, so that only a load holds them all.
    """

    __slots__ = ("_asked", "_waiting", "is_overrun")

    def __init__(self) -> None:
        """Wait for nothing."""
        self.is_overrun = False
        # Whether it was told, or found by looking.
        self._waiting: dict[Key, bool] = {}
        self._asked: dict[Key, bool] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def add(self, key: Key, *, is_told: bool) -> None:
        """Note a lift that was told, or else found."""
        if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
            self.is_overrun = True
            return
        # What did not fit in may have been told: it must not pass for what nobody tells.
        self._waiting[key] = is_told or self.is_overrun or self._waiting.get(key, False)

    def overtake(self, key: Key) -> None:
        """Note that `key` was revoked: what the question under way says of it is void."""
        if key in self._asked:
            self.add(key, is_told=self._asked.pop(key))

    def ask(self, table: RevocationTable) -> Sequence[Key]:
        """Return what to ask about now; the rest waits, unless `table` does not hold it."""
        held = [(key, is_told) for key, is_told in self._waiting.items() if table.holds(key)]
        self._asked = dict(held[:MOST_ASKED])
        self._waiting = dict(held[MOST_ASKED:])
        return list(self._asked)

    def answered(self) -> Sequence[tuple[Key, bool]]:
        """Return what the answer is valid for, and whether its lift was told."""
        answered, self._asked = self._asked, {}
        return list(answered.items())

    def clear(self) -> None:
        """Forget what was told before a load, which answers it."""
        self.is_overrun = False
        self._waiting.clear()
        self._asked.clear()
