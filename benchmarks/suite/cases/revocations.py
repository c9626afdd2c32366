"""From a webhook's 204 to a denial by every gate, and what many live revocations cost.

Four gates follow one Postgres. A token is let in by all of them; its session is revoked by a
webhook; from the moment of the 204 on each gate is asked again and again, until it denies.
Then a gate starts with 100,000 live revocations beside one with none.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final

import grpc
import psycopg
from aiohttp import ClientError, ClientSession
from psycopg.sql import SQL, Identifier

from suite.bench import Bench
from suite.checks import check_request, mint
from suite.deliveries import SECRET, Sender, status_of
from suite.load.generator import Generator, VoidError, generator
from suite.load.grpc_load import GrpcLoad
from suite.probe import require_gate
from suite.processes import resident_mib
from suite.result import Row
from suite.rounds import Subject
from suite.servers.process import GateOptions, Server, gate, receiver
from suite.statistic import Spread
from wicketgate._gen.ext_authz_pb2 import CheckResponse
from wicketgate.adapters.envoy import SERVICE
from wicketgate.adapters.migrations import migrate
from wicketgate.local.clerk_instance import USER
from wicketgate.local.ports import LOOPBACK
from wicketgate.local.postgres import EmbeddedPostgres

TITLE = "revocations: from 204 to denied by 4 gates, and 100,000 of them"
GATES: Final = 4
EVENTS: Final = 500
LIVE: Final = 100_000
SPREAD, LOADED, COST = "204 to denied by every gate", "100,000 live revocations", "gate with {}"
P50_MS, P99_MS = "p50 ms", "p99 ms"
SECONDS, MIB = "load s", "load MiB"
EMPTY, FULL = COST.format("no revocations"), COST.format("100,000 revocations")
_SCHEMA: Final = "wicketgate"
_DATABASES: Final = ("events", "empty", "live")
_TIMEOUT_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.01
_COUNTED: Final = ("wicketgate_revoked_users ", "wicketgate_revoked_sessions ")

_FILL: Final = SQL("""
    INSERT INTO {0}.revocations (kind, id, revoked_at, expires_at, reason, source)
    SELECT kind, kind || '_2x' || lpad(number::text, 25, '0'), now(), now() + '1 day', 'bench',
        'clerk'
    FROM (VALUES ('user'), ('session')) AS kinds (kind), generate_series(1, {1}) AS number
""")


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong, or did not come.
    """
    bench.report("starting Postgres")
    async with EmbeddedPostgres() as postgres:
        async with await psycopg.AsyncConnection.connect(
            postgres.url, autocommit=True
        ) as connection:
            for name in _DATABASES:
                await connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        events, empty, live = map(postgres.url_of, _DATABASES)
        for database_url in (events, empty, live):
            await migrate(database_url, schema=_SCHEMA)
        return [await _spread(bench, events), *await _live(bench, empty, live)]


# ---------------------------------------------------------------- how fast


async def _spread(bench: Bench, database_url: str) -> Row:
    sender, took = Sender(), list[float]()
    async with AsyncExitStack() as stack:
        webhooks = await stack.enter_async_context(receiver(database_url, SECRET))
        gates = [
            await stack.enter_async_context(_following(bench, database_url)) for _ in range(GATES)
        ]
        asking = [await stack.enter_async_context(_Asking.open(each)) for each in gates]
        for number in range(EVENTS):
            if number % 100 == 0:
                bench.report(f"event {number} of {EVENTS}")
            session_id = f"sess_2x{number:025d}"
            raw = check_request(mint(bench.clerk, number=number))
            if not all([await each.is_let_in(raw) for each in asking]):
                msg = "a token was denied before its session was revoked"
                raise VoidError(msg)
            status = await status_of(webhooks.port, sender.session_revoked(session_id, USER))
            if status != 204:  # noqa: PLR2004 - what the receiver answers after COMMIT
                msg = f"expected 204, got {status}"
                raise VoidError(msg)
            began = time.perf_counter()
            ends = await asyncio.gather(*(each.denied(raw) for each in asking))
            took.append(max(ends) - began)
    percentiles = statistics.quantiles(took, n=100)
    measures = {P50_MS: percentiles[49], P99_MS: percentiles[98], "max ms": max(took)}
    return Row(
        SPREAD,
        {name: Spread.of([value * 1e3]) for name, value in measures.items()},
        note=f"{EVENTS} events, {GATES} gates, each asked without a pause",
    )


