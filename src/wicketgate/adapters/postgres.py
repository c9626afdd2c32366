"""What deliveries do to the database.

Every delivery is one statement, durable when the call returns: the guarded change
and the note of it, both or neither. Whether a change is stale is decided by that
statement and never here, because two replicas may be at the same user at once.

A row that Postgres refuses would be refused on every retry. It becomes a dead
letter, and the deliveries after it are not held up.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wicketgate.core.delivery import Delivery, Outcome
from wicketgate.core.event import (
    Change,
    Ignored,
    MembershipDeleted,
    MembershipUpserted,
    Milliseconds,
    OrganizationDeleted,
    OrganizationUpserted,
    SessionEnded,
    Unusable,
    UserDeleted,
    UserProfile,
    UserUpserted,
)
from wicketgate.errors import DependencyError
from wicketgate.sql import DEFAULT_SCHEMA, migrations
from wicketgate.sql.faults import ROW_FAULTS, row_fault
from wicketgate.sql.pool import Pool, open_pool

POOL_SIZE: Final = 8
"""More connections commit no faster; on two cores, fewer do not keep the disk busy."""
TIMEOUT_SECONDS: Final = 4.0
"""Leaves a second of the five in which a sender must have its answer."""
RETENTION_DAYS: Final = 30
"""Longer than the 28 hours of Svix's retries, and about as long as Svix keeps a body."""
PRUNE_BATCH: Final = 1000

_RowChange = (
    UserUpserted
    | UserDeleted
    | OrganizationUpserted
    | OrganizationDeleted
    | MembershipUpserted
    | MembershipDeleted
)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class PostgresStore:
    """The users' side of the database: takes deliveries, answers what became of them."""

    def __init__(self, pool: Pool, *, schema: str) -> None:
        """Store through `pool`, whose tables are in `schema`; see `open_store`."""
        self._pool = pool
        self._schema = schema

    async def apply(self, delivery: Delivery) -> Outcome:
        """Do what `delivery` says, once, however often it comes.

        Returns:
            What became of it this time; durable when it is returned.

        Raises:
            DependencyError: nothing was applied, or it is not known whether it was.
                Delivering again is safe. Nothing else is raised, and not after more
                than the store's time limit.
        """

        async def work(connection: AsyncConnection) -> Outcome:
            content = delivery.event.content
            if isinstance(content, Unusable):
                return await self._bury(connection, delivery, content.why)
            try:
                return await self._apply(connection, delivery, content)
            except ROW_FAULTS as error:
                return await self._bury(connection, delivery, row_fault(error))

        return await self._pool.run(work)

    async def is_ready(self) -> bool:
        """Return whether Postgres answers and has every table that we know.

        A newer schema will do: during a rolling upgrade there is one.
        """

        async def work(connection: AsyncConnection) -> bool:
            cursor = await connection.execute(self._pool.query("current_version"))
            found = await cursor.fetchone()
            return found is not None and found[0] >= migrations()[-1].version

        try:
            return await self._pool.run(work)
        except DependencyError:
            return False

    async def prune(
        self, *, older_than_days: int = RETENTION_DAYS, batch: int = PRUNE_BATCH
    ) -> int:
        """Forget old deliveries and dead letters; never users.

        Args:
            older_than_days: What came before is forgotten.
            batch: How many rows one transaction deletes.

        Returns:
            How many rows went; none while another replica is at it.

        Raises:
            DependencyError: Postgres failed. What was deleted stays deleted.
        """
        total = 0
        for name in ("prune_webhook_deliveries", "prune_dead_letters"):
            parameters = {
                "days": older_than_days,
                "batch": batch,
                "lock": f"{self._schema}:{name}",
            }
            while count := await self._delete(name, parameters):
                total += count
                if count < batch:
                    break
        return total

    async def _delete(self, name: str, parameters: Mapping[str, Any]) -> int:
        async def work(connection: AsyncConnection) -> int:
            cursor = await connection.execute(self._pool.query(name), parameters)
            return cursor.rowcount

        return await self._pool.run(work)

    async def _apply(
        self, connection: AsyncConnection, delivery: Delivery, content: Change | Ignored
    ) -> Outcome:
        note = _note(delivery)
        if isinstance(content, Ignored | SessionEnded):
            outcome = Outcome.IGNORED if isinstance(content, Ignored) else Outcome.RECORDED
            note["outcome"] = outcome
            await connection.execute(self._pool.query("record_outcome"), note)
            return outcome
        name, row = _statement(content, delivery.event.event_at)
        cursor = await connection.execute(self._pool.query(f"{name}+record_change"), row | note)
        changed = await cursor.fetchone()
        return Outcome.APPLIED if changed == (True,) else Outcome.STALE

    async def _bury(self, connection: AsyncConnection, delivery: Delivery, why: str) -> Outcome:
        note = _note(delivery) | {"why": why}
        await connection.execute(self._pool.query("record_dead_letter"), note)
        return Outcome.DEAD


@asynccontextmanager
async def open_store(
    database_url: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    pool_size: int = POOL_SIZE,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[PostgresStore]:
    """Keep a store open; Postgres need not be there yet, or all the time.

    Args:
        database_url: ``postgresql://...``; its password appears in no message.
        schema: Where the tables are.
        pool_size: How many connections to keep.
        timeout_seconds: How long any call may take.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
    """
    async with open_pool(
        database_url, schema=schema, size=pool_size, seconds=timeout_seconds
    ) as pool:
        yield PostgresStore(pool, schema=schema)


def _note(delivery: Delivery) -> dict[str, Any]:
    event = delivery.event
    return {
        "svix_id": delivery.message_id,
        "type": event.type,
        "event_at": moment(event.event_at) if event.event_at else None,
    }


def _statement(
    change: _RowChange,
    event_at: Milliseconds,
) -> tuple[str, dict[str, Any]]:
    match change:
        case UserUpserted():
            return "upsert_user", _guarded(_row(change.profile), event_at)
        case OrganizationUpserted():
            return "upsert_organization", _guarded(_row(change), event_at)
        case MembershipUpserted():
            return "upsert_membership", _guarded(_row(change), event_at)
        case UserDeleted():
            return "delete_user", _buried(_row(change), event_at)
        case OrganizationDeleted():
            return "delete_organization", _buried(_row(change), event_at)
        case MembershipDeleted():
            return "delete_membership", _buried(_row(change), event_at)
        case _:
            assert_never(change)


def _row(record: UserProfile | _RowChange) -> dict[str, Any]:
    # Not `asdict`: its deep copies cost more than all else here.
    return {name: getattr(record, name) for name in record.__slots__}


def _guarded(row: dict[str, Any], event_at: Milliseconds) -> dict[str, Any]:
    created_at = row["clerk_created_at"]
    return row | {
        "public_metadata": Jsonb(row["public_metadata"]),
        "clerk_created_at": moment(created_at) if created_at else None,
        "clerk_updated_at": moment(row["clerk_updated_at"]),
        "guard_event_at": moment(event_at),
    }


def _buried(row: dict[str, Any], event_at: Milliseconds) -> dict[str, Any]:
    # An event that does not say when it happened happened at the latest now.
    return row | {"deleted_at": moment(event_at) if event_at else datetime.now(UTC)}


def moment(milliseconds: Milliseconds) -> datetime:
    """Return the time, exactly: a float would lose microseconds, and the guard compares."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
