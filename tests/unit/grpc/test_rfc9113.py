"""What RFC 9113 asks of a server, a row for each demand: frames in, frames out.

An answer is ``ANSWER`` and the stream; everything else is told frame by frame.
"""

from dataclasses import dataclass

import pytest

from unit.grpc.peer import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HELLO,
    LAST,
    PADDED,
    PLAIN,
    PREFACE,
    PRIORITY,
    PSEUDO,
    SETTINGS_ACK,
    Field,
    Peer,
    ask,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
    window_update,
)
from wicketgate.grpc.frames import Type

PROTOCOL = ["GOAWAY 0 PROTOCOL_ERROR"]
SIZE = ["GOAWAY 0 FRAME_SIZE_ERROR"]
FLOW = ["GOAWAY 0 FLOW_CONTROL_ERROR"]
COMPRESSION = ["GOAWAY 1 COMPRESSION_ERROR"]
MALFORMED = ["RST 1 PROTOCOL_ERROR"]

UNKNOWN_TYPE = 0x0B
NO_TABLE = frame(Type.HEADERS, LAST, 1, b"\x20" + block(*PLAIN))
"""A request without a body, the first after the acknowledgement."""
EMPTY = ["HEADERS 1 END"]
"""What comes back to it."""


@dataclass(frozen=True)
class Row:
    """One demand.

    Attributes:
        section: Where RFC 9113 says so.
        name: What it says.
        sent: What the client sends after it said hello.
        expected: What comes back.
        before: Sent earlier; what comes back to it is not looked at.
        holds: Answers wait until everything was sent, and are not looked at.
        hello: What the client says first.
    """

    section: str
    name: str
    sent: bytes
    expected: list[str]
    before: bytes = b""
    holds: bool = False
    hello: bytes = HELLO


def raw(section: str, name: str, sent: bytes, expected: list[str]) -> Row:
    """Return a row that begins with the very first byte."""
    return Row(section, name, sent, expected, hello=b"")


def first(*fields: Field, flags: int = LAST) -> bytes:
    """Return the first request of a connection, which says that it uses no table."""
    return frame(Type.HEADERS, flags, 1, b"\x20" + block(*fields))


def without(name: str) -> tuple[Field, ...]:
    """Return a plain request's fields without one of them."""
    return tuple(field for field in PLAIN if field[0] != name)


OPEN = first(*PLAIN, flags=END_HEADERS)
ASK = OPEN + data(1)
DONE = ["ANSWER 1"]
DONE3 = ["ANSWER 3"]
PRIORITY_OF_5 = frame(Type.PRIORITY, 0, 5, bytes(5))

PREFACES = [
    raw("3.4", "preface, SETTINGS", PREFACE + settings(), ["SETTINGS ACK"]),
    raw("3.4", "another protocol", b"GET / HTTP/1.1\r\n\r\n", PROTOCOL),
    raw("3.4", "TLS", bytes.fromhex("16030100c8010000c40303"), PROTOCOL),
    raw("3.4", "a preface that is wrong at its end", PREFACE[:-1] + b"x", PROTOCOL),
    raw("3.4", "first a PING", PREFACE + ping(), PROTOCOL),
    raw("3.4", "first an acknowledgement", PREFACE + SETTINGS_ACK, PROTOCOL),
    raw("3.4", "first HEADERS", PREFACE + OPEN, PROTOCOL),
    raw("3.4", "first an unknown frame", PREFACE + frame(UNKNOWN_TYPE, 0, 0), PROTOCOL),
]

