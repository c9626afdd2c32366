"""One HTTP/2 connection of the gRPC load generator: asks, and checks every answer.

It is a client for our own benchmarks and trusts the server's framing. It can drive
unary calls whose message fits one DATA frame of 16 KiB, against servers that honour
``SETTINGS_HEADER_TABLE_SIZE`` 0; both of ours and gRPC's C core do. It cannot do TLS,
streaming, or responses with CONTINUATION or padding, and stops at any of them.

It never indexes a header, where Envoy would use the dynamic table of a server that
offers one: gRPC's C core then decodes some 150 octets more for each Check than it would
behind Envoy, which is little beside what it takes for the rest.

Source: RFC 9113 sections 3.4, 5.2, 6; gRPC over HTTP/2.
"""

import asyncio
from collections.abc import Iterator
from struct import Struct
from time import perf_counter
from typing import Final, Protocol, cast

from suite.load.answers import Blocks, WrongAnswerError
from suite.load.blocks import TABLE_IS_EMPTY
from suite.load.messages import Message

_FRAME: Final = Struct(">BHBBI")
"""Length in two parts, type, flags, stream."""
_SETTING: Final = Struct(">HI")
_NUMBER: Final = Struct(">I")
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _PADDED, _ACK = 0x1, 0x4, 0x8, 0x1
_LARGEST_WINDOW: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65_535
_REPLENISHED: Final = 2**29
"""Bytes after which the connection's window is opened again."""
_LARGEST_FRAME: Final = 16_384
_PREFIX: Final = 5
"""Octets before a gRPC message: flag and length."""
_GREETING: Final = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + _FRAME.pack(0, 18, _SETTINGS, 0, 0)
    + _SETTING.pack(1, 0)  # HEADER_TABLE_SIZE
    + _SETTING.pack(2, 0)  # ENABLE_PUSH
    + _SETTING.pack(4, 2**20)  # INITIAL_WINDOW_SIZE
    + _FRAME.pack(0, 4, _WINDOW, 0, 0)
    + _NUMBER.pack(_LARGEST_WINDOW - _FIRST_WINDOW)
)


class Session(Protocol):
    """Whoever has the connection, among others."""

    beginning: bytes
    """What every answer begins with."""
    must_hold: bool
    """Whether each answer must hold the `Message.user` of its request as well."""
    blocks: Iterator[bytes]
    messages: list[Message]

    def finished(self, took: list[float]) -> int:
        """Take note of how long right answers took, and return how many requests to make now."""

    def answered_once(self, raw: bytes) -> None:
        """Take the answer to `Http2Connection.ask_once`, which nobody judged."""

    def failed(self, error: Exception) -> None:
        """Take note that it is over."""


