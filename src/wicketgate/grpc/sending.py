"""Answers on their way out, as far as the peer's flow control lets them.

Header blocks are not flow controlled; messages are, by a window for each stream and
one for the connection. What does not fit waits, and streams that wait take turns,
a frame each, so that a long answer holds up nobody.

Source: RFC 9113 sections 5.2 and 6.9.
"""

from collections import OrderedDict
from typing import Final

from wicketgate.grpc.frames import (
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MAX_WINDOW,
    MIN_FRAME_SIZE,
    Type,
    start,
)

_LAST: Final = END_HEADERS | END_STREAM
_DATA: Final = int(Type.DATA)
_HEADERS: Final = int(Type.HEADERS)


class _Waiting:
    """The rest of an answer."""

    __slots__ = ("message", "sent", "trailers")

    def __init__(self, message: bytes, trailers: bytes) -> None:
        self.message = message
        self.sent = 0
        self.trailers = trailers


class Sender:
    """Writes answers into frames.

    Between calls, either the connection's window is used up or no stream is ready.

    Attributes:
        frame_bytes: The longest frame that the peer takes.
        pending_bytes: What waits.
    """

    def __init__(self, out: list[bytes]) -> None:
        """Begin with the windows of RFC 9113 section 6.9.2.

        Args:
            out: Where frames are appended.
        """
        self.frame_bytes = MIN_FRAME_SIZE
        self.pending_bytes = 0
        self._out = out
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        # How far the window of a stream is from the initial one, where it is.
        self._shifts: dict[int, int] = {}
        self._waiting: dict[int, _Waiting] = {}
        # Those that wait for the connection's window alone, in turn.
        self._ready: OrderedDict[int, _Waiting] = OrderedDict()

    def answer(self, stream_id: int, headers: bytes, message: bytes, trailers: bytes) -> bool:
        """Write an answer, and tell whether all of it went out.

        Args:
            stream_id: The stream; it was not answered before.
            headers: A header block.
            message: A length-prefixed message, which is never empty.
            trailers: A header block; empty when `headers` is all there is.
        """
        where = stream_id.to_bytes(4, "big")
        if not trailers:
            self._out += (start(_HEADERS, _LAST, len(headers)), where, headers)
            self._shifts.pop(stream_id, None)
            return True
        self._out += (start(_HEADERS, END_HEADERS, len(headers)), where, headers)
        size = len(message)
        if size > self._window or size > self.frame_bytes or size > self._window_of(stream_id):
            self._waiting[stream_id] = self._ready[stream_id] = _Waiting(message, trailers)
            self.pending_bytes += size
            return bool(self.flush())
        self._window -= size
        self._out += (start(_DATA, 0, size), where, message)
        self._end(stream_id, where, trailers)
        return True

    def flush(self) -> list[int]:
        """Write what the windows allow, and return the streams that are finished."""
        finished: list[int] = []
        ready = self._ready
        while ready and self._window > 0:
            stream_id, waiting = ready.popitem(last=False)
            window = self._window_of(stream_id)
            left = len(waiting.message) - waiting.sent
            size = min(left, window, self._window, self.frame_bytes)
            if size <= 0:
                continue
            where = stream_id.to_bytes(4, "big")
            part = waiting.message[waiting.sent : waiting.sent + size]
            self._out += (start(_DATA, 0, size), where, part)
            waiting.sent += size
            self.pending_bytes -= size
            self._window -= size
            self._shifts[stream_id] = self._shifts.get(stream_id, 0) - size
            if size == left:
                del self._waiting[stream_id]
                self._end(stream_id, where, waiting.trailers)
                finished.append(stream_id)
            elif size < window:
                ready[stream_id] = waiting
        return finished

    def forget(self, stream_id: int) -> None:
        """Drop whatever is left for a stream."""
        self._shifts.pop(stream_id, None)
        waiting = self._waiting.pop(stream_id, None)
        if waiting is not None:
            self._ready.pop(stream_id, None)
            self.pending_bytes -= len(waiting.message) - waiting.sent

    def widen(self, increment: int) -> bool:
        """Widen the connection's window; `False` when it would overflow."""
        self._window += increment
        return self._window <= MAX_WINDOW

    def widen_stream(self, stream_id: int, increment: int) -> bool:
        """Widen the window of a live stream; `False` when it would overflow."""
        self._shifts[stream_id] = self._shifts.get(stream_id, 0) + increment
        self._wake(stream_id)
        return self._window_of(stream_id) <= MAX_WINDOW

    def set_initial_window(self, size: int) -> bool:
        """Change the window that streams begin with, also of those that are open.

        Returns:
            `False` when one would overflow (RFC 9113 section 6.9.2).
        """
        self._initial_window = size
        for stream_id in self._waiting:
            self._wake(stream_id)
        return size + max(self._shifts.values(), default=0) <= MAX_WINDOW

    @property
    def kept(self) -> int:
        """How many things are kept for streams."""
        return len(self._shifts) + len(self._waiting) + len(self._ready)

    def _window_of(self, stream_id: int) -> int:
        return self._initial_window + self._shifts.get(stream_id, 0)

    def _wake(self, stream_id: int) -> None:
        waiting = self._waiting.get(stream_id)
        if waiting is not None and self._window_of(stream_id) > 0:
            self._ready.setdefault(stream_id, waiting)

    def _end(self, stream_id: int, where: bytes, trailers: bytes) -> None:
        self._out += (start(_HEADERS, _LAST, len(trailers)), where, trailers)
        self._shifts.pop(stream_id, None)
