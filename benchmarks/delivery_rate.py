"""How many webhook deliveries a second become durable rows, and whether that lasts.

The product as it is installed, against a real Postgres with fsync on, both on
this machine beside the load: distinct users, signed by svix, over 32
connections that each wait for their answer. A delivery counts when it was
answered 204, which is after COMMIT; the rows are counted at the end.

    python benchmarks/delivery_rate.py           # 20,000 deliveries; a table of 100,000 users
    python benchmarks/delivery_rate.py --long    # 200,000 deliveries; a table of 1,000,000
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import uvloop
from psycopg.sql import SQL, Identifier
from svix.webhooks import Webhook

from wicketgate.adapters.migrations import migrate
from wicketgate.adapters.postgres import open_store
from wicketgate.core.delivery import Delivery, MessageId, Outcome
from wicketgate.core.event_body import parse_event
from wicketgate.local.clerk_users import event_body, numbered_id, user_document
from wicketgate.local.ports import free_ports
from wicketgate.local.postgres import EmbeddedPostgres

CONNECTIONS = 32
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCHEMA = "wicketgate"
LONG = "--long" in sys.argv[1:]
DELIVERIES = 200_000 if LONG else 20_000
CHUNK = DELIVERIES // 10
BARE_CHUNK = 2_000
LARGE_TABLE = 1_000_000 if LONG else 100_000
UPSERTS = 2_000

numbers = count(1)


@dataclass
class Receiver:
    """The process under load."""

    port: int
    pid: int

    def memory_mib(self) -> float:
        """Return the resident memory (proc(5), ``VmRSS``)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


def body_of(number: int, now: int) -> bytes:
    """Return a ``user.created`` body as Clerk sends it, some 1.7 KB."""
    user = user_document(
        numbered_id("user_", number),
        now=now,
        email=f"user{number}@example.com",
        first_name="Mina",
        last_name="Okafor",
        public_metadata={"plan": "pro"},
    )
    return event_body("user.created", user, timestamp=now)


