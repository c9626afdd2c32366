"""A client made of raw frames, and the server's half of a connection that it talks to.

Frames are written and read here by code that is not the server's own.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hpack import Decoder, Encoder

from wicketgate.grpc.exchange import Event
from wicketgate.grpc.frames import ErrorCode, Type
from wicketgate.grpc.headers import HeaderCache, RequestBlocks
from wicketgate.grpc.http2 import Connection
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.streams import Cancelled, Request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20
ACK = 0x1
LAST = END_HEADERS | END_STREAM

Field = tuple[str, str]
PSEUDO: tuple[Field, ...] = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/echo.Echo/Echo"),
    (":authority", "echo"),
)
PLAIN: tuple[Field, ...] = (*PSEUDO, ("te", "trailers"), ("content-type", "application/grpc"))

ANSWER_HEADERS = b"\x88"
ANSWER_TRAILERS = b"\x00\x0bgrpc-status\x010"
REFUSAL = b"\x08\x03400"


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a frame; nothing is checked."""
    start = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return start + stream_id.to_bytes(4, "big") + payload


def block(*fields: Field, huffman: bool = False, names_table: bool = False) -> bytes:
    """Return a header block that uses no table; `names_table` says so at its beginning."""
    encoder = Encoder()
    encoder.header_table_size = 0
    coded = encoder.encode(list(fields), huffman=huffman)
    return coded if names_table else coded.removeprefix(b"\x20")


def headers(stream_id: int, *fields: Field, flags: int = END_HEADERS) -> bytes:
    """Return HEADERS; without fields, those of a plain request."""
    return frame(Type.HEADERS, flags, stream_id, block(*(fields or PLAIN)))


def data(stream_id: int, payload: bytes = b"x", *, flags: int = END_STREAM) -> bytes:
    """Return DATA, the last unless `flags` say otherwise."""
    return frame(Type.DATA, flags, stream_id, payload)


def ask(stream_id: int, payload: bytes = b"x") -> bytes:
    """Return a whole request."""
    return headers(stream_id) + data(stream_id, payload)


def settings(*entries: tuple[int, int]) -> bytes:
    """Return SETTINGS."""
    payload = b"".join(
        identifier.to_bytes(2, "big") + value.to_bytes(4, "big") for identifier, value in entries
    )
    return frame(Type.SETTINGS, 0, 0, payload)


