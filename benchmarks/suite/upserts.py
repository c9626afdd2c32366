"""One upsert after another, into an empty table and into a large one."""

import time
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from suite.bench import Bench
from suite.deliveries import Sender
from suite.load.generator import VoidError
from suite.result import Row
from suite.statistic import Spread
from wicketgate.adapters.postgres import open_store
from wicketgate.core.delivery import Delivery, MessageId, Outcome
from wicketgate.core.event_body import parse_event

UPSERTS: Final = 2_000
ROWS, LONG_ROWS = 100_000, 1_000_000
MILLISECONDS: Final = "p50 ms"
_FILL: Final = """
    INSERT INTO {} (clerk_user_id, primary_email)
    SELECT 'user_large' || n, 'large' || n || '@example.com'
    FROM generate_series(1, {}) n
"""


async def upsert_rows(bench: Bench, database_url: str, schema: str) -> list[Row]:
    """Measure in an empty table, fill it, and measure again.

    Raises:
        VoidError: a delivery was not applied.
    """
    sender, rows = Sender(), LONG_ROWS if bench.is_long else ROWS
    bench.report("upserts into an empty table")
    empty = await _upserts(sender, database_url, schema)
    bench.report(f"upserts into a table of {rows:,} users")
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        users = Identifier(schema, "users")
        await connection.execute(SQL(_FILL).format(users, rows))
        await connection.execute(SQL("ANALYZE {}").format(users))
        await connection.execute(b"CHECKPOINT")
    large = await _upserts(sender, database_url, schema)
    return [
        Row("upsert, empty table", {MILLISECONDS: empty}),
        Row(f"upsert, table of {rows:,} users", {MILLISECONDS: large}),
    ]


async def _upserts(sender: Sender, database_url: str, schema: str) -> Spread:
    """Return the median of all upserts, in milliseconds, between the 5th and 95th percentile."""
    took = []
    async with open_store(database_url, schema=schema, pool_size=1) as store:
        for _ in range(UPSERTS):
            message_id, body = sender.event()
            delivery = Delivery(MessageId(message_id), parse_event(body))
            began = time.perf_counter()
            outcome = await store.apply(delivery)
            took.append((time.perf_counter() - began) * 1e3)
            if outcome is not Outcome.APPLIED:
                msg = f"expected {Outcome.APPLIED}, got {outcome}"
                raise VoidError(msg)
    took.sort()
    return Spread(took[len(took) // 2], took[len(took) // 20], took[-len(took) // 20])
