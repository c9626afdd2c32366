"""``wicketgate sync``: Clerk's double on one side, a real Postgres on the other."""

import asyncio
import io
import json
import os
import pty
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

from database import Database
from processes import surroundings
from wicketgate.adapters.postgres_sync import open_mirror
from wicketgate.app.sync import run_sync
from wicketgate.errors import ConfigurationError, DependencyError, EnvironmentFaultError
from wicketgate.local.clerk import SECRET_KEY, ClerkDouble
from wicketgate.local.clerk_backend import ClerkBackend, Cursors, Refusal
from wicketgate.local.clerk_instance import ClerkInstance, new_key
from wicketgate.local.clerk_users import Document, numbered_id, user_document
from wicketgate.settings import SyncSettings

KEY = new_key()
NOW = int(time.time() * 1000) - 3_600_000
PROXY_PAGE = b"<html><body><h1>404 Not Found</h1></body></html>"


@pytest.fixture
async def clerk() -> AsyncIterator[ClerkDouble]:
    async with ClerkDouble(ClerkInstance(key=KEY)) as clerk:
        yield clerk


def person(number: int, *, name: str = "Mina", later_ms: int = 0) -> Document:
    return user_document(
        numbered_id("user_", number),
        now=NOW + number,
        email=f"u{number}@example.com",
        first_name=name,
        updated_at=NOW + number + later_ms,
    )


def settings(
    clerk: ClerkDouble, database: Database, *, instance_id: str | None = None
) -> SyncSettings:
    return SyncSettings(
        secret_key=SECRET_KEY,
        api_url=clerk.url,
        instance_id=instance_id,
        database_url=database.url,
        database_schema="wicketgate",
    )


async def synced(
    clerk: ClerkDouble,
    database: Database,
    *,
    dry_run: bool = False,
    restart: bool = False,
    max_percent: float = 10.0,
) -> list[dict[str, object]]:
    """Run once; return the lines that were reported."""
    out = io.StringIO()
    status = await run_sync(
        settings(clerk, database),
        out=out,
        bar=io.StringIO(),
        dry_run=dry_run,
        restart=restart,
        max_deletes_percent=max_percent,
    )
    assert status == 0
    return [json.loads(line) for line in out.getvalue().splitlines()]


