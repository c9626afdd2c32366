"""The table of users, as a comparison with Clerk's list writes it.

A page is one statement: its users, the note that they were seen and how far the
list was read, so that a run that is cut short goes on where it was. What was seen
is kept in a table, and memory does not grow with it.

A dry run keeps it in a table of its own session and makes that session read-only:
Postgres itself sees to it that nothing else is written.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor, Effect, Progress
from wicketgate.core.event import Milliseconds, UserProfile
from wicketgate.errors import DependencyError, EnvironmentFaultError
from wicketgate.sql import DEFAULT_SCHEMA, query
from wicketgate.sql.connection import bounded, checked_schema, connected
from wicketgate.sql.faults import ROW_FAULTS, database_fault
from wicketgate.sql.rows import EPOCH, moment, user_row

TIMEOUT_SECONDS: Final = 60.0
"""Nobody waits for an answer here; a count over millions of rows takes seconds."""

_NO_RUN: Final = 0
_ANOTHER: Final = "another wicketgate sync is under way in this database: wait until it is done"

Result = TypeVar("Result")


class PostgresMirror:
    """The table of users, and the run that compares it."""

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        schema: str,
        instance_id: str | None,
        is_dry_run: bool,
        timeout_seconds: float,
    ) -> None:
        """Work on `connection`, alone; see `open_mirror`."""
        self._connection = connection
        self._schema = schema
        self._instance_id = instance_id
        self._is_dry_run = is_dry_run
        self._seconds = timeout_seconds
        self._run: dict[str, Any] = {}

    async def begin(self, *, restart: bool) -> Progress:
        """Begin a run, or go on with one that was cut short within the last day.

        Args:
            restart: Begin in any case.

        Raises:
            DependencyError: Postgres failed.
            EnvironmentFaultError: another run is under way.
        """
        parameters = {"instance_id": self._instance_id, "restart": restart}

        async def work() -> tuple[int, datetime, str | None, int, bool]:
            if self._is_dry_run:
                await self._execute("sync_remember")
                await self._connection.execute("SET default_transaction_read_only = on")
                row = await (await self._connection.execute("SELECT now()")).fetchone()
                return _NO_RUN, row[0] if row else datetime.now(UTC), None, 0, False
            # Of the session: it ends with us, however we end.
            lock = await self._connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"{self._schema}:sync"]
            )
            if await lock.fetchone() != (True,):
                raise EnvironmentFaultError(_ANOTHER)
            await self._execute("sync_forget", parameters)
            found = await (await self._execute("sync_resume", parameters)).fetchone()
            if found is None:
                found = await (await self._execute("sync_start", parameters)).fetchone()
            run: tuple[int, datetime, str | None, int, bool] = found or (0, EPOCH, None, 0, False)
            return run

        run_id, started_at, after, position, is_listed = await self._bounded(work)
        self._run = {
            "run_id": run_id,
            "started_at": started_at,
            "instance_id": self._instance_id,
        }
        return Progress(None if after is None else Cursor(after, position), is_listed)

    async def save(
        self, profiles: Sequence[UserProfile], *, event_at: Milliseconds, progress: Progress
    ) -> Mapping[UserId, Effect]:
        """Upsert through the guard, mark as seen and keep `progress`: all, or nothing.

        Args:
            profiles: A page of users.
            event_at: When Clerk was asked for them.
            progress: How far the list is read, with them.

        Returns:
            What became of each. Whoever holds something that Postgres refuses is
            left out; the others are saved.

        Raises:
            DependencyError: Postgres failed.
        """
        cursor = progress.cursor
        parameters = self._run | {
            "event_at": moment(event_at),
            "cursor": None if cursor is None else cursor.after,
            "position": 0 if cursor is None else cursor.position,
            "is_listed": progress.is_listed,
        }

        async def work() -> Mapping[UserId, Effect]:
            async with self._connection.transaction():
                return await self._save(profiles, parameters)

        return await self._bounded(work)

    async def count_live(self) -> int:
        """Return how many live rows were there before the run.

        Raises:
            DependencyError: Postgres failed.
        """
        return await self._count("sync_live+sync_count_live")

    async def count_unseen(self) -> int:
        """Return how many of them the run has not seen.

        Raises:
            DependencyError: Postgres failed.
        """
        return await self._count("sync_live+sync_count_unseen")

    async def unseen(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Return the first of them, by id, beyond `after`; at most `limit`.

        Raises:
            DependencyError: Postgres failed.
        """
        parameters = self._run | {"after": after or "", "limit": limit}

        async def work() -> Sequence[UserId]:
            cursor = await self._execute("sync_live+sync_unseen", parameters)
            return [UserId(user_id) for (user_id,) in await cursor.fetchall()]

        return await self._bounded(work)

    async def bury(self, ids: Sequence[UserId], *, event_at: Milliseconds) -> None:
        """Make tombstones of live rows, as of `event_at`.

        Raises:
            DependencyError: Postgres failed; then none was made.
        """
        deleted_at = moment(event_at)
        await self._write("sync_bury", {"ids": list(ids), "deleted_at": deleted_at})

    async def finish(self) -> None:
        """End the run: the next one begins at the beginning.

        Raises:
            DependencyError: Postgres failed.
        """
        await self._write("sync_finish", self._run)

    async def release(self) -> None:
        """Let the next run begin, which may come before Postgres notices that this one left."""

        async def work() -> None:
            await self._connection.execute("SELECT pg_advisory_unlock_all()")

        # Whatever is wrong with the connection, its end releases as well.
        with suppress(DependencyError):
            await self._bounded(work)

    async def _write(self, name: str, parameters: Mapping[str, Any]) -> None:
        async def work() -> None:
            await self._execute(name, parameters)

        if not self._is_dry_run:
            await self._bounded(work)

    async def _count(self, name: str) -> int:
        async def work() -> int:
            row = await (await self._execute(name, self._run)).fetchone()
            return int(row[0]) if row else 0

        return await self._bounded(work)

    async def _save(
        self, profiles: Sequence[UserProfile], parameters: Mapping[str, Any]
    ) -> dict[UserId, Effect]:
        name = "sync_page+sync_preview" if self._is_dry_run else "sync_page+sync_save"
        page = Jsonb([user_row(profile) for profile in profiles])
        try:
            async with self._connection.transaction():
                cursor = await self._execute(name, {**parameters, "profiles": page})
                return {UserId(user_id): Effect(word) for user_id, word in await cursor.fetchall()}
        except ROW_FAULTS:
            if len(profiles) == 1:
                return {}
        # One of them spoils it. Halving finds it in few steps, however long the page.
        half = len(profiles) // 2
        first = await self._save(profiles[:half], parameters)
        return first | await self._save(profiles[half:], parameters)

    async def _execute(
        self, name: str, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.AsyncCursor:
        statement = query(name, self._schema, is_dry_run=self._is_dry_run)
        return await self._connection.execute(statement, parameters)

    async def _bounded(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async def mapped() -> Result:
            try:
                return await work()
            except psycopg.Error as error:
                raise database_fault(error) from error

        return await bounded(mapped(), seconds=self._seconds)


@asynccontextmanager
async def open_mirror(
    database_url: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    instance_id: str | None = None,
    dry_run: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[PostgresMirror]:
    """Keep a mirror open, on a session of its own (a pooler must not share it).

    Args:
        database_url: ``postgresql://...``; its password appears in no message.
        schema: Where the tables are.
        instance_id: The Clerk instance; rows of others are not asked about.
        dry_run: Write nothing, and tell what would be written.
        timeout_seconds: How long any call may take.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
        DependencyError: Postgres cannot be reached.
    """
    checked_schema(schema)
    async with connected(database_url, statement_seconds=timeout_seconds) as connection:
        mirror = PostgresMirror(
            connection,
            schema=schema,
            instance_id=instance_id,
            is_dry_run=dry_run,
            timeout_seconds=timeout_seconds,
        )
        yield mirror
        await mirror.release()
