"""One row of the tour: what is sent, and three things that must then be true.

They are the status, the reason in the answer, and the identity that the
upstream was told, word for word, or that it was never reached.
"""

from dataclasses import dataclass
from enum import StrEnum

from wicketgate.local.clerk import Mode

Identity = tuple[tuple[str, str], ...]
"""Identity headers, name and value, sorted."""


class Door(StrEnum):
    """Through which listener the request comes."""

    EDGE = "edge"
    INTERNAL = "internal"


class Credential(StrEnum):
    """What the request shows."""

    NONE = "none"
    USER = "user"
    """A fresh session token."""
    EXPIRED = "expired"
    """A session token of an hour ago."""
    FORGED = "forged"
    """A session token that somebody else signed under Clerk's ``kid``."""
    OTHER_INSTANCE = "other instance"
    """A session token of another Clerk instance."""
    SERVICE = "service"
    """The service token."""
    RUBBISH = "rubbish"
    """A word that is no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request and what must come of it.

    Attributes:
        title: What is tried.
        status: The status of the answer.
        reason: The ``reason`` in the answer; empty when Envoy or the upstream
            answered.
        upstream: The identity that the upstream was told; `None` when the request
            must not reach it.
        door: The listener.
        method: The method.
        path: The request target.
        credential: What the request shows.
        headers: Further header lines.
        clerk: How Clerk behaves meanwhile.
    """

    title: str
    status: int
    reason: str = ""
    upstream: Identity | None = None
    door: Door = Door.EDGE
    method: str = "GET"
    path: str = "/me"
    credential: Credential = Credential.NONE
    headers: tuple[tuple[str, str], ...] = ()
    clerk: Mode = Mode.OK