class Http2Connection(asyncio.Protocol):
    """A connection that keeps a number of requests in flight while its session wants more."""

    def __init__(self, session: Session, *, offset: int) -> None:
        """Prepare.

        Args:
            session: What is asked and expected.
            offset: The message to begin with.
        """
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._session = session
        self.next_message = offset
        self._transport: asyncio.WriteTransport | None = None
        self._rest = b""
        self._stream = 1
        self._window = _FIRST_WINDOW
        self._consumed = 0
        self._owed = 0
        self._asked: dict[int, tuple[float, bytes]] = {}
        self._answered: dict[int, float] = {}
        self._blocks = Blocks()
        self._opening = b""
        self._only_once = False
        self._raw = b""

    # ------------------------------------------------------------------ asking

    def ask(self, count: int) -> None:
        """Make so many requests, or as many as the server's window lets through for now."""
        now = perf_counter()
        pieces: list[bytes] = []
        stream, window = self._stream, self._window
        messages, blocks, at = self._session.messages, self._session.blocks, self.next_message
        while count:
            message = messages[at]
            size = len(message.raw) + _PREFIX
            if size > window:
                break
            block = next(blocks)
            if self._opening:
                block, self._opening = self._opening + block, b""
            pieces += (
                _FRAME.pack(0, len(block), _HEADERS, _END_HEADERS, stream),
                block,
                _FRAME.pack(0, size, _DATA, _END_STREAM, stream),
                b"\0",
                _NUMBER.pack(size - _PREFIX),
                message.raw,
            )
            self._asked[stream] = (now, message.user)
            stream += 2
            window -= size
            at = at + 1 if at + 1 < len(messages) else 0
            count -= 1
        self._stream, self._window, self.next_message = stream, window, at
        self._owed = count
        if pieces and self._transport is not None:
            self._transport.write(b"".join(pieces))

    def ask_once(self) -> None:
        """Make one request, whose answer is handed on unread."""
        self._only_once = True
        self.ask(1)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        # uvloop's transports are of no class of asyncio.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless nothing was in flight."""
        error = WrongAnswerError(expected="a connection", got=f"its end: {exc}")
        if not self.ready.done():
            self.ready.set_exception(error)
        elif self._asked or self._answered or self._owed:
            self._session.failed(error)

    def data_received(self, data: bytes) -> None:
        """Read frames, and ask again for each answer that is complete."""
        try:
            took = self._read(self._rest + data if self._rest else data)
        except (WrongAnswerError, KeyError, IndexError, ValueError) as error:
            self._session.failed(error)
            self.close()
            return
        if self._only_once and took:
            self._only_once = False
            self._session.answered_once(self._raw)
        elif took:
            wanted = self._session.finished(took) + self._owed
            if wanted:
                self.ask(wanted)

    # ------------------------------------------------------------------ reading

    def _read(self, data: bytes) -> list[float]:
        """Return how long each request took that was answered."""
        at, end, now = 0, len(data), perf_counter()
        unpack, answered, asked = _FRAME.unpack_from, self._answered, self._asked
        heads, trailers = self._blocks.heads, self._blocks.trailers
        took: list[float] = []
        while end - at >= _FRAME.size:
            high, low, kind, flags, stream = unpack(data, at)
            begin = at + _FRAME.size
            stop = begin + (high << 16) + low
            if stop > end:
                break
            at = stop
            if kind == _DATA:
                started, user = asked.pop(stream)
                self._judge(data, begin, stop, flags, user)
                answered[stream] = started
            elif kind == _HEADERS:
                block = data[begin:stop]
                if flags & _END_STREAM:
                    if block not in trailers:
                        self._blocks.learn_trailers(block)
                    took.append(now - answered.pop(stream))
                elif block not in heads:
                    self._blocks.learn_head(block)
            else:
                self._control(kind, flags, stream, data[begin:stop])
        self._rest = data[at:]
        return took

    def _judge(self, data: bytes, begin: int, stop: int, flags: int, user: bytes) -> None:
        """Judge one whole DATA frame.

        Raises:
            WrongAnswerError: it is not one whole and right answer.
        """
        size = stop - begin
        if flags & _PADDED or size < _PREFIX:
            raise WrongAnswerError(expected="a message in one piece", got=data[begin:stop][:80])
        if data[begin] or _NUMBER.unpack_from(data, begin + 1)[0] != size - _PREFIX:
            raise WrongAnswerError(expected="a whole message", got=data[begin:stop][:80])
        session = self._session
        if self._only_once:
            self._raw = data[begin + _PREFIX : stop]
        elif not data.startswith(session.beginning, begin + _PREFIX) or (
            session.must_hold and data.find(user, begin + _PREFIX, stop) < 0
        ):
            raise WrongAnswerError(expected="a right answer", got=data[begin:stop][:200])
        self._consumed += size
        if self._consumed > _REPLENISHED:
            self._write(_FRAME.pack(0, 4, _WINDOW, 0, 0) + _NUMBER.pack(self._consumed))
            self._consumed = 0

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            settings = dict(_SETTING.iter_unpack(payload))
            if settings.get(1) == 0 and not self.ready.done():
                self._opening = TABLE_IS_EMPTY
            self._write(_FRAME.pack(0, 0, _SETTINGS, _ACK, 0))
            if not self.ready.done():
                self._require_room(settings)
                self.ready.set_result(None)
        elif kind == _PING and not flags & _ACK:
            self._write(_FRAME.pack(0, 8, _PING, _ACK, 0) + payload)
        elif kind == _WINDOW:
            if stream == 0:
                self._grow(_NUMBER.unpack(payload)[0])
        elif kind in {_RST_STREAM, _GOAWAY}:
            raise WrongAnswerError(expected="answers", got=f"frame {kind}: {payload[:80]!r}")

    def _grow(self, octets: int) -> None:
        self._window += octets
        if self._owed:
            self.ask(self._owed)

    def _require_room(self, settings: dict[int, int]) -> None:
        longest = max(len(message.raw) for message in self._session.messages) + _PREFIX
        if longest > min(settings.get(4, _FIRST_WINDOW), _LARGEST_FRAME):
            raise WrongAnswerError(expected="room for a Check", got=settings)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
