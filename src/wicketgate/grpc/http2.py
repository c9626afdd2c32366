"""The server's half of an HTTP/2 connection, without a socket and without a clock.

Bytes go in, events come out; answers go in, bytes come out. Whatever the peer
sends, `Connection.receive` raises nothing: what concerns one stream resets that
stream, what concerns the connection ends it with GOAWAY. Only what a server of
unary calls needs is here: no push, no priorities, no CONNECT.

Source: RFC 9113 sections 3.4, 4, 5.4, 6.5, 6.7 and 6.8.
"""

from typing import Final

from wicketgate.grpc import frames
from wicketgate.grpc.exchange import Event, Exchange
from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import (
    ACK,
    MAX_STREAM_ID,
    ErrorCode,
    Setting,
    Type,
)
from wicketgate.grpc.headers import RequestBlocks
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.patience import Patience
from wicketgate.grpc.reading import FrameReader
from wicketgate.grpc.settings import asked, hello

_CLOSING_PING: Final = b"wicketga"
_NO_TABLE: Final = b"\x20"
"""Before a block: this side uses no dynamic table (RFC 7541 section 6.3)."""
_PER_GLITCH: Final = 256
"""Streams that a change of all windows may touch for one glitch."""
_DATA: Final = int(Type.DATA)
_HEADERS: Final = int(Type.HEADERS)


