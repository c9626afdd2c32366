"""Calls: what is answered at once, what later, and what becomes of those that end early."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from unit.grpc.peer import (
    END_HEADERS,
    HELLO,
    PSEUDO,
    block,
    data,
    fields_of,
    frame,
    pass_turns,
    rst_stream,
)
from wicketgate.grpc.calls import Calls
from wicketgate.grpc.frames import Type
from wicketgate.grpc.headers import HeaderCache, RequestBlocks
from wicketgate.grpc.http2 import Connection
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.service import Method
from wicketgate.grpc.unary import RefusedError, Status, framed

LIMITS = Limits(message_bytes=1_000)


@dataclass
class Line:
    """A connection, its calls, and the methods that a test gives it."""

    method: Method
    sent: bytes = b""
    troubles: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.troubles.append(context))
        blocks = RequestBlocks(HeaderCache(), max_bytes=LIMITS.header_bytes)
        self.connection = Connection(blocks, limits=LIMITS, now=0.0)
        self.calls = Calls(self.connection, limits=LIMITS, loop=loop, write=self.write)
        self.calls.methods = {b"/a.B/C": self.method}
        self.receive(HELLO)
        self.sent = b""

    def write(self) -> None:
        """Keep what goes out."""
        self.sent += self.connection.data_to_send()

    def receive(self, *parts: bytes) -> None:
        """Take what comes in."""
        self.calls.handle(self.connection.receive(b"".join(parts), 0.0))
        self.write()

    def status(self, stream_id: int) -> str:
        """Return how a call ended."""
        return fields_of(self.sent)[stream_id][-1]["grpc-status"]


def call(stream_id: int, message: bytes = b"", fields: Mapping[str, str] | None = None) -> bytes:
    """Return a call of the one method."""
    said = {":path": "/a.B/C", "content-type": "application/grpc", **(fields or {})}
    pseudo = [(name, said.pop(name, value)) for name, value in PSEUDO]
    coded = b"\x20" + block(*pseudo, *said.items())
    return frame(Type.HEADERS, END_HEADERS, stream_id, coded) + data(stream_id, framed(message))


async def test_an_answer_at_once() -> None:
    line = Line(bytes.upper)

    line.receive(call(1, b"abc"), call(3, b"def"))

    assert [line.status(number) for number in (1, 3)] == ["0", "0"]
    assert framed(b"ABC") in line.sent
    assert framed(b"DEF") in line.sent


async def test_an_answer_later_holds_up_no_other() -> None:
    ready = asyncio.Event()

    async def later(raw: bytes) -> bytes:
        if raw == b"slow":
            await ready.wait()
        return raw

    line = Line(later)
    line.receive(call(1, b"slow"), call(3, b"fast"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    before = set(fields_of(line.sent))
    ready.set()
    await pass_turns()

    assert before == {3}
    assert line.status(1) == "0"


async def test_any_awaitable_will_do() -> None:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    line = Line(lambda _: answer)
    line.receive(call(1))
    answer.set_result(b"here")
    await asyncio.sleep(0)

    assert line.status(1) == "0"


async def test_a_deadline_ends_the_wait() -> None:
    was_cancelled = asyncio.Event()

    async def never(_: bytes) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            was_cancelled.set()
        return b""

    line = Line(never)
    line.receive(
        call(1, fields={"grpc-timeout": "10m"}), call(3, fields={"grpc-timeout": "0n"}), call(5)
    )
    await asyncio.wait_for(was_cancelled.wait(), 5)
    await asyncio.sleep(0.02)

    ended = {number: line.status(number) for number in fields_of(line.sent)}
    line.calls.cancel_all()
    assert ended == {1: "4", 3: "4"}


async def test_an_answer_in_time_has_no_deadline_any_more() -> None:
    async def soon(raw: bytes) -> bytes:
        await asyncio.sleep(0)
        return raw

    line = Line(soon)
    line.receive(call(1, fields={"grpc-timeout": "20m"}))
    await asyncio.sleep(0.05)

    assert [fields.get("grpc-status") for fields in fields_of(line.sent)[1]] == [None, "0"]


async def test_a_deadline_is_not_kept_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It may be hours away, and there are many calls.
    """
    loop = asyncio.get_running_loop()
    handles: list[asyncio.TimerHandle] = []
    later = loop.call_later

    def watched(
        delay: float, callback: Callable[..., object], *arguments: object
    ) -> asyncio.TimerHandle:
        handles.append(later(delay, callback, *arguments))
        return handles[-1]

    monkeypatch.setattr(loop, "call_later", watched)
    answers = {b"answered": loop.create_future(), b"given up": loop.create_future()}
    line = Line(answers.__getitem__)
    for number, message in enumerate(answers):
        line.receive(call(2 * number + 1, message, fields={"grpc-timeout": "9H"}))
    before = [handle.cancelled() for handle in handles]
    answers[b"answered"].set_result(b"")
    await asyncio.sleep(0)
    line.receive(rst_stream(3))

    assert before == [False, False]
    assert [handle.cancelled() for handle in handles] == [True, True]
    assert line.status(1) == "0"


