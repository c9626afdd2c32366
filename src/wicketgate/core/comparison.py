"""What a comparison of Clerk's list with the table of users reads, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from wicketgate.core.event import UserProfile


class Effect(StrEnum):
    """What the comparison did to one row, or would do in a dry run."""

    CREATED = "created"
    """There was no row."""
    UPDATED = "updated"
    """The row was older."""
    UNCHANGED = "unchanged"
    """The row says so already, or something newer."""
    BURIED = "buried"
    """The row is a tombstone and stays one, although Clerk lists the user."""
    DELETED = "deleted"
    """Clerk knows no such user: the row is a tombstone now."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the list was read.

    Attributes:
        after: The id of the last user that was read.
        position: How many users were read.
    """

    after: str
    position: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of Clerk's list, oldest user first.

    Attributes:
        profiles: The users.
        unusable: Entries whose id cannot be kept.
        position: How many users of the list were read, with these.
        cursor: Where the next page begins; `None` after the last.
    """

    profiles: Sequence[UserProfile]
    unusable: int
    position: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a comparison is, so that one that was cut short can be continued.

    Attributes:
        cursor: Where the next page begins; `None` for the beginning, and when
            there is no next page.
        is_listed: Whether the whole list was read.
    """

    cursor: Cursor | None = None
    is_listed: bool = False
