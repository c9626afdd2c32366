"""First sight, built from the settings of the gate."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wicketgate.adapters.first_sight import WAIT_SECONDS, FirstSight
from wicketgate.adapters.first_sight_telemetry import FirstSightTelemetry
from wicketgate.adapters.telemetry import Instruments
from wicketgate.core.first_sight import KnownUsers
from wicketgate.errors import InternalError
from wicketgate.settings import AuthzSettings, FirstSightMode


@asynccontextmanager
async def first_sight(
    settings: AuthzSettings, instruments: Instruments
) -> AsyncIterator[FirstSight | None]:
    """Keep what looks users up, unless that is off: then there is nothing, and no connection.

    Args:
        settings: Those of the gate.
        instruments: Where it is counted and logged.

    Raises:
        ConfigurationError: the database's URL or schema cannot be used.
    """
    mode = settings.first_sight.mode
    if mode is FirstSightMode.OFF:
        yield None
        return
    if settings.database_url is None:
        msg = "settings ask for first sight and name no database"
        raise InternalError(msg)
    # Imported when it is used: most gates have no business with a database.
    from wicketgate.adapters.postgres_first_sight import open_user_rows  # noqa: PLC0415

    async with open_user_rows(settings.database_url, schema=settings.database_schema) as rows:
        looking = FirstSight(
            rows,
            KnownUsers(keeps_ids=settings.first_sight.tells_ids),
            FirstSightTelemetry(instruments.log, instruments.registry),
            timer=time.monotonic,
            wait_seconds=WAIT_SECONDS if mode is FirstSightMode.SYNC else 0,
        )
        instruments.watch(
            "wicketgate_first_sight_known_users",
            "Users who are known to have a row.",
            lambda: float(looking.known),
        )
        try:
            yield looking
        finally:
            await looking.close()
