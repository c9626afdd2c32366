"""Reloading: all or nothing, told in three ways, and never the end of following."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from wicketgate.adapters.reload_telemetry import ReloadTelemetry
from wicketgate.adapters.telemetry import make_log
from wicketgate.errors import ConfigurationError
from wicketgate.reload import Reloader

SECRET = "hunter2-correct-horse"


@dataclass
class Loading:
    """Loads what it is told to load, and notes what was put in force.

    Attributes:
        answer: What loading gives, or an error that it raises.
        flaw: What putting in force raises.
        loads: How many there were.
        in_force: What was put in force, in order.
        gate: Loading waits for it.
    """

    answer: str | Exception = "new"
    flaw: Exception | None = None
    loads: int = 0
    in_force: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.stream = io.StringIO()
        self.registry = CollectorRegistry()
        self.gate.set()
        telemetry = ReloadTelemetry(
            make_log(self.stream, level="info"),
            self.registry,
            reloads="wicketgate_policy_reloads",
            failures="wicketgate_policy_reload_failures",
        )
        self.reloader = Reloader(self.load, self.apply, telemetry)

    def load(self) -> str:
        self.loads += 1
        self.gate.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def apply(self, loaded: str) -> None:
        if self.flaw is not None:
            raise self.flaw
        self.in_force.append(loaded)

    @property
    def counts(self) -> list[float | None]:
        """Successes and failures."""
        names = ("reloads", "reload_failures")
        return [
            self.registry.get_sample_value(f"wicketgate_policy_{name}_total") for name in names
        ]

    @property
    def lines(self) -> list[dict[str, str]]:
        """What was logged, without what every line has."""
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [
            {key: value for key, value in line.items() if key != "timestamp"} for line in lines
        ]


def complaint(**more: str) -> dict[str, str]:
    return {"event": "not reloaded, the old stays in force", "level": "error", **more}


async def test_what_was_loaded_is_put_in_force() -> None:
    loading = Loading()

    await loading.reloader.reload()

    assert loading.in_force == ["new"]
    assert loading.reloader.is_current
    assert loading.counts == [1, 0]
    assert loading.lines == []


async def test_before_anything_is_reloaded_it_is_current() -> None:
    loading = Loading()

    assert loading.reloader.is_current
    assert loading.counts == [0, 0]


async def test_of_what_cannot_be_used_nothing_is_put_in_force_and_every_mistake_is_told() -> None:
    loading = Loading(ConfigurationError("a.yaml:1:2: expected x", "b.yaml: cannot be read"))

    await loading.reloader.reload()

    assert loading.in_force == []
    assert not loading.reloader.is_current
    assert loading.counts == [0, 1]
    assert loading.lines == [
        complaint(mistake="a.yaml:1:2: expected x"),
        complaint(mistake="b.yaml: cannot be read"),
    ]


@pytest.mark.parametrize("error", [RuntimeError(SECRET), ValueError(SECRET), MemoryError()])
async def test_a_defect_is_told_by_its_kind_alone(error: Exception) -> None:
    """
    Its message may quote what was read.
    """
    loading = Loading(error)

    await loading.reloader.reload()

    assert loading.in_force == []
    assert not loading.reloader.is_current
    assert loading.counts == [0, 1]
    assert loading.lines == [complaint(defect=type(error).__name__)]


async def test_what_cannot_be_put_in_force_is_a_defect_like_any_other() -> None:
    loading = Loading(flaw=KeyError(SECRET))

    await loading.reloader.reload()

    assert not loading.reloader.is_current
    assert loading.counts == [0, 1]
    assert loading.lines == [complaint(defect="KeyError")]


@pytest.mark.parametrize("error", [ConfigurationError("x"), RuntimeError()])
async def test_what_is_good_again_is_current_again(error: Exception) -> None:
    loading = Loading(error)
    await loading.reloader.reload()

    loading.answer = "newer"
    await loading.reloader.reload()

    assert loading.reloader.is_current
    assert loading.in_force == ["newer"]
    assert loading.counts == [1, 1]


async def test_loading_does_not_hold_up_the_loop() -> None:
    loading = Loading()
    loading.gate.clear()
    reloading = asyncio.create_task(loading.reloader.reload())

    await until(lambda: loading.loads == 1)
    assert not reloading.done()

    loading.gate.set()
    await asyncio.wait_for(reloading, 10)
    assert loading.in_force == ["new"]


# --- following ---------------------------------------------------------------


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - a fact, and nobody tells when it becomes one
            await asyncio.sleep(0.001)


class Changes:
    """Changes that a test makes."""

    def __init__(self) -> None:
        self._made = asyncio.Event()

    def make(self) -> None:
        self._made.set()

    async def follow(self) -> AsyncIterator[None]:
        while True:
            await self._made.wait()
            self._made.clear()
            yield


@asynccontextmanager
async def following(loading: Loading) -> AsyncIterator[Changes]:
    changes = Changes()
    task = asyncio.create_task(loading.reloader.run(changes.follow()))
    try:
        yield changes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nothing_is_loaded_until_something_changes() -> None:
    loading = Loading()

    async with following(loading):
        await asyncio.sleep(0.01)

    assert loading.loads == 0


async def test_every_change_and_every_request_reloads() -> None:
    loading = Loading()

    async with following(loading) as changes:
        changes.make()
        await until(lambda: loading.counts == [1, 0])
        loading.reloader.request()
        await until(lambda: loading.counts == [2, 0])

    assert loading.in_force == ["new", "new"]


async def test_requests_that_come_while_loading_become_one() -> None:
    """
    What they are about may have been read already, so one there has to be.
    """
    loading = Loading()
    loading.gate.clear()

    async with following(loading) as changes:
        loading.reloader.request()
        await until(lambda: loading.loads == 1)
        for _ in range(5):
            loading.reloader.request()
            changes.make()
        await asyncio.sleep(0.01)
        loading.answer = "newer"
        loading.gate.set()
        await until(lambda: loading.counts == [2, 0])
        await asyncio.sleep(0.01)

    assert loading.loads == 2
    assert loading.in_force[-1] == "newer"


@pytest.mark.parametrize("error", [ConfigurationError("x"), RuntimeError()])
async def test_a_failure_does_not_end_the_following(error: Exception) -> None:
    loading = Loading(error)

    async with following(loading) as changes:
        changes.make()
        await until(lambda: loading.counts == [0, 1])
        loading.answer = "newer"
        changes.make()
        await until(lambda: loading.counts == [1, 1])

    assert loading.in_force == ["newer"]


async def test_when_nothing_can_change_requests_still_reload() -> None:
    async def never() -> AsyncIterator[None]:
        for nothing in list[None]():
            yield nothing

    loading = Loading()
    task = asyncio.create_task(loading.reloader.run(never()))
    await asyncio.sleep(0.01)
    loading.reloader.request()
    await until(lambda: loading.counts == [1, 0])

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
