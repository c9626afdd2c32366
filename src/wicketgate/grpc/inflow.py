"""The window that the peer has for its requests, all streams together.

Source: RFC 9113 sections 5.2 and 6.9.
"""

from wicketgate.grpc import frames
from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import DEFAULT_WINDOW, ErrorCode


class Inflow:
    """Counts what comes, and what is done with."""

    __slots__ = ("_done", "_left", "_out", "_size")

    def __init__(self, size: int, out: list[bytes]) -> None:
        """Begin with a window of `size`; `out` is where frames are appended."""
        self._size = max(size, DEFAULT_WINDOW)
        self._left = self._size
        self._done = 0
        self._out = out
        if self._size > DEFAULT_WINDOW:
            out.append(frames.window_update(0, self._size - DEFAULT_WINDOW))

    @property
    def held_bytes(self) -> int:
        """What came and is not done with."""
        return self._size - self._left - self._done

    @property
    def is_tight(self) -> bool:
        """Whether three quarters are taken by requests that are not complete."""
        return (self._left + self._done) * 4 < self._size

    def take(self, size: int) -> None:
        """Count a DATA frame.

        Raises:
            Fault: it is more than the peer may send.
        """
        self._left -= size
        if self._left < 0:
            raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window was exceeded")
        if self._left < self._done:
            self._return()

    def forget(self) -> None:
        """Be done with everything, without a word to the peer."""
        self._done = self._size - self._left

    def give(self, size: int) -> None:
        """Let the peer send as much again, but not in small pieces.

        It hears of it when that is more than what it has left. Half a window, as long as
        nothing else is held; and it never waits while there is something to return.
        """
        self._done += size
        if self._left < self._done:
            self._return()

    def _return(self) -> None:
        self._out.append(frames.window_update(0, self._done))
        self._left += self._done
        self._done = 0
