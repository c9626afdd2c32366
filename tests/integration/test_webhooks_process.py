"""``wicketgate webhooks`` and ``wicketgate migrate`` as an operator meets them."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
import pytest
from psycopg.conninfo import conninfo_to_dict

from database import Database, Server
from exposition import documented, exported, open_labels
from processes import Running, refusal, spawn, surroundings
from webhooks import (
    INSTANCE,
    OTHER_SECRET,
    PATH,
    SECRET,
    USER,
    body_of,
    deleted,
    signed,
    user,
)

PASSWORD = "hunter2-correct-horse"


def environ(database: Database | None = None, **settings: str) -> dict[str, str]:
    """Return the environment of a receiver; without a database there is none to be had."""
    # Nobody listens on port 1, and nobody is given it who asks for any.
    nowhere = f"postgresql://wicketgate:{PASSWORD}@127.0.0.1:1/users"
    return {
        **surroundings(),
        "CLERK_WEBHOOK_SIGNING_SECRET": f"{SECRET},{OTHER_SECRET}",
        "DATABASE_URL": nowhere if database is None else url_of(database),
        "WICKETGATE_WEBHOOKS_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_DRAIN_SECONDS": "0",
        "WICKETGATE_GRACE_SECONDS": "2",
        **settings,
    }


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


@dataclass
class RunningReceiver(Running):
    """A receiver that listens."""

    webhooks: str = ""


@asynccontextmanager
async def receiver(
    variables: Mapping[str, str],
) -> AsyncIterator[tuple[RunningReceiver, aiohttp.ClientSession, aiohttp.ClientSession]]:
    """Run a receiver; yields it, a client of it, and a client of its admin address."""
    process = await spawn(variables, "webhooks")
    running = RunningReceiver(process)
    reading = asyncio.create_task(running.read())
    try:
        listening = await asyncio.wait_for(running.next_event("listening"), 30)
        running.webhooks, running.admin = str(listening["webhooks"]), str(listening["admin"])
        async with (
            aiohttp.ClientSession(f"http://{running.webhooks}") as sender,
            aiohttp.ClientSession(f"http://{running.admin}") as admin,
        ):
            yield running, sender, admin
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def deliver(
    sender: aiohttp.ClientSession, body: bytes, message_id: str, *, secret: str = SECRET
) -> int:
    """Make a delivery and return its status."""
    headers = signed(body, message_id=message_id, secret=secret)
    async with sender.post(PATH, data=body, headers=headers) as answer:
        return answer.status


async def status_of(admin: aiohttp.ClientSession, path: str) -> int:
    """Return the status of an admin page."""
    async with admin.get(path) as answer:
        return answer.status


async def until_ready(admin: aiohttp.ClientSession) -> None:
    """Wait for the first look at the database."""
    for _ in range(100):
        if await status_of(admin, "/readyz") == 200:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the receiver did not become ready")


# --- metrics -----------------------------------------------------------------


async def test_the_table_lists_what_a_receiver_exports(database: Database) -> None:
    async with receiver(environ(database)) as (_, sender, admin):
        await until_ready(admin)
        assert await deliver(sender, body_of("user.created", user()), "msg_1") == 204
        async with admin.get("/metrics") as answer:
            text = await answer.text()

    shared = ("component_state", "log_lines_dropped", "build_info")
    gate = documented("metric")
    expected = {f"wicketgate_{name}": gate[f"wicketgate_{name}"] for name in shared}
    assert exported(text) == documented("metric of the receiver") | expected
    assert not list(open_labels(text, rules=frozenset()))


# --- starting ----------------------------------------------------------------


async def test_mistakes_are_told_all_at_once_and_exit_2() -> None:
    status, said = await refusal(
        environ(
            CLERK_WEBHOOK_SIGNING_SECRET=SECRET[:-1],
            DATABASE_URL=f"mysql://me:{PASSWORD}@db",
            WICKETGATE_WEBHOOKS_PATH="hooks",
            WICKETGATE_WEBHOOK_PATH="/hooks",
        ),
        "webhooks",
    )

    assert status == 2
    assert "Traceback" not in said
    assert said.startswith("wicketgate: 4 setting(s) cannot be used:\n")
    assert PASSWORD not in said
    assert SECRET[7:19] not in said


async def test_nothing_set_is_two_lines() -> None:
    status, said = await refusal(surroundings(), "webhooks")

    assert status == 2
    assert [line.split()[0] for line in said.splitlines()[1:]] == [
        "CLERK_WEBHOOK_SIGNING_SECRET",
        "DATABASE_URL",
    ]


@pytest.mark.parametrize(
    "name", ["WICKETGATE_WEBHOOKS_ADDRESS", "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS"]
)
async def test_a_port_in_use_is_one_line_and_exits_1(name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        variables = environ() | {name: f"127.0.0.1:{taken.getsockname()[1]}"}

        status, said = await refusal(variables, "webhooks")

    (line,) = [line for line in said.splitlines() if line.startswith("wicketgate: ")]
    assert status == 1
    assert "Traceback" not in said
    assert name in line


async def test_a_url_that_libpq_cannot_read_exits_2() -> None:
    url = f"postgresql://me:{PASSWORD}%zz@db/users"
    status, said = await refusal(environ(DATABASE_URL=url), "webhooks")

    assert status == 2
    assert "DATABASE_URL" in said
    assert "Traceback" not in said
    assert PASSWORD not in said


@pytest.mark.parametrize("command", ["webhooks", "migrate", "authz", "revoke"])
async def test_help_lists_what_the_command_reads_and_nothing_else(command: str) -> None:
    process = await spawn(surroundings(), command, "--help")
    said, _ = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    assert b"DATABASE_URL" in said
    assert (b"WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS" in said) is (command in {"migrate", "authz"})
    assert (b"CLERK_WEBHOOK_SIGNING_SECRET" in said) is (command == "webhooks")
    assert (b"CLERK_PUBLISHABLE_KEY" in said) is (command == "authz")


async def test_check_tells_that_the_settings_are_good() -> None:
    process = await spawn(environ(), "webhooks", "--check")
    said, complained = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, complained) == (0, b"")
    assert b"good" in said


# --- without a database ------------------------------------------------------


async def test_without_postgres_it_starts_and_has_deliveries_sent_again() -> None:
    body = body_of("user.created", user())
    async with receiver(environ()) as (running, sender, admin):
        status = await deliver(sender, body, "msg_1")
        line = await asyncio.wait_for(running.next_event("delivery"), 10)
        alive, ready = await status_of(admin, "/healthz"), await status_of(admin, "/readyz")

    assert (status, alive, ready) == (503, 200, 503)
    assert (line["verdict"], line["level"]) == ("store_unavailable", "warning")
    assert PASSWORD not in repr(line)
    assert "mina" not in repr(line)


async def test_strangers_are_refused_and_leave_no_traceback() -> None:
    """
    `Running` reads the log as JSON: any line that is not would fail here.
    """
    async with receiver(environ()) as (running, sender, admin):
        async with sender.get("/") as elsewhere, sender.get(PATH) as method:
            statuses = [elsewhere.status, method.status]
        async with sender.post(PATH, data=b"{}", headers=signed(b"[]")) as forged:
            statuses.append(forged.status)
        host, port = running.webhooks.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        statuses.append(int((await reader.readline()).split()[1]))
        writer.close()
        lines = [await running.next_event("delivery") for _ in range(4)]
        async with admin.get("/metrics") as metrics:
            exposed = await metrics.text()

    verdicts = ["not_found", "method_not_allowed", "no_matching_signature", "not_http"]
    assert statuses == [404, 405, 400, 400]
    assert [line["verdict"] for line in lines] == verdicts
    for verdict in verdicts:
        assert f'wicketgate_webhook_rejections_total{{reason="{verdict}"}} 1.0' in exposed


async def test_a_second_signal_ends_a_long_drain() -> None:
    async with receiver(environ(WICKETGATE_DRAIN_SECONDS="600")) as (running, _, admin):
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(running.next_event("draining"), 5)
        async with admin.get("/readyz") as ready:
            components = (await ready.json())["components"]
        running.process.send_signal(signal.SIGTERM)

        assert components["accepting"] == "not ready"
        assert await asyncio.wait_for(running.process.wait(), 10) == 0


# --- with a database ---------------------------------------------------------


async def test_deliveries_become_rows(database: Database) -> None:
    created, removed = body_of("user.created", user()), deleted("user", USER)
    async with receiver(environ(database)) as (running, sender, admin):
        await until_ready(admin)
        statuses = [
            await deliver(sender, created, "msg_1"),
            await deliver(sender, created, "msg_1", secret=OTHER_SECRET),
            await deliver(sender, body_of("email.created", {}), "msg_2"),
            await deliver(sender, b"[]", "msg_3"),
        ]
        row = database.row("SELECT primary_email, deleted_at FROM wicketgate.users")
        statuses.append(await deliver(sender, body_of("user.deleted", removed), "msg_4"))
        lines = [await running.next_event("delivery") for _ in range(5)]
        async with admin.get("/metrics") as metrics:
            exposed = await metrics.text()

    buried = database.row("SELECT primary_email, deleted_at FROM wicketgate.users")
    assert statuses == [204, 204, 200, 200, 204]
    assert row == {"primary_email": "mina@example.com", "deleted_at": None}
    assert buried["primary_email"] is None
    assert buried["deleted_at"] is not None
    assert [line["verdict"] for line in lines] == [
        "applied",
        "stale",
        "ignored",
        "dead",
        "applied",
    ]
    assert [line["message_id"] for line in lines] == ["msg_1", "msg_1", "msg_2", "msg_3", "msg_4"]
    assert "mina" not in repr(lines)
    counted = 'wicketgate_webhook_deliveries_total{outcome="applied",type="user.created"} 1.0'
    assert counted in exposed
    assert "wicketgate_webhook_lag_seconds_count 2.0" in exposed


async def test_another_instance_leaves_no_row(database: Database) -> None:
    body = body_of("user.created", user(), instance_id="ins_123")
    variables = environ(database, CLERK_INSTANCE_ID=INSTANCE)
    async with receiver(variables) as (_, sender, admin):
        await until_ready(admin)
        status = await deliver(sender, body, "msg_1")

    assert status == 200
    assert database.rows("SELECT id FROM wicketgate.users") == []


async def test_sigterm_loses_nothing_that_was_answered(database: Database) -> None:
    """
    Deliveries keep coming while it stops. Whatever got a 204 has its row.
    """
    answered: list[str] = []

    async def keep_sending(sender: aiohttp.ClientSession, worker: int) -> None:
        number = 0
        while True:
            number += 1
            user_id = f"user_{worker}x{number}"
            body = body_of("user.created", user(id=user_id))
            try:
                status = await deliver(sender, body, f"msg_{worker}_{number}")
            except aiohttp.ClientError:
                return
            assert status == 204
            answered.append(user_id)

    variables = environ(database, WICKETGATE_DRAIN_SECONDS="0.3")
    async with receiver(variables) as (running, sender, admin):
        await until_ready(admin)
        sending = [asyncio.create_task(keep_sending(sender, worker)) for worker in range(8)]
        await asyncio.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(running.process.wait(), 10)
        await asyncio.wait_for(asyncio.gather(*sending), 10)

    kept = {row["clerk_user_id"] for row in database.rows("SELECT * FROM wicketgate.users")}
    assert status == 0
    assert len(answered) > 20
    assert set(answered) <= kept


# --- the tables --------------------------------------------------------------


async def run(variables: Mapping[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """Return how a command ended, what it said, and what it complained about."""
    process = await spawn(variables, *arguments)
    said, complained = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said.decode(), complained.decode()


async def test_tables_are_made_once(server: Server) -> None:
    with server.database(template="template1") as empty:
        variables = environ(empty, WICKETGATE_DATABASE_SCHEMA="clerk")
        before = await run(variables, "migrate", "--check")
        async with receiver(variables) as (_, sender, admin):
            without = await deliver(sender, body_of("user.created", user()), "msg_1")
            not_ready = await status_of(admin, "/readyz")
        made = await run(variables, "migrate")
        again = await run(variables, "migrate")
        after = await run(variables, "migrate", "--check")
        rows = empty.rows("SELECT id FROM clerk.users")

    assert (without, not_ready) == (503, 503)
    assert before[0] == 1
    assert before[1].startswith("missing: 0001_")
    assert made == (0, before[1].replace("missing", "applied"), "")
    assert again == after == (0, "the tables are up to date\n", "")
    assert rows == []


async def test_a_database_that_is_not_there_is_one_line_and_exits_1() -> None:
    status, _, complained = await run(environ(), "migrate")

    assert status == 1
    assert complained.startswith("wicketgate: Postgres failed: ")
    assert "Traceback" not in complained
    assert PASSWORD not in complained


async def test_the_roles_are_a_script() -> None:
    status, said, complained = await run(
        environ(WICKETGATE_DATABASE_SCHEMA="clerk"), "migrate", "--roles"
    )

    assert (status, complained) == (0, "")
    assert 'CREATE ROLE "clerk_webhooks"' in said


async def test_a_schema_too_long_for_roles_exits_2() -> None:
    variables = environ(WICKETGATE_DATABASE_SCHEMA="x" * 60)

    status, said, complained = await run(variables, "migrate", "--roles")

    assert (status, said) == (2, "")
    assert "WICKETGATE_DATABASE_SCHEMA" in complained
