"""Revocations last as long as the tokens that they are about, and migrate is told how long."""

import asyncio
from datetime import timedelta

import psycopg
import pytest

from database import Database, Row
from wicketgate.adapters.migrations import has_token_life, keep_token_life
from wicketgate.app.migrate import migrate, pending
from wicketgate.settings import MigrateSettings

MARGIN = timedelta(minutes=10)
REVOKE = "SELECT wicketgate.revoke('session', %s, now() - %s::interval, 'ended', 'clerk')"
LIVES = "SELECT id, expires_at - revoked_at AS life FROM wicketgate.revocations ORDER BY id"


def settings(database: Database, seconds: float | None = None) -> MigrateSettings:
    return MigrateSettings(
        database_url=database.url, database_schema="wicketgate", token_life_seconds=seconds
    )


def lives(database: Database) -> list[Row]:
    return database.rows(LIVES)


async def test_migrate_says_what_it_changes_and_only_then(database: Database) -> None:
    told = "revocations last for tokens of 60 s"

    assert await pending(settings(database, 60)) == [told]
    assert await migrate(settings(database, 60)) == [told]
    assert await pending(settings(database, 60)) == []
    assert await migrate(settings(database, 60)) == []


async def test_migrate_that_is_told_nothing_changes_nothing(database: Database) -> None:
    await migrate(settings(database, 60))

    assert await pending(settings(database)) == []
    assert await migrate(settings(database)) == []
    assert await has_token_life(database.url, seconds=60)


async def test_a_day_is_what_there_is_before_anybody_says_anything(database: Database) -> None:
    assert await has_token_life(database.url, seconds=86_400)
    assert not await has_token_life(database.url, seconds=86_399)


async def test_migrate_makes_the_tables_and_keeps_the_life_at_once(database: Database) -> None:
    database.rows("DROP SCHEMA wicketgate CASCADE")

    *steps, told = await pending(settings(database, 60))
    assert (len(steps), told) == (4, "revocations last for tokens of 60 s")
    assert await migrate(settings(database, 60)) == [*steps, told]


async def test_terms_that_were_lost_are_put_back(database: Database) -> None:
    database.rows("DELETE FROM wicketgate.revocation_terms")

    assert await keep_token_life(database.url, seconds=60)
    assert await has_token_life(database.url, seconds=60)


@pytest.mark.parametrize("seconds", [1, 60, 3_600, 0.5, 315_360_000])
async def test_a_revocation_lasts_for_the_life_and_ten_minutes(
    database: Database, seconds: float
) -> None:
    await keep_token_life(database.url, seconds=seconds)
    database.rows(REVOKE, "sess_1", "5 minutes")

    assert lives(database) == [{"id": "sess_1", "life": timedelta(seconds=seconds) + MARGIN}]


@pytest.mark.parametrize(("ago", "is_written"), [("11 minutes 59 s", True), ("12 minutes", False)])
async def test_with_short_lives_less_is_written(
    database: Database, ago: str, *, is_written: bool
) -> None:
    await keep_token_life(database.url, seconds=120)
    database.rows(REVOKE, "sess_1", ago)

    assert bool(lives(database)) == is_written


async def test_a_longer_life_prolongs_what_is_there_and_a_shorter_one_cuts_nothing(
    database: Database,
) -> None:
    """
    What had expired counts again: an old token that was too long so far may be accepted now.
    """
    await keep_token_life(database.url, seconds=60)
    for session, ago in (("sess_1", "5 minutes"), ("sess_2", "5 minutes"), ("sess_3", "1 second")):
        database.rows(REVOKE, session, ago)
    lifted = "UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = 'sess_2'"
    database.rows(lifted)
    database.rows(
        "UPDATE wicketgate.revocations SET revoked_at = revoked_at - interval '1 hour',"
        " expires_at = expires_at - interval '1 hour' WHERE id = 'sess_3'"
    )
    short, long = timedelta(minutes=1) + MARGIN, timedelta(hours=2) + MARGIN

    await keep_token_life(database.url, seconds=7_200)
    prolonged = [
        {"id": "sess_1", "life": long},
        {"id": "sess_2", "life": short},
        {"id": "sess_3", "life": long},
    ]
    assert lives(database) == prolonged

    await keep_token_life(database.url, seconds=60)
    assert lives(database) == prolonged


async def test_whoever_revokes_meanwhile_is_not_left_with_the_old_life(database: Database) -> None:
    await keep_token_life(database.url, seconds=60)
    waiting = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
    with psycopg.connect(database.url) as connection:
        connection.execute(REVOKE.encode(), ["sess_1", "5 minutes"])
        keeping = asyncio.create_task(keep_token_life(database.url, seconds=7_200))
        async with asyncio.timeout(10):
            while not database.rows(waiting):
                assert not keeping.done()
                await asyncio.sleep(0.01)
    await keeping

    assert lives(database) == [{"id": "sess_1", "life": timedelta(hours=2) + MARGIN}]