FRAMES = [
    Row("4.1", "an unknown type is ignored", frame(UNKNOWN_TYPE, 0xFF, 5, b"?") + ASK, DONE),
    Row("4.1", "unused flags are ignored", ping(flags=0xFE), ["PING ACK"]),
    Row("4.1", "... of SETTINGS", frame(Type.SETTINGS, 0xFE, 0), ["SETTINGS ACK"]),
    Row("4.1", "... of DATA", OPEN + data(1, flags=0xF7), DONE),
    Row("4.1", "... of HEADERS", first(*PLAIN, flags=0xD7), EMPTY),
    Row("4.1", "... of RST_STREAM", OPEN + frame(Type.RST_STREAM, 0xFF, 1, bytes(4)), []),
    Row("4.1", "... of WINDOW_UPDATE", frame(Type.WINDOW_UPDATE, 0xFF, 0, b"\0\0\0\1"), []),
    Row(
        "4.1",
        "... of CONTINUATION",
        frame(Type.HEADERS, END_STREAM, 1, b"\x20")
        + frame(Type.CONTINUATION, 0xFF, 1, block(*PLAIN)),
        EMPTY,
    ),
    Row(
        "4.1",
        "the reserved bit is ignored",
        OPEN + frame(Type.DATA, END_STREAM, 0x8000_0001, b"x"),
        DONE,
    ),
    Row("4.2", "16,384 octets are taken", OPEN + data(1, bytes(16_384)), DONE),
    Row(
        "4.2",
        "16,385 octets are not",
        OPEN + data(1, bytes(16_385)),
        ["GOAWAY 1 FRAME_SIZE_ERROR"],
    ),
    Row("4.2", "nor announced", frame(Type.DATA, 0, 1, bytes(2**24 - 1))[:9], SIZE),
    Row("4.2", "of any type", frame(UNKNOWN_TYPE, 0, 1, bytes(16_385)), SIZE),
    Row(
        "4.3", "a block that cannot be decoded", frame(Type.HEADERS, LAST, 1, b"\x7f"), COMPRESSION
    ),
    Row(
        "4.3",
        "trailers that cannot be decoded",
        OPEN + frame(Type.HEADERS, LAST, 1, b"\x80"),
        COMPRESSION,
    ),
    Row(
        "4.3",
        "malformed first, undecodable later",
        frame(Type.HEADERS, LAST, 1, b"\x20" + block(("A", "b")) + b"\x80"),
        COMPRESSION,
    ),
    Row("4.3.1", "no word about the smaller table", headers(1, *PLAIN), COMPRESSION),
    Row(
        "4.3.1",
        "a table larger than allowed",
        frame(Type.HEADERS, LAST, 1, b"\x21\x82"),
        COMPRESSION,
    ),
    Row(
        "4.3.1",
        "the same once blocks carry no state",
        frame(Type.HEADERS, LAST, 3, b"\x21" + block(*PLAIN)),
        ["GOAWAY 3 COMPRESSION_ERROR"],
        before=NO_TABLE,
    ),
    Row(
        "4.3.1",
        "a change of the table in the middle of a block",
        frame(Type.HEADERS, LAST, 3, block(*PLAIN) + b"\x20"),
        ["GOAWAY 3 COMPRESSION_ERROR"],
        before=NO_TABLE,
    ),
    Row(
        "4.3.1",
        "an entry of the table that there is not",
        frame(Type.HEADERS, LAST, 3, block(*PLAIN) + b"\xbe"),
        ["GOAWAY 3 COMPRESSION_ERROR"],
        before=NO_TABLE,
    ),
]

