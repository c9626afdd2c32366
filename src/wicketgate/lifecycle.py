"""When the process is open for Checks, and how it leaves.

SIGTERM and SIGINT stop the process: the first begins the drain, the second cuts
it short. SIGHUP reloads, except on a terminal, where it means that the terminal
closed. Health follows what the gate cannot do without, such as keys: SERVING while all
of it is there, NOT_SERVING for good once the drain has begun.

Source: Envoy, "Health checking" (NOT_SERVING ejects a host at the next check).
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog

from wicketgate.core.keys import KeySet


class Server(Protocol):
    """The part of a transport that coming and going needs."""

    async def set_serving(self, *, serving: bool) -> None:
        """Tell health checkers whether to send Checks here."""

    async def retire(self) -> None:
        """Answer NOT_SERVING from now on; keep answering Checks."""

    async def stop(self, *, grace: float) -> None:
        """Say GOAWAY and let calls in flight finish."""


class RefreshCounter(Protocol):
    """The part of telemetry that hears about the keys."""

    log: structlog.typing.FilteringBoundLogger

    def refreshed(self) -> None:
        """Count a success."""

    def refresh_failed(self, error: str) -> None:
        """Count and log a failure."""


class Stopping:
    """What the signals asked for so far."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.hurried = asyncio.Event()

    def listen(
        self, loop: asyncio.AbstractEventLoop, *, hangup: Callable[[], None] | None = None
    ) -> None:
        """Take over SIGTERM and SIGINT, and SIGHUP.

        Args:
            loop: Where the signals arrive.
            hangup: What SIGHUP asks for; `None` stops, as for a terminal that closes.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.notice)
        loop.add_signal_handler(signal.SIGHUP, hangup or self.notice)

    def notice(self) -> None:
        """Take one signal: the first asks to stop, any further to hurry."""
        (self.hurried if self.requested.is_set() else self.requested).set()


class Health:
    """Reports whether this process wants Checks."""

    def __init__(self) -> None:
        self.is_open = False
        self._ready: dict[str, bool] = {}
        self._server: Server | None = None
        self._changes: set[asyncio.Task[None]] = set()

    async def attach(self, server: Server) -> None:
        """Report through `server` from now on."""
        self._server = server
        self.is_open = True
        await server.set_serving(serving=self._is_ready())

    def report(self, component: str, *, is_ready: bool) -> None:
        """Note whether `component` is ready; Checks are wanted while everything noted is."""
        before = self._is_ready()
        self._ready[component] = is_ready
        if self._server is None or self._is_ready() is before:
            return
        change = asyncio.create_task(self._server.set_serving(serving=not before))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    def _is_ready(self) -> bool:
        return all(self._ready.values())

    async def retire(self) -> None:
        """Report NOT_SERVING for good."""
        self.is_open = False
        if self._server is not None:
            await self._server.retire()


class KeyObserver:
    """Tells health, metrics and the log what happens to the keys."""

    def __init__(self, telemetry: RefreshCounter, health: Health) -> None:
        self._telemetry = telemetry
        self._health = health

    def keys_changed(self, keys: KeySet) -> None:
        """Let health follow, and log it."""
        self._health.report("keys", is_ready=bool(keys))
        self._telemetry.log.info("keys changed", count=len(keys.keys))

    def refreshed(self) -> None:
        """Pass a success on."""
        self._telemetry.refreshed()

    def refresh_failed(self, error: str) -> None:
        """Pass a failure on."""
        self._telemetry.refresh_failed(error)


async def drain(
    server: Server,
    health: Health,
    stopping: Stopping,
    *,
    drain_seconds: float,
    grace_seconds: float,
) -> None:
    """Leave without a failed Check.

    Envoy must see NOT_SERVING, at its next health check, before the listener
    goes; until then Checks keep coming and are answered. Only then GOAWAY, and
    calls in flight finish.

    Args:
        server: The transport to take down.
        health: What health checkers are told.
        stopping: Hurrying skips what is left of both waits.
        drain_seconds: Longer than Envoy's health check interval plus its timeout.
        grace_seconds: At least Envoy's timeout for a Check.
    """
    await health.retire()
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.hurried.wait(), drain_seconds)
    await server.stop(grace=0 if stopping.hurried.is_set() else grace_seconds)
