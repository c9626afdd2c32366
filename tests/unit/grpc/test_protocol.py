"""A connection's turns with its event loop, on a transport that a test drives."""

import asyncio
from itertools import pairwise

import pytest

from unit.grpc.peer import FIRST, HELLO, ask, data, headers, pass_turns, story, window_update
from wicketgate.grpc import protocol
from wicketgate.grpc.budget import FREE_BYTES, SHARED_BYTES, Budget
from wicketgate.grpc.headers import HeaderCache
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.protocol import TURN_BYTES, WRITE_BUFFER_BYTES, WireProtocol


class FakeTransport(asyncio.Transport):
    """Keeps what is written, and what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self.calls: list[str] = []
        self.closing = False
        self.high: int | None = None
        self.unread = 0

    def set_write_buffer_limits(
        self,
        high: int | None = None,
        low: int | None = None,  # noqa: ARG002 - asyncio's signature
    ) -> None:
        """Take note of the upper one."""
        self.high = high

    def is_reading(self) -> bool:
        """Tell whether data is delivered."""
        return not self.is_paused

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self.is_paused = True
        self.calls.append("pause")

    def resume_reading(self) -> None:
        """Deliver again."""
        self.is_paused = False
        self.calls.append("resume")

    def get_write_buffer_size(self) -> int:
        """Tell how much was not taken."""
        return self.unread

    def is_closing(self) -> bool:
        """Tell whether it is over."""
        return self.closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        assert not self.closing
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        """Tell that it can be closed by halves."""
        return True

    def write_eof(self) -> None:
        """Close one half."""
        self.calls.append("eof")

    def abort(self) -> None:
        """Hang up."""
        self.calls.append("abort")


class Desk:
    """A connection on such a transport, and whoever looks after it."""

    def __init__(self, limits: Limits | None = None, *, shared_bytes: int = SHARED_BYTES) -> None:
        self.budget = Budget(shared_bytes)
        self.faults: list[str] = []
        self.asked: list[bytes] = []
        self.transport = FakeTransport()
        self.protocol = WireProtocol(
            lambda _: {b"/echo.Echo/Echo": self.echo},
            limits=limits or Limits(),
            cache=HeaderCache(),
            budget=self.budget,
            observer=self,
            connections=self,
        )
        self.protocol.connection_made(self.transport)
        self.protocol.data_received(HELLO + window_update(0, 2**30) + FIRST)
        self.told()

    def opened(self) -> None:
        """Count nothing."""

    def closed(self, fault: str) -> None:
        """Keep the fault."""
        self.faults.append(fault)

    def enter(self, connection: WireProtocol) -> bool:
        """Always have room."""
        return isinstance(connection, WireProtocol)

    def leave(self, connection: WireProtocol) -> None:
        """Forget it."""
        assert connection is self.protocol

    def echo(self, raw: bytes) -> bytes:
        """Answer with the question."""
        self.asked.append(raw)
        return raw

    def told(self) -> list[str]:
        """Return the story since the last time."""
        written, self.transport.written = self.transport.written, b""
        return story(written)


def questions(count: int, size: int = 1_000) -> bytes:
    """Return some requests of which 60 are a turn."""
    message = b"\0" + size.to_bytes(4, "big") + bytes(size)
    return b"".join(ask(number, message) for number in range(3, 3 + 2 * count, 2))


async def test_a_turn_is_no_longer_than_it_may_be() -> None:
    desk = Desk()
    turns = []

    desk.protocol.data_received(questions(200))
    for _ in range(6):
        turns.append(len(desk.asked))
        await asyncio.sleep(0)

    most = TURN_BYTES // 1_000 + 1
    assert turns[0] == 0
    assert all(after - before < most for before, after in pairwise(turns))
    assert len(desk.asked) == 200
    assert desk.transport.calls == ["pause", "resume"]


async def test_what_is_not_read_is_bounded_by_the_transport() -> None:
    assert Desk().transport.high == WRITE_BUFFER_BYTES


async def test_who_holds_most_is_told_and_lets_go() -> None:
    desk = Desk(shared_bytes=40_000)
    message = b"\0" + (80_000).to_bytes(4, "big") + bytes(80_000)

    desk.protocol.data_received(headers(3))
    for at in range(0, 80_000, 16_000):
        desk.protocol.data_received(data(3, message[at : at + 16_000], flags=0))
    await pass_turns()

    assert desk.told()[-1] == "GOAWAY 3 ENHANCE_YOUR_CALM"
    assert desk.budget.held_bytes == 0
    assert desk.transport.calls == ["eof"]


async def test_what_is_not_read_is_held() -> None:
    desk = Desk()
    desk.transport.unread = 100_000

    desk.protocol.data_received(ask(3, b"\0\0\0\0\1x"))

    assert desk.budget.held_bytes == 100_000 - FREE_BYTES


async def test_what_waits_for_its_turn_is_held() -> None:
    desk = Desk()

    desk.protocol.data_received(questions(1_000))
    await asyncio.sleep(0)

    assert desk.budget.held_bytes > 1_000_000 - 2 * TURN_BYTES


async def test_who_is_gone_holds_nothing() -> None:
    desk = Desk()
    message = b"\0" + (80_000).to_bytes(4, "big") + bytes(60_000)
    desk.protocol.data_received(headers(3))
    for at in range(0, 60_000, 15_000):
        desk.protocol.data_received(data(3, message[at : at + 15_000], flags=0))
    before = desk.budget.held_bytes

    desk.protocol.connection_lost(None)

    assert before > 20_000
    assert desk.budget.held_bytes == 0


async def test_what_was_held_and_is_answered_is_not_counted() -> None:
    desk = Desk()
    message = b"\0" + (60_000).to_bytes(4, "big") + bytes(60_000)
    desk.protocol.data_received(headers(3))
    for at in range(0, 60_005, 15_000):
        is_last = at + 15_000 > len(message)
        desk.protocol.data_received(data(3, message[at : at + 15_000], flags=int(is_last)))

    assert len(desk.asked) == 1
    assert desk.budget.held_bytes == 0


async def test_who_does_not_even_read_is_not_told() -> None:
    desk = Desk()
    desk.protocol.pause_writing()

    desk.protocol.make_room()

    assert desk.transport.calls[-1] == "abort"


async def test_what_comes_in_between_waits_for_its_turn() -> None:
    """
    TLS may hand over what it has decrypted, paused or not.
    """
    desk = Desk()
    all_of_it = questions(100)

    desk.protocol.data_received(all_of_it[: TURN_BYTES + 1])
    desk.protocol.data_received(all_of_it[TURN_BYTES + 1 :])
    await pass_turns()

    assert len(desk.asked) == 100
    assert desk.told()[-1] == "ANSWER 201"


async def test_a_turn_ends_when_answers_are_not_taken() -> None:
    desk = Desk()

    desk.protocol.data_received(questions(200))
    await asyncio.sleep(0)
    desk.protocol.pause_writing()
    before = len(desk.asked)
    await pass_turns()
    while_stalled = len(desk.asked)
    desk.protocol.resume_writing()
    await pass_turns()

    assert 0 < before == while_stalled < 200
    assert len(desk.asked) == 200


async def test_a_write_that_stalls_ends_the_turn_it_belongs_to() -> None:
    desk = Desk()
    write = desk.transport.write

    def fills_up(data: bytes | bytearray | memoryview) -> None:
        write(data)
        desk.protocol.pause_writing()

    desk.transport.write = fills_up  # type: ignore[method-assign] # a transport that is full
    desk.protocol.data_received(questions(200))
    await pass_turns()

    assert 0 < len(desk.asked) <= TURN_BYTES // 1_000 + 1


async def test_a_last_turn_that_stalls_is_not_followed_by_more_reading() -> None:
    desk = Desk()
    write = desk.transport.write

    def fills_up(data: bytes | bytearray | memoryview) -> None:
        write(data)
        if len(desk.asked) == 200:
            desk.protocol.pause_writing()

    desk.transport.write = fills_up  # type: ignore[method-assign] # a transport that is full
    desk.protocol.data_received(questions(200))
    await pass_turns()
    was_paused = desk.transport.is_paused
    desk.protocol.resume_writing()

    assert len(desk.asked) == 200
    assert (was_paused, desk.transport.is_paused) == (True, False)


async def test_without_anything_held_reading_goes_on_at_once() -> None:
    desk = Desk()

    desk.protocol.pause_writing()
    desk.protocol.pause_writing()
    desk.protocol.resume_writing()

    assert desk.transport.calls == ["pause", "resume"]


async def test_after_the_end_nothing_is_taken_or_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.01)
    desk = Desk()

    desk.protocol.data_received(headers(2))
    told = desk.told()
    desk.protocol.data_received(questions(200))
    await pass_turns()
    desk.protocol.tick()
    desk.protocol.close_softly()
    await asyncio.sleep(0.05)

    assert told == ["GOAWAY 1 PROTOCOL_ERROR"]
    assert desk.told() == []
    assert desk.asked == []
    assert desk.transport.calls[0] == "eof"
    assert "abort" in desk.transport.calls


async def test_a_transport_that_is_closing_is_left_alone() -> None:
    desk = Desk()
    desk.transport.closing = True

    desk.protocol.data_received(questions(1))
    desk.protocol.pause_writing()
    desk.protocol.resume_writing()

    assert desk.told() == []
    assert "resume" not in desk.transport.calls


async def test_a_connection_that_is_lost_does_nothing_any_more() -> None:
    desk = Desk()
    desk.protocol.data_received(questions(200))

    desk.protocol.connection_lost(None)
    await asyncio.sleep(0)
    desk.protocol.close_now()
    desk.protocol.pause_writing()
    desk.protocol.resume_writing()
    desk.protocol.abort()

    assert desk.asked == []
    assert desk.faults == [""]
    assert desk.transport.calls == ["pause"]