STATES = [
    Row("5.1", "idle: DATA", data(1), PROTOCOL),
    Row("5.1", "idle: RST_STREAM", rst_stream(1), PROTOCOL),
    Row("5.1", "idle: WINDOW_UPDATE", window_update(1, 1), PROTOCOL),
    Row("5.1", "idle: CONTINUATION", frame(Type.CONTINUATION, 4, 1), PROTOCOL),
    Row("5.1", "idle: PRIORITY is no fault", frame(Type.PRIORITY, 0, 7, bytes(5)) + ASK, DONE),
    Row("5.1", "idle: a stream of the server", window_update(2, 1), PROTOCOL),
    Row("5.1", "open: WINDOW_UPDATE", OPEN + window_update(1, 9) + data(1), DONE),
    Row("5.1", "half-closed: DATA", data(1), ["RST 1 STREAM_CLOSED"], before=ASK, holds=True),
    Row(
        "5.1", "half-closed: HEADERS", headers(1), ["RST 1 STREAM_CLOSED"], before=ASK, holds=True
    ),
    Row("5.1", "half-closed: WINDOW_UPDATE", window_update(1, 1), [], before=ASK, holds=True),
    Row(
        "5.1",
        "half-closed: PRIORITY",
        frame(Type.PRIORITY, 0, 1, bytes(5)),
        [],
        before=ASK,
        holds=True,
    ),
    Row("5.1", "half-closed: RST_STREAM", rst_stream(1), [], before=ASK, holds=True),
    Row("5.1", "closed: WINDOW_UPDATE", window_update(1, 1) + window_update(1, 0), [], before=ASK),
    Row("5.1", "closed: RST_STREAM", rst_stream(1), [], before=ASK),
    Row("5.1", "closed: PRIORITY", frame(Type.PRIORITY, 0, 1, bytes(5)), [], before=ASK),
    Row("5.1", "closed: DATA", data(1) + data(1), ["RST 1 STREAM_CLOSED"], before=ASK),
    Row("5.1", "closed: HEADERS", headers(1), ["GOAWAY 1 STREAM_CLOSED"], before=ASK),
    Row(
        "5.1",
        "closed by trailers: DATA",
        data(1),
        ["RST 1 STREAM_CLOSED"],
        before=OPEN + headers(1, ("a", "b"), flags=LAST),
        holds=True,
    ),
    Row("5.1", "idle: PRIORITY opens nothing", data(5), PROTOCOL, before=PRIORITY_OF_5),
    Row(
        "5.1",
        "open: RST_STREAM, and no answer",
        OPEN + data(1, flags=0) + rst_stream(1) + window_update(1, 1),
        [],
    ),
    Row(
        "5.1",
        "reset by the peer: DATA",
        data(1),
        ["RST 1 STREAM_CLOSED"],
        before=OPEN + rst_stream(1),
    ),
    Row(
        "5.1",
        "reset by the server: everything is ignored, and the rest goes on",
        data(1)
        + headers(1)
        + window_update(1, 1)
        + rst_stream(1)
        + frame(Type.PRIORITY, 0, 1, bytes(5))
        + ask(3),
        ["ANSWER 3"],
        before=first(("A", "b"), flags=END_HEADERS),
    ),
    Row("5.1.1", "an even stream", headers(2), PROTOCOL),
    Row("5.1.1", "HEADERS on stream 0", headers(0), PROTOCOL),
    Row(
        "5.1.1",
        "a stream that was left out",
        headers(1),
        ["GOAWAY 3 PROTOCOL_ERROR"],
        before=frame(Type.HEADERS, LAST, 3, b"\x20" + block(*PLAIN)),
    ),
    Row("5.1.1", "streams may be left out", ask(9), ["ANSWER 9"], before=ASK),
    Row(
        "5.1.1",
        "... which closes those below: WINDOW_UPDATE",
        window_update(7, 1) + rst_stream(5) + ask(11),
        ["ANSWER 11"],
        before=OPEN + ask(9),
    ),
    Row(
        "5.1.1",
        "the last id that there is",
        ask(2**31 - 1),
        ["ANSWER 2147483647"],
        before=ASK,
    ),
    Row(
        "5.1.2",
        "the streams of PRIORITY do not count",
        b"".join(frame(Type.PRIORITY, 0, n, bytes(5)) for n in range(3, 203, 2)) + ASK,
        DONE,
    ),
    Row(
        "5.4.1",
        "nothing is taken after a fault, what came before it is answered",
        ask(3) + headers(2) + ask(5) + ping(),
        ["ANSWER 3", "GOAWAY 3 PROTOCOL_ERROR"],
        before=ASK,
    ),
    Row("5.4.2", "no RST_STREAM for RST_STREAM", rst_stream(1) * 2, [], before=ASK),
    Row(
        "5.5",
        "an unknown frame within a header block",
        frame(Type.HEADERS, 0, 1, b"\x20") + frame(UNKNOWN_TYPE, 0, 1),
        PROTOCOL,
    ),
]

