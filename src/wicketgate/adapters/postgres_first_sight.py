"""The rows of users whom a gate meets: found, or made.

Who arrives together shares a statement. It is safe to repeat, for it changes no row
that is there.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from wicketgate.core.claims import UserId
from wicketgate.core.first_sight import UserRow
from wicketgate.errors import DependencyError
from wicketgate.sql import DEFAULT_SCHEMA
from wicketgate.sql.batcher import Batcher
from wicketgate.sql.connection import conninfo_of
from wicketgate.sql.faults import ROW_FAULTS, RowLockedError, row_fault
from wicketgate.sql.pool import Pool, open_pool

APPLICATION: Final = "wicketgate first sight"
CONNECTIONS: Final = 2
"""One may wait for a row that somebody else is just making."""
BATCH_SIZE: Final = 64
SECONDS: Final = 2.0
"""For all of one look-up. Requests wait for a fraction of it."""


class PostgresUserRows:
    """The users' table, as far as a gate reads and writes it."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`; see `open_user_rows`."""
        self._pool = pool
        self._batcher: Batcher[UserId, UserRow | str] = Batcher(
            self._together,
            keys=_key,
            lanes=CONNECTIONS,
            size=BATCH_SIZE,
            seconds=pool.seconds,
        )

    async def find_or_make(self, user_id: UserId) -> UserRow | str:
        """Return the row of a user, which is made if there is none.

        Returns:
            The row, durable; or why this one cannot be had, which says nothing about
            the next.

        Raises:
            DependencyError: Postgres is down, hangs, or refuses.
        """
        return await self._batcher.submit(user_id)

    async def close(self) -> None:
        """Drop what is under way."""
        await self._batcher.close()

    async def _together(
        self, user_ids: Sequence[UserId]
    ) -> Sequence[UserRow | str | DependencyError]:
        try:
            rows = await self._pool.run(partial(_find_or_make, self._pool, user_ids))
        except (*ROW_FAULTS, RowLockedError) as error:
            if len(user_ids) == 1:
                is_locked = isinstance(error, RowLockedError)
                return [str(error) if is_locked else row_fault(error)]
            # One of them spoils it for all. Alone, it spoils it for itself.
            return await asyncio.gather(*map(self._alone, user_ids))
        return [rows.get(each, _LOST) for each in user_ids]

    async def _alone(self, user_id: UserId) -> UserRow | str | DependencyError:
        try:
            (row,) = await self._together([user_id])
        except DependencyError as error:
            return error
        return row


_LOST: Final = "its row was made and taken away again at the same time"


async def _find_or_make(
    pool: Pool, user_ids: Sequence[UserId], connection: AsyncConnection
) -> dict[str, UserRow]:
    rows: dict[str, UserRow] = {}
    statement = pool.query("first_sight")
    # What another process made meanwhile is there the second time.
    for _ in range(2):
        missing = [each for each in user_ids if each not in rows]
        if missing:
            cursor = await connection.execute(statement, {"clerk_user_ids": missing})
            for clerk_user_id, own_id, is_new, is_buried in await cursor.fetchall():
                rows[clerk_user_id] = UserRow(own_id, is_new=is_new, is_buried=is_buried)
    return rows


def _key(user_id: UserId) -> frozenset[Hashable]:
    return frozenset((user_id,))


@asynccontextmanager
async def open_user_rows(
    database_url: str, *, schema: str = DEFAULT_SCHEMA, seconds: float = SECONDS
) -> AsyncIterator[PostgresUserRows]:
    """Keep the users' table at hand; Postgres need not be there yet, or all the time.

    Args:
        database_url: ``postgresql://...``; its password appears in no message.
        schema: Where the table is.
        seconds: How long one look-up may take.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
    """
    named = make_conninfo(conninfo_of(database_url), application_name=APPLICATION)
    async with open_pool(
        named, schema=schema, size=CONNECTIONS, seconds=seconds, prepares=False
    ) as pool:
        rows = PostgresUserRows(pool)
        try:
            yield rows
        finally:
            await rows.close()
