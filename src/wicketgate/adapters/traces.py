"""Tells traces about decisions, so many and no more, and never at the cost of an answer.

A Check is told about when its request says that it is sampled. Anybody can write that, so
there is an allowance for each second, which all callers share, and a queue that holds so
many. What is beyond the allowance is counted as limited, and nobody has to act on it. What
finds no room, because the collector is slow, and what it does not take, is counted as dropped.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from wicketgate.core.allowance import Allowance
from wicketgate.core.request import HttpRequest
from wicketgate.core.trace_context import trace_context_of, trace_state_of
from wicketgate.core.trace_span import CheckTrace, Wait, trace_of
from wicketgate.core.verdict import Verdict
from wicketgate.errors import DependencyError

PER_SECOND: Final = 100
"""Checks that are told about in a second. Each costs about 0.1 ms in all: 1 % of a core."""
QUEUE_LIMIT: Final = 500
"""Checks that wait for a collector: 5 s of the allowance, as long as one send may take."""
BATCH: Final = 50
"""Checks in one request. To encode them takes about 2 ms, in which no Check is answered."""
PAUSE_SECONDS: Final = 1.0
"""From one look at the queue to the next."""
FLUSH_SECONDS: Final = 2.0
"""For what is left in the queue when the process ends."""

EXPORTED: Final = "exported"
DROPPED: Final = "dropped"
LIMITED: Final = "limited"


class Traces:
    """Takes decisions, and sends what their traces are told to a collector."""

    def __init__(
        self,
        encode: Callable[[Sequence[CheckTrace]], bytes],
        send: Callable[[bytes], Awaitable[None]],
        *,
        log: structlog.typing.FilteringBoundLogger,
        registry: CollectorRegistry,
        clock: Callable[[], int] = time.time_ns,
        timer: Callable[[], float] = time.monotonic,
        pause_seconds: float = PAUSE_SECONDS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """Make what sends nothing before `start`.

        Args:
            encode: Makes a request's body.
            send: Has a collector take it; raises `DependencyError` when it does not.
            log: For when that changes.
            registry: Where spans are counted.
            clock: Nanoseconds since the epoch.
            timer: Monotonic seconds.
            pause_seconds: From one look at the queue to the next.
            flush_seconds: For what is left at the end.
        """
        self._encode = encode
        self._send = send
        self._log = log
        self._clock = clock
        self._timer = timer
        self._pause_seconds = pause_seconds
        self._flush_seconds = flush_seconds
        self._allowance = Allowance(PER_SECOND)
        self._queue: deque[CheckTrace] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()
        self._is_failing = False
        self._spans = Counter(
            "wicketgate_trace_spans",
            "Spans, by what became of them.",
            ("outcome",),
            registry=registry,
        )
        for outcome in (EXPORTED, DROPPED, LIMITED):
            self._spans.labels(outcome)

    def checked(
        self,
        verdict: Verdict,
        request: HttpRequest,
        *,
        decision_id: str,
        seconds: float,
        waits: tuple[Wait, ...],
    ) -> None:
        """Take a decision that was just made, if its request is in a trace that is sampled."""
        context = trace_context_of(request.headers)
        if context is None or not context.is_sampled:
            return
        if not self._allowance.take(self._timer()):
            self._spans.labels(LIMITED).inc(1 + len(waits))
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._spans.labels(DROPPED).inc(1 + len(waits))
            return
        self._queue.append(
            trace_of(
                verdict,
                context,
                state=trace_state_of(request.headers),
                decision_id=decision_id,
                seconds=seconds,
                waits=waits,
                now=self._clock(),
            )
        )

    def start(self) -> None:
        """Send from now on."""
        self._sending = asyncio.create_task(self._send_forever())

    async def close(self) -> None:
        """Send what is left, as far as there is time for it, and stop."""
        self._is_closing.set()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=self._flush_seconds)
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
        self._spans.labels(DROPPED).inc(sum(trace.size for trace in self._queue))
        self._queue.clear()

    async def _send_forever(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_closing.wait(), self._pause_seconds)
            # Not asked before that: what came last is sent as well.
            is_last = self._is_closing.is_set()
            while self._queue:
                await self._export()
                if self._is_failing:
                    break
            if is_last:
                return

    async def _export(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        size = sum(trace.size for trace in batch)
        outcome = DROPPED
        try:
            await self._send(self._encode(batch))
            outcome = EXPORTED
        except DependencyError as error:
            self._say_failing(str(error))
        except Exception as error:  # noqa: BLE001 - no trace is worth an answer
            # Only the kind: a message could quote the collector, or a header.
            self._say_failing(f"unexpected {type(error).__name__}")
        else:
            self._say_working()
        finally:
            # Also when the process ends meanwhile.
            self._spans.labels(outcome).inc(size)

    def _say_failing(self, error: str) -> None:
        if not self._is_failing:
            self._log.warning("traces not exported", error=error)
        self._is_failing = True

    def _say_working(self) -> None:
        if self._is_failing:
            self._log.info("traces exported again")
        self._is_failing = False