class _Asking:
    """Asks one gate."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/{SERVICE}/Check"
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, server: Server) -> AsyncIterator["_Asking"]:
        """Ask a gate for as long as the context lasts."""
        async with grpc.aio.insecure_channel(f"{LOOPBACK}:{server.port}") as channel:
            yield cls(channel)

    async def is_let_in(self, raw: bytes) -> bool:
        """Ask once."""
        answer = await self._call(raw, timeout=_TIMEOUT_SECONDS, wait_for_ready=True)
        return CheckResponse.FromString(answer).status.code == 0

    async def denied(self, raw: bytes) -> float:
        """Ask until it denies, and return when that was.

        Raises:
            VoidError: it never does.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while await self.is_let_in(raw):
                    pass
                return time.perf_counter()
        msg = "a gate did not deny"
        raise VoidError(msg)


# ---------------------------------------------------------------- how many


async def _live(bench: Bench, empty_url: str, full_url: str) -> list[Row]:
    async with await psycopg.AsyncConnection.connect(full_url, autocommit=True) as connection:
        table = SQL("{}.revocations").format(Identifier(_SCHEMA))
        # One statement that tells of 100,000 rows would be more than NOTIFY's queue is for.
        await connection.execute(SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(table))
        await connection.execute(_FILL.format(Identifier(_SCHEMA), LIVE // 2))
        await connection.execute(SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(table))
    seconds, sizes = [], []
    async with AsyncExitStack() as stack:
        for _ in range(bench.rounds):
            empty = await _start_up(bench, empty_url, 0)
            full = await _start_up(bench, full_url, LIVE)
            seconds.append(full[0] - empty[0])
            sizes.append(full[1] - empty[1])
        loaded = Row(
            LOADED,
            {SECONDS: Spread.of(seconds), MIB: Spread.of(sizes)},
            note="what the start of a gate takes longer than that of one with none",
        )
        load = await stack.enter_async_context(generator())
        subjects = []
        for name, database_url, count in ((EMPTY, empty_url, 0), (FULL, full_url, LIVE)):
            server = await stack.enter_async_context(_following(bench, database_url, count))
            await require_gate(server.port, bench.token)
            subjects.append(await _subject(bench, load, name, server))
        return [loaded, *await bench.interleave(subjects)]


async def _subject(bench: Bench, load: Generator, name: str, server: Server) -> Subject:
    asked = GrpcLoad(port=server.port, messages=bench.checks(), connections=2, depth=32)
    stream = await load.open(asked)
    return Subject(name, partial(stream.run, seconds=bench.seconds), {"server": server.pid})


async def _start_up(bench: Bench, database_url: str, count: int) -> tuple[float, float]:
    """Return how long a gate takes until it knows so many revocations, and its size then."""
    began = time.perf_counter()
    async with _following(bench, database_url, count) as server:
        return time.perf_counter() - began, resident_mib(server.pid)


@asynccontextmanager
async def _following(bench: Bench, database_url: str, count: int = 0) -> AsyncIterator[Server]:
    """Run a gate that follows a database, once it knows `count` revocations.

    Raises:
        VoidError: it does not come to know them.
    """
    settings = {"DATABASE_URL": database_url, "WICKETGATE_DATABASE_SCHEMA": _SCHEMA}
    async with gate(bench.clerk, GateOptions(transport="wire", settings=settings)) as server:
        for _ in range(int(_TIMEOUT_SECONDS / _LOOK_SECONDS)):
            if await _known(server) == count:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            msg = f"a gate did not load {count:,} revocations"
            raise VoidError(msg)
        yield server


async def _known(server: Server) -> float:
    """Return how many revocations a gate knows; -1 before it has followed the database."""
    admin = f"http://{LOOPBACK}:{server.admin}"
    with suppress(ClientError):
        async with ClientSession() as session:
            async with session.get(f"{admin}/readyz") as answer:
                if (await answer.json())["components"].get("revocations") != "ready":
                    return -1
            async with session.get(f"{admin}/metrics") as answer:
                lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_COUNTED))
    return -1
