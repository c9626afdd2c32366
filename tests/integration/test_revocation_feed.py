"""The feed on a real Postgres: what it hears, what it loads, and what it survives."""

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random
from uuid import uuid4

import psycopg
import pytest

from database import Database
from revocation_rounds import Book, Fault, Followed, following, play, until
from wicketgate.adapters.migrations import migrate
from wicketgate.adapters.revocation_feed import FeedTiming
from wicketgate.adapters.revocation_link import PAGE_ROWS, revocation_link
from wicketgate.core.reason import Reason
from wicketgate.core.revocation_lifts import MOST_ASKED
from wicketgate.core.revocation_table import Kind, Revocation
from wicketgate.errors import DependencyError
from wicketgate.local.postgres import EmbeddedPostgres

SECONDS = 20
BAN = "UPDATE wicketgate.users SET banned = %s::boolean"
LIE = (
    '{"schema":"wicketgate","kind":"user","id":"%s","revoked_at":0,"expires_at":9000000000,'
    '"is_lifted":%s,"n":'
)
REVOKE = "SELECT wicketgate.revoke(%s, %s, now(), 'test', 'operator')"


@pytest.fixture
async def followed(database: Database) -> AsyncIterator[Followed]:
    """A feed on a fresh database."""
    async with following(database.url) as followed:
        yield followed


async def until_refused(followed: Followed, reason: Reason | None, **token: str) -> None:
    """Wait until a token that was issued now gets `reason`."""
    issued_at = int(time.time()) - 1
    await until(lambda: followed.refuses(issued_at=issued_at, **token) is reason)


@pytest.mark.parametrize(
    ("kind", "reason"), [("user", Reason.USER_REVOKED), ("session", Reason.SESSION_REVOKED)]
)
async def test_a_revocation_is_heard_and_so_is_that_it_was_lifted(
    database: Database, followed: Followed, kind: str, reason: Reason
) -> None:
    database.rows(REVOKE, kind, "id_1")
    await until_refused(followed, reason, **{kind: "id_1"})
    database.rows("UPDATE wicketgate.revocations SET lifted_at = now()")
    await until_refused(followed, None, **{kind: "id_1"})


@pytest.mark.parametrize("column", ["banned", "locked", "deprovisioned"])
async def test_whoever_is_banned_is_revoked_and_back_when_that_ends(
    database: Database, followed: Followed, column: str
) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")
    database.rows(BAN.replace("banned", column), "true")
    await until_refused(followed, Reason.USER_REVOKED, user="user_1")
    database.rows(BAN.replace("banned", column), "false")
    await until_refused(followed, None, user="user_1")


async def test_what_is_rolled_back_is_not_heard(database: Database, followed: Followed) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(REVOKE, ("user", "user_1"))
        connection.rollback()
    database.rows(REVOKE, "user", "user_2")
    await until_refused(followed, Reason.USER_REVOKED, user="user_2")

    assert followed.refuses(user="user_1") is None


async def test_what_is_deleted_by_hand_counts_no_more(
    database: Database, followed: Followed
) -> None:
    database.rows(REVOKE, "user", "user_1")
    await until_refused(followed, Reason.USER_REVOKED, user="user_1")
    database.rows("DELETE FROM wicketgate.revocations")

    await until_refused(followed, None, user="user_1")


