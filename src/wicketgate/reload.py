"""What the operator wrote, followed as it changes.

A reload is all or nothing: everything is read and checked anew, and only then put
in place, by one assignment. When anything is wrong the old stays in force, and
that is told in three ways: in the log, by a counter, and as a degraded state.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

import structlog

from wicketgate.errors import ConfigurationError

Loaded = TypeVar("Loaded")

RETRY_SECONDS: Final = 60.0
"""Rarely, because each failure is a line in the log, and mostly somebody has to act."""


class ReloadCounter(Protocol):
    """The part of telemetry that hears about reloads."""

    log: structlog.typing.FilteringBoundLogger

    def reloaded(self) -> None:
        """Count a success."""

    def reload_failed(self) -> None:
        """Count a failure."""


class Reloader(Generic[Loaded]):
    """Loads anew on request and on change."""

    def __init__(
        self,
        load: Callable[[], Loaded],
        apply: Callable[[Loaded], None],
        counter: ReloadCounter,
        *,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Make a reloader.

        Args:
            load: Reads and checks everything; runs in a thread of its own. Raises
                ConfigurationError for what cannot be used.
            apply: Puts what was loaded in force, all of it or nothing.
            counter: Told what came of it.
            retry_seconds: After a failure, until it is tried again unasked.
        """
        self.is_current = True
        self._load = load
        self._apply = apply
        self._counter = counter
        self._retry_seconds = retry_seconds
        self._wanted = asyncio.Event()

    def request(self) -> None:
        """Ask for a reload, soon; several requests may become one."""
        self._wanted.set()

    async def run(self, changes: AsyncIterator[None]) -> None:
        """Reload at every change and every request, until cancelled."""
        noticing = asyncio.create_task(self._notice(changes))
        try:
            while True:
                # What could not be read once may be readable without having changed.
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if self.is_current else self._retry_seconds):
                        await self._wanted.wait()
                self._wanted.clear()
                await self.reload()
        finally:
            noticing.cancel()
            with suppress(asyncio.CancelledError):
                await noticing

    async def reload(self) -> None:
        """Reload once."""
        try:
            self._apply(await asyncio.to_thread(self._load))
        except ConfigurationError as error:
            self._fail()
            for mistake in error.mistakes:
                self._tell(mistake=mistake)
        except Exception as error:  # noqa: BLE001 - a defect must not end the following
            self._fail()
            # No traceback: it may quote a secret.
            self._tell(defect=type(error).__name__)
        else:
            self.is_current = True
            self._counter.reloaded()

    def _fail(self) -> None:
        self.is_current = False
        self._counter.reload_failed()

    def _tell(self, **what: str) -> None:
        self._counter.log.error("not reloaded, the old stays in force", **what)

    async def _notice(self, changes: AsyncIterator[None]) -> None:
        async for _ in changes:
            self.request()
