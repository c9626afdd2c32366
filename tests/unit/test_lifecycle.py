"""Coming and going, without a second of waiting."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from wicketgate.lifecycle import Health, Stopping, drain


@dataclass
class FakeServer:
    """Writes down what it is told."""

    told: list[str] = field(default_factory=list)

    async def set_serving(self, *, serving: bool) -> None:
        self.told.append("serving" if serving else "not serving")

    async def retire(self) -> None:
        self.told.append("retire")

    async def stop(self, *, grace: float) -> None:
        self.told.append(f"stop {grace:g}")


async def opened(server: FakeServer) -> Health:
    health = Health()
    await health.attach(server)
    return health


async def test_health_follows_what_is_reported() -> None:
    server = FakeServer()
    health = await opened(server)

    health.report("keys", is_ready=False)
    health.report("keys", is_ready=True)
    await asyncio.sleep(0.01)

    assert server.told == ["serving", "not serving", "serving"]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], "serving"),
        ([("keys", True), ("revocations", True)], "serving"),
        ([("keys", True), ("revocations", False)], "not serving"),
        ([("keys", False), ("revocations", True)], "not serving"),
        ([("keys", False), ("keys", True)], "serving"),
    ],
)
async def test_what_was_reported_before_there_is_a_server_counts_when_there_is(
    reports: list[tuple[str, bool]], expected: str
) -> None:
    server = FakeServer()
    health = Health()
    for component, is_ready in reports:
        health.report(component, is_ready=is_ready)
    await health.attach(server)

    assert server.told == [expected]


async def test_checks_are_wanted_once_everything_is_ready_and_that_is_said_once() -> None:
    server = FakeServer()
    health = Health()
    for component in ("keys", "revocations"):
        health.report(component, is_ready=False)
    await health.attach(server)

    for component in ("keys", "revocations", "revocations"):
        health.report(component, is_ready=True)
        await asyncio.sleep(0.01)

    assert server.told == ["not serving", "serving"]


async def test_the_drain_retires_then_waits_then_stops_with_grace() -> None:
    server = FakeServer()
    health = await opened(server)

    await drain(server, health, Stopping(), drain_seconds=0, grace_seconds=5)

    assert server.told == ["serving", "retire", "stop 5"]
    assert not health.is_open


async def test_a_second_signal_cuts_the_drain_short() -> None:
    server = FakeServer()
    health = await opened(server)
    stopping = Stopping()
    stopping.notice()

    draining = asyncio.create_task(
        drain(server, health, stopping, drain_seconds=3600, grace_seconds=5)
    )
    await asyncio.sleep(0.01)
    waiting = not draining.done()
    stopping.notice()
    await asyncio.wait_for(draining, 5)

    assert waiting
    assert server.told == ["serving", "retire", "stop 0"]


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def listening(stopping: Stopping, hangup: Callable[[], None] | None = None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    stopping.listen(loop, hangup=hangup)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    stopping = Stopping()
    with listening(stopping):
        signal.raise_signal(number)
        await asyncio.wait_for(stopping.requested.wait(), 5)

    assert not stopping.hurried.is_set()


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_second_signal_asks_to_hurry(number: signal.Signals) -> None:
    stopping = Stopping()
    stopping.notice()
    with listening(stopping):
        signal.raise_signal(number)
        await asyncio.wait_for(stopping.hurried.wait(), 5)


async def test_a_hangup_asks_for_what_it_is_said_to_ask_for_and_not_to_stop() -> None:
    stopping = Stopping()
    asked = asyncio.Event()
    with listening(stopping, hangup=asked.set):
        signal.raise_signal(signal.SIGHUP)
        await asyncio.wait_for(asked.wait(), 5)

    assert not stopping.requested.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_whatever_a_hangup_asks_for_the_others_stop(number: signal.Signals) -> None:
    stopping = Stopping()
    asked = asyncio.Event()
    with listening(stopping, hangup=asked.set):
        signal.raise_signal(number)
        await asyncio.wait_for(stopping.requested.wait(), 5)

    assert not asked.is_set()
