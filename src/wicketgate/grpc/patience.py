"""How much the peer may do that carries nothing forward."""

from typing import Final

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import ErrorCode
from wicketgate.grpc.limits import Limits

EARNED_BY_REQUEST: Final = 10
"""Frames that a request may bring along. grpc-go, for one, sends a PING with every round
trip, and all clients send WINDOW_UPDATE as they please; Envoy allows 10 of those for
each DATA frame."""
MOST_EARNED: Final = 10_000


class Bucket:
    """A token bucket: `burst` at once, `per_second` lasting."""

    __slots__ = ("_burst", "_left", "_per_second", "_then")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        """Begin full at `now`, in seconds of any clock that only goes forward."""
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._then = now

    def take(self, now: float, amount: int = 1) -> bool:
        """Take so many, and tell whether there were."""
        filled = self._left + (now - self._then) * self._per_second
        self._left = min(filled, self._burst) - amount
        self._then = now
        return self._left >= 0.0


class Patience:
    """Counts, and ends the connection when it is too much."""

    __slots__ = ("_earned", "_glitches", "_resets", "now")

    def __init__(self, limits: Limits, now: float) -> None:
        """Begin at `now`, which whoever knows the time moves forward."""
        self.now = now
        self._earned = 0
        self._resets = Bucket(limits.resets, limits.resets_per_second, now)
        self._glitches = Bucket(limits.glitches, limits.glitches_per_second, now)

    def request(self) -> None:
        """Count a request that was made in full."""
        self._earned += EARNED_BY_REQUEST

    def overhead(self) -> None:
        """Count a frame that is ordinary beside requests, and a nuisance without.

        Raises:
            Fault: there were too many.
        """
        if self._earned:
            self._earned = min(self._earned, MOST_EARNED) - 1
        else:
            self.glitch()

    def glitch(self, weight: int = 1) -> None:
        """Count a frame that nobody needs to send often, as so many.

        Raises:
            Fault: there were too many.
        """
        if not self._glitches.take(self.now, weight):
            raise Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    def reset(self) -> None:
        """Count a stream that was given up, whoever said so: the peer made it necessary.

        Raises:
            Fault: there were too many.
        """
        if not self._resets.take(self.now):
            raise Fault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams were reset")