def window_update(stream_id: int, increment: int) -> bytes:
    """Return WINDOW_UPDATE."""
    return frame(Type.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: int = ErrorCode.CANCEL) -> bytes:
    """Return RST_STREAM."""
    return frame(Type.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def ping(payload: bytes = b"12345678", *, flags: int = 0) -> bytes:
    """Return PING."""
    return frame(Type.PING, flags, 0, payload)


def goaway(payload: bytes = bytes(8)) -> bytes:
    """Return GOAWAY."""
    return frame(Type.GOAWAY, 0, 0, payload)


SETTINGS_ACK = frame(Type.SETTINGS, ACK, 0)
HELLO = PREFACE + settings() + SETTINGS_ACK
FIRST = frame(Type.HEADERS, LAST, 1, block(*PLAIN, names_table=True))
"""The first request after the acknowledgement has to say that there is no table."""


@dataclass(frozen=True)
class Frame:
    """A frame as it was read."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    def __str__(self) -> str:
        """Say what matters in a table."""
        name = Type(self.kind).name
        match self.kind:
            case Type.RST_STREAM:
                return f"RST {self.stream_id} {_code(self.payload)}"
            case Type.GOAWAY:
                return (
                    f"GOAWAY {int.from_bytes(self.payload[:4], 'big')} {_code(self.payload[4:])}"
                )
            case Type.WINDOW_UPDATE:
                return f"WINDOW {self.stream_id} {int.from_bytes(self.payload, 'big')}"
            case Type.SETTINGS | Type.PING:
                return f"{name} ACK" if self.flags & ACK else name
            case Type.DATA:
                return f"DATA {self.stream_id} {len(self.payload)}"
        return f"{name} {self.stream_id}{' END' if self.flags & END_STREAM else ''}"


def _code(payload: bytes) -> str:
    return ErrorCode(int.from_bytes(payload[:4], "big")).name


def parsed(sent: bytes) -> list[Frame]:
    """Return the frames of what a server sent; all of them must be whole."""
    found = []
    while sent:
        size = int.from_bytes(sent[:3], "big")
        assert len(sent) >= 9 + size, "a frame is cut short"
        stream_id = int.from_bytes(sent[5:9], "big")
        found.append(Frame(sent[3], sent[4], stream_id, sent[9 : 9 + size]))
        sent = sent[9 + size :]
    return found


def story(sent: bytes) -> list[str]:
    """Return what a server sent, a line for each frame, and ``ANSWER`` for a whole answer."""
    told = [str(each) for each in parsed(sent)]
    lines: list[str] = []
    while told:
        words = told[0].split()
        number = words[1] if len(words) > 1 else ""
        if (
            told[0] == f"HEADERS {number}"
            and len(told) > 2
            and told[1].startswith(f"DATA {number} ")
            and told[2] == f"HEADERS {number} END"
        ):
            lines.append(f"ANSWER {number}")
            told = told[3:]
        else:
            lines.append(told.pop(0))
    return lines


class Peer:
    """A client and its connection; requests are echoed."""

    def __init__(
        self, *, limits: Limits | None = None, hello: bytes = HELLO, holds: bool = False
    ) -> None:
        """Connect.

        Args:
            limits: What the client may cost.
            hello: What it says first.
            holds: Answers wait until `release`.
        """
        self.limits = limits or Limits()
        self.blocks = RequestBlocks(HeaderCache(), max_bytes=self.limits.header_bytes)
        self.connection = Connection(self.blocks, limits=self.limits, now=0.0)
        self.holds = holds
        self.held: list[Request] = []
        self.cancelled: list[int] = []
        self.asked: list[Request] = []
        self.now = 0.0
        self.greeting = self.send(hello)

    @property
    def fault(self) -> str:
        """The name of the fault, empty while there is none."""
        fault = self.connection.fault
        return fault.code.name if fault else ""

    def send(self, sent: bytes) -> bytes:
        """Send bytes and return what comes back."""
        return self.take(self.connection.receive(sent, self.now))

    def take(self, events: Iterable[Event]) -> bytes:
        """Answer requests, and return what comes back."""
        for event in events:
            if isinstance(event, Cancelled):
                self.cancelled.append(event.stream_id)
            else:
                self.asked.append(event)
                self.held.append(event)
        if not self.holds:
            self._answer_held()
        return self.connection.data_to_send()

    def release(self) -> bytes:
        """Answer what is held, and return what comes back."""
        self._answer_held()
        return self.connection.data_to_send()

    def tell(self, *parts: bytes) -> list[str]:
        """Send, and return the story of what comes back."""
        return story(self.send(b"".join(parts)))

    def _answer_held(self) -> None:
        held, self.held = self.held, []
        for request in held:
            if request.is_cut or not request.body:
                self.connection.answer(request.stream_id, REFUSAL)
            else:
                self.connection.answer(
                    request.stream_id, ANSWER_HEADERS, request.body, ANSWER_TRAILERS
                )


def in_pieces(sent: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return `sent` cut at these places."""
    edges = [0, *sorted(cuts), len(sent)]
    return [sent[start:end] for start, end in pairwise(edges)]


def fields_of(sent: bytes, decoder: Decoder | None = None) -> dict[int, list[dict[str, str]]]:
    """Return the header lists that a server sent, by stream, read by hpack."""
    decoder = decoder or Decoder()
    found: dict[int, list[dict[str, str]]] = {}
    for each in parsed(sent):
        if each.kind == Type.HEADERS:
            fields = {str(name): str(value) for name, value in decoder.decode(each.payload)}
            found.setdefault(each.stream_id, []).append(fields)
    return found


async def pass_turns() -> None:
    """Let the event loop turn more often than there is work for."""
    for _ in range(10):
        await asyncio.sleep(0)
