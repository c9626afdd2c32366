"""Revocations by id, and in the order in which they stop to matter.

A row is dropped once no token from before it can be valid. To find those rows is
no search: each is also listed under the minute in which it ends.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What is revoked."""

    USER = "user"
    """Every token of a user that was issued up to a moment."""
    SESSION = "session"
    """Every token of a session."""


Key = tuple[Kind, str]
"""What is revoked, and its id."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One row, as it is or as it became.

    Attributes:
        kind: What is revoked.
        id: Whose user id or session id.
        revoked_at: POSIX seconds, by Clerk's clock.
        expires_at: POSIX seconds; after this no token from before can be valid.
        is_lifted: It counts no more.
    """

    kind: Kind
    id: str
    revoked_at: float
    expires_at: float
    is_lifted: bool = False

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.id


Moments = tuple[float, float]
"""When an id was revoked, and until when that matters; both in POSIX seconds."""

MINUTE: Final = 60.0
MOST_DROPPED: Final = 5_000
"""Rows dropped at a time, in 2 ms, for which no Check is answered."""
_NEVER: Final = 1e12
"""POSIX seconds, 30,000 years from now: Postgres knows a timestamp ``infinity``."""


class RevocationTable:
    """The revocations in force.

    Attributes:
        users: Those of users, by user id. To be read only.
        sessions: Those of sessions, by session id. To be read only.
    """

    __slots__ = ("_endings", "sessions", "users")

    def __init__(self) -> None:
        """Make an empty table."""
        self.users: dict[str, Moments] = {}
        self.sessions: dict[str, Moments] = {}
        # Ids by the minute they end in. An id whose end moved is in an old place as well;
        # one that is revoked and lifted again and again is there once.
        self._endings: dict[int, set[Key]] = {}

    def apply(self, row: Revocation) -> None:
        """Let `row` count, or no longer when it was lifted.

        Of two revocations of one id the later moments count, in whichever order
        they come. Doing it again changes nothing.
        """
        rows = self._rows(row.kind)
        known = rows.get(row.id)
        if row.is_lifted:
            rows.pop(row.id, None)
            return
        moments = _moments(row)
        if known is not None:
            moments = (max(known[0], moments[0]), max(known[1], moments[1]))
        self._put(row.key, moments)

    def replace(self, row: Revocation) -> None:
        """Let `row` count as it is, whatever was known. It is not one that was lifted."""
        self._put(row.key, _moments(row))

    def holds(self, key: Key) -> bool:
        """Return whether `key` is revoked."""
        kind, row_id = key
        return row_id in self._rows(kind)

    def is_stricter_than(self, row: Revocation) -> bool:
        """Return whether more is refused than `row`, which is not lifted, says."""
        known = self._rows(row.kind).get(row.id)
        if known is None or row.is_lifted:
            return False
        moments = _moments(row)
        return known[0] > moments[0] or known[1] > moments[1]

    def agrees_with(self, row: Revocation) -> bool:
        """Return whether to apply `row` would change nothing."""
        known = self._rows(row.kind).get(row.id)
        if known is None or row.is_lifted:
            return (known is None) == row.is_lifted
        moments = _moments(row)
        return known[0] >= moments[0] and known[1] >= moments[1]

    def expire(self, now: float) -> None:
        """Drop what matters no more at `now`, in POSIX seconds; a minute late at most.

        Where very many end together, the next call goes on with them.
        """
        left = MOST_DROPPED
        for minute in [each for each in self._endings if (each + 1) * MINUTE <= now]:
            keys = self._endings[minute]
            while keys and left:
                left -= 1
                kind, row_id = keys.pop()
                rows = self._rows(kind)
                moments = rows.get(row_id)
                if moments is not None and moments[1] <= now:
                    del rows[row_id]
            if keys:
                return
            del self._endings[minute]

    def count(self, kind: Kind) -> int:
        """Return how many revocations of `kind` there are."""
        return len(self._rows(kind))

    def _put(self, key: Key, moments: Moments) -> None:
        kind, row_id = key
        rows = self._rows(kind)
        known = rows.get(row_id)
        rows[row_id] = moments
        minute = _minute(moments)
        if known is None or _minute(known) != minute:
            self._endings.setdefault(minute, set()).add(key)

    def _rows(self, kind: Kind) -> dict[str, Moments]:
        return self.users if kind is Kind.USER else self.sessions


def _moments(row: Revocation) -> Moments:
    return row.revoked_at, min(row.expires_at, _NEVER)


def _minute(moments: Moments) -> int:
    return int(moments[1] // MINUTE)