class Connection:
    """One connection.

    Attributes:
        fault: Why the connection is over; `None` while it is not.
    """

    def __init__(self, blocks: RequestBlocks, *, limits: Limits, now: float) -> None:
        """Begin, and say hello.

        Args:
            blocks: Decodes this connection's header blocks.
            limits: What the peer may cost.
            now: Seconds of any clock that only goes forward.
        """
        self.fault: Fault | None = None
        self._blocks = blocks
        self._limits = limits
        self._began = now
        self._out: list[bytes] = []
        self._patience = Patience(limits, now)
        self._reader = FrameReader(limits, now)
        self._exchange = Exchange(blocks, limits=limits, patience=self._patience, out=self._out)
        self._tells_table_size = False
        self._is_closing = False
        self._has_left = False
        self._out.insert(0, hello(limits, stream_window=self._exchange.stream_window))

    # ------------------------------------------------------------------ for the caller

    @property
    def is_idle(self) -> bool:
        """Whether no stream is open: nothing is asked, nothing waits to be sent."""
        return not self._exchange.streams.live

    @property
    def is_over(self) -> bool:
        """Whether the connection can be closed once `data_to_send` is on its way."""
        return self.fault is not None or (self._exchange.streams.is_shut and self.is_idle)

    @property
    def held_bytes(self) -> int:
        """How much is kept for the peer, in all: cheap, for a `Budget`."""
        return self._reader.held_bytes + self._exchange.held_bytes

    @property
    def kept(self) -> dict[str, int]:
        """How much is kept for the peer, by what: for whoever watches over its bounds."""
        return {
            **self._exchange.streams.kept,
            "unread": self._reader.held_bytes,
            "answers": self._exchange.sender.pending_bytes,
            "windows": self._exchange.sender.kept,
        }

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the peer and return what came of them.

        After a fault nothing more is taken. Requests that came before it are still to
        be answered, before `data_to_send` is asked.
        """
        if self.fault is not None:
            return []
        self._patience.now = self._reader.now = now
        exchange = self._exchange
        try:
            for kind, flags, stream_id, payload in self._reader.frames(data):
                if kind == _DATA:
                    exchange.on_data(flags, stream_id, payload)
                elif kind == _HEADERS:
                    exchange.on_headers(flags, stream_id, payload)
                else:
                    self._on_other(kind, flags, stream_id, payload)
        except Fault as fault:
            self.fault = fault
        return exchange.news()

    def tick(self, now: float) -> list[Event]:
        """Let time pass, and give up what took too long."""
        if self.fault is not None:
            return []
        self._patience.now = now
        if now > self._began + self._limits.greeting_seconds and not self._blocks.is_settled:
            # Until then its blocks take hpack ten times as long.
            self.give_up(
                ErrorCode.SETTINGS_TIMEOUT, "SETTINGS did not come, or no acknowledgement"
            )
        if self._reader.waits_since(now - self._limits.stream_seconds):
            self.give_up(ErrorCode.ENHANCE_YOUR_CALM, "a header block did not end")
        try:
            for stream_id in self._exchange.streams.older_than(now - self._limits.stream_seconds):
                self._exchange.reset(stream_id, ErrorCode.CANCEL)
        except Fault as fault:
            self.fault = fault
        return self._exchange.news()

    def answer(
        self, stream_id: int, headers: bytes, message: bytes = b"", trailers: bytes = b""
    ) -> None:
        """Answer a request; does nothing when the peer no longer wants it.

        Args:
            stream_id: That of the request.
            headers: A header block.
            message: A length-prefixed message.
            trailers: A header block; empty, as is `message`, when `headers` is all there is.
        """
        request = self._exchange.streams.live.get(stream_id)
        if request is None or not request.is_asked:
            return
        if self._tells_table_size:
            headers = _NO_TABLE + headers
            self._tells_table_size = False
        self._exchange.answer(request, headers, message, trailers)
        if self._exchange.sender.pending_bytes > self._limits.pending_bytes:
            try:
                self._exchange.reset(stream_id, ErrorCode.ENHANCE_YOUR_CALM)
            except Fault as fault:
                self.fault = fault

    def data_to_send(self) -> bytes:
        """Return the bytes for the peer, once."""
        if self.fault is not None and not self._has_left:
            self._leave(self.fault)
        data = b"".join(self._out)
        self._out.clear()
        return data

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._out.append(frames.frame(Type.PING, 0, 0, b"\0" * 8))

    def close(self) -> None:
        """Ask the peer to open no more streams; those on their way are still taken.

        The last stream id follows when the peer has answered a PING, which it sends
        after everything that it had sent before (RFC 9113 section 6.8).
        """
        if not self._is_closing and self.fault is None:
            self._is_closing = True
            self._out.append(frames.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self._out.append(frames.frame(Type.PING, 0, 0, _CLOSING_PING))

    def close_now(self) -> None:
        """Say which stream was the last; later ones are not looked at."""
        streams = self._exchange.streams
        if self.fault is None and not streams.is_shut:
            self._is_closing = True
            streams.is_shut = True
            self._out.append(frames.goaway(streams.last_taken, ErrorCode.NO_ERROR))

    def give_up(self, code: ErrorCode, why: str) -> None:
        """End the connection for something that a frame does not tell."""
        if self.fault is None:
            self.fault = Fault(code, why)

    # ------------------------------------------------------------------ frames

    def _on_other(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        match kind:
            case Type.WINDOW_UPDATE:
                self._exchange.on_window_update(stream_id, payload)
            case Type.RST_STREAM:
                self._exchange.on_rst_stream(stream_id, payload)
            case Type.PRIORITY:
                self._exchange.on_priority(stream_id, payload)
            case Type.PUSH_PROMISE:
                raise Fault(ErrorCode.PROTOCOL_ERROR, "a client cannot push")
            case Type.SETTINGS | Type.PING | Type.GOAWAY:
                if stream_id != 0:
                    raise Fault(ErrorCode.PROTOCOL_ERROR, f"{Type(kind).name} on a stream")
                if kind == Type.SETTINGS:
                    self._on_settings(flags, payload)
                elif kind == Type.PING:
                    self._on_ping(flags, payload)
                else:
                    self._on_goaway(payload)
            case _:
                self._patience.overhead()

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            if payload:
                raise Fault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS were acknowledged at length")
            self._patience.glitch()
            self._blocks.settled()
            return
        self._patience.glitch(1 + self._exchange.sender.kept // _PER_GLITCH)
        self._apply(asked(payload, self._limits))
        self._out.append(frames.SETTINGS_ACK)
        self._exchange.flush()

    def _apply(self, settings: dict[int, int]) -> None:
        sender = self._exchange.sender
        if Setting.HEADER_TABLE_SIZE in settings:
            # If it became less, the next block has to say so (RFC 9113 section 4.3.1).
            self._tells_table_size = True
        sender.frame_bytes = settings.get(Setting.MAX_FRAME_SIZE, sender.frame_bytes)
        window = settings.get(Setting.INITIAL_WINDOW_SIZE)
        if window is not None and not sender.set_initial_window(window):
            raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window overflows")

    def _on_ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:  # noqa: PLR2004 - RFC 9113 section 6.7
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "PING has the wrong length")
        self._patience.overhead()
        if not flags & ACK:
            self._out.append(frames.frame(Type.PING, ACK, 0, payload))
        elif payload == _CLOSING_PING and self._is_closing:
            self.close_now()

    def _on_goaway(self, payload: bytes) -> None:
        # A client that leaves still reads the answers to what it asked, and then hangs up.
        if len(payload) < 8:  # noqa: PLR2004 - RFC 9113 section 6.8
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._patience.glitch()

    def _leave(self, fault: Fault) -> None:
        self._has_left = True
        self._exchange.drop_all()
        streams = self._exchange.streams
        why = fault.why.encode("ascii", "replace")
        self._out.append(frames.goaway(streams.last_taken, fault.code, why))
