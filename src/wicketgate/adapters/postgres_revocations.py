"""The table of revocations, as operators read and write it.

What is written here is told to every gate by the table's own trigger, when it is
committed; nothing here speaks to a gate.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection

from wicketgate.core.revocation_table import Kind
from wicketgate.sql import DEFAULT_SCHEMA, query
from wicketgate.sql.connection import bounded, checked_schema, connected
from wicketgate.sql.faults import database_fault

TIMEOUT_SECONDS: Final = 30.0
"""For one call: somebody waits at a terminal, and a long list takes seconds."""
LOCK_SECONDS: Final = 5.0
"""A webhook about the same user holds its row for milliseconds."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRow:
    """One row of the table.

    Attributes:
        kind: What is revoked.
        id: The id of a user or of a session.
        revoked_at: A user's tokens issued up to then are refused; a session's all are.
        expires_at: Until when the row counts, unless it is lifted.
        reason: Why: a word of ours for what Clerk said, or an operator's own.
        source: Who revoked: ``clerk`` or ``operator``.
        lifted_at: When it was taken back, if it was.
        is_in_force: Whether it counts.
    """

    kind: Kind
    id: str
    revoked_at: datetime
    expires_at: datetime
    reason: str
    source: str
    lifted_at: datetime | None
    is_in_force: bool


class PostgresRevocations:
    """The table, for one operator."""

    def __init__(self, connection: AsyncConnection, *, schema: str) -> None:
        """Work on `connection`, alone; see `open_revocations`."""
        self._connection = connection
        self._schema = schema

    async def revoke(
        self, kind: Kind, identity: str, *, reason: str, ahead_seconds: float
    ) -> RevocationRow:
        """Refuse tokens from now on, and return what is in force then.

        What was in force already is only made stricter.

        Args:
            kind: Whether `identity` is of a user or of a session.
            identity: Whose tokens.
            reason: Why; for people.
            ahead_seconds: A user's tokens that are issued within so long from now, by
                Postgres' clock, are refused as well.

        Raises:
            DependencyError: Postgres failed, and perhaps nothing was revoked.
        """
        values: dict[str, Any] = {
            "kind": kind.value,
            "id": identity,
            "reason": reason,
            "ahead_seconds": ahead_seconds,
        }

        async def work() -> RevocationRow:
            async with self._connection.transaction():
                await self._execute("revoke", values)
                cursor = await self._execute("find_revocation", values)
                (row,) = await cursor.fetchall()
            return _row(row)

        return await self._bounded(work)

    async def lift(self, kind: Kind, identity: str) -> RevocationRow | None:
        """Let the tokens count again, and return what was lifted; `None` if nothing was in force.

        Raises:
            DependencyError: Postgres failed, and perhaps nothing was lifted.
        """

        async def work() -> RevocationRow | None:
            values = {"kind": kind.value, "id": identity}
            found = await (await self._execute("lift_revocation", values)).fetchone()
            return None if found is None else _row(found)

        return await self._bounded(work)

    async def find(self, kind: Kind, identity: str) -> RevocationRow | None:
        """Return the row about a user or a session, in force or not; `None` for none.

        Raises:
            DependencyError: Postgres failed.
        """

        async def work() -> RevocationRow | None:
            values = {"kind": kind.value, "id": identity}
            found = await (await self._execute("find_revocation", values)).fetchone()
            return None if found is None else _row(found)

        return await self._bounded(work)

    async def rows(self, *, is_all: bool = False) -> list[RevocationRow]:
        """Return what is in force, last changed first.

        Args:
            is_all: Also return what was lifted or has expired and is not pruned yet.

        Raises:
            DependencyError: Postgres failed.
        """

        async def work() -> list[RevocationRow]:
            cursor = await self._execute("list_revocations", {"is_all": is_all})
            return [_row(each) for each in await cursor.fetchall()]

        return await self._bounded(work)

    async def _execute(self, name: str, values: Mapping[str, Any]) -> psycopg.AsyncCursor:
        return await self._connection.execute(query(name, self._schema), values)

    async def _bounded(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async def mapped() -> Result:
            try:
                return await work()
            except psycopg.Error as error:
                raise database_fault(error) from error

        return await bounded(mapped(), seconds=TIMEOUT_SECONDS)


@asynccontextmanager
async def open_revocations(
    database_url: str, *, schema: str = DEFAULT_SCHEMA
) -> AsyncIterator[PostgresRevocations]:
    """Keep the table open, on a connection of its own.

    Args:
        database_url: ``postgresql://...``; its password appears in no message.
        schema: Where the tables are.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
        DependencyError: Postgres cannot be reached.
    """
    checked_schema(schema)
    async with connected(
        database_url, statement_seconds=TIMEOUT_SECONDS, lock_seconds=LOCK_SECONDS
    ) as connection:
        yield PostgresRevocations(connection, schema=schema)


def _row(found: tuple[Any, ...]) -> RevocationRow:
    kind, identity, revoked_at, expires_at, reason, source, lifted_at, is_to_come = found
    return RevocationRow(
        kind=Kind(kind),
        id=identity,
        revoked_at=revoked_at,
        expires_at=expires_at,
        reason=reason,
        source=source,
        lifted_at=lifted_at,
        is_in_force=is_to_come and lifted_at is None,
    )