# Postgres would refuse to be asked about the last two.
@pytest.mark.parametrize("row_id", ["user_1", "\\u0000", "\\ud800"])
async def test_no_login_of_the_database_lifts_by_talking(
    database: Database, followed: Followed, row_id: str
) -> None:
    """
    Whoever may connect may NOTIFY; this one may do nothing else.
    """
    database.rows(REVOKE, "user", "user_1")
    database.rows(REVOKE, "user", "user_2")
    await until_refused(followed, Reason.USER_REVOKED, user="user_2")
    role = f"stranger_{uuid4().hex[:8]}"
    database.rows(f"CREATE ROLE {role}")
    stranger = database.as_role(role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        stranger.rows("TABLE wicketgate.revocations")
    for is_lifted in ("false", "true"):
        stranger.rows(
            "SELECT pg_notify('wicketgate_revocations', %s || n || '}') "
            "FROM generate_series(1, 99) n",
            LIE % (row_id, is_lifted),
        )
    # It comes later, and is asked about with or after the lie.
    database.rows("UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = 'user_2'")
    await until_refused(followed, None, user="user_2")

    assert followed.refuses(user="user_1") is Reason.USER_REVOKED
    assert followed.observer.connections == 1
    assert followed.observer.errors == []


async def test_a_lift_does_not_wait_for_the_beat(database: Database) -> None:
    """
    With an hour between two beats, it would be too late for this test.
    """
    async with following(database.url, timing=FeedTiming(beat_seconds=3600)) as followed:
        for _ in range(3):
            database.rows(REVOKE, "user", "user_1")
            await until_refused(followed, Reason.USER_REVOKED, user="user_1")
            database.rows("UPDATE wicketgate.revocations SET lifted_at = now()")
            await until_refused(followed, None, user="user_1")


async def test_notices_that_cannot_be_read_do_no_harm(
    database: Database, followed: Followed
) -> None:
    for payload in ("", "noise", "{}", '{"schema":"wicketgate"}'):
        database.rows("SELECT pg_notify('wicketgate_revocations', %s)", payload)
    database.rows(REVOKE, "user", "user_1")

    await until_refused(followed, Reason.USER_REVOKED, user="user_1")


async def test_what_is_lifted_or_over_is_not_loaded(database: Database) -> None:
    for user in ("user_1", "user_2", "user_3"):
        database.rows(REVOKE, "user", user)
    database.rows("UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = 'user_2'")
    database.rows("UPDATE wicketgate.revocations SET expires_at = now() WHERE id = 'user_3'")

    async with following(database.url) as followed:
        assert list(followed.revocations.table.users) == ["user_1"]


async def test_a_hundred_thousand_are_loaded_while_some_of_them_change(database: Database) -> None:
    database.rows(
        "INSERT INTO wicketgate.revocations (kind, id, revoked_at, expires_at, reason, source) "
        "SELECT CASE WHEN n % 2 = 0 THEN 'user' ELSE 'session' END, 'id_' || n, "
        "now() - interval '1 h', now() + interval '1 h', 'test', 'clerk' "
        "FROM generate_series(1, 100000) n"
    )
    asked = 0

    async def ask(feed: Followed) -> None:
        nonlocal asked
        while True:
            # What a Check would get of the event loop.
            feed.refuses(user="id_2")
            asked += 1
            await asyncio.sleep(0.001)

    async with following(database.url) as followed:
        database.rows("UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = 'id_4'")
        await until_refused(followed, None, user="id_4")
        before = followed.observer.connections
        asking = asyncio.create_task(ask(followed))
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'wicketgate revocations' AND datname = current_database()"
        )
        async with asyncio.timeout(60):
            while followed.observer.connections == before:
                number = 6 + 2 * (asked % 1000)
                await asyncio.to_thread(
                    database.rows,
                    "UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = %s",
                    f"id_{number}",
                )
        await followed.is_current(time.monotonic())
        asking.cancel()
        table = followed.revocations.table
        expected = {
            row["id"]
            for row in database.rows(
                "SELECT id FROM wicketgate.revocations WHERE lifted_at IS NULL"
            )
        }

        assert expected == {*table.users, *table.sessions}
        assert asked > 100_000 // PAGE_ROWS


@pytest.mark.parametrize("skew", [-5.0, 5.0])
async def test_clocks_that_differ_change_nothing(database: Database, skew: float) -> None:
    """
    Who is revoked is compared by Clerk's clock alone; ours only lets rows go, late.
    """
    async with following(database.url, skew=skew) as followed:
        database.rows(REVOKE, "user", "user_1")
        database.rows(REVOKE, "session", "sess_1")
        await until_refused(followed, Reason.USER_REVOKED, user="user_1")
        await until_refused(followed, Reason.SESSION_REVOKED, session="sess_1")
        await followed.is_current(time.monotonic() + 0.5)

        assert followed.refuses(user="user_1", issued_at=time.time() + 2) is None
        assert followed.refuses(user="user_1", issued_at=time.time() - 10) is not None
        assert followed.observer.errors == []


