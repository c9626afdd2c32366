"""One connection to Postgres, and how long anything on it may take.

Time is bounded three times over, because each bound alone has a hole: Postgres
ends a statement that waits for a lock, but not when Postgres itself hangs; we
ask it to cancel, which a hung server does not hear either; so in the end the
connection is given up.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from wicketgate.errors import ConfigurationError
from wicketgate.sql import is_schema_name
from wicketgate.sql.faults import database_fault, too_slow

GRACE_SECONDS: Final = 0.25
"""What a cancelled statement gets to end in, before its connection is given up."""
CONNECT_SECONDS: Final = 5
MIN_SECONDS: Final = 4 * GRACE_SECONDS

_DEFAULTS: Final = {
    "application_name": "wicketgate",
    # libpq counts in whole seconds and takes less than 2 for 2.
    "connect_timeout": str(CONNECT_SECONDS),
    # A peer that vanished is noticed within half a minute instead of two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

Result = TypeVar("Result")


def conninfo_of(database_url: str) -> str:
    """Return `database_url` with our defaults beneath what it says.

    Raises:
        ConfigurationError: it cannot be read. It is not quoted: it holds a password.
    """
    try:
        given = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError:
        msg = "DATABASE_URL cannot be read; expected postgresql://user:password@host:5432/database"
        raise ConfigurationError(msg) from None
    return make_conninfo("", **{**_DEFAULTS, **given})


def checked_schema(name: str) -> str:
    """Return `name`.

    Raises:
        ConfigurationError: no schema can have it.
    """
    if not is_schema_name(name):
        msg = (
            f"schema {name!r} cannot be used; expected 1 to 63 small letters, digits "
            "and underscores, and no digit at the beginning"
        )
        raise ConfigurationError(msg)
    return name


async def limit_statements(
    connection: AsyncConnection, *, seconds: float, lock_seconds: float = 0
) -> None:
    """Have Postgres itself end every statement on `connection` that takes longer.

    Args:
        connection: In autocommit.
        seconds: For all of a statement.
        lock_seconds: For each lock that it waits for; 0 means no limit.
    """
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false)",
        [f"{int(seconds * 1000)}ms", f"{int(lock_seconds * 1000)}ms"],
    )


@asynccontextmanager
async def connected(
    database_url: str, *, statement_seconds: float, lock_seconds: float = 0
) -> AsyncIterator[AsyncConnection]:
    """Keep one connection open, in autocommit.

    Args:
        database_url: Where to.
        statement_seconds: How long one statement may take.
        lock_seconds: For each lock that it waits for; 0 means no limit.

    Raises:
        ConfigurationError: `database_url` cannot be read.
        DependencyError: Postgres cannot be reached, or fails while the context is
            open.
    """
    conninfo = conninfo_of(database_url)
    try:
        async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
            await limit_statements(
                connection, seconds=statement_seconds, lock_seconds=lock_seconds
            )
            yield connection
    except psycopg.Error as error:
        raise database_fault(error) from error


async def bounded(work: Coroutine[Any, Any, Result], *, seconds: float) -> Result:
    """Return what `work` returns, unless it takes too long.

    Args:
        work: Uses one connection, and lets it go when it is cancelled.
        seconds: How long that may take, at least `MIN_SECONDS`; nothing makes
            this call take longer.

    Raises:
        DependencyError: it took too long.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=max(seconds, MIN_SECONDS) - 2 * GRACE_SECONDS)
        # The first time psycopg asks Postgres to cancel, and waits for its answer. The
        # second time it closes the connection.
        for _ in range(2):
            if not done:
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=GRACE_SECONDS)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done or task.cancelled():
        raise too_slow(seconds)
    return task.result()