def sums(lines: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return what the last line counted, without what was not there."""
    last = lines[-1]
    assert last["event"] == "finished"
    return {name: count for name, count in last.items() if type(count) is int and count}


def everything(database: Database) -> list[object]:
    return [
        database.rows(f"SELECT * FROM wicketgate.{table} ORDER BY 1, 2")  # noqa: S608 - ours
        for table in ("users", "sync_runs", "sync_seen", "webhook_deliveries", "dead_letters")
    ]


def names(database: Database) -> dict[str, str | None]:
    rows = database.rows("SELECT clerk_user_id, first_name FROM wicketgate.users")
    return {row["clerk_user_id"]: row["first_name"] for row in rows}


def page_of(backend: ClerkBackend, count: int, *, name: str = "Mina") -> list[str]:
    users = [person(number, name=name) for number in range(count)]
    backend.put(*users)
    return [user["id"] for user in users]


@pytest.mark.parametrize("cursors", list(Cursors))
async def test_five_thousand_users_are_there_after_one_run(
    clerk: ClerkDouble, database: Database, cursors: Cursors
) -> None:
    """
    And the next run finds nothing to do and writes no row.
    """
    clerk.backend.cursors = cursors
    ids = page_of(clerk.backend, 5_000)

    first = await synced(clerk, database)
    rows = database.rows("SELECT *, xmin FROM wicketgate.users ORDER BY 1")
    second = await synced(clerk, database)

    assert set(names(database)) == set(ids)
    assert sums(first)["created"] == 5_000
    assert "created" not in sums(second)
    assert "updated" not in sums(second)
    assert database.rows("SELECT *, xmin FROM wicketgate.users ORDER BY 1") == rows
    sample = next(row for row in rows if row["clerk_user_id"] == ids[77])
    assert sample["primary_email"] == "u77@example.com"
    assert sample["primary_email_verified"]
    assert sample["instance_id"] == clerk.instance.kid
    assert sample["deleted_at"] is None


async def test_rows_become_what_clerk_says_now(clerk: ClerkDouble, database: Database) -> None:
    page_of(clerk.backend, 20)
    await synced(clerk, database)
    clerk.backend.put(person(3, name="Zoë", later_ms=5), person(20, name="New"))

    lines = await synced(clerk, database)

    assert sums(lines) == {"created": 1, "updated": 1, "unchanged": 19}
    assert names(database)[numbered_id("user_", 3)] == "Zoë"
    assert names(database)[numbered_id("user_", 20)] == "New"


async def test_a_change_that_did_not_move_the_version_is_found(
    clerk: ClerkDouble, database: Database
) -> None:
    """
    Nobody promises that every change at Clerk moves ``updated_at``.
    """
    page_of(clerk.backend, 3)
    await synced(clerk, database)
    clerk.backend.put(person(1) | {"locked": True})

    lines = await synced(clerk, database)

    assert sums(lines) == {"updated": 1, "unchanged": 2}
    assert database.row("SELECT count(*) FROM wicketgate.users WHERE locked")["count"] == 1


async def test_who_is_gone_becomes_a_tombstone_without_a_person(
    clerk: ClerkDouble, database: Database
) -> None:
    ids = page_of(clerk.backend, 30)
    await synced(clerk, database)
    for gone in ids[:3]:
        del clerk.backend.users[gone]

    lines = await synced(clerk, database)

    assert sums(lines) == {"unchanged": 27, "deleted": 3}
    named = {line["clerk_user_id"] for line in lines if line["event"] == "change"}
    assert named == set(ids[:3])
    rows = database.rows("SELECT * FROM wicketgate.users WHERE deleted_at IS NOT NULL")
    assert {row["clerk_user_id"] for row in rows} == set(ids[:3])
    assert all(row["first_name"] is row["primary_email"] is None for row in rows)
    assert "u1@example.com" not in repr(rows)


async def test_a_proxy_s_404_deletes_nobody(clerk: ClerkDouble, database: Database) -> None:
    ids = page_of(clerk.backend, 30)
    await synced(clerk, database)
    del clerk.backend.users[ids[0]]
    # The instance, the count, a page and its end are Clerk's; the question is a proxy's.
    clerk.backend.refusals.extend([None, None, None, None, Refusal(404, body=PROXY_PAGE)])

    with pytest.raises(DependencyError, match="not in Clerk's words"):
        await synced(clerk, database)

    assert None not in names(database).values()
    assert sums(await synced(clerk, database))["deleted"] == 1


async def test_a_run_that_has_ended_holds_up_no_other(database: Database) -> None:
    """
    Even while its connection is still there.
    """
    async with open_mirror(database.url) as ended, open_mirror(database.url) as following:
        await ended.begin(restart=False)
        with pytest.raises(EnvironmentFaultError):
            await following.begin(restart=False)
        await ended.release()

        await following.begin(restart=False)


@pytest.mark.parametrize("left", [0, 4])
async def test_too_many_deletions_need_a_word_of_the_operator(
    clerk: ClerkDouble, database: Database, left: int
) -> None:
    ids = page_of(clerk.backend, 20)
    await synced(clerk, database)
    for gone in ids[left:]:
        del clerk.backend.users[gone]

    with pytest.raises(DependencyError, match=r"nobody was deleted.*--max-deletes 100"):
        await synced(clerk, database)
    assert None not in names(database).values()
    await synced(clerk, database, max_percent=100.0)

    assert list(names(database).values()).count(None) == 20 - left


async def test_a_run_that_was_cut_short_goes_on_and_deletes_nobody_it_had_seen(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 1_800)
    await synced(clerk, database)
    clerk.backend.asked.clear()
    # The instance, the count, two pages; then it breaks.
    clerk.backend.refusals.extend([None, None, None, None, Refusal(403)])
    with pytest.raises(DependencyError):
        await synced(clerk, database)
    before = len(clerk.backend.asked)

    lines = await synced(clerk, database)

    assert sums(lines) == {"unchanged": 800}
    pages = [asked.query for asked in clerk.backend.asked[before:] if asked.query]
    assert numbered_id("user_", 999) in pages[0]
    assert not [asked for asked in clerk.backend.asked if asked.path.startswith("/v1/users/user_")]


async def test_a_restart_reads_the_whole_list(clerk: ClerkDouble, database: Database) -> None:
    page_of(clerk.backend, 900)
    clerk.backend.refusals.extend([None, None, None, Refusal(403)])
    with pytest.raises(DependencyError):
        await synced(clerk, database)

    lines = await synced(clerk, database, restart=True)

    assert sums(lines) == {"created": 400, "unchanged": 500}


async def test_a_dry_run_tells_everything_and_writes_nothing(
    clerk: ClerkDouble, database: Database
) -> None:
    ids = page_of(clerk.backend, 30)
    await synced(clerk, database)
    del clerk.backend.users[ids[0]]
    clerk.backend.put(person(1, name="Zoë", later_ms=5), person(30))
    before = everything(database)

    lines = await synced(clerk, database, dry_run=True)

    assert everything(database) == before
    assert sums(lines) == {"created": 1, "updated": 1, "unchanged": 28, "deleted": 1}
    assert all(line["dry_run"] is True for line in lines)
    changes = {line["clerk_user_id"]: line["effect"] for line in lines if "effect" in line}
    assert changes == {
        ids[0]: "deleted",
        ids[1]: "updated",
        numbered_id("user_", 30): "created",
    }


async def test_a_newer_event_and_a_tombstone_beat_the_list(
    clerk: ClerkDouble, database: Database
) -> None:
    newer, buried, *_ = page_of(clerk.backend, 10)
    await synced(clerk, database)
    database.rows(
        "UPDATE wicketgate.users SET first_name = 'By event', clerk_updated_at = now() "
        "WHERE clerk_user_id = %s",
        newer,
    )
    database.rows(
        "UPDATE wicketgate.users SET deleted_at = now() WHERE clerk_user_id = %s", buried
    )

    lines = await synced(clerk, database)

    assert sums(lines) == {"unchanged": 9, "buried": 1}
    assert names(database)[newer] == "By event"
    row = database.row("SELECT deleted_at FROM wicketgate.users WHERE clerk_user_id = %s", buried)
    assert row["deleted_at"] is not None


async def test_rows_of_another_instance_are_none_of_our_business(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 3)
    await synced(clerk, database)
    database.rows(
        "INSERT INTO wicketgate.users (clerk_user_id, instance_id, first_name) "
        "VALUES ('user_2xTheirs', 'ins_2xSomebodyElse', 'Theirs')"
    )

    lines = await synced(clerk, database)

    assert sums(lines) == {"unchanged": 3}
    assert names(database)["user_2xTheirs"] == "Theirs"


async def test_the_key_of_another_instance_is_refused_before_anything_is_written(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 3)

    with pytest.raises(ConfigurationError, match=r"CLERK_SECRET_KEY is of the instance ins_2xK"):
        await run_sync(
            settings(clerk, database, instance_id="ins_2xProduction"),
            out=io.StringIO(),
            bar=io.StringIO(),
        )

    assert names(database) == {}


async def test_two_runs_do_not_get_in_each_other_s_way(
    clerk: ClerkDouble, database: Database
) -> None:
    async with open_mirror(database.url) as other:
        await other.begin(restart=False)

        with pytest.raises(EnvironmentFaultError, match="another wicketgate sync"):
            await synced(clerk, database)


# -- the process


def url_of(database: Database) -> str:
    parts = conninfo_to_dict(database.url)
    user, password = quote(str(parts["user"])), quote(str(parts.get("password", "")))
    return f"postgresql://{user}:{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def environ(clerk: ClerkDouble, database: Database, **changes: str) -> dict[str, str]:
    return {
        **surroundings(),
        "CLERK_SECRET_KEY": SECRET_KEY,
        "CLERK_API_URL": clerk.url,
        "DATABASE_URL": url_of(database),
        **changes,
    }


async def start(
    variables: Mapping[str, str], *arguments: str, stderr: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wicketgate", "sync", *arguments),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode, out.decode(), (err or b"").decode()


async def test_the_command_reports_lines_to_a_program(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 12)

    status, out, err = await ended(await start(environ(clerk, database), "--json"))

    assert (status, err) == (0, "")
    assert sums([json.loads(line) for line in out.splitlines()]) == {"created": 12}
    assert len(names(database)) == 12


async def test_the_command_draws_a_bar_for_a_person(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 600)
    ours, theirs = pty.openpty()
    try:
        process = await start(environ(clerk, database), "--dry-run", stderr=theirs)
        status, out, _ = await ended(process)
        drawn = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert status == 0
    assert "comparing [############################] 600 of 600" in drawn
    lines = out.splitlines()
    assert lines[0].startswith("would be created: user_2x")
    assert lines[-1] == (
        "nothing was written; it would be: 600 created, 0 updated, 0 unchanged, 0 deleted"
    )
    assert names(database) == {}


async def test_a_wrong_secret_key_is_one_clear_line(
    clerk: ClerkDouble, database: Database
) -> None:
    secret = "sk_test_wrong0wrong0wrong0wrong0wrong0"
    process = await start(environ(clerk, database, CLERK_SECRET_KEY=secret))

    status, out, err = await ended(process)

    assert (status, out) == (2, "")
    complaint = [line for line in err.splitlines() if "CLERK_SECRET_KEY" in line]
    assert len(complaint) == 1
    assert "is not taken by Clerk" in complaint[0]
    assert "Traceback" not in err
    assert secret not in err


async def test_a_refusal_to_delete_is_one_line_that_says_how_to_go_on(
    clerk: ClerkDouble, database: Database
) -> None:
    page_of(clerk.backend, 4)
    await synced(clerk, database)
    clerk.backend.users.clear()

    status, _, err = await ended(await start(environ(clerk, database)))
    assert status == 1
    (line,) = err.splitlines()
    assert line.endswith("--max-deletes 100")
    status, _, err = await ended(await start(environ(clerk, database), "--max-deletes", "100"))

    assert (status, err) == (0, "")
    assert set(names(database).values()) == {None}


@pytest.mark.parametrize("percent", ["-1", "101", "nan", "ten"])
async def test_a_share_that_is_none_is_refused(
    clerk: ClerkDouble, database: Database, percent: str
) -> None:
    process = await start(environ(clerk, database), f"--max-deletes={percent}")

    status, _, err = await ended(process)

    assert status == 2
    assert "--max-deletes" in err


async def test_a_command_that_was_killed_is_continued_by_the_next(
    clerk: ClerkDouble, database: Database
) -> None:
    ids = page_of(clerk.backend, 1_500)
    # It is told to wait when it has two pages, and is killed while it waits.
    clerk.backend.refusals.extend([None, None, None, None, Refusal(429, retry_after="60")])
    process = await start(environ(clerk, database), "--json")
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.02)
            if len(clerk.backend.asked) == 5:
                break
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert len(names(database)) == 1_000

    status, out, _ = await ended(await start(environ(clerk, database), "--json"))

    assert status == 0
    assert sums([json.loads(line) for line in out.splitlines()]) == {"created": 500}
    assert set(names(database)) == set(ids)


async def peak_kib(variables: Mapping[str, str]) -> int:
    """Run the command; return the most memory it held at any time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MEASURED),
        env=variables,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode == 0
    return int(out.split()[-1])


# Not ru_maxrss, which begins with what the parent held when it forked.
_MEASURED = """
import re
from pathlib import Path
from wicketgate.cli import main
assert main(["sync", "--json"]) == 0
print(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_memory_stays_where_it_was_with_twenty_times_the_users(
    clerk: ClerkDouble, database: Database
) -> None:
    """
    The process itself, on a real Postgres: 10,000 users against one full page.
    """
    page_of(clerk.backend, 500)
    few = await peak_kib(environ(clerk, database))
    page_of(clerk.backend, 10_000, name="Everybody")
    many = await peak_kib(environ(clerk, database))

    assert len(names(database)) == 10_000
    assert many - few < 8_192
