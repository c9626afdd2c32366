"""What a receiver does of itself, again and again: looks at its store, and clears it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from wicketgate.app.tasks import running
from wicketgate.errors import DependencyError


class Readiness:
    """Whether the store was ready when it was last looked at."""

    def __init__(
        self, ask: Callable[[], Awaitable[bool]], log: structlog.typing.FilteringBoundLogger
    ) -> None:
        """Ask by `ask`; until then it is not ready."""
        self.is_ready = False
        self._ask = ask
        self._log = log

    async def look(self) -> None:
        """Look, and log a change."""
        try:
            is_ready = await self._ask()
        except DependencyError:
            is_ready = False
        if is_ready is not self.is_ready:
            self._log.info("store ready" if is_ready else "store not ready")
        self.is_ready = is_ready


@asynccontextmanager
async def repeating(
    name: str,
    work: Callable[[], Coroutine[Any, Any, object]],
    seconds: float,
    log: structlog.typing.FilteringBoundLogger,
) -> AsyncIterator[None]:
    """Do `work` again and again, for as long as the context lasts."""

    async def repeat() -> None:
        while True:
            try:
                await work()
            except DependencyError as error:
                log.warning("task failed", task=name, error=str(error))
            except Exception as error:  # noqa: BLE001 - the next time it may go well
                # No traceback: it may quote a row.
                log.error("task failed", task=name, error=type(error).__name__)  # noqa: TRY400
            await asyncio.sleep(seconds)

    async with running(repeat()):
        yield
