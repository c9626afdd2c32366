"""What deliveries do to the database.

Every delivery is part of one statement, durable when the call returns: the guarded
change and the note of it, both or neither. Whether a change is stale is decided by
that statement and never here, because two replicas may be at the same user at once.

A row that Postgres refuses would be refused on every retry. It becomes a dead
letter, and the deliveries after it are not held up.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from wicketgate.core.delivery import Delivery, Outcome
from wicketgate.core.event import Unusable, UserProfile, UserUpserted
from wicketgate.errors import DependencyError
from wicketgate.sql import DEFAULT_SCHEMA, migrations
from wicketgate.sql.batcher import Batcher
from wicketgate.sql.changes import Single, arrival_of, note_of, statement_for
from wicketgate.sql.faults import ROW_FAULTS, RowLockedError, row_fault
from wicketgate.sql.pool import Pool, open_pool

POOL_SIZE: Final = 8
TIMEOUT_SECONDS: Final = 4.0
"""Leaves a second of the five in which a sender must have its answer."""
RETENTION_DAYS: Final = 30
"""Longer than the 28 hours of Svix's retries, and about as long as Svix keeps a body."""
PRUNE_BATCH: Final = 1000
BATCH_SIZE: Final = 32
"""Beyond 16 hardly cheaper; and all of them wait for the slowest."""
BATCH_LANES: Final = 4
"""At most half the pool: what does not go in batches must not wait for them."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    delivery: Delivery
    profile: UserProfile

    def keys(self) -> frozenset[Hashable]:
        """Return what it touches; a statement cannot touch a row twice."""
        return frozenset((self.delivery.message_id, self.profile.clerk_user_id))


class PostgresStore:
    """The users' side of the database: takes deliveries, answers what became of them."""

    def __init__(self, pool: Pool, *, schema: str, lanes: int = BATCH_LANES) -> None:
        """Store through `pool`, whose tables are in `schema`; see `open_store`."""
        self._pool = pool
        self._schema = schema
        self._batcher: Batcher[_Arrival, Outcome] = Batcher(
            self._upsert,
            keys=_Arrival.keys,
            lanes=lanes,
            size=BATCH_SIZE,
            seconds=pool.seconds,
        )

    async def apply(self, delivery: Delivery) -> Outcome:
        """Do what `delivery` says, once, however often it comes.

        Returns:
            What became of it this time; durable when it is returned.

        Raises:
            DependencyError: nothing was applied, or it is not known whether it was.
                Delivering again is safe. Nothing else is raised, and not after more
                than the store's time limit.
        """
        match delivery.event.content:
            case UserUpserted(profile):
                return await self._batcher.submit(_Arrival(delivery, profile))
            case Unusable(why):
                return await self._pool.run(partial(self._bury, delivery, why))
            case content:
                return await self._pool.run(partial(self._apply, delivery, content))

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
        """Forget old deliveries and dead letters, and revocations that expired; never users.

        Args:
            older_than_days: Which deliveries are old.
            batch: How many rows one transaction deletes.

        Returns:
            How many rows went; none while another replica is at it.

        Raises:
            DependencyError: Postgres failed. What was deleted stays deleted.
        """
        total = 0
        for name in ("prune_webhook_deliveries", "prune_dead_letters", "prune_revocations"):
            lock = f"{self._schema}:{name}"
            limits = {"days": older_than_days, "batch": batch, "lock": lock}
            count = batch
            while count == batch:
                count = await self._pool.run(partial(self._delete, name, limits))
                total += count
        return total

    async def close(self) -> None:
        """Drop what is under way."""
        await self._batcher.close()

    async def _upsert(self, arrivals: Sequence[_Arrival]) -> Sequence[Outcome | DependencyError]:
        try:
            return await self._pool.run(partial(self._upsert_together, arrivals))
        except (*ROW_FAULTS, RowLockedError):
            # One of them spoils it for all. Alone, it spoils it for itself.
            return await asyncio.gather(*map(self._upsert_alone, arrivals))

    async def _upsert_alone(self, arrival: _Arrival) -> Outcome | DependencyError:
        async def work(connection: AsyncConnection) -> Outcome:
            try:
                (outcome,) = await self._upsert_together([arrival], connection)
            except ROW_FAULTS as error:
                return await self._bury(arrival.delivery, row_fault(error), connection)
            return outcome

        try:
            return await self._pool.run(work)
        except DependencyError as error:
            return error

    async def _upsert_together(
        self, arrivals: Sequence[_Arrival], connection: AsyncConnection
    ) -> list[Outcome]:
        rows = Jsonb([arrival_of(each.delivery, each.profile) for each in arrivals])
        statement = self._pool.query("upsert_users")
        cursor = await connection.execute(statement, {"deliveries": rows})
        changed: dict[str, bool] = dict(await cursor.fetchall())
        return [_outcome(has_changed=changed[each.delivery.message_id]) for each in arrivals]

    async def _apply(
        self, delivery: Delivery, content: Single, connection: AsyncConnection
    ) -> Outcome:
        statement = statement_for(delivery, content)
        try:
            cursor = await connection.execute(self._pool.query(statement.name), statement.values)
            if statement.outcome is not None:
                return statement.outcome
            return _outcome(has_changed=await cursor.fetchone() == (True,))
        except ROW_FAULTS as error:
            return await self._bury(delivery, row_fault(error), connection)

    async def _bury(self, delivery: Delivery, why: str, connection: AsyncConnection) -> Outcome:
        letter = note_of(delivery) | {"why": why}
        await connection.execute(self._pool.query("record_dead_letter"), letter)
        return Outcome.DEAD

    async def _delete(
        self, name: str, limits: Mapping[str, Any], connection: AsyncConnection
    ) -> int:
        cursor = await connection.execute(self._pool.query(name), limits)
        return cursor.rowcount


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
        store = PostgresStore(pool, schema=schema, lanes=max(1, min(BATCH_LANES, pool_size // 2)))
        try:
            yield store
        finally:
            await store.close()


def _outcome(*, has_changed: bool) -> Outcome:
    return Outcome.APPLIED if has_changed else Outcome.STALE
