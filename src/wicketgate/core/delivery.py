"""A verified webhook delivery, and what became of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from wicketgate.core.event import Event

MessageId = NewType("MessageId", str)
"""``svix-id``: the same for every retry, replay and copy of one message."""


class Outcome(StrEnum):
    """What a delivery did to the database. Every one of them is answered 2xx."""

    APPLIED = "applied"
    """The change is in the tables now."""
    STALE = "stale"
    """Something at least as new was there already: a duplicate, or an older event."""
    RECORDED = "recorded"
    """The session's tokens are revoked; no table of users changed."""
    IGNORED = "ignored"
    """Authentic and none of our business."""
    DEAD = "dead"
    """Authentic and never to be applied; it is in ``dead_letters``."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery whose signature was verified.

    Attributes:
        message_id: Its ``svix-id``.
        event: What it says.
    """

    message_id: MessageId
    event: Event