DATA = [
    Row("6.1", "DATA on stream 0", data(0), PROTOCOL),
    Row("6.1", "padding", OPEN + data(1, b"\3x\0\0\0", flags=PADDED | END_STREAM), DONE),
    Row("6.1", "nothing but padding", OPEN + data(1, b"\2\0\0", flags=PADDED) + data(1), DONE),
    Row(
        "6.1",
        "padding as long as the payload",
        OPEN + data(1, b"\3x\0", flags=PADDED | END_STREAM),
        ["GOAWAY 1 PROTOCOL_ERROR"],
    ),
    Row(
        "6.1",
        "padding without its length",
        OPEN + data(1, b"", flags=PADDED),
        ["GOAWAY 1 FRAME_SIZE_ERROR"],
    ),
]

HEADERS = [
    Row(
        "6.2",
        "padding",
        frame(Type.HEADERS, END_HEADERS | PADDED, 1, b"\2\x20" + block(*PLAIN) + b"\0\0")
        + data(1),
        DONE,
    ),
    Row(
        "6.2",
        "padding longer than the payload",
        frame(Type.HEADERS, LAST | PADDED, 1, b"\x09\x82"),
        PROTOCOL,
    ),
    Row("6.2", "padding without its length", frame(Type.HEADERS, LAST | PADDED, 1), SIZE),
    Row(
        "6.2",
        "a priority is ignored, even one of a stream on itself (5.3)",
        frame(Type.HEADERS, END_HEADERS | PRIORITY, 1, b"\0\0\0\1\xff\x20" + block(*PLAIN))
        + data(1),
        DONE,
    ),
    Row(
        "6.2",
        "padding and a priority",
        frame(
            Type.HEADERS,
            END_HEADERS | PADDED | PRIORITY,
            1,
            b"\1" + bytes(5) + b"\x20" + block(*PLAIN) + b"\0",
        )
        + data(1),
        DONE,
    ),
    Row(
        "6.2",
        "a priority that is cut short",
        frame(Type.HEADERS, LAST | PRIORITY, 1, bytes(4)),
        SIZE,
    ),
    Row("6.3", "PRIORITY on stream 0", frame(Type.PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    Row(
        "6.3",
        "PRIORITY is ignored, even one of a stream on itself (5.3)",
        OPEN + frame(Type.PRIORITY, 0, 1, b"\x80\0\0\1\xff") + data(1),
        DONE,
    ),
    Row(
        "6.3",
        "PRIORITY of another length",
        OPEN + frame(Type.PRIORITY, 0, 1, bytes(4)),
        ["RST 1 FRAME_SIZE_ERROR"],
    ),
    Row("6.3", "the same on an idle stream", frame(Type.PRIORITY, 0, 1, bytes(6)), SIZE),
    Row("6.4", "RST_STREAM on stream 0", rst_stream(0), PROTOCOL),
    Row(
        "6.4",
        "RST_STREAM of another length",
        OPEN + frame(Type.RST_STREAM, 0, 1, bytes(3)),
        ["GOAWAY 1 FRAME_SIZE_ERROR"],
    ),
    Row("6.4", "RST_STREAM ends a request", OPEN + rst_stream(1) + ask(3), ["ANSWER 3"]),
]

SETTINGS = [
    Row("6.5", "SETTINGS on a stream", frame(Type.SETTINGS, 0, 1), PROTOCOL),
    Row("6.5", "an acknowledgement with a payload", frame(Type.SETTINGS, ACK, 0, bytes(6)), SIZE),
    Row("6.5", "an acknowledgement on a stream", frame(Type.SETTINGS, ACK, 3), PROTOCOL),
    Row("6.5", "a length that is no multiple of 6", frame(Type.SETTINGS, 0, 0, bytes(7)), SIZE),
    Row("6.5.2", "ENABLE_PUSH 0 and 1", settings((2, 0)) + settings((2, 1)), ["SETTINGS ACK"] * 2),
    Row("6.5.2", "ENABLE_PUSH 2", settings((2, 2)), PROTOCOL),
    Row("6.5.2", "INITIAL_WINDOW_SIZE 2^31 - 1", settings((4, 2**31 - 1)), ["SETTINGS ACK"]),
    Row("6.5.2", "INITIAL_WINDOW_SIZE 2^31", settings((4, 2**31)), FLOW),
    Row("6.5.2", "even if it is said otherwise at once", settings((4, 2**31), (4, 5)), FLOW),
    Row("6.5.2", "MAX_FRAME_SIZE 2^14", settings((5, 2**14)), ["SETTINGS ACK"]),
    Row("6.5.2", "MAX_FRAME_SIZE 2^24 - 1", settings((5, 2**24 - 1)), ["SETTINGS ACK"]),
    Row("6.5.2", "MAX_FRAME_SIZE 2^14 - 1", settings((5, 2**14 - 1)), PROTOCOL),
    Row("6.5.2", "MAX_FRAME_SIZE 2^24", settings((5, 2**24)), PROTOCOL),
    Row("6.5.2", "an unknown setting", settings((0xABCD, 2**32 - 1)), ["SETTINGS ACK"]),
    Row("6.5.2", "HEADER_TABLE_SIZE, as it likes", settings((1, 2**32 - 1)), ["SETTINGS ACK"]),
    Row(
        "6.5.2",
        "MAX_CONCURRENT_STREAMS is about pushes, of which there are none",
        settings((3, 0)) + ASK,
        ["SETTINGS ACK", *DONE],
    ),
    Row(
        "6.5.2",
        "MAX_HEADER_LIST_SIZE is advice",
        settings((6, 0)) + ASK,
        ["SETTINGS ACK", *DONE],
    ),
    Row(
        "6.5.2",
        "no frame is longer than MAX_FRAME_SIZE",
        OPEN + data(1, bytes(16_384), flags=0) + data(1),
        ["HEADERS 1", "DATA 1 16384", "DATA 1 1", "HEADERS 1 END"],
    ),
    Row(
        "6.5.2",
        "... which may be more",
        settings((5, 16_385)) + OPEN + data(1, bytes(16_384), flags=0) + data(1),
        ["SETTINGS ACK", *DONE],
    ),
    Row("6.5.2", "settings of other RFCs", settings((8, 1), (9, 1)), ["SETTINGS ACK"]),
    Row(
        "6.5.3",
        "in order: the last of the same name counts",
        OPEN + settings((4, 0), (4, 4)) + data(1, b"123456"),
        ["SETTINGS ACK", "HEADERS 1", "DATA 1 4"],
    ),
    Row(
        "6.5.3",
        "each is acknowledged",
        settings() * 3,
        ["SETTINGS ACK", "SETTINGS ACK", "SETTINGS ACK"],
    ),
    Row(
        "6.6",
        "PUSH_PROMISE",
        OPEN + frame(Type.PUSH_PROMISE, 4, 1, bytes(5)),
        ["GOAWAY 1 PROTOCOL_ERROR"],
    ),
    Row("6.7", "PING on a stream", frame(Type.PING, 0, 1, bytes(8)), PROTOCOL),
    Row("6.7", "PING of another length", ping(bytes(7)), SIZE),
    Row("6.7", "an acknowledgement is not answered", ping(flags=ACK), []),
    Row("6.8", "GOAWAY on a stream", frame(Type.GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    Row("6.8", "GOAWAY too short", goaway(bytes(7)), SIZE),
    Row("6.8", "who leaves may still end a stream", OPEN + goaway() + rst_stream(1), []),
    Row("6.8", "who leaves is still answered", OPEN + goaway() + data(1), DONE),
    Row("6.8", "with words for a human", goaway(bytes(8) + b"bye") + ASK, DONE),
]

WINDOWS = [
    Row(
        "6.9",
        "one of a stream that is over widens nothing else",
        window_update(1, 100),
        [],
        before=settings((4, 2)) + OPEN + data(1, b"12") + ask(3, b"1234"),
    ),
    Row("6.9", "by nothing, on the connection", window_update(0, 0), PROTOCOL),
    Row("6.9", "by nothing, on a stream", OPEN + window_update(1, 0), MALFORMED),
    Row("6.9", "of another length", frame(Type.WINDOW_UPDATE, 0, 0, bytes(5)), SIZE),
    Row("6.9", "the reserved bit is ignored", frame(Type.WINDOW_UPDATE, 0, 0, b"\x80\0\0\1"), []),
    Row("6.9.1", "the connection's, up to 2^31 - 1", window_update(0, 2**31 - 1 - 65_535), []),
    Row("6.9.1", "the connection's, beyond", window_update(0, 2**31 - 65_535), FLOW),
    Row("6.9.1", "a stream's, up to 2^31 - 1", OPEN + window_update(1, 2**31 - 65_536), []),
    Row(
        "6.9.1",
        "a stream's, beyond",
        OPEN + window_update(1, 2**31 - 65_535),
        ["RST 1 FLOW_CONTROL_ERROR"],
    ),
    Row(
        "6.9.1",
        "a stream's window holds its answer back",
        window_update(1, 2) + window_update(1, 4),
        ["DATA 1 2", "DATA 1 1", "HEADERS 1 END"],
        before=OPEN + settings((4, 3)) + data(1, b"123456"),
    ),
    Row(
        "6.9.1",
        "the connection's window holds answers back",
        window_update(0, 3),
        ["DATA 7 1", "HEADERS 7 END", "DATA 9 1", "HEADERS 9 END"],
        before=OPEN
        + data(1, bytes(16_384))
        + b"".join(ask(n, bytes(16_384)) for n in (3, 5, 7))
        + ask(9),
    ),
    Row(
        "6.9.1",
        "header blocks are not held back",
        OPEN + settings((4, 0)) + data(1, b"12"),
        ["SETTINGS ACK", "HEADERS 1"],
    ),
    Row(
        "6.9.2",
        "a larger initial window lets waiting answers go",
        settings((4, 10)),
        ["SETTINGS ACK", "DATA 1 3", "HEADERS 1 END"],
        before=OPEN + settings((4, 3)) + data(1, b"123456"),
    ),
    Row(
        "6.9.2",
        "it is not the connection's window",
        settings((4, 2**31 - 1)),
        ["SETTINGS ACK"],
        before=OPEN
        + data(1, bytes(16_384))
        + b"".join(ask(n, bytes(16_384)) for n in (3, 5, 7))
        + ask(9),
    ),
    Row(
        "6.9.2",
        "it is the window of streams to come",
        ask(3, b"1234"),
        ["HEADERS 3", "DATA 3 3"],
        before=ASK + settings((4, 3)),
    ),
    Row(
        "6.9.2",
        "a smaller one makes windows negative",
        settings((4, 0)) + window_update(1, 3) + window_update(1, 4),
        ["SETTINGS ACK", "DATA 1 1"],
        before=OPEN + settings((4, 6)) + data(1, b"1234567890"),
    ),
    Row(
        "6.9.2",
        "one that makes a stream's window overflow",
        OPEN + window_update(1, 1) + settings((4, 2**31 - 1)),
        ["GOAWAY 1 FLOW_CONTROL_ERROR"],
    ),
]

CONTINUATIONS = [
    Row(
        "6.10",
        "a block in pieces",
        frame(Type.HEADERS, END_STREAM, 1, b"\x20")
        + frame(Type.CONTINUATION, 0, 1, block(*PLAIN)[:9])
        + frame(Type.CONTINUATION, 0, 1)
        + frame(Type.CONTINUATION, END_HEADERS, 1, block(*PLAIN)[9:]),
        EMPTY,
    ),
    Row("6.10", "of nothing", frame(Type.CONTINUATION, END_HEADERS, 1), PROTOCOL),
    Row("6.10", "on stream 0", frame(Type.CONTINUATION, END_HEADERS, 0), PROTOCOL),
    Row(
        "6.10",
        "after trailers that are complete",
        OPEN
        + headers(1, ("a", "b"), flags=LAST)
        + frame(Type.CONTINUATION, END_HEADERS, 1, block(("c", "d"))),
        ["GOAWAY 1 PROTOCOL_ERROR"],
        holds=True,
    ),
    Row(
        "6.10",
        "trailers in pieces",
        OPEN
        + data(1, flags=0)
        + frame(Type.HEADERS, END_STREAM, 1, block(("a", "b")))
        + frame(Type.CONTINUATION, END_HEADERS, 1, block(("c", "d"))),
        DONE,
    ),
    Row(
        "6.10",
        "DATA in between",
        frame(Type.HEADERS, 0, 1, b"\x20") + data(1),
        PROTOCOL,
    ),
    Row(
        "6.10",
        "of what is complete",
        frame(Type.CONTINUATION, END_HEADERS, 1),
        ["GOAWAY 1 PROTOCOL_ERROR"],
        before=OPEN,
    ),
    Row(
        "6.10",
        "of another stream",
        frame(Type.HEADERS, 0, 1, b"\x20") + frame(Type.CONTINUATION, END_HEADERS, 3),
        PROTOCOL,
    ),
    Row("6.10", "PING in between", frame(Type.HEADERS, 0, 1, b"\x20") + ping(), PROTOCOL),
    Row(
        "6.10",
        "HEADERS in between",
        frame(Type.HEADERS, 0, 1, b"\x20") + frame(Type.HEADERS, LAST, 1, b"\x82"),
        PROTOCOL,
    ),
]

LENGTH = ("content-length", "3")
CODES = [
    Row("7", "an unknown error code of a stream", OPEN + rst_stream(1, 2**32 - 1) + ask(3), DONE3),
    Row(
        "7",
        "an unknown error code of the connection",
        goaway(bytes(4) + b"\xff" * 4) + ASK,
        DONE,
    ),
]

MESSAGES = [
    Row(
        "8.1",
        "trailers end a request",
        OPEN + data(1, flags=0) + headers(1, ("a", "b"), flags=LAST),
        DONE,
    ),
    Row("8.1", "trailers that do not", OPEN + headers(1, ("a", "b")), MALFORMED),
    Row(
        "8.1",
        "nothing comes after trailers",
        headers(1, ("c", "d"), flags=LAST),
        ["RST 1 STREAM_CLOSED"],
        before=OPEN + headers(1, ("a", "b"), flags=LAST),
        holds=True,
    ),
    Row(
        "8.1",
        "trailers with a pseudo-header",
        OPEN + headers(1, (":path", "/"), flags=LAST),
        MALFORMED,
    ),
    Row("8.1", "no body", first(*PLAIN), EMPTY),
    Row(
        "8.1.1",
        "content-length is the length",
        first(*PLAIN, LENGTH, flags=END_HEADERS) + data(1, b"12", flags=0) + data(1, b"3"),
        DONE,
    ),
    Row(
        "8.1.1",
        "padding does not count",
        first(*PLAIN, LENGTH, flags=END_HEADERS)
        + data(1, b"\x01123\0", flags=PADDED | END_STREAM),
        DONE,
    ),
    Row("8.1.1", "less", first(*PLAIN, LENGTH, flags=END_HEADERS) + data(1, b"12"), MALFORMED),
    Row("8.1.1", "more", first(*PLAIN, LENGTH, flags=END_HEADERS) + data(1, b"1234"), MALFORMED),
    Row("8.1.1", "nothing", first(*PLAIN, LENGTH), MALFORMED),
    Row(
        "8.1.1",
        "less, and trailers",
        first(*PLAIN, LENGTH, flags=END_HEADERS) + headers(1, ("a", "b"), flags=LAST),
        MALFORMED,
    ),
    Row("8.1.1", "not a number", first(*PLAIN, ("content-length", "+3")), MALFORMED),
    Row("8.1.1", "two of them", first(*PLAIN, LENGTH, ("content-length", "4")), MALFORMED),
    Row(
        "8.1.1",
        "a malformed request is no fault of the connection",
        first() + ask(3),
        [*MALFORMED, "ANSWER 3"],
    ),
    Row("8.2.1", "upper case", first(*PLAIN, ("X-A", "b")), MALFORMED),
    Row("8.2.1", "a space in a name", first(*PLAIN, ("x a", "b")), MALFORMED),
    Row("8.2.1", "a colon in a name", first(*PLAIN, ("x:a", "b")), MALFORMED),
    Row("8.2.1", "no name", first(*PLAIN, ("", "b")), MALFORMED),
    *(
        Row("8.2.1", f"{octet:#x} in a name", first(*PLAIN, (f"x{chr(octet)}", "b")), MALFORMED)
        for octet in (0x00, 0x1F, 0x7F, 0xFF)
    ),
    Row("8.2.1", "a value of any other octets", first(*PLAIN, ("a", "b \x01\x7f\xff\tc")), EMPTY),
    Row("8.2.1", "NUL in a value", first(*PLAIN, ("a", "b\0c")), MALFORMED),
    Row("8.2.1", "a line feed in a value", first(*PLAIN, ("a", "b\nc")), MALFORMED),
    Row("8.2.1", "a carriage return in a value", first(*PLAIN, ("a", "b\r")), MALFORMED),
    Row("8.2.1", "a value that begins with a space", first(*PLAIN, ("a", " b")), MALFORMED),
    Row("8.2.1", "a value that ends with a tab", first(*PLAIN, ("a", "b\t")), MALFORMED),
    Row("8.2.1", "an empty value", first(*PLAIN, ("a", "")), EMPTY),
    Row("8.2.1", "a malformed trailer", OPEN + headers(1, ("A", "b"), flags=LAST), MALFORMED),
    *(
        Row("8.2.2", name, first(*PLAIN, (name, "a")), MALFORMED)
        for name in (
            "connection",
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        )
    ),
    Row("8.2.2", "te: trailers", first(*PSEUDO, ("te", "Trailers")), EMPTY),
    Row("8.2.2", "te: gzip", first(*PSEUDO, ("te", "gzip")), MALFORMED),
    Row("8.2.2", "te: trailers, and more", first(*PSEUDO, ("te", "trailers, gzip")), MALFORMED),
    Row("8.2.2", "in trailers", OPEN + headers(1, ("upgrade", "a"), flags=LAST), MALFORMED),
    Row("8.2.3", "a cookie in pieces", first(*PLAIN, ("cookie", "a=b"), ("cookie", "c=d")), EMPTY),
    Row("8.3", "a pseudo-header after a field", first(("a", "b"), *PSEUDO), MALFORMED),
    Row("8.3", "a pseudo-header twice", first(*PSEUDO, (":path", "/")), MALFORMED),
    Row("8.3", "a pseudo-header of responses", first(*PSEUDO, (":status", "200")), MALFORMED),
    Row("8.3", "an unknown pseudo-header", first(*PSEUDO, (":version", "2")), MALFORMED),
    *(
        Row("8.3.1", f"no {name}", first(*without(name)), MALFORMED)
        for name in (":method", ":scheme", ":path")
    ),
    Row("8.3.1", "an empty :path", first(*without(":path")[:2], (":path", "")), MALFORMED),
    Row("8.3.1", "no :authority", first(*without(":authority")), EMPTY),
    Row("8.3.1", "host is :authority", first(*PLAIN, ("host", "echo")), EMPTY),
    Row("8.3.1", "host is another", first(*PLAIN, ("host", "other")), MALFORMED),
    Row("8.3.1", "host alone", first(*without(":authority"), ("host", "other")), EMPTY),
    Row("8.5", "CONNECT", first((":method", "CONNECT"), (":authority", "a:1")), MALFORMED),
    Row("8.5", "no tunnel, either", first((":method", "CONNECT"), *PSEUDO[1:]), EMPTY),
]

TABLE = [
    *PREFACES,
    *FRAMES,
    *STATES,
    *DATA,
    *HEADERS,
    *SETTINGS,
    *WINDOWS,
    *CONTINUATIONS,
    *CODES,
    *MESSAGES,
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.section} {row.name}")
def test_a_server_does_as_it_is_told(row: Row) -> None:
    peer = Peer(hello=row.hello, holds=row.holds)
    if row.before:
        peer.send(row.before)

    assert row.expected == peer.tell(row.sent)
