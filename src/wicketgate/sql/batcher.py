"""What arrives together is done together.

Nobody waits for company: who comes first is worked on at once. But while that is
done, others arrive, and all of them go next, in one statement and with one
commit. The busier it is, the less each one costs.

Source: the group commit of databases; PostgreSQL, "commit_delay", does it with a
wait, which is not needed when a commit takes as long as some arrivals.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from wicketgate.errors import DependencyError
from wicketgate.sql.faults import too_slow

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Sequence[Item]], Awaitable[Sequence[Result | DependencyError]]]


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    keys: frozenset[Hashable]
    result: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Callers, and the batches that they go in."""

    def __init__(
        self,
        work: Work[Item, Result],
        *,
        keys: Callable[[Item], frozenset[Hashable]],
        lanes: int,
        size: int,
        seconds: float,
    ) -> None:
        """Do `work` on batches.

        Args:
            work: Returns a result for each item, in order, or raises for all of them.
            keys: What an item touches; two that share a key are never in one batch.
            lanes: How many batches may be worked on at the same time.
            size: How many items a batch has at most.
            seconds: How long anybody waits for a result.
        """
        self._work = work
        self._keys = keys
        self._lanes = lanes
        self._size = size
        self._seconds = seconds
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0

    async def submit(self, item: Item) -> Result:
        """Return the result for `item`, which goes with the next batch.

        Raises:
            DependencyError: what `work` has for it, or raised; or it took too long,
                and may be done all the same.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Waiting(item, self._keys(item), result))
        if self._running < self._lanes:
            self._running += 1
            task = loop.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        timer = loop.call_later(self._seconds, _fail, result, too_slow(self._seconds))
        try:
            return await result
        finally:
            timer.cancel()

    async def close(self) -> None:
        """Drop what is under way; whoever waits for it hears so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._queue:
            _fail(self._queue.popleft().result, _closed())

    async def _run(self) -> None:
        try:
            while batch := self._next():
                await self._do(batch)
        finally:
            # Not when the task is found to be done: who comes between would wait for it.
            self._running -= 1

    async def _do(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._work([each.item for each in batch])
        except asyncio.CancelledError:
            for each in batch:
                _fail(each.result, _closed())
            raise
        except Exception as error:  # noqa: BLE001 - theirs, who wait for it
            results = [error] * len(batch)
        for each, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                _fail(each.result, result)
            elif not each.result.done():
                each.result.set_result(result)

    def _next(self) -> list[_Waiting[Item, Result]]:
        """Take a batch from the queue: who waits longest first, and no key twice."""
        batch: list[_Waiting[Item, Result]] = []
        keys: set[Hashable] = set()
        while self._queue and len(batch) < self._size:
            first = self._queue[0]
            if first.result.done():
                # Its caller has given up.
                self._queue.popleft()
            elif keys.isdisjoint(first.keys):
                batch.append(self._queue.popleft())
                keys |= first.keys
            else:
                break
        return batch


def _closed() -> DependencyError:
    return DependencyError("the store was closed before it had an answer from Postgres")


def _fail(result: asyncio.Future[Result], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