def request_of(webhook: Webhook, number: int) -> bytes:
    """Return a whole signed HTTP request."""
    now = datetime.now(UTC)
    body = body_of(number, int(now.timestamp() * 1000))
    message_id = f"msg_{number:027d}"
    signature = webhook.sign(message_id, now, body.decode())
    head = (
        "POST /webhooks/clerk HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"svix-id: {message_id}\r\nsvix-timestamp: {int(now.timestamp())}\r\n"
        f"svix-signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


async def deliver(port: int, requests: list[bytes]) -> list[float]:
    """Send all requests over `CONNECTIONS` connections; return the seconds that each took."""
    waiting = iter(requests)
    took: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            started = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            took.append(time.perf_counter() - started)
            assert answer.startswith(b"HTTP/1.1 204"), answer
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return took


@asynccontextmanager
async def receiver(port: int, *command: str, **settings: str) -> AsyncIterator[Receiver]:
    """Run a receiver for as long as the context lasts."""
    ours = ("CLERK_", "WICKETGATE_", "SERVICE_AUTH_TOKEN", "DATABASE_URL")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command), env=clean | settings, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    writer.close()
                    break
        yield Receiver(port, process.pid)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def rate(database_url: str) -> None:
    """Measure deliveries a second beside the bare receiver, and memory over all of them."""
    webhook = Webhook(SECRET)
    rates: list[float] = []
    bare_rates: list[float] = []
    waits, memory = [], []
    port, admin, bare_port = free_ports(3)
    product = receiver(
        port,
        *("-m", "wicketgate", "webhooks"),
        DATABASE_URL=database_url,
        CLERK_WEBHOOK_SIGNING_SECRET=SECRET,
        WICKETGATE_WEBHOOKS_ADDRESS=f"127.0.0.1:{port}",
        WICKETGATE_WEBHOOKS_ADMIN_ADDRESS=f"127.0.0.1:{admin}",
        WICKETGATE_DRAIN_SECONDS="0",
    )
    bare = receiver(bare_port, "benchmarks/bare_receiver.py", str(bare_port), SECRET, database_url)
    async with product as subject, bare:
        for chunk in range(DELIVERIES // CHUNK):
            took, speed = await timed(subject.port, webhook, CHUNK)
            rates.append(speed)
            waits += took
            memory.append(subject.memory_mib())
            _, speed = await timed(bare_port, webhook, BARE_CHUNK)
            bare_rates.append(speed)
            print(f"chunk {chunk + 1}: {rates[-1]:.0f}/s, bare {speed:.0f}/s", file=sys.stderr)
    bare_users = BARE_CHUNK * (DELIVERIES // CHUNK)
    expected = {"users": DELIVERIES + bare_users, "webhook_deliveries": DELIVERIES}
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for table, rows in expected.items():
            count_rows = SQL("SELECT count(*) FROM {}").format(Identifier(SCHEMA, table))
            cursor = await connection.execute(count_rows)
            assert await cursor.fetchone() == (rows,), table
    waits.sort()
    p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
    median, bare_median = statistics.median(rates), statistics.median(bare_rates)
    print(f"deliveries: {DELIVERIES} over {CONNECTIONS} connections, every one durable")
    print(f"rate: {median:.0f}/s (min {min(rates):.0f}, max {max(rates):.0f})")
    print(
        f"a bare upsert, in turns with it: {bare_median:.0f}/s; {median / bare_median:.2f} times"
    )
    print(f"latency: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"memory: {memory[0]:.0f} MiB after the first tenth, {memory[-1]:.0f} MiB at the end")


async def timed(port: int, webhook: Webhook, deliveries: int) -> tuple[list[float], float]:
    """Deliver; return the seconds that each took, and how many went in one."""
    requests = [request_of(webhook, next(numbers)) for _ in range(deliveries)]
    started = time.perf_counter()
    took = await deliver(port, requests)
    return took, deliveries / (time.perf_counter() - started)


async def upsert_p50(database_url: str) -> float:
    """Return the median milliseconds of one upsert after another."""
    took = []
    async with open_store(database_url, schema=SCHEMA, pool_size=1) as store:
        for _ in range(UPSERTS):
            number = next(numbers)
            event = parse_event(body_of(number, int(time.time() * 1000)))
            started = time.perf_counter()
            outcome = await store.apply(Delivery(MessageId(f"msg_{number}"), event))
            took.append(time.perf_counter() - started)
            assert outcome is Outcome.APPLIED
    return statistics.median(took) * 1000


async def growth(database_url: str) -> None:
    """Compare an upsert into an empty table with one into a large table."""
    empty = await upsert_p50(database_url)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        users = Identifier(SCHEMA, "users")
        many = """
            INSERT INTO {} (clerk_user_id, primary_email)
            SELECT 'user_large' || n, 'large' || n || '@example.com'
            FROM generate_series(1, {}) n
        """
        await connection.execute(SQL(many).format(users, LARGE_TABLE))
        await connection.execute(SQL("ANALYZE {}").format(users))
        await connection.execute(b"CHECKPOINT")
    large = await upsert_p50(database_url)
    print(
        f"upsert p50: {empty:.2f} ms into an empty table, {large:.2f} ms with "
        f"{LARGE_TABLE} users: {large / empty:.2f} times"
    )


async def main() -> None:
    """Measure both, each on a database of its own."""
    async with EmbeddedPostgres() as postgres:
        async with await psycopg.AsyncConnection.connect(
            postgres.url, autocommit=True
        ) as connection:
            for name in ("rate", "growth"):
                await connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        for name, measure in (("rate", rate), ("growth", growth)):
            url = postgres.url_of(name)
            await migrate(url, schema=SCHEMA)
            await measure(url)


if __name__ == "__main__":
    # The load shares two cores with what it measures, so it is made as light as it can be.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
