"""One sample a second, and one message a second for everybody who watches."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from wicketgate.adapters.status_feed import BACKLOG, StatusFeed, Watcher
from wicketgate.core.status.document import Document, Position


@dataclass
class FakeSource:
    """Counts what it is asked for, and has one event more at each sample."""

    samples: int = 0
    made: list[Position] = field(default_factory=list)
    fault: Exception | None = None

    def sample(self) -> None:
        self.samples += 1
        if self.fault is not None:
            raise self.fault

    def position(self) -> Position:
        return Position(self.samples, self.samples)

    def document(self, after: Position) -> Document:
        self.made.append(after)
        newest = list(range(self.samples, after.events, -1))
        return {"at": float(self.samples), "still": "the same", "events": {"newest": newest}}


class Feeding:
    """A feed whose seconds pass when the test says so."""

    def __init__(self, source: FakeSource, **options: Any) -> None:  # noqa: ANN401 - the feed's
        self.source = source
        self.failures: list[str] = []
        self.now = 0.0
        self.feed = StatusFeed(
            source,
            timer=lambda: self.now,
            failed=self.failures.append,
            **{"seconds": 1.0, **options},
        )

    def pass_second(self) -> None:
        self.now += 1
        self.feed.tick()


def told(message: bytes) -> tuple[str, dict[str, Any]]:
    """Return the event of a message, and its data."""
    first, second, *rest = message.decode().split("\n")
    assert rest == ["", ""]
    return first.removeprefix("event: "), json.loads(second.removeprefix("data: "))


async def next_of(watcher: Watcher | None) -> tuple[str, dict[str, Any]]:
    assert watcher is not None
    return told(await asyncio.wait_for(watcher.next(), 5))


async def test_a_watcher_gets_the_whole_and_then_what_changes() -> None:
    feeding = Feeding(FakeSource())
    feeding.pass_second()
    with feeding.feed.watching() as watcher:
        whole = {"at": 1.0, "still": "the same", "events": {"newest": [1]}}
        assert await next_of(watcher) == ("whole", whole)

        feeding.pass_second()
        # All sections once more: one that changed in between may have changed back.
        again = {"at": 2.0, "still": "the same", "events": {"newest": [2]}}
        assert await next_of(watcher) == ("change", again)

        feeding.pass_second()
        assert await next_of(watcher) == ("change", {"at": 3.0, "events": {"newest": [3]}})


async def test_everybody_is_told_the_same_that_is_made_once() -> None:
    feeding = Feeding(FakeSource())
    with feeding.feed.watching() as one, feeding.feed.watching() as other:
        assert one is not None
        assert other is not None
        await one.next()
        await other.next()
        feeding.source.made.clear()

        feeding.pass_second()

        assert await one.next() is await other.next()
        assert len(feeding.source.made) == 1


def test_without_watchers_samples_are_taken_and_no_document_is_made() -> None:
    feeding = Feeding(FakeSource())

    for _ in range(5):
        feeding.pass_second()

    assert feeding.source.samples == 5
    assert feeding.source.made == []


async def test_whoever_joins_late_misses_nothing_between_the_whole_and_the_next_change() -> None:
    """
    The whole is made once a second, so what it lacks has been told to the others already.
    """
    feeding = Feeding(FakeSource())
    with feeding.feed.watching() as early:
        await next_of(early)
        feeding.feed.tick()
        with feeding.feed.watching() as late:
            _, whole = await next_of(late)
            feeding.feed.tick()
            _, change = await next_of(late)

    assert sorted(whole["events"]["newest"] + change["events"]["newest"]) == [1, 2]
    assert "still" in change, "a section may have changed and changed back"


def test_the_whole_is_made_once_a_second_at_most() -> None:
    feeding = Feeding(FakeSource())

    first, second = feeding.feed.snapshot(), feeding.feed.snapshot()
    feeding.pass_second()
    third = feeding.feed.snapshot()

    assert first is second
    assert json.loads(third)["at"] == 1.0
    assert len(feeding.source.made) == 2


async def test_a_watcher_that_does_not_read_is_dropped_and_not_buffered() -> None:
    feeding = Feeding(FakeSource())
    with feeding.feed.watching() as slow, feeding.feed.watching() as quick:
        assert slow is not None
        for _ in range(BACKLOG):
            await next_of(quick)
            feeding.pass_second()
        await asyncio.wait_for(slow.until_over(), 5)

        assert slow.is_slow
        assert quick is not None
        assert not quick.is_slow


@pytest.mark.parametrize("limit", [1, 8])
def test_only_so_many_watch_at_a_time(limit: int) -> None:
    feed = Feeding(FakeSource(), max_watchers=limit).feed
    contexts = [feed.watching() for _ in range(limit + 1)]

    assert [context.__enter__() is not None for context in contexts] == [True] * limit + [False]
    contexts[0].__exit__(None, None, None)
    with feed.watching() as next_one:
        assert next_one is not None
    assert feed.watchers == limit - 1
    for context in contexts[1:]:
        context.__exit__(None, None, None)


async def test_closing_lets_everybody_go_and_nobody_in() -> None:
    feed = Feeding(FakeSource()).feed
    with feed.watching() as watcher:
        assert watcher is not None
        feed.close()
        await asyncio.wait_for(watcher.until_over(), 5)
        assert not watcher.is_slow
    with feed.watching() as late:
        assert late is None


async def test_a_defect_is_told_once_and_ends_nothing() -> None:
    source = FakeSource(fault=ValueError("a secret"))
    feeding = Feeding(source, seconds=0.001)
    running = asyncio.create_task(feeding.feed.run())

    await until(lambda: source.samples >= 3)
    source.fault = None
    with feeding.feed.watching() as watcher:
        await next_of(watcher)
        assert (await next_of(watcher))[0] == "change"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert feeding.failures == ["ValueError"]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.001)
