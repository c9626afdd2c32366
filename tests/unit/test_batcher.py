"""What arrives together is done together, and nobody waits for nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from wicketgate.errors import DependencyError
from wicketgate.sql.batcher import Batcher

SECONDS = 0.2


class Worker:
    """Remembers its batches; works when it is let, and answers with the item's length."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def work(self, items: Sequence[str]) -> Sequence[int | DependencyError]:
        self.batches.append(list(items))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [DependencyError("no") if item == "bad" else len(item) for item in items]


@asynccontextmanager
async def batching(
    worker: Worker, *, lanes: int = 1, size: int = 10
) -> AsyncIterator[Batcher[str, int]]:
    batcher = Batcher(
        worker.work, keys=lambda item: frozenset(item[:1]), lanes=lanes, size=size, seconds=SECONDS
    )
    try:
        yield batcher
    finally:
        await batcher.close()


async def test_who_comes_alone_does_not_wait() -> None:
    worker = Worker()
    async with batching(worker) as batcher:
        # One after the other, each just when the last lane becomes free.
        assert [await batcher.submit(item) for item in ("a", "bb", "ccc")] == [1, 2, 3]

    assert worker.batches == [["a"], ["bb"], ["ccc"]]


async def test_who_comes_meanwhile_goes_together() -> None:
    worker = Worker()
    worker.gate.clear()
    async with batching(worker, lanes=2, size=3) as batcher:
        tasks = [asyncio.create_task(batcher.submit(item)) for item in "abcdefg"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        worker.gate.set()
        assert await asyncio.gather(*tasks) == [1] * 7

    assert sorted(item for batch in worker.batches for item in batch) == list("abcdefg")
    assert max(len(batch) for batch in worker.batches) == 3


async def test_two_that_touch_the_same_are_never_in_one_batch() -> None:
    """
    And they keep their order.
    """
    worker = Worker()
    async with batching(worker) as batcher:
        await asyncio.gather(*(batcher.submit(item) for item in ("a1", "b", "a2", "c", "a3")))

    assert worker.batches == [["a1", "b"], ["a2", "c"], ["a3"]]


async def test_each_gets_its_own_result() -> None:
    worker = Worker()
    async with batching(worker) as batcher:
        results = await asyncio.gather(
            *(batcher.submit(item) for item in ("a", "bad", "cc")), return_exceptions=True
        )

    assert results[::2] == [1, 2]
    assert isinstance(results[1], DependencyError)


@pytest.mark.parametrize("error", [DependencyError("down"), KeyError("a defect")])
async def test_what_fails_for_all_fails_for_each(error: Exception) -> None:
    """
    And the next batch is tried again.
    """
    worker = Worker()
    worker.error = error
    async with batching(worker) as batcher:
        results = await asyncio.gather(
            *(batcher.submit(item) for item in "ab"), return_exceptions=True
        )
        assert results == [error, error]

        worker.error = None
        assert await batcher.submit("c") == 1


async def test_nobody_waits_longer_than_the_limit() -> None:
    """
    Neither in a batch nor for one; who has given up is not worked on.
    """
    worker = Worker()
    worker.gate.clear()
    async with batching(worker) as batcher:
        results = await asyncio.gather(
            *(batcher.submit(item) for item in ("a1", "a2")), return_exceptions=True
        )
        assert [str(result) for result in results] == [
            "Postgres failed: no answer within 0.2 s",
            "Postgres failed: no answer within 0.2 s",
        ]
        worker.gate.set()
        assert await batcher.submit("b") == 1

    assert worker.batches == [["a1"], ["b"]]


async def test_who_goes_away_holds_up_nobody() -> None:
    worker = Worker()
    worker.gate.clear()
    async with batching(worker) as batcher:
        first, second = (asyncio.create_task(batcher.submit(item)) for item in "ab")
        await asyncio.sleep(0)
        first.cancel()
        worker.gate.set()

        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_who_waits_when_it_closes_hears_of_it() -> None:
    worker = Worker()
    worker.gate.clear()
    async with batching(worker) as batcher:
        tasks = [asyncio.create_task(batcher.submit(item)) for item in ("a1", "a2")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    for task in tasks:
        with pytest.raises(DependencyError, match="was closed"):
            await task
