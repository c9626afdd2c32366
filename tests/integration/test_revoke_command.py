"""The incident switch, as an operator uses it: revoke, list, lift."""

import asyncio
import json
import sys
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from database import Database
from listener import listening
from processes import spawn, surroundings
from wicketgate.adapters.postgres_revocations import open_revocations
from wicketgate.core.revocation_table import Kind
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.sql import roles_script

USER = "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0"
SESSION = "sess_2xLmA1"
PASSWORD = "hunter2"
NOWHERE = f"postgresql://wicketgate:{PASSWORD}@127.0.0.1:1/users"
DAY_AND_MARGIN = timedelta(days=1, minutes=10)
OWN_ROW = "SELECT *, revoked_at - now() AS ahead FROM wicketgate.revocations"


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


async def run(url: str, *arguments: str, schema: str = "wicketgate") -> tuple[int, str, str]:
    """Return how a command ended, what it said, and what it complained about."""
    variables = {
        **surroundings(),
        "DATABASE_URL": url,
        "WICKETGATE_DATABASE_SCHEMA": schema,
    }
    process = await spawn(variables, *arguments)
    said, complained = await asyncio.wait_for(process.communicate(), 30)
    assert b"Traceback" not in complained
    return process.returncode or 0, said.decode(), complained.decode()


async def listed(database: Database, *arguments: str) -> list[dict[str, Any]]:
    status, said, complained = await run(
        url_of(database), "revocations", "list", "--json", *arguments
    )
    assert (status, complained) == (0, "")
    revocations: list[dict[str, Any]] = json.loads(said)["revocations"]
    return revocations


async def test_a_user_is_revoked_listed_and_lifted(database: Database) -> None:
    url = url_of(database)
    with listening(database) as listener:
        revoked = await run(url, "revoke", "user", USER, "--reason", "stolen laptop")
        assert [(each["id"], each["is_lifted"]) for each in listener.told()] == [(USER, False)]

        table = await run(url, "revocations", "list")
        (row,) = await listed(database)
        lifted = await run(url, "revocations", "lift", "user", USER)
        assert [(each["id"], each["is_lifted"]) for each in listener.told()] == [(USER, True)]

    assert revoked[0] == 0
    assert revoked[1].startswith(f"revoked: {USER}; every token issued up to {row['revoked_at']}")
    assert revoked[2] == "Clerk is not told: to keep the user out, ban them there, too.\n"
    assert table[0] == 0
    assert table[1].splitlines()[1].split()[:2] == ["user", USER]
    assert (row["reason"], row["source"], row["is_in_force"]) == (
        "stolen laptop",
        "operator",
        True,
    )
    assert lifted == (0, f"lifted: {USER}\n", "")
    assert await listed(database) == []
    assert [each["is_in_force"] for each in await listed(database, "--all")] == [False]


async def test_a_session_is_revoked_and_lifted(database: Database) -> None:
    status, said, complained = await run(url_of(database), "revoke", "session", SESSION)

    assert status == 0
    assert said.startswith(f"revoked: {SESSION}; all its tokens are refused, until ")
    assert complained == "Clerk is not told: to end the session, revoke it there, too.\n"
    row = database.row(OWN_ROW)
    assert (row["kind"], row["id"], row["reason"]) == (
        "session",
        SESSION,
        "revoked by an operator",
    )
    assert (await run(url_of(database), "revocations", "lift", "session", SESSION))[0] == 0


async def test_nothing_to_lift_is_one_line_and_exits_1(database: Database) -> None:
    status, said, complained = await run(url_of(database), "revocations", "lift", "user", USER)

    assert (status, said) == (1, "")
    assert complained == f"wicketgate: no revocation of {USER} is in force\n"


async def test_lifting_what_came_from_clerk_says_so(database: Database) -> None:
    database.rows(f"INSERT INTO wicketgate.users (clerk_user_id, banned) VALUES ('{USER}', true)")  # noqa: S608 - ours

    status, said, complained = await run(url_of(database), "revocations", "lift", "user", USER)

    assert (status, said) == (0, f"lifted: {USER}\n")
    assert complained.startswith("It came from Clerk (banned): ")


@pytest.mark.parametrize("command", ["revoke", "revocations lift", "revocations list"])
async def test_a_database_that_is_not_there_is_one_line_and_exits_1(command: str) -> None:
    arguments = command.split() + ([] if command.endswith("list") else ["user", USER])

    status, said, complained = await run(NOWHERE, *arguments)

    assert (status, said) == (1, "")
    assert complained.startswith("wicketgate: Postgres failed: ")
    assert len(complained.splitlines()) == 1
    assert PASSWORD not in complained


async def test_without_tables_it_says_what_to_run(database: Database) -> None:
    status, _, complained = await run(url_of(database), "revoke", "user", USER, schema="nowhere")

    assert (status, complained) == (
        1,
        "wicketgate: Postgres failed: the tables are not there: run wicketgate migrate\n",
    )


async def test_tables_of_an_earlier_version_are_tables_to_migrate(database: Database) -> None:
    database.rows("DROP TABLE wicketgate.revocations, wicketgate.revocation_terms CASCADE")
    database.rows("DROP FUNCTION wicketgate.revoke")

    status, _, complained = await run(url_of(database), "revoke", "user", USER)

    assert (status, complained) == (
        1,
        "wicketgate: Postgres failed: the tables are not there: run wicketgate migrate\n",
    )