async def test_nothing_is_waited_for_once_all_is_cancelled() -> None:
    waits = [asyncio.get_running_loop().create_future() for _ in range(3)]
    left = iter(waits)
    line = Line(lambda _: next(left))
    line.receive(call(1), call(3), call(5))

    line.calls.cancel_all()

    assert [each.cancelled() for each in waits] == [True, True, True]
    assert line.troubles == []


async def test_a_call_that_is_given_up_is_cancelled() -> None:
    ended: list[str] = []

    async def waits(_: bytes) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return b""

    line = Line(waits)
    line.receive(call(1, fields={"grpc-timeout": "5S"}))
    await asyncio.sleep(0)
    line.receive(rst_stream(1))
    await asyncio.sleep(0)
    # This one has not even begun.
    line.receive(call(3))
    line.receive(rst_stream(3))
    await pass_turns()

    assert ended == ["cancelled"]
    assert fields_of(line.sent) == {}
    assert line.troubles == []


async def test_an_error_after_nobody_waits_is_no_trouble() -> None:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def stubborn(_: bytes) -> bytes:
        try:
            return await answer
        except asyncio.CancelledError:
            msg = "while cleaning up"
            raise ValueError(msg) from None

    line = Line(stubborn)
    line.receive(call(1))
    await asyncio.sleep(0)
    line.calls.cancel_all()
    await pass_turns()

    assert line.troubles == []


def raises(error: Exception) -> Method:
    """Return a method that fails at once."""

    def method(_: bytes) -> bytes:
        raise error

    return method


def raises_later(error: BaseException) -> Method:
    """Return a method that fails after a while."""

    async def method(_: bytes) -> bytes:
        await asyncio.sleep(0)
        raise error

    return method


REFUSED = RefusedError(Status.NOT_FOUND, "no")


@pytest.mark.parametrize(
    ("method", "status", "is_trouble"),
    [
        (raises(REFUSED), "5", False),
        (raises(ValueError("a defect")), "13", True),
        (raises_later(REFUSED), "5", False),
        (raises_later(ValueError("a defect")), "13", True),
        (raises_later(asyncio.CancelledError()), "1", False),
    ],
    ids=["refused", "broken", "refused later", "broken later", "cancelled by another"],
)
async def test_whatever_a_method_does_is_an_answer(
    method: Method, status: str, *, is_trouble: bool
) -> None:
    """
    And a defect is told to whoever looks after the event loop.
    """
    line = Line(method)

    line.receive(call(1))
    await pass_turns()

    assert status == line.status(1)
    assert is_trouble == bool(line.troubles)
    assert b"a defect" not in line.sent


async def test_what_no_method_sees() -> None:
    asked: list[bytes] = []

    def method(raw: bytes) -> bytes | Awaitable[bytes]:
        asked.append(raw)
        return raw

    line = Line(method)
    long = call(11, bytes(16_000))
    line.receive(
        call(1, fields={":path": "/a.B/D"}),
        call(3, fields={":method": "GET"}),
        call(5, fields={"content-type": "text/html"}),
        call(7, b"")[:-5].replace(b"\0\0\x05\0\1", b"\0\0\0\0\1"),
        call(9, bytes(1_001)),
        # Not the last of its DATA, and too long already.
        long[:-16_014] + frame(Type.DATA, 0, 11, long[-16_005:]),
    )

    answers = fields_of(line.sent)
    assert asked == []
    assert answers[1][0]["grpc-status"] == "12"
    assert answers[3][0][":status"] == "405"
    assert answers[5][0][":status"] == "415"
    assert answers[7][0]["grpc-status"] == "12"
    assert answers[9][0]["grpc-status"] == "8"
    assert answers[11][0]["grpc-status"] == "8"
