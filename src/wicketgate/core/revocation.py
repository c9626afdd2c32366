"""Users and sessions that no longer count, although their tokens still verify.

A session token outlives the ban of its user by up to its lifetime. Whoever
holds a newer truth hands it to `decide`: as `Revocations`, which never change, or
as a `RevocationSet`, which its owner keeps current.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Protocol

from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.reason import Reason
from wicketgate.core.revocation_table import RevocationTable


class RevocationSource(Protocol):
    """Whoever knows which bearers no longer count."""

    def refuses(self, claims: Claims) -> Reason | None:
        """Return the reason why the token's bearer no longer counts, or `None`."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """What was revoked, and when.

    Attributes:
        users: User id to the POSIX second at which its access was revoked.
            Tokens issued up to and including that second are refused: ``iat``
            has a resolution of one second, and a doubtful token is an old one.
        sessions: Ids of sessions that ended.
    """

    users: Mapping[UserId, float] = field(default_factory=dict)
    sessions: AbstractSet[SessionId] = frozenset()

    def refuses(self, claims: Claims) -> Reason | None:
        """Return the reason why the token's bearer no longer counts, or `None`."""
        revoked_at = self.users.get(claims.user_id)
        if revoked_at is not None and claims.issued_at <= revoked_at:
            return Reason.USER_REVOKED
        if claims.session_id in self.sessions:
            return Reason.SESSION_REVOKED
        return None


class RevocationSet:
    """What is revoked now; asked at every Check, in the same time whatever it holds.

    Its owner changes it in place or replaces `table` by one assignment.

    Attributes:
        table: The revocations in force.
        is_trusted: Whether who is not in the table counts. While it is not, every
            user is refused, because the table may have fallen too far behind.
    """

    __slots__ = ("is_trusted", "table")

    def __init__(self) -> None:
        """Make an empty set, which is trusted."""
        self.table = RevocationTable()
        self.is_trusted = True

    def refuses(self, claims: Claims) -> Reason | None:
        """Return the reason why the token's bearer no longer counts, or `None`.

        A user is refused with tokens issued up to and including the second of the
        revocation, as in `Revocations`; a session with every token.
        """
        table = self.table
        revoked = table.users.get(claims.user_id)
        if revoked is not None and claims.issued_at <= revoked[0]:
            return Reason.USER_REVOKED
        if claims.session_id in table.sessions:
            return Reason.SESSION_REVOKED
        return None if self.is_trusted else Reason.REVOCATIONS_UNAVAILABLE


NO_REVOCATIONS: Final = Revocations()
"""For whom nothing is known to be revoked."""
