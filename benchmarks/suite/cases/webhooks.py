"""Webhook deliveries that become durable rows, and what a large table costs them.

The receiver as it is installed, against a real Postgres with fsync on, both beside the
load: distinct users, signed, over 32 connections that each wait for their answer. A
delivery counts when it was answered 204, which is after COMMIT; the rows are counted at the
end. `suite.servers.receiver` is the yardstick.
"""

import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from suite.bench import Bench
from suite.deliveries import SECRET, Sender, deliver, status_of
from suite.load.generator import BENCHMARKS, VoidError
from suite.processes import cpu_seconds, resident_mib
from suite.result import Row
from suite.servers.process import Server, receiver, started
from suite.statistic import Spread
from suite.upserts import upsert_rows
from wicketgate.adapters.migrations import migrate
from wicketgate.local.ports import held_ports
from wicketgate.local.postgres import EmbeddedPostgres

TITLE = "webhook deliveries, 32 connections, fsync on"
SCHEMA: Final = "wicketgate"
CHUNKS: Final = 10
DELIVERIES, LONG_DELIVERIES = 1_000, 20_000
"""In each chunk."""
BARE_DELIVERIES: Final = 1_000
PRODUCT, BARE = "wicketgate webhooks", "bare upsert"
_REFUSED: Final = 400


async def run(bench: Bench) -> list[Row]:
    """Measure, each on a database of its own.

    Raises:
        VoidError: a delivery was answered wrongly, or is not in the table.
    """
    bench.report("starting Postgres")
    async with EmbeddedPostgres() as postgres:
        async with await psycopg.AsyncConnection.connect(
            postgres.url, autocommit=True
        ) as connection:
            for name in ("rate", "growth"):
                await connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        rate, growth = postgres.url_of("rate"), postgres.url_of("growth")
        await migrate(rate, schema=SCHEMA)
        await migrate(growth, schema=SCHEMA)
        return [*await _rates(bench, rate), *await upsert_rows(bench, growth, SCHEMA)]


async def _rates(bench: Bench, database_url: str) -> list[Row]:
    sender, found = Sender(), _Found()
    chunk = LONG_DELIVERIES if bench.is_long else DELIVERIES
    async with AsyncExitStack() as stack:
        product = await stack.enter_async_context(receiver(database_url, SECRET))
        bare = await stack.enter_async_context(_bare(database_url))
        await _require(product.port, sender)
        for number in range(CHUNKS):
            bench.report(f"chunk {number + 1} of {CHUNKS}, {chunk:,} deliveries")
            await found.measure(PRODUCT, product, sender, chunk)
            await found.measure(BARE, bare, sender, BARE_DELIVERIES)
    # One genuine delivery came before.
    delivered = 1 + chunk * CHUNKS
    await _require_rows(database_url, "webhook_deliveries", delivered)
    await _require_rows(database_url, "users", delivered + BARE_DELIVERIES * CHUNKS)
    return found.rows()


class _Found:
    """What chunks of deliveries showed."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[float]]] = {}

    async def measure(self, name: str, server: Server, sender: Sender, count: int) -> None:
        """Deliver so many."""
        requests = [sender.request() for _ in range(count)]
        before, began = cpu_seconds(server.pid), time.perf_counter()
        took = await deliver(server.port, requests)
        seconds, spent = time.perf_counter() - began, cpu_seconds(server.pid) - before
        percentiles = statistics.quantiles(took, n=100)
        measured = {
            "deliveries/s": count / seconds,
            "receiver CPU µs": spent / count * 1e6,
            "p50 ms": percentiles[49] * 1e3,
            "p99 ms": percentiles[98] * 1e3,
            "MiB": resident_mib(server.pid),
        }
        for measure, value in measured.items():
            self._found.setdefault(name, {}).setdefault(measure, []).append(value)

    def rows(self) -> list[Row]:
        """Return what all chunks showed."""
        return [
            Row(name, {measure: Spread.of(values) for measure, values in measures.items()})
            for name, measures in self._found.items()
        ]


async def _require(port: int, sender: Sender) -> None:
    """Deliver once what is genuine and once what is not.

    Raises:
        VoidError: the wrong one of them was taken.
    """
    for is_genuine, expected in ((True, 204), (False, _REFUSED)):
        got = await status_of(port, sender.request(is_genuine=is_genuine))
        if got != expected:
            msg = f"expected {expected}, got {got}"
            raise VoidError(msg)


async def _require_rows(database_url: str, table: str, expected: int) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        count = SQL("SELECT count(*) FROM {}").format(Identifier(SCHEMA, table))
        found = await (await connection.execute(count)).fetchone()
    if found != (expected,):
        msg = f"expected {expected} rows in {table}, found {found}"
        raise VoidError(msg)


@asynccontextmanager
async def _bare(database_url: str) -> AsyncIterator[Server]:
    with held_ports(1) as (port,):
        variables = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
        command = ("-m", "suite.servers.receiver", str(port), SECRET, database_url)
        async with started(port, *command, variables=variables) as process:
            yield Server(port, process.pid)