async def test_what_nobody_tells_is_found_by_looking(database: Database) -> None:
    """
    A trigger that is off stands for a pooler that swallows notifications.
    """
    database.rows("ALTER TABLE wicketgate.revocations DISABLE TRIGGER revocations_tell")
    timing = FeedTiming(beat_seconds=0.1, poll_seconds=0.2)
    async with following(database.url, timing=timing) as followed:
        database.rows(REVOKE, "user", "user_1")
        await until_refused(followed, Reason.USER_REVOKED, user="user_1")
        await until(lambda: followed.observer.errors == ["missed 1"])
        database.rows("UPDATE wicketgate.revocations SET lifted_at = now()")
        await until_refused(followed, None, user="user_1")
        deaf = not followed.feed.is_well
        database.rows("ALTER TABLE wicketgate.revocations ENABLE TRIGGER revocations_tell")
        database.rows(REVOKE, "user", "user_2")
        await until_refused(followed, Reason.USER_REVOKED, user="user_2")
        async with asyncio.timeout(SECONDS):
            while not followed.feed.is_well:
                database.rows("UPDATE wicketgate.revocations SET reason = 'again'")
                await asyncio.sleep(0.05)

        assert deaf


# --- the connection itself ---------------------------------------------------


async def test_changes_are_read_in_pages_and_none_twice(database: Database) -> None:
    number = 2 * PAGE_ROWS + 1
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        moment = await link.beat()
        database.rows(
            "INSERT INTO wicketgate.revocations "
            "(kind, id, revoked_at, expires_at, reason, source, lifted_at) "
            "SELECT 'user', 'id_' || n, now(), now() + interval '1 h', 'test', 'clerk', "
            "CASE WHEN n = 1 THEN now() END FROM generate_series(1, %s) n",
            number,
        )
        rows = [row async for page in link.changes_since(moment) for row in page]

    assert number == len({row.id for row in rows}) == len(rows)
    assert [row.id for row in rows if row.is_lifted] == ["id_1"]


async def test_only_what_changed_lately_is_looked_at(database: Database) -> None:
    database.rows(
        "INSERT INTO wicketgate.revocations "
        "(kind, id, revoked_at, expires_at, reason, source, changed_at) "
        "SELECT 'user', 'user_' || n, now(), now() + interval '1 h', 'test', 'clerk', "
        "now() - n * interval '3 min' FROM generate_series(0, 2) n"
    )
    database.rows("UPDATE wicketgate.revocations SET reason = 'by hand' WHERE id = 'user_2'")
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        found = [row.id async for page in link.changes_since(await link.beat()) for row in page]

    assert found == ["user_0", "user_2"]


async def test_a_row_is_read_as_it_is(database: Database) -> None:
    database.rows(
        "INSERT INTO wicketgate.revocations (kind, id, revoked_at, expires_at, reason, source) "
        "VALUES ('session', 'sess_1', to_timestamp(1790000000.25), '2100-01-01', '', 'clerk')"
    )
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        rows = [row async for page in link.revocations() for row in page]
        token_life = await link.token_life()

    assert rows == [Revocation(Kind.SESSION, "sess_1", 1_790_000_000.25, 4_102_444_800.0)]
    assert token_life == 86_400


async def test_it_is_asked_which_of_many_count(database: Database) -> None:
    for kind in Kind:
        for number in range(4):
            database.rows(REVOKE, kind.value, f"id_{number}")
    database.rows("UPDATE wicketgate.revocations SET lifted_at = now() WHERE id = 'id_1'")
    database.rows("UPDATE wicketgate.revocations SET expires_at = now() WHERE id = 'id_2'")
    database.rows("DELETE FROM wicketgate.revocations WHERE id = 'id_3' AND kind = 'user'")
    asked = [(Kind.USER, f"id_{number}") for number in range(MOST_ASKED - 1)]
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        counting = await link.counting([*asked, (Kind.SESSION, "id_3")])

    assert {row.key for row in counting} == {(Kind.USER, "id_0"), (Kind.SESSION, "id_3")}
    assert all(row.expires_at - row.revoked_at == 87_000 for row in counting)


async def test_a_wait_ends_when_it_is_told_to(database: Database) -> None:
    wake = asyncio.Event()
    async with revocation_link(
        database.url, schema="wicketgate", tell=lambda _: wake.set()
    ) as link:
        await link.listen()
        waiting = asyncio.create_task(link.wait(3600, wake))
        await asyncio.sleep(0)
        database.rows("SELECT pg_notify('wicketgate_revocations', 'x')")
        await asyncio.wait_for(waiting, SECONDS)
        await link.beat()


