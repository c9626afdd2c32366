"""The tables are made once, by whoever comes first, and never by halves."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from database import Database, Server
from wicketgate.adapters.migrations import migrate, pending
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.sql import Migration, in_schema, is_schema_name, migrations, query

NAMES = [step.name for step in migrations()]
BROKEN = Migration(9999, "9999_broken", "CREATE TABLE {schema}.half (); SELECT 1 / 0")
NEWER = Migration(9999, "9999_newer", "CREATE TABLE {schema}.newer ()")


@pytest.fixture
def empty(server: Server) -> Iterator[Database]:
    """A database in which nothing was ever made."""
    with server.database(template="template1") as database:
        yield database


def tables(database: Database, schema: str = "wicketgate") -> set[str]:
    rows = database.rows("SELECT tablename FROM pg_tables WHERE schemaname = %s", schema)
    return {row["tablename"] for row in rows}


def test_steps_are_numbered_without_a_gap() -> None:
    assert [step.version for step in migrations()] == list(range(1, len(NAMES) + 1))


async def test_everything_is_made_and_then_nothing(empty: Database) -> None:
    assert await pending(empty.url) == NAMES
    assert await migrate(empty.url) == NAMES
    assert await pending(empty.url) == []
    assert await migrate(empty.url) == []

    assert tables(empty) == {
        "dead_letters",
        "organization_memberships",
        "organizations",
        "revocation_terms",
        "revocations",
        "schema_migrations",
        "sync_runs",
        "sync_seen",
        "users",
        "webhook_deliveries",
    }
    applied = empty.rows("SELECT name, checksum FROM wicketgate.schema_migrations ORDER BY 1")
    assert [(row["name"], row["checksum"]) for row in applied] == [
        (step.name, step.checksum) for step in migrations()
    ]


async def test_asking_what_is_pending_makes_nothing(empty: Database) -> None:
    await pending(empty.url)

    assert not empty.rows("SELECT FROM pg_namespace WHERE nspname = 'wicketgate'")


async def test_replicas_that_start_at_once_do_each_step_once(empty: Database) -> None:
    done = await asyncio.gather(*(migrate(empty.url) for _ in range(8)))

    assert sorted(name for names in done for name in names) == NAMES


async def test_schemas_are_independent(empty: Database) -> None:
    """
    Nothing depends on the search path: the statements name the schema they are for.
    """
    await migrate(empty.url, schema="one")
    await migrate(empty.url, schema="select")

    assert tables(empty, "one") == tables(empty, "select")
    assert not tables(empty, "public")


async def test_a_newer_database_is_refused(database: Database) -> None:
    await migrate(database.url, steps=[*migrations(), NEWER])

    for refuse in (migrate, pending):
        with pytest.raises(ConfigurationError, match=r"has 9999_newer.*install the version"):
            await refuse(database.url)


async def test_a_step_that_changed_is_refused(database: Database) -> None:
    """
    Even by a comment: nobody can tell any more what is in the database.
    """
    first, *others = migrations()
    changed = replace(first, text=first.text + "-- a comment\n")

    for refuse in (migrate, pending):
        with pytest.raises(ConfigurationError, match=r"0001_users was applied .* another text"):
            await refuse(database.url, steps=[changed, *others])


async def test_a_step_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(DependencyError, match="division by zero"):
        await migrate(database.url, steps=[*migrations(), BROKEN])

    assert "half" not in tables(database)
    assert await pending(database.url, steps=[*migrations(), BROKEN]) == [BROKEN.name]


async def test_a_database_that_is_down_is_no_surprise(nobody: int) -> None:
    with pytest.raises(DependencyError, match="Connection refused") as caught:
        await migrate(f"postgresql://someone:hunter2@127.0.0.1:{nobody}/x")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["hunter2", "postgres//u:hunter2@h", "postgresql://u:hunter2@h:x"])
async def test_a_url_that_is_none_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises((ConfigurationError, DependencyError)) as caught:
        await migrate(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("wicketgate", True),
        ("_a1", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("", False),
        ("1a", False),
        ("Users", False),
        ('a"; DROP SCHEMA public; --', False),
        ("a.b", False),
        ("a\n", False),
    ],
)
async def test_the_name_of_a_schema_is_checked(name: str, *, is_one: bool) -> None:
    assert is_schema_name(name) == is_one
    if not is_one:
        with pytest.raises(ConfigurationError, match="expected 1 to 63 small letters"):
            await migrate("postgresql://h/d", schema=name)
        with pytest.raises(ValueError, match="not a schema name"):
            in_schema("{schema}", name)


def test_a_statement_names_the_schema_of_every_table() -> None:
    text = query("upsert_users", "elsewhere")

    assert b'"elsewhere".users' in text
    assert b"{" not in text


async def test_the_default_row_is_older_than_everything(database: Database) -> None:
    """
    What a service may insert before the webhook comes: Clerk's id alone.
    """
    with psycopg.connect(make_conninfo(database.url, options="-c timezone=UTC")) as connection:
        connection.execute("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")
        row = connection.execute(
            "SELECT clerk_updated_at = 'epoch' AND event_at = 'epoch' AND id IS NOT NULL"
            " AND public_metadata = '{}' AND NOT banned AND NOT locked"
            " FROM wicketgate.users"
        ).fetchone()

    assert row == (True,)
