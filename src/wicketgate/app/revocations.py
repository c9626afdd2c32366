"""The revocation feed of a gate, built from its settings."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from random import random
from typing import Final

from wicketgate.adapters.admin import State
from wicketgate.adapters.revocation_feed import FeedTiming, Link, RevocationFeed
from wicketgate.adapters.revocation_telemetry import RevocationTelemetry
from wicketgate.adapters.telemetry import Instruments
from wicketgate.app.tasks import running
from wicketgate.core.revocation import RevocationSet
from wicketgate.core.revocation_table import Kind
from wicketgate.errors import ConfigurationError
from wicketgate.gate import Gate
from wicketgate.lifecycle import Health
from wicketgate.settings import AuthzSettings

COMPONENT: Final = "revocations"


class FollowedRevocations:
    """The revocations of a gate, and the feed that keeps them current."""

    def __init__(
        self, settings: AuthzSettings, instruments: Instruments, database_url: str
    ) -> None:
        """Make what settings ask for; it does nothing until it is `run`."""
        self.revocations = RevocationSet()
        self._database_url = database_url
        self._schema = settings.database_schema
        self._is_starting = True
        self._log = instruments.log
        self._feed = RevocationFeed(
            self.revocations,
            self._connect,
            schema=self._schema,
            token_life=settings.rules.max_lifetime_seconds,
            timing=FeedTiming(max_stale_seconds=settings.revocations.max_stale_seconds),
            observer=RevocationTelemetry(instruments.log, instruments.registry),
            clock=time.time,
            timer=time.monotonic,
            jitter=random,
        )
        _watch(instruments, self.revocations, self._feed)

    @property
    def state(self) -> State:
        """How the component is."""
        if self._is_starting:
            return State.NOT_READY
        return State.READY if self._feed.is_well else State.DEGRADED

    @property
    def stale_seconds(self) -> float | None:
        """Seconds since it was last certain that none was missed; `None` before the first load."""
        return self._feed.stale_seconds if self._feed.loaded.is_set() else None

    def reload(self, settings: AuthzSettings) -> None:
        """Use what `settings` say for the next connection: passwords are replaced."""
        self._database_url = settings.revocations.database_url or self._database_url

    @asynccontextmanager
    async def run(self, health: Health, *, wait_seconds: float) -> AsyncIterator[None]:
        """Follow for as long as the context lasts, which is entered at once.

        `health` is told not to want Checks until the revocations are known, or it has been
        waited for them so long.
        """
        health.report(COMPONENT, is_ready=False)
        opening = self._open(health, wait_seconds)
        async with running(self._feed.run()), running(self._feed.guard()), running(opening):
            yield

    def _connect(self, tell: Callable[[str], None]) -> AbstractAsyncContextManager[Link]:
        # Imported when it is used: a gate without a database has no need of psycopg.
        from wicketgate.adapters.revocation_link import revocation_link  # noqa: PLC0415

        return revocation_link(self._database_url, schema=self._schema, tell=tell)

    async def _open(self, health: Health, wait_seconds: float) -> None:
        loaded = self._feed.loaded
        with suppress(TimeoutError):
            await asyncio.wait_for(loaded.wait(), wait_seconds)
        if not loaded.is_set():
            self._log.warning("revocations not known", waited_seconds=wait_seconds)
        self._is_starting = False
        health.report(COMPONENT, is_ready=True)


@asynccontextmanager
async def follow_revocations(
    settings: AuthzSettings, gate: Gate, health: Health, instruments: Instruments
) -> AsyncIterator[FollowedRevocations | None]:
    """Keep the gate's revocations current, unless the settings name no database.

    Args:
        settings: Those of the gate.
        gate: Refuses who is revoked.
        health: Is told when the revocations are known.
        instruments: Where it is counted and logged.

    Raises:
        ConfigurationError: the database's URL cannot be used.
    """
    database_url = settings.revocations.database_url
    if database_url is None:
        yield None
        return
    _require_usable(database_url)
    followed = FollowedRevocations(settings, instruments, database_url)
    gate.revocations = followed.revocations
    async with followed.run(health, wait_seconds=settings.revocations.start_wait_seconds):
        yield followed


def _require_usable(database_url: str) -> None:
    from wicketgate.sql.connection import conninfo_of  # noqa: PLC0415

    try:
        conninfo_of(database_url)
    except ConfigurationError:
        msg = (
            "the URL of the database with the revocations cannot be read; "
            "expected postgresql://user:password@host:5432/database"
        )
        raise ConfigurationError(msg) from None


def _watch(instruments: Instruments, revocations: RevocationSet, feed: RevocationFeed) -> None:
    instruments.watch(
        "wicketgate_revocation_feed_stale_seconds",
        "Seconds since it was last certain that no revocation was missed.",
        lambda: feed.stale_seconds,
    )
    instruments.watch(
        "wicketgate_revoked_users",
        "Revocations of users in force.",
        partial(_count, revocations, Kind.USER),
    )
    instruments.watch(
        "wicketgate_revoked_sessions",
        "Revocations of sessions in force.",
        partial(_count, revocations, Kind.SESSION),
    )


def _count(revocations: RevocationSet, kind: Kind) -> float:
    return float(revocations.table.count(kind))