async def test_what_is_told_while_a_statement_runs_is_passed_on(database: Database) -> None:
    told: list[str] = []
    async with revocation_link(database.url, schema="wicketgate", tell=told.append) as link:
        await link.listen()
        database.rows("SELECT pg_notify('wicketgate_revocations', 'one')")
        await link.beat()
        database.rows("SELECT pg_notify('wicketgate_revocations', 'two')")
        await link.wait(0.2, asyncio.Event())

    assert told == ["one", "two"]


@pytest.mark.parametrize("is_asked", [False, True], ids=["idle", "behind a statement"])
async def test_many_who_are_revoked_at_once_leave_turns_for_others(
    database: Database, *, is_asked: bool
) -> None:
    """
    A transaction may revoke a hundred thousand, and Checks are answered by the same loop.
    """
    told: list[str] = []
    in_a_turn = [0]

    async def count_turns() -> None:
        while True:
            before = len(told)
            await asyncio.sleep(0)
            in_a_turn.append(len(told) - before)

    notify = "SELECT pg_notify('wicketgate_revocations', repeat(n::text, 60)) "
    async with revocation_link(database.url, schema="wicketgate", tell=told.append) as link:
        await link.listen()
        counting = asyncio.create_task(count_turns())
        revoking = asyncio.to_thread(database.rows, notify + "FROM generate_series(1, 20000) n")
        if is_asked:
            await revoking
            await link.beat()
        else:
            waiting = asyncio.create_task(link.wait(3600, asyncio.Event()))
            await revoking
            await until(lambda: len(told) == 20_000)
            waiting.cancel()
        counting.cancel()

    assert len(told) == 20_000
    assert max(in_a_turn) < 2_000


async def test_a_connection_that_ends_is_noticed_at_once(database: Database) -> None:
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        waiting = asyncio.create_task(link.wait(3600, asyncio.Event()))
        await asyncio.sleep(0)
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'wicketgate revocations' AND datname = current_database()"
        )
        with pytest.raises(DependencyError, match="Postgres failed"):
            await asyncio.wait_for(waiting, SECONDS)
        with pytest.raises(DependencyError, match="Postgres failed"):
            await link.beat()


async def test_what_whoever_listens_raises_ends_the_wait_and_not_the_loop(
    database: Database,
) -> None:
    def fail(text: str) -> None:
        raise ValueError(text)

    async with revocation_link(database.url, schema="wicketgate", tell=fail) as link:
        await link.listen()
        waiting = asyncio.create_task(link.wait(3600, asyncio.Event()))
        await asyncio.sleep(0)
        database.rows("SELECT pg_notify('wicketgate_revocations', 'x')")
        with pytest.raises(ValueError, match="x"):
            await asyncio.wait_for(waiting, SECONDS)


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("DROP SCHEMA wicketgate CASCADE", "run wicketgate migrate"),
        ("DROP TABLE wicketgate.revocation_terms", "run wicketgate migrate"),
    ],
)
async def test_tables_that_are_not_there_are_said_to_be_missing(
    database: Database, statement: str, hint: str
) -> None:
    database.rows(statement)
    async with revocation_link(database.url, schema="wicketgate", tell=print) as link:
        with pytest.raises(DependencyError, match=hint):
            await link.token_life()


async def test_a_postgres_that_is_not_there_is_an_error_without_its_password(nobody: int) -> None:
    url = f"postgresql://gate:hunter2@127.0.0.1:{nobody}/x"
    with pytest.raises(DependencyError) as raised:
        async with revocation_link(url, schema="wicketgate", tell=print):
            pass

    assert "hunter2" not in str(raised.value)


# --- rounds ------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-5.0, 5.0])
async def test_after_every_fault_the_revoked_are_refused_and_nobody_else(skew: float) -> None:
    """
    A short form of ``make soak-revocations``.
    """
    async with EmbeddedPostgres(settings={"fsync": "off"}) as postgres:
        await migrate(postgres.url)
        book = Book(Random(f"rounds {skew}"))  # noqa: S311 - the same in every run
        async with following(postgres.url, skew=skew) as followed:
            for fault in (*Fault, *Fault):
                before = followed.observer.connections
                complaints = await play(postgres, (followed,), book, fault)

                assert complaints == [], fault
                assert (fault is not Fault.NONE) == (followed.observer.connections > before)
