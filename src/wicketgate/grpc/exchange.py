"""The requests and answers of one connection: what frames of streams do to them.

What concerns one stream resets that stream; what concerns the connection is raised.

Source: RFC 9113 sections 5.1, 6.1 to 6.4, 6.9 and 8.1.
"""

from typing import Final

from wicketgate.grpc import frames
from wicketgate.grpc.faults import Fault, MalformedError
from wicketgate.grpc.frames import END_STREAM, MAX_WINDOW, PADDED, ErrorCode
from wicketgate.grpc.headers import RequestBlocks
from wicketgate.grpc.inflow import Inflow
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.patience import Patience
from wicketgate.grpc.reading import unpadded
from wicketgate.grpc.sending import Sender
from wicketgate.grpc.streams import Cancelled, Request, Streams

Event = Request | Cancelled

PREFIX_SIZE: Final = 5
"""What gRPC puts before a message."""
STREAM_BYTES: Final = 1_024
"""About what a stream takes beside its message."""
WINDOW_SLACK: Final = 65_536
"""A stream's window beyond the longest message, for its prefix and for padding."""


class Exchange:
    """Takes requests from frames and puts answers into frames.

    Attributes:
        streams: The streams.
        sender: The answers on their way.
        stream_window: What the peer may send on one stream, in all.
    """

    def __init__(
        self, blocks: RequestBlocks, *, limits: Limits, patience: Patience, out: list[bytes]
    ) -> None:
        """Begin, with no streams; `out` is where frames are appended."""
        self.streams = Streams()
        self.sender = Sender(out)
        self.stream_window = min(limits.message_bytes + WINDOW_SLACK, MAX_WINDOW)
        self._blocks = blocks
        self._limits = limits
        self._patience = patience
        self._out = out
        self._inflow = Inflow(limits.buffered_bytes, out)
        self._events: list[Event] = []

    # ------------------------------------------------------------------ for the connection

    @property
    def held_bytes(self) -> int:
        """What is kept of requests that are not answered, and of answers that wait."""
        held = self._inflow.held_bytes + self.sender.pending_bytes
        return held + STREAM_BYTES * len(self.streams.live)

    def drop_all(self) -> None:
        """Keep nothing any more, at the end of the connection."""
        for stream_id in self.streams.live:
            self.sender.forget(stream_id)
        self.streams.live.clear()
        self._inflow.forget()

    def news(self) -> list[Event]:
        """Return the events since the last time, without requests that are over already."""
        events, self._events = self._events, []
        live = self.streams.live
        return [
            event for event in events if isinstance(event, Cancelled) or event.stream_id in live
        ]

    def answer(self, request: Request, headers: bytes, message: bytes, trailers: bytes) -> None:
        """Answer a request."""
        request.is_answered = True
        self._inflow.give(request.size)
        if self.sender.answer(request.stream_id, headers, message, trailers):
            self._finish(request)

    def flush(self) -> bool:
        """Send what waits, and tell whether anything could be sent."""
        before = self.sender.pending_bytes
        for stream_id in self.sender.flush():
            self._finish(self.streams.live[stream_id])
        return self.sender.pending_bytes < before

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream.

        Raises:
            Fault: the peer has made too many necessary.
        """
        self._drop(stream_id)
        self._out.append(frames.rst_stream(stream_id, code))
        self.streams.remember_reset(stream_id)
        self._patience.reset()

    # ------------------------------------------------------------------ frames

    def on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        """Begin a request, or end it with trailers."""
        streams = self.streams
        if stream_id % 2 == 0:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that is not the client's")
        if stream_id <= streams.newest:
            self._on_trailers(flags, stream_id, block)
            return
        is_taken = streams.use(stream_id)
        try:
            head = self._blocks.decode(block)
        except MalformedError:
            head = None
        if not is_taken:
            self._patience.glitch()
        elif head is None:
            self.reset(stream_id, ErrorCode.PROTOCOL_ERROR)
        elif len(streams.live) >= self._limits.streams:
            self.reset(stream_id, ErrorCode.REFUSED_STREAM)
        else:
            request = streams.begin(stream_id, head, self._patience.now)
            if flags & END_STREAM:
                self._complete(request)

    def _on_trailers(self, flags: int, stream_id: int, block: bytes) -> None:
        request = self.streams.live.get(stream_id)
        is_good = bool(flags & END_STREAM)
        try:
            self._blocks.trailers(block)
        except MalformedError:
            is_good = False
        if request is None or request.is_complete:
            self._on_late(request, stream_id, is_data=False)
        elif is_good:
            self._complete(request)
        else:
            self.reset(stream_id, ErrorCode.PROTOCOL_ERROR)

    def on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Take some of a request's body."""
        size = len(payload)
        self._inflow.take(size)
        request = self.streams.live.get(stream_id)
        if request is None or request.is_complete:
            self._inflow.give(size)
            if self.streams.is_idle(stream_id):
                raise Fault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")
            self._on_late(request, stream_id, is_data=True)
            return
        if flags & PADDED:
            payload = unpadded(payload)
        request.size += size
        request.add(payload)
        if request.size > self.stream_window:
            self.reset(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        elif flags & END_STREAM:
            self._complete(request)
        elif self._is_too_much(request):
            self._inflow.give(request.size)
            request.cut()
            self._events.append(request)
        elif not payload:
            self._patience.glitch()

    def on_priority(self, stream_id: int, payload: bytes) -> None:
        """Ignore a priority, if it is one."""
        if stream_id == 0:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on no stream")
        if len(payload) != 5:  # noqa: PLR2004 - RFC 9113 section 6.3
            if self.streams.is_idle(stream_id):
                raise Fault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has the wrong length")
            self.reset(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        self._patience.overhead()

    def on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        """Give up a stream, if it is not over already."""
        if len(payload) != 4:  # noqa: PLR2004 - RFC 9113 section 6.4
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has the wrong length")
        if self.streams.is_idle(stream_id):
            raise Fault(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on an idle stream")
        if self._drop(stream_id):
            self._patience.reset()
        else:
            self._patience.overhead()

    def on_window_update(self, stream_id: int, payload: bytes) -> None:
        """Send more, where that was what it waited for."""
        if len(payload) != 4:  # noqa: PLR2004 - RFC 9113 section 6.9
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has the wrong length")
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if stream_id == 0:
            if increment == 0:
                raise Fault(ErrorCode.PROTOCOL_ERROR, "a window was widened by nothing")
            if not self.sender.widen(increment):
                raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window overflows")
        elif self.streams.is_idle(stream_id):
            raise Fault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        elif stream_id in self.streams.live:
            if increment == 0:
                self.reset(stream_id, ErrorCode.PROTOCOL_ERROR)
            elif not self.sender.widen_stream(stream_id, increment):
                self.reset(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        if not self.flush():
            self._patience.overhead()

    # ------------------------------------------------------------------ streams

    def _on_late(self, request: Request | None, stream_id: int, *, is_data: bool) -> None:
        """Deal with HEADERS or DATA for a stream that does not wait for them any more."""
        if self.streams.is_ignored(stream_id) or (request is not None and request.is_cut):
            self._patience.overhead()
        elif request is not None or is_data:
            self.reset(stream_id, ErrorCode.STREAM_CLOSED)
        elif self.streams.has_gaps:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that was left out, or over")
        else:
            raise Fault(ErrorCode.STREAM_CLOSED, "HEADERS on a stream that is over")

    def _is_too_much(self, request: Request) -> bool:
        size = request.held_bytes
        return size > self._limits.message_bytes + PREFIX_SIZE or (
            size > self._limits.large_bytes and self._inflow.is_tight
        )

    def _complete(self, request: Request) -> None:
        # Complete only afterwards, so that `_drop` knows what it still takes.
        if not request.finish_body():
            self.reset(request.stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        request.is_complete = True
        self._patience.request()
        self._events.append(request)

    def _finish(self, request: Request) -> None:
        """Forget a stream whose answer is all out."""
        stream_id = request.stream_id
        del self.streams.live[stream_id]
        if request.is_cut:
            # The answer came before the end of the request (RFC 9113 section 8.1).
            self._out.append(frames.rst_stream(stream_id, ErrorCode.NO_ERROR))
            self.streams.remember_reset(stream_id)

    def _drop(self, stream_id: int) -> bool:
        """Forget a stream, and tell whether there was one."""
        request = self.streams.live.pop(stream_id, None)
        if request is None:
            return False
        if not request.is_answered:
            self._inflow.give(request.size)
            if request.is_complete:
                self._events.append(Cancelled(stream_id))
        self.sender.forget(stream_id)
        return True
