"""A pool of connections that outlives the database.

It opens when Postgres is down, connects when Postgres is there, and tries again
by itself. What is done with it is done within a time limit or not at all.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from wicketgate.sql import query
from wicketgate.sql.connection import (
    GRACE_SECONDS,
    MIN_SECONDS,
    bounded,
    checked_schema,
    conninfo_of,
    limit_statements,
)
from wicketgate.sql.faults import ROW_FAULTS, database_fault

RECONNECT_SECONDS: Final = 4.0
"""After that the pool starts over with the next caller, its delays short again.

They double each time, and would be minutes after an outage of some minutes.
"""
CLOSE_SECONDS: Final = 1.0

_HARMLESS: Final = (*ROW_FAULTS, errors.LockNotAvailable, errors.QueryCanceled)
"""After these a connection is as good as before."""

Result = TypeVar("Result")


class Pool:
    """Connections to one database, and the statements for one schema of it."""

    def __init__(
        self,
        connections: AsyncConnectionPool[AsyncConnection],
        faults: deque[psycopg.Error],
        *,
        schema: str,
        seconds: float,
    ) -> None:
        """Use `connections`.

        Args:
            connections: An open pool, in autocommit.
            faults: The last reason why no connection could be made.
            schema: Where the tables are.
            seconds: How long one use of a connection may take, waiting included.
        """
        self._connections = connections
        self._faults = faults
        self._schema = schema
        self._seconds = seconds

    @property
    def seconds(self) -> float:
        """How long one use of a connection may take."""
        return self._seconds

    def query(self, name: str) -> bytes:
        """Return a statement; see `wicketgate.sql.query`."""
        return query(name, self._schema)

    async def run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do `work` on a connection.

        A connection that is found dead says nothing about the next one, so `work`
        is done again on another; it has to be such that twice is as good as once.

        Raises:
            DependencyError: Postgres is down, hangs, or refuses; nothing else is
                raised, except what is wrong with a row (`ROW_FAULTS`).
        """
        return await bounded(self._attempts(work), seconds=self._seconds)

    async def _attempts(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        while True:
            try:
                # A little less than all, so that the better reason comes first.
                seconds = self._seconds - 3 * GRACE_SECONDS
                async with self._connections.connection(timeout=seconds) as connection:
                    try:
                        return await work(connection)
                    except _HARMLESS:
                        raise
                    except asyncio.CancelledError:
                        await connection.close()
                        raise
                    except psycopg.Error:
                        # Whatever state it is in, the next caller shall not find it:
                        # perhaps it leads to what is a read-only standby by now.
                        was_lost = connection.closed
                        await connection.close()
                        if not was_lost:
                            raise
            except ROW_FAULTS:
                raise
            except PoolTimeout as error:
                raise database_fault(self._faults[-1] if self._faults else error) from error
            except psycopg.Error as error:
                raise database_fault(error) from error


@asynccontextmanager
async def open_pool(
    database_url: str, *, schema: str, size: int, seconds: float, prepares: bool = True
) -> AsyncIterator[Pool]:
    """Keep a pool open; Postgres need not be there.

    Args:
        database_url: Where to.
        schema: Where the tables are.
        size: How many connections, at most and at least.
        seconds: How long one use of a connection may take; at least `MIN_SECONDS`.
        prepares: Statements are prepared. Behind a pooler that shares connections
            between transactions, the next one is on a server that does not know them.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
    """
    # psycopg logs what we tell the caller, and without a handler Python would
    # write it to stderr, between our own lines.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    seconds = max(seconds, MIN_SECONDS)
    faults: deque[psycopg.Error] = deque(maxlen=1)
    connections = AsyncConnectionPool(
        conninfo_of(database_url),
        connection_class=_watched(faults),
        # psycopg prepares what it has executed five times, unless it is told None.
        kwargs={"autocommit": True, "prepare_threshold": 5 if prepares else None},
        configure=partial(
            limit_statements, seconds=seconds - 3 * GRACE_SECONDS, lock_seconds=seconds / 4
        ),
        min_size=size,
        max_size=size,
        open=False,
        reconnect_timeout=RECONNECT_SECONDS,
    )
    pool = Pool(connections, faults, schema=checked_schema(schema), seconds=seconds)
    try:
        await connections.open(wait=False)
        yield pool
    finally:
        await connections.close(timeout=CLOSE_SECONDS)


def _watched(faults: deque[psycopg.Error]) -> type[AsyncConnection]:
    """Return a class of connections that leaves in `faults` why none could be made."""

    class Watched(AsyncConnection):
        @classmethod
        async def connect(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - as they come
            try:
                connection = await super().connect(*args, **kwargs)
            except psycopg.Error as error:
                faults.append(error)
                raise
            faults.clear()
            return connection

    return Watched