@pytest.mark.parametrize("ending", ["", " | true", " | head -c 1"])
async def test_the_list_can_be_read_by_a_poor_terminal_and_by_head(
    database: Database, ending: str
) -> None:
    database.rows(
        "SELECT wicketgate.revoke('session', 'sess_' || n, now(), 'gestört', 'operator')"
        " FROM generate_series(1, 2000) n"
    )
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        f"{sys.executable} -m wicketgate revocations list{ending}",
        env={**surroundings(), "DATABASE_URL": url_of(database), "PYTHONIOENCODING": "ascii"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), 30)

    assert (process.returncode, complained) == (0, b"")
    assert said.count(rb"gest\xf6rt") == (0 if ending else 2000)


async def test_without_a_database_url_it_exits_2() -> None:
    status, said, complained = await run("", "revoke", "user", USER)

    assert (status, said) == (2, "")
    assert "DATABASE_URL is not set" in complained


# -- what is written


@pytest.mark.parametrize("ahead_seconds", [5.0, 3_600.0])
async def test_tokens_that_are_issued_a_little_later_are_refused_too(
    database: Database, ahead_seconds: float
) -> None:
    async with open_revocations(database.url) as revocations:
        row = await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=ahead_seconds)

    found = database.row(OWN_ROW)
    assert timedelta(0) < timedelta(seconds=ahead_seconds) - found["ahead"] < timedelta(seconds=30)
    assert found["expires_at"] - found["revoked_at"] == DAY_AND_MARGIN
    assert (row.revoked_at, row.expires_at) == (found["revoked_at"], found["expires_at"])


async def test_a_second_revocation_is_only_ever_stricter(database: Database) -> None:
    async with open_revocations(database.url) as revocations:
        far = await revocations.revoke(Kind.USER, USER, reason="first", ahead_seconds=3_600)
        near = await revocations.revoke(Kind.USER, USER, reason="second", ahead_seconds=5)

    assert (near.revoked_at, near.expires_at) == (far.revoked_at, far.expires_at)


async def test_after_a_lift_a_revocation_begins_anew(database: Database) -> None:
    async with open_revocations(database.url) as revocations:
        far = await revocations.revoke(Kind.USER, USER, reason="first", ahead_seconds=3_600)
        lifted = await revocations.lift(Kind.USER, USER)
        again = await revocations.lift(Kind.USER, USER)
        near = await revocations.revoke(Kind.USER, USER, reason="second", ahead_seconds=5)

    assert lifted is not None
    assert (lifted.revoked_at, lifted.is_in_force) == (far.revoked_at, False)
    assert again is None
    assert near.revoked_at < far.revoked_at
    assert (near.reason, near.is_in_force, near.lifted_at) == ("second", True, None)


async def test_what_has_expired_is_listed_among_all_and_cannot_be_lifted(
    database: Database,
) -> None:
    async with open_revocations(database.url) as revocations:
        await revocations.revoke(Kind.SESSION, SESSION, reason="x", ahead_seconds=5)
        database.rows("UPDATE wicketgate.revocations SET expires_at = now()")

        assert await revocations.rows() == []
        (row,) = await revocations.rows(is_all=True)
        assert (row.id, row.is_in_force, row.lifted_at) == (SESSION, False, None)
        assert await revocations.lift(Kind.SESSION, SESSION) is None


async def test_what_changed_last_is_listed_first(database: Database) -> None:
    async with open_revocations(database.url) as revocations:
        for name in ("user_1", "user_2", "user_1"):
            await revocations.revoke(Kind.USER, name, reason="x", ahead_seconds=5)

        assert [row.id for row in await revocations.rows()] == ["user_1", "user_2"]


async def test_a_row_that_somebody_holds_is_not_waited_for_for_ever(database: Database) -> None:
    async with open_revocations(database.url) as revocations:
        await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=5)
        with psycopg.connect(database.url) as connection:
            connection.execute("SELECT FROM wicketgate.revocations FOR UPDATE")
            with pytest.raises(DependencyError, match="a row is locked"):
                await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=60)

        row = await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=60)
        assert row.is_in_force


async def test_the_operator_s_role_is_enough(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(roles_script("wicketgate").encode())
    async with open_revocations(database.as_role("wicketgate_operator").url) as revocations:
        await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=5)
        assert [row.id for row in await revocations.rows(is_all=True)] == [USER]
        assert await revocations.lift(Kind.USER, USER) is not None

    async with open_revocations(database.as_role("wicketgate_gate").url) as revocations:
        with pytest.raises(DependencyError, match="this role may not do that"):
            await revocations.revoke(Kind.USER, USER, reason="x", ahead_seconds=5)


@pytest.mark.parametrize(
    ("url", "schema"), [(PASSWORD, "wicketgate"), ("postgresql://h/d", "Users")]
)
async def test_what_cannot_be_used_is_refused_at_once(url: str, schema: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with open_revocations(url, schema=schema):
            pass
    assert PASSWORD not in str(caught.value)


async def test_times_are_utc_whatever_the_session_s_zone(database: Database) -> None:
    name = database.row("SELECT current_database() AS name")["name"]
    database.rows(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    await run(url_of(database), "revoke", "user", USER)
    (row,) = await listed(database)

    assert row["revoked_at"].endswith("Z")
    ahead = datetime.fromisoformat(row["revoked_at"]) - datetime.now().astimezone()
    assert abs(ahead) < timedelta(minutes=5)
