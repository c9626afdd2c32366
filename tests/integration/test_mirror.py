"""The table of users, compared page by page; and a dry run, which writes nothing."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import psycopg
import pytest

from database import Database, Row
from deliveries import INSTANCE, T0, deleted, profile, upserted
from wicketgate.adapters.postgres import PostgresStore
from wicketgate.adapters.postgres_sync import PostgresMirror, open_mirror
from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor, Effect, Progress
from wicketgate.core.delivery import Outcome
from wicketgate.core.event import UserProfile
from wicketgate.errors import ConfigurationError, DependencyError, EnvironmentFaultError

ASKED_AT = T0 + 10**6
"""After every event of these tests."""
DONE = Progress(is_listed=True)


def everything(database: Database) -> dict[str, list[Row]]:
    return {
        table: database.rows(f"SELECT *, xmin::text FROM wicketgate.{table} ORDER BY 1")  # noqa: S608 - ours
        for table in ("users", "sync_runs", "sync_seen", "webhook_deliveries")
    }


def user(database: Database, user_id: str = "user_1") -> Row:
    return database.row("SELECT * FROM wicketgate.users WHERE clerk_user_id = %s", user_id)


async def save(mirror: PostgresMirror, *profiles: UserProfile, at: int = ASKED_AT) -> list[str]:
    """Save a page and return the effects, in the order of the ids."""
    effects = await mirror.save(profiles, event_at=at, progress=DONE)
    return [effects[key].value for key in sorted(effects)]


async def unseen(mirror: PostgresMirror) -> list[str]:
    return list(await mirror.unseen(after=None, limit=1000))


@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_became_of_each_and_what_would(
    database: Database, store: PostgresStore, *, dry_run: bool
) -> None:
    """
    The same words, whether it is done or only told.
    """
    cases = {
        "user_1": (None, profile("user_1"), Effect.CREATED),
        "user_2": (
            upserted("user_2"),
            profile("user_2", version=T0 + 1, username="new"),
            Effect.UPDATED,
        ),
        "user_3": (upserted("user_3"), profile("user_3"), Effect.UNCHANGED),
        "user_4": (upserted("user_4", version=T0 + 5), profile("user_4"), Effect.UNCHANGED),
        "user_5": (deleted("user_5"), profile("user_5", version=T0 + 10**7), Effect.BURIED),
        # The same version, and yet not the same: some changes at Clerk make no new one.
        "user_6": (upserted("user_6"), profile("user_6", locked=False), Effect.UPDATED),
        "user_8": (upserted("user_8"), profile("user_8", deprovisioned=False), Effect.UPDATED),
        # A newer version that says the same: the guard has to know.
        "user_7": (upserted("user_7"), profile("user_7", version=T0 + 1), Effect.UPDATED),
    }
    for before, _, _ in cases.values():
        if before is not None:
            await store.apply(before)
    found = everything(database)

    async with open_mirror(database.url, dry_run=dry_run) as mirror:
        await mirror.begin(restart=False)
        effects = await mirror.save(
            [after for _, after, _ in cases.values()], event_at=ASKED_AT, progress=DONE
        )

    assert effects == {user_id: effect for user_id, (_, _, effect) in cases.items()}
    assert (everything(database) == found) == dry_run
    if not dry_run:
        assert user(database, "user_2")["username"] == "new"
        assert user(database, "user_5")["username"] is None
        assert user(database, "user_6")["locked"] is False
        assert user(database, "user_8")["deprovisioned"] is False


async def test_a_dry_run_cannot_write(database: Database, store: PostgresStore) -> None:
    """
    From beginning to end, and Postgres itself would not let it.
    """
    for number in range(3):
        await store.apply(upserted(f"user_{number}"))
    found = everything(database)

    async with open_mirror(database.url, dry_run=True) as mirror:
        assert await mirror.begin(restart=True) == Progress()
        assert await save(mirror, profile("user_1"), profile("user_new")) == [
            "unchanged",
            "created",
        ]
        assert await mirror.count_live() == 3
        assert await mirror.count_unseen() == 2
        assert await unseen(mirror) == ["user_0", "user_2"]
        await mirror.bury([UserId("user_0")], event_at=ASKED_AT)
        await mirror.finish()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await mirror._connection.execute("DELETE FROM wicketgate.users")  # noqa: SLF001

    assert everything(database) == found


async def test_what_is_unchanged_is_not_written(database: Database, store: PostgresStore) -> None:
    """
    Not even as the same again: a run over a million users leaves no trace in their rows.
    """
    await store.apply(upserted("user_1"))
    before = everything(database)["users"]

    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        assert await save(mirror, profile("user_1"), at=ASKED_AT) == ["unchanged"]

    assert everything(database)["users"] == before


async def test_an_event_of_the_same_version_wins_over_a_list_that_claims_no_time(
    database: Database, store: PostgresStore
) -> None:
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        assert await save(mirror, profile(username="listed"), at=0) == ["created"]
        assert await store.apply(upserted(username="told")) is Outcome.APPLIED
        assert await save(mirror, profile(username="listed"), at=0) == ["unchanged"]

    assert user(database)["username"] == "told"


async def test_a_row_with_an_id_alone_is_filled(database: Database) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")

    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        assert await save(mirror, profile(), at=0) == ["updated"]

    assert user(database)["first_name"] == "Mina"


async def test_a_user_who_is_on_a_page_twice_counts_once(database: Database) -> None:
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        newer = profile(version=T0 + 1, username="newer")
        assert await save(mirror, profile(), newer, profile()) == ["created"]

    assert user(database)["username"] == "newer"


async def test_one_that_is_refused_is_left_out(database: Database) -> None:
    """
    The rest of the page is saved, and so is how far the list was read.
    """
    page = [profile(f"user_{number}") for number in range(20)]
    page[7] = profile("user_7", public_metadata={"x": "\x00"})

    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        effects = await mirror.save(
            page, event_at=ASKED_AT, progress=Progress(Cursor("user_19", 20))
        )

    assert len(effects) == 19
    assert "user_7" not in effects
    run = database.row("SELECT cursor, position, is_listed FROM wicketgate.sync_runs")
    assert run == {"cursor": "user_19", "position": 20, "is_listed": False}


async def test_what_it_buries_is_what_an_event_buries(
    database: Database, store: PostgresStore
) -> None:
    for name in ("user_1", "user_2"):
        await store.apply(upserted(name))
    await store.apply(deleted("user_1", at=ASKED_AT))
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        await mirror.bury([UserId("user_1"), UserId("user_2")], event_at=ASKED_AT)
        assert await mirror.count_live() == 0

    ours = ("id", "clerk_user_id", "created_at", "updated_at")
    first, second = (
        {name: value for name, value in user(database, each).items() if name not in ours}
        for each in ("user_1", "user_2")
    )
    assert first == second
    assert await store.apply(upserted("user_2", version=ASKED_AT + 1)) is Outcome.STALE


# -- who is asked about


async def test_only_who_was_there_and_was_not_seen_is_asked_about(
    database: Database, store: PostgresStore
) -> None:
    await store.apply(upserted("user_seen"))
    await store.apply(upserted("user_gone"))
    await store.apply(upserted("user_other", instance_id="ins_other"))
    await store.apply(upserted("user_unknown", instance_id=None))
    await store.apply(deleted("user_dead"))

    async with open_mirror(database.url, instance_id=INSTANCE) as mirror:
        await mirror.begin(restart=False)
        await store.apply(upserted("user_later"))
        await save(mirror, profile("user_seen"), profile("user_new"))

        assert await unseen(mirror) == ["user_gone", "user_unknown"]
        assert await mirror.count_unseen() == 2
        assert await mirror.count_live() == 3


@pytest.mark.parametrize("dry_run", [True, False])
async def test_ten_thousand_go_by_in_pages(database: Database, *, dry_run: bool) -> None:
    """
    Saved in pages and asked about in pages; nothing grows but tables.
    """
    database.rows(
        "INSERT INTO wicketgate.users (clerk_user_id)"
        " SELECT 'user_' || lpad(n::text, 5, '0') FROM generate_series(0, 9999) AS n"
    )
    started = time.monotonic()

    async with open_mirror(database.url, dry_run=dry_run) as mirror:
        await mirror.begin(restart=False)
        for start in range(0, 9500, 500):
            page = [profile(f"user_{number:05}") for number in range(start, start + 500)]
            effects = await mirror.save(page, event_at=ASKED_AT, progress=DONE)
            assert set(effects.values()) == {Effect.UPDATED}
        asked: list[UserId] = []
        while batch := await mirror.unseen(after=asked[-1] if asked else None, limit=100):
            assert len(batch) == 100
            asked += batch
        await mirror.finish()

    assert asked == [f"user_{number:05}" for number in range(9500, 10_000)]
    assert time.monotonic() - started < 10


# -- runs


async def test_a_run_that_was_cut_short_goes_on(database: Database, store: PostgresStore) -> None:
    """
    Where it was, and with what it had seen; unless somebody wants it otherwise.
    """
    for name in ("user_1", "user_2"):
        await store.apply(upserted(name))
    progress = Progress(Cursor("user_1", 1))
    async with open_mirror(database.url) as mirror:
        assert await mirror.begin(restart=False) == Progress()
        await mirror.save([profile("user_1")], event_at=ASKED_AT, progress=progress)

    async with open_mirror(database.url) as mirror:
        assert await mirror.begin(restart=False) == progress
        assert await unseen(mirror) == ["user_2"]
    async with open_mirror(database.url, instance_id="ins_other") as mirror:
        assert await mirror.begin(restart=False) == Progress()
    async with open_mirror(database.url) as mirror:
        assert await mirror.begin(restart=True) == Progress()
        assert await unseen(mirror) == ["user_1", "user_2"]


async def test_a_run_that_is_a_day_old_is_not_continued(database: Database) -> None:
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        await save(mirror, profile())
    database.rows("UPDATE wicketgate.sync_runs SET started_at = now() - interval '25 hours'")

    async with open_mirror(database.url) as mirror:
        assert await mirror.begin(restart=False) == Progress()
    assert database.row("SELECT count(*) AS n FROM wicketgate.sync_seen")["n"] == 0


async def test_a_run_that_is_finished_is_over(database: Database) -> None:
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=False)
        await save(mirror, profile())
        await mirror.finish()

        assert await mirror.begin(restart=False) == Progress()
    assert database.row("SELECT count(*) AS n FROM wicketgate.sync_seen")["n"] == 0
    finished = database.rows("SELECT FROM wicketgate.sync_runs WHERE finished_at IS NOT NULL")
    assert len(finished) == 1


async def test_there_is_one_run_at_a_time(database: Database) -> None:
    """
    A dry run may look on.
    """
    async with open_mirror(database.url) as first, open_mirror(database.url) as second:
        await first.begin(restart=False)
        with pytest.raises(EnvironmentFaultError, match="another wicketgate sync"):
            await second.begin(restart=False)
        async with open_mirror(database.url, dry_run=True) as third:
            await third.begin(restart=False)
    async with open_mirror(database.url) as third:
        await third.begin(restart=False)


async def test_events_and_pages_at_the_same_time_do_not_wait_for_each_other(
    database: Database, store: PostgresStore
) -> None:
    """
    Both lock many rows, and in one order: there is no deadlock, and the newest wins.
    """
    names = [f"user_{number:03}" for number in range(300)]

    async def list_them(version: int) -> Mapping[UserId, Effect]:
        async with open_mirror(database.url, dry_run=False) as mirror:
            await mirror.begin(restart=True)
            page: Sequence[UserProfile] = [profile(name, version=version) for name in names]
            return await mirror.save(page[::-1], event_at=0, progress=DONE)

    async def tell(version: int) -> None:
        await asyncio.gather(*(store.apply(upserted(name, version=version)) for name in names))

    await asyncio.gather(tell(T0), list_them(T0 + 1), tell(T0 + 2))

    versions = database.rows("SELECT DISTINCT clerk_updated_at FROM wicketgate.users")
    assert len(versions) == 1


async def test_failures_are_said(database: Database) -> None:
    """
    Within the time limit, in one line.
    """
    async with open_mirror(database.url, timeout_seconds=1) as mirror:
        await mirror.begin(restart=False)
        await save(mirror, profile())
        with psycopg.connect(database.url) as connection:
            connection.execute("LOCK TABLE wicketgate.users")
            started = time.monotonic()
            with pytest.raises(DependencyError, match=r"took too long|no answer"):
                await mirror.count_live()
            assert time.monotonic() - started < 1.5

    async with open_mirror(database.url, schema="nowhere") as mirror:
        with pytest.raises(DependencyError, match="run wicketgate migrate"):
            await mirror.begin(restart=False)
    with pytest.raises(ConfigurationError, match="schema 'Users'"):
        async with open_mirror(database.url, schema="Users"):
            pass
