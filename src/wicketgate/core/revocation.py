"""Users and sessions that no longer count, although their tokens still verify.

A session token outlives the ban of its user by up to its lifetime. Whoever
holds a newer truth hands it to `decide` as a `Revocations` snapshot.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.reason import Reason


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


NO_REVOCATIONS: Final = Revocations()
