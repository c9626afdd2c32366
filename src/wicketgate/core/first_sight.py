"""Users whom this gate has met, and what came of meeting them.

Clerk tells of a new user by webhook, and the user's first request may well be faster.
Whoever shows a valid token exists; what is known of them, an id, is enough for a row.
"""

from collections import OrderedDict
from enum import StrEnum
from typing import Final

from wicketgate.core.claims import UserId
from wicketgate.core.value import value

KNOWN_LIMIT: Final = 100_000
"""Users, of 0.3 KiB each, their ids included."""


class Sighting(StrEnum):
    """What came of a user whom the gate did not know."""

    INSERTED = "inserted"
    """There was no row, and one was made."""
    KNOWN = "known"
    """There was a row."""
    TOMBSTONE = "tombstone"
    """There was a row, of a user who was deleted."""
    FAILED = "failed"
    """It was tried, and it is not known whether there is a row."""
    SKIPPED = "skipped"
    """It was not tried: Postgres had just failed, or too many were under way."""
    LATE = "late"
    """The request went on before it was done."""


@value
class UserRow:
    """The row of a user in our own table.

    Attributes:
        id: What business tables reference.
        is_new: It was made just now.
        is_buried: Its user was deleted; the row is a tombstone.
    """

    id: str
    is_new: bool = False
    is_buried: bool = False

    @property
    def sighting(self) -> Sighting:
        """What came of looking it up."""
        if self.is_buried:
            return Sighting.TOMBSTONE
        return Sighting.INSERTED if self.is_new else Sighting.KNOWN


class KnownUsers:
    """Users who have a row; when they become too many, whoever was met first is forgotten."""

    def __init__(self, *, limit: int = KNOWN_LIMIT, keeps_ids: bool) -> None:
        """Know nobody.

        Args:
            limit: How many to know at most.
            keeps_ids: Also keep the ids of the rows, for upstreams to be told.
        """
        self._limit = limit
        self._keeps_ids = keeps_ids
        # Not a dict: to find its oldest entry again and again takes longer and longer.
        self._ids: OrderedDict[UserId, str] = OrderedDict()

    def __contains__(self, user_id: UserId) -> bool:
        """Tell whether the user is known to have a row, be it a tombstone."""
        return user_id in self._ids

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._ids)

    def id_of(self, user_id: UserId) -> str:
        """Return the id to tell upstreams; empty when there is none to tell."""
        return self._ids.get(user_id, "")

    def add(self, user_id: UserId, row: UserRow) -> None:
        """Know the user, whose row is `row`; the id of a tombstone is nobody's business."""
        self._ids[user_id] = row.id if self._keeps_ids and not row.is_buried else ""
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
