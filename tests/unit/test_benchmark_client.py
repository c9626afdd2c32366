"""The load generator's HTTP/2 connection, frame by frame: what it takes for an answer."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, cast

import pytest

from suite.load.http2 import Http2Connection
from suite.load.messages import Message

if TYPE_CHECKING:
    import asyncio

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
RESPONSE = b"\x20\x88"
"""Says that the table is of size 0, as the client asks."""
TRAILERS = b"\x00\x0bgrpc-status\x010"
RIGHT = b"let in user_1"
GREETING_FRAMES = 2


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def answer(stream: int, message: bytes = RIGHT) -> bytes:
    return (
        frame(HEADERS, END_HEADERS, stream, RESPONSE)
        + frame(DATA, 0, stream, prefixed(message))
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)
    )


@dataclass
class FakeSession:
    """Wants a number of requests, and notes what became of them."""

    wanted: int = 0
    messages: list[Message] = field(default_factory=lambda: [Message(b"m" * 10, b"user_1")])
    answered: int = 0
    errors: list[Exception] = field(default_factory=list)
    beginning: bytes = b"let in "
    must_hold: bool = True
    blocks: Iterator[bytes] = field(default_factory=lambda: repeat(b"\x82"))

    def finished(self, took: list[float]) -> int:
        self.answered += len(took)
        now, self.wanted = min(self.wanted, len(took)), max(0, self.wanted - len(took))
        return now

    def answered_once(self, raw: bytes) -> None:
        raise AssertionError(raw)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


@dataclass
class FakeTransport:
    """Keeps what is written."""

    written: bytes = b""
    is_aborted: bool = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.is_aborted = True

    def frames(self) -> list[tuple[int, int, int]]:
        """Return kind, flags and stream of every frame, and forget them."""
        data = self.written.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.written, found = b"", []
        while data:
            size = int.from_bytes(data[:3], "big")
            found.append((data[3], data[4], int.from_bytes(data[5:9], "big")))
            data = data[9 + size :]
        return found


async def connected(
    session: FakeSession, settings: bytes = b""
) -> tuple[Http2Connection, FakeTransport]:
    """Return a connection whose greeting is over."""
    connection, transport = Http2Connection(session, offset=0), FakeTransport()
    connection.connection_made(cast("asyncio.BaseTransport", transport))
    connection.data_received(frame(SETTINGS, 0, 0, settings))
    await connection.ready
    assert transport.frames()[GREETING_FRAMES:] == [(SETTINGS, ACK, 0)]
    return connection, transport


async def test_an_answer_is_counted_and_the_next_request_made() -> None:
    session = FakeSession(wanted=1)
    connection, transport = await connected(session)
    connection.ask(2)
    connection.data_received(answer(1) + answer(3))
    assert session.answered == 2
    assert not session.errors
    assert [kind for kind, _, stream in transport.frames() if stream == 5] == [HEADERS, DATA]


async def test_answers_may_be_cut_anywhere() -> None:
    whole = answer(3) + answer(1)
    for cut in range(1, len(whole)):
        session = FakeSession()
        connection, _ = await connected(session)
        connection.ask(2)
        connection.data_received(whole[:cut])
        connection.data_received(whole[cut:])
        assert (session.answered, session.errors) == (2, []), cut


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(answer(1, b"let in user_2"), id="another user"),
        pytest.param(answer(1, b"shut out user_1"), id="another beginning"),
        pytest.param(answer(1) + answer(1), id="answered twice"),
        pytest.param(answer(3), id="never asked"),
        pytest.param(
            frame(HEADERS, END_HEADERS, 1, RESPONSE) + frame(DATA, 0, 1, prefixed(RIGHT, flag=1)),
            id="compressed",
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS, 1, RESPONSE) + frame(DATA, 0, 1, prefixed(RIGHT)[:-1]),
            id="cut short",
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS, 1, RESPONSE)
            + frame(DATA, PADDED, 1, b"\0" + prefixed(RIGHT)),
            id="padded",
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20" + TRAILERS),
            id="status without a message",
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS, 1, b"\x20\x8d"), id="an HTTP status that is not 200"
        ),
        pytest.param(
            frame(HEADERS, END_HEADERS, 1, b"\xbe"), id="an index into the dynamic table"
        ),
        pytest.param(frame(RST_STREAM, 0, 1, bytes(4)), id="reset"),
        pytest.param(frame(GOAWAY, 0, 0, bytes(8)), id="goaway"),
    ],
)
async def test_whatever_is_no_right_answer_ends_it(wrong: bytes) -> None:
    session = FakeSession()
    connection, transport = await connected(session)
    connection.ask(1)
    connection.data_received(wrong)
    assert session.errors
    assert transport.is_aborted


async def test_trailers_that_say_that_the_call_failed_end_it() -> None:
    session = FakeSession()
    connection, _ = await connected(session)
    connection.ask(1)
    failed = TRAILERS[:-1] + b"4"
    connection.data_received(answer(1).replace(TRAILERS, failed))
    assert "grpc-status" in str(session.errors[0])


async def test_a_server_that_hangs_up_on_a_request_ends_it() -> None:
    session = FakeSession()
    connection, _ = await connected(session)
    connection.connection_lost(None)
    assert not session.errors
    connection.ask(1)
    connection.connection_lost(None)
    assert session.errors


async def test_the_servers_window_is_respected() -> None:
    session = FakeSession(messages=[Message(b"m" * 16_000, b"user_1")])
    connection, transport = await connected(session)
    connection.ask(6)
    # 65,535 octets hold four messages of 16,005.
    assert sum(kind == DATA for kind, _, _ in transport.frames()) == 4
    connection.data_received(frame(WINDOW_UPDATE, 0, 1, (50_000).to_bytes(4, "big")))
    assert transport.frames() == []
    connection.data_received(frame(WINDOW_UPDATE, 0, 0, (16_005).to_bytes(4, "big")))
    assert sum(kind == DATA for kind, _, _ in transport.frames()) == 1
    connection.data_received(frame(WINDOW_UPDATE, 0, 0, (50_000).to_bytes(4, "big")))
    assert sum(kind == DATA for kind, _, _ in transport.frames()) == 1


async def test_a_ping_is_answered() -> None:
    connection, transport = await connected(FakeSession())
    connection.data_received(frame(PING, 0, 0, b"12345678"))
    assert transport.written == frame(PING, ACK, 0, b"12345678")
    transport.written = b""
    connection.data_received(frame(PING, ACK, 0, b"12345678"))
    assert transport.written == b""


@pytest.mark.parametrize(("table_size", "opening"), [(0, b"\x20\x82"), (4_096, b"\x82")])
async def test_only_a_server_without_a_table_is_told_that_it_is_empty(
    table_size: int, opening: bytes
) -> None:
    settings = b"\x00\x01" + table_size.to_bytes(4, "big")
    connection, transport = await connected(FakeSession(), settings)
    connection.ask(2)
    assert transport.written.startswith(frame(HEADERS, END_HEADERS, 1, opening))
    assert frame(HEADERS, END_HEADERS, 3, b"\x82") in transport.written
