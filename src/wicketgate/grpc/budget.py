"""What all connections of a server together may have kept for them.

Each connection has bounds of its own, but a peer may open many. When their sum is too
much, the connection that holds most is ended, and not the one that happens to ask for
more: a few that hoard cannot have an ordinary peer ended. (Thousands that each hold a
little can. Whoever can open thousands of connections needs no hoarding to be in the way.)
"""

from typing import Final, Protocol

from wicketgate.grpc.limits import MEBIBYTE

SHARED_BYTES: Final = 256 * MEBIBYTE
"""Four connections that use up their windows. nginx and Envoy bound the sum as well:
``limit_conn`` times its buffers, and the overload manager's heap size."""
FREE_BYTES: Final = 32_768
"""What each connection may hold uncounted: a frame that is not complete, and some streams. So
most reads end without a word to the budget."""


class Holder(Protocol):
    """Something that keeps bytes for a peer."""

    def make_room(self) -> None:
        """Let go of them, and of the peer."""


class Budget:
    """Counts what is held, and ends whoever holds most when it is too much.

    Attributes:
        held_bytes: By all holders.
    """

    def __init__(self, limit: int = SHARED_BYTES) -> None:
        """Begin with nothing held, of at most `limit` bytes."""
        self.held_bytes = 0
        self._limit = limit
        self._shares: dict[Holder, int] = {}

    def hold(self, holder: Holder, size: int) -> None:
        """Take note that a holder keeps `size` bytes, whatever it kept before.

        Calls `Holder.make_room` of those that have to go, perhaps of this one.
        """
        before = self._shares.pop(holder, 0)
        counted = max(size - FREE_BYTES, 0)
        if counted:
            self._shares[holder] = counted
        self.held_bytes += counted - before
        while self.held_bytes > self._limit:
            greatest = max(self._shares, key=self._shares.__getitem__)
            self.held_bytes -= self._shares.pop(greatest)
            greatest.make_room()
