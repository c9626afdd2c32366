"""Whoever is refused at Clerk is revoked in the same transaction, and every gate is told."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import psycopg
import pytest

from database import Database, Row
from deliveries import deleted, ended, profile, upserted
from listener import Listener, listening
from wicketgate.adapters.migrations import migrate
from wicketgate.adapters.postgres import PostgresStore, open_store
from wicketgate.adapters.postgres_sync import open_mirror
from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Progress
from wicketgate.core.delivery import Delivery, Outcome
from wicketgate.local.postgres import EmbeddedPostgres
from wicketgate.sql import migrations

NOW = int(time.time() * 1000) - 60_000
"""When the stories begin: a minute ago, so that tokens from before may be valid."""
MARGIN = timedelta(minutes=10)
DAY = timedelta(days=1)
GOOD: dict[str, Any] = {"banned": False, "locked": False, "deprovisioned": False}
REVOCATIONS = "SELECT * FROM wicketgate.revocations ORDER BY kind, id"
USER = "SELECT * FROM wicketgate.revocations WHERE kind = 'user'"
BAN = "UPDATE wicketgate.users SET banned = true"
READMIT = "UPDATE wicketgate.users SET banned = false, locked = false, deprovisioned = false"


@pytest.fixture
def listener(database: Database) -> Iterator[Listener]:
    """Somebody who listens on the fresh database."""
    with listening(database) as listener:
        yield listener


def updated(user: str = "user_1", *, at: int = NOW, **flags: bool) -> Delivery:
    """A ``user.updated`` of somebody who is welcome but for `flags`."""
    return upserted(user, version=at, at=at, **{**GOOD, **flags})


def seconds(milliseconds: int) -> float:
    return milliseconds / 1000


def in_force(database: Database) -> list[Row]:
    """Return what counts, and what of it a gate may see."""
    return database.rows(
        "SELECT kind, id, revoked_at, expires_at, reason, source FROM wicketgate.revocations"
        " WHERE lifted_at IS NULL AND expires_at > now() ORDER BY kind, id"
    )


# -- each event


@pytest.mark.parametrize(
    ("event", "kind", "identity", "reason"),
    [
        (deleted(at=NOW), "user", "user_1", "deleted"),
        (updated(banned=True), "user", "user_1", "banned"),
        (updated(locked=True), "user", "user_1", "locked"),
        (updated(deprovisioned=True), "user", "user_1", "deprovisioned"),
        (ended("msg_1", at=NOW, kind="session.ended"), "session", "sess_1", "ended"),
        (ended("msg_1", at=NOW, kind="session.removed"), "session", "sess_1", "removed"),
        (ended("msg_1", at=NOW, kind="session.revoked"), "session", "sess_1", "revoked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("is_known", [False, True])
async def test_an_event_that_refuses_somebody_revokes_and_tells_once(
    database: Database,
    store: PostgresStore,
    listener: Listener,
    event: Delivery,
    kind: str,
    identity: str,
    reason: str,
    *,
    is_known: bool,
) -> None:
    if is_known:
        await store.apply(updated(at=NOW - 1))
    for _ in range(2):
        await store.apply(event)

    row = database.row(REVOCATIONS)
    assert (row["kind"], row["id"], row["reason"]) == (kind, identity, reason)
    assert row["revoked_at"].timestamp() == seconds(NOW)
    assert row["expires_at"] - row["revoked_at"] == DAY + MARGIN
    assert (row["source"], row["lifted_at"]) == ("clerk", None)
    assert listener.told() == [
        {
            "schema": "wicketgate",
            "kind": kind,
            "id": identity,
            "revoked_at": seconds(NOW),
            "expires_at": row["expires_at"].timestamp(),
            "is_lifted": False,
            "changed_at": row["changed_at"].timestamp(),
        }
    ]


@pytest.mark.parametrize(
    "events",
    [
        [updated()],
        [updated(), updated(at=NOW + 1)],
        [updated(banned=True, at=NOW), updated(at=NOW - 1)],
    ],
    ids=["new", "changed", "stale"],
)
async def test_whoever_is_welcome_and_was_never_refused_is_no_news(
    database: Database, store: PostgresStore, listener: Listener, events: Sequence[Delivery]
) -> None:
    *before, last = events
    for event in before:
        await store.apply(event)
    found = in_force(database)
    listener.told()

    await store.apply(last)

    assert in_force(database) == found
    assert listener.told() == []


async def test_a_stub_revokes_nothing(database: Database, listener: Listener) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")

    assert database.rows(REVOCATIONS) == []
    assert listener.told() == []


@pytest.mark.parametrize("flag", GOOD)
async def test_whoever_is_readmitted_is_lifted_and_that_is_told(
    database: Database, store: PostgresStore, listener: Listener, flag: str
) -> None:
    await store.apply(upserted(version=NOW, at=NOW, **{**GOOD, flag: True}))
    await store.apply(updated(at=NOW + 1))

    assert in_force(database) == []
    assert database.row(USER)["lifted_at"] is not None
    assert [each["is_lifted"] for each in listener.told()] == [False, True]


async def test_whoever_is_refused_for_two_reasons_is_not_lifted_for_one(
    database: Database, store: PostgresStore, listener: Listener
) -> None:
    await store.apply(updated(banned=True, locked=True))
    await store.apply(updated(at=NOW + 1, locked=True))

    (row,) = in_force(database)
    assert row["reason"] == "locked"
    assert not any(each["is_lifted"] for each in listener.told())


async def test_nothing_lifts_a_deletion(
    database: Database, store: PostgresStore, listener: Listener
) -> None:
    """
    Not news from before, not news from later, and not a hand that clears a ban.
    """
    await store.apply(updated(banned=True))
    await store.apply(deleted(at=NOW + 5))
    await store.apply(updated(at=NOW + 3))
    await store.apply(updated(at=NOW + 9))
    database.rows(BAN)
    database.rows(READMIT)

    (row,) = in_force(database)
    assert row["reason"] == "deleted"
    assert not any(each["is_lifted"] for each in listener.told())


# -- one transaction


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO wicketgate.users (clerk_user_id, banned) VALUES ('user_2', true)",
        BAN,
        "UPDATE wicketgate.users SET deleted_at = now()",
        "SELECT wicketgate.revoke('session', 'sess_1', now(), 'by hand', 'operator')",
    ],
)
def test_nobody_hears_of_what_is_rolled_back(
    database: Database, listener: Listener, statement: str
) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")
    with psycopg.connect(database.url) as connection:
        connection.execute(statement.encode())
        assert connection.execute("SELECT count(*) FROM wicketgate.revocations").fetchone() == (1,)
        assert listener.told() == []
        connection.rollback()

    assert listener.told() == []
    assert database.rows(REVOCATIONS) == []


@pytest.mark.parametrize("event", [updated(banned=True), deleted(at=NOW), ended("m", at=NOW)])
async def test_what_cannot_be_revoked_is_not_noted_either(
    database: Database, store: PostgresStore, event: Delivery
) -> None:
    """
    The delivery fails as a whole; the database mended, it comes again and is applied.
    """
    database.rows(
        "ALTER TABLE wicketgate.revocations ADD CONSTRAINT broken CHECK (reason = 'none')"
    )
    assert await store.apply(event) is Outcome.DEAD
    assert database.rows("SELECT FROM wicketgate.users") == []

    database.rows("ALTER TABLE wicketgate.revocations DROP CONSTRAINT broken")
    assert await store.apply(event) in {Outcome.APPLIED, Outcome.RECORDED}
    assert len(in_force(database)) == 1


def test_what_changes_often_in_one_transaction_is_told_to_its_end(
    database: Database, listener: Listener
) -> None:
    """
    Postgres leaves out a text that it has told before in the same transaction.
    """
    revoke = "SELECT wicketgate.revoke('user', 'user_1', '2030-01-01', 'x', 'operator')"
    lift = "UPDATE wicketgate.revocations SET lifted_at = '2030-01-01'"
    with psycopg.connect(database.url) as connection:
        for statement in (revoke, lift, revoke, lift, revoke):
            connection.execute(statement.encode())

    told = [each["is_lifted"] for each in listener.told()]
    assert told == [False, True, False, True, False]


def test_what_is_deleted_by_hand_is_told_as_lifted_unless_it_had_expired(
    database: Database, listener: Listener
) -> None:
    for kind in ("user", "session"):
        database.rows(f"SELECT wicketgate.revoke('{kind}', 'x', now(), 'x', 'operator')")
    database.rows("UPDATE wicketgate.revocations SET expires_at = now() WHERE kind = 'session'")
    listener.told()

    database.rows("DELETE FROM wicketgate.revocations")

    assert [(each["kind"], each["is_lifted"]) for each in listener.told()] == [("user", True)]


# -- in any order, any number of times


def story(user: str) -> list[Delivery]:
    """Banned, readmitted, banned for another reason, and renamed while that lasts."""
    return [
        updated(user, at=NOW + 1_000, banned=True),
        updated(user, at=NOW + 2_000),
        updated(user, at=NOW + 3_000, locked=True),
        updated(user, at=NOW + 4_000, locked=True),
    ]


STORIES: dict[str, Callable[[str], list[Delivery]]] = {
    "banned last": story,
    "readmitted last": lambda user: [*story(user), updated(user, at=NOW + 5_000)],
    "deleted last": lambda user: [*story(user)[:3], deleted(user, at=NOW + 5_000)],
}


@pytest.mark.parametrize("name", STORIES)
async def test_every_order_ends_in_the_same_revocations(
    database: Database, store: PostgresStore, name: str
) -> None:
    """
    One user for each order, everything twice; what the gates are to refuse differs in nothing.
    """
    told = STORIES[name]
    count = len(told("user_0"))
    orders = [tuple(range(count)), *permutations(range(count))]
    limit = asyncio.Semaphore(50)

    async def live(user: str, order: Sequence[int]) -> None:
        events = told(user)
        again = random.Random(user).sample(order, count)  # noqa: S311 - an example
        async with limit:
            for index in (*order, *again):
                await store.apply(events[index])

    await asyncio.gather(*(live(f"user_{n}", order) for n, order in enumerate(orders)))

    rows = in_force(database)
    counting = {row.pop("id"): row for row in rows}
    expected = counting.get("user_0")
    assert (expected is None) == (name == "readmitted last")
    assert [counting.get(f"user_{n}") for n in range(len(orders))] == [expected] * len(orders)


async def test_every_order_of_a_session_s_ends_is_the_same(
    database: Database, store: PostgresStore
) -> None:
    kinds = ("session.ended", "session.removed", "session.revoked")
    for number, order in enumerate(permutations(range(3))):
        for index in (*order, *order):
            await store.apply(
                ended(
                    f"msg_{number}_{index}",
                    session=f"sess_{number}",
                    at=NOW + index * 1_000,
                    kind=kinds[index],
                )
            )

    rows = in_force(database)
    assert len(rows) == 6
    assert {(row["reason"], row["revoked_at"].timestamp()) for row in rows} == {
        ("revoked", seconds(NOW) + 2)
    }


async def test_a_ban_counts_from_its_own_time_although_the_readmission_before_it_is_late(
    database: Database, store: PostgresStore
) -> None:
    """
    Tokens that were issued between two bans are old tokens.
    """
    await store.apply(updated(at=NOW, banned=True))
    await store.apply(updated(at=NOW + 9_000, banned=True))
    await store.apply(updated(at=NOW + 4_000))

    assert [row["revoked_at"].timestamp() for row in in_force(database)] == [seconds(NOW) + 9]


# -- the moment, and how long it matters


@pytest.mark.parametrize(
    ("age", "is_written"), [(timedelta(hours=24, minutes=9), True), (DAY + MARGIN, False)]
)
@pytest.mark.parametrize("kind", ["deleted", "banned", "session"])
async def test_what_could_concern_no_valid_token_is_not_written(
    database: Database,
    store: PostgresStore,
    listener: Listener,
    kind: str,
    age: timedelta,
    *,
    is_written: bool,
) -> None:
    at = int((time.time() - age.total_seconds()) * 1000)
    events = {
        "deleted": deleted(at=at),
        "banned": updated(at=at, banned=True),
        "session": ended("msg_1", at=at),
    }
    await store.apply(events[kind])

    assert len(database.rows(REVOCATIONS)) == len(listener.told()) == is_written


@pytest.mark.parametrize("event", [updated(at=0, banned=True), deleted(at=0), ended("m", at=0)])
async def test_an_event_without_a_time_happened_now(
    database: Database, store: PostgresStore, event: Delivery
) -> None:
    await store.apply(event)

    row = database.row("SELECT now() - revoked_at AS age FROM wicketgate.revocations")
    assert timedelta(seconds=-5) <= row["age"] < timedelta(minutes=1)


@pytest.mark.parametrize("kind", ["banned", "session"])
async def test_a_clock_far_ahead_refuses_ten_minutes_of_tokens_to_come_at_most(
    database: Database, store: PostgresStore, kind: str
) -> None:
    last = 253_402_300_799_000
    event = updated(at=last, banned=True) if kind == "banned" else ended("msg_1", at=last)
    await store.apply(event)

    row = database.row("SELECT revoked_at - now() AS ahead FROM wicketgate.revocations")
    assert timedelta(minutes=9) < row["ahead"] <= MARGIN


@pytest.mark.parametrize("change", [*(f"{flag} = true" for flag in GOOD), "deleted_at = now()"])
async def test_a_ban_by_hand_counts_from_now(
    database: Database, store: PostgresStore, change: str
) -> None:
    """
    The row's own times are Clerk's, of long ago.
    """
    await store.apply(updated(at=NOW - 10**9))
    database.rows(f"UPDATE wicketgate.users SET {change}")  # noqa: S608 - ours

    (row,) = in_force(database)
    assert row["revoked_at"].timestamp() > seconds(NOW)


def test_a_ban_by_hand_refuses_what_was_issued_before_whatever_clerk_s_clock_says(
    database: Database,
) -> None:
    """
    Clerk's clock may be 5 s ahead, and the transaction may have begun long ago.
    """
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")
    with psycopg.connect(database.url) as connection:
        connection.execute("SELECT pg_sleep(0.1)")
        ((before,),) = connection.execute("SELECT clock_timestamp()").fetchall()
        connection.execute("UPDATE wicketgate.users SET banned = true")

    (row,) = in_force(database)
    assert row["revoked_at"] >= before + timedelta(seconds=5)


def test_a_change_by_hand_that_refuses_nobody_more_is_no_news(
    database: Database, listener: Listener
) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id, banned) VALUES ('user_1', true)")
    listener.told()

    database.rows("UPDATE wicketgate.users SET first_name = 'Mina', updated_at = now()")

    assert listener.told() == []


def test_without_its_terms_a_revocation_lasts_a_day(database: Database) -> None:
    """
    A row that somebody deleted by mistake is no reason to revoke nothing.
    """
    database.rows("DELETE FROM wicketgate.revocation_terms")
    database.rows("INSERT INTO wicketgate.users (clerk_user_id, banned) VALUES ('user_1', true)")

    (row,) = in_force(database)
    assert row["expires_at"] - row["revoked_at"] == DAY + MARGIN


def fill_the_queue(database: Database) -> None:
    for number in range(1_000):
        database.rows("SELECT pg_notify('anything', %s || repeat('x', 7900))", str(number))


async def test_a_stranger_who_listens_and_does_not_read_stops_no_revocation() -> None:
    """
    The queue of the server is full, and nobody can commit who tells anything.
    """
    async with EmbeddedPostgres(settings={"max_notify_queue_pages": "64"}) as postgres:
        await migrate(postgres.url)
        database = Database(postgres.url)
        with psycopg.connect(postgres.url) as stranger:
            stranger.execute("LISTEN anything")
            stranger.commit()
            stranger.execute("SELECT 1")
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="NOTIFY queue"):
                fill_the_queue(database)
            async with open_store(postgres.url) as store:
                assert await store.apply(updated(banned=True)) is Outcome.APPLIED

        assert len(in_force(database)) == 1


# -- who revoked it


def by_operator(database: Database, moment: str = "now()") -> None:
    database.rows(f"SELECT wicketgate.revoke('user', 'user_1', {moment}, 'stolen', 'operator')")


@pytest.mark.parametrize("operator_is_first", [True, False])
async def test_clerk_does_not_lift_what_an_operator_revoked(
    database: Database, store: PostgresStore, *, operator_is_first: bool
) -> None:
    await store.apply(updated(at=NOW - 1))
    if operator_is_first:
        by_operator(database)
    await store.apply(updated(at=NOW, banned=True))
    if not operator_is_first:
        by_operator(database)
    await store.apply(updated(at=NOW + 1))

    (row,) = in_force(database)
    assert (row["source"], row["reason"]) == ("operator", "stolen")


async def test_a_ban_later_than_the_operator_s_moment_moves_it(
    database: Database, store: PostgresStore
) -> None:
    by_operator(database, "now() - interval '10 minutes'")
    await store.apply(updated(banned=True))

    (row,) = in_force(database)
    assert row["revoked_at"].timestamp() == seconds(NOW)
    assert (row["source"], row["reason"]) == ("operator", "stolen")


async def test_an_operator_makes_nothing_less_strict(
    database: Database, store: PostgresStore
) -> None:
    """
    Clerk's clock is ahead of ours, and its moment is the later one.
    """
    await store.apply(updated(at=NOW + 360_000, banned=True))
    by_operator(database)

    (row,) = in_force(database)
    assert row["revoked_at"].timestamp() == seconds(NOW) + 360
    assert (row["source"], row["reason"]) == ("operator", "stolen")


@pytest.mark.parametrize("ending", ["lifted_at = now()", "expires_at = now()"])
async def test_an_operator_s_row_that_is_over_has_no_say(
    database: Database, store: PostgresStore, ending: str
) -> None:
    by_operator(database, "now() - interval '1 hour'")
    database.rows(f"UPDATE wicketgate.revocations SET {ending}")  # noqa: S608 - ours
    await store.apply(updated(banned=True))

    (row,) = in_force(database)
    assert (row["source"], row["reason"]) == ("clerk", "banned")

    await store.apply(updated(at=NOW + 1))
    assert in_force(database) == []


async def test_a_lifted_row_leaves_no_moment_behind(
    database: Database, store: PostgresStore
) -> None:
    """
    An hour too much, by mistake, and lifted at once.
    """
    by_operator(database, "now() + interval '1 hour'")
    database.rows("UPDATE wicketgate.revocations SET lifted_at = now()")
    await store.apply(updated(banned=True))

    (row,) = in_force(database)
    assert row["revoked_at"].timestamp() == seconds(NOW)


# -- the other ways in


async def test_a_comparison_revokes_and_lifts_likewise(
    database: Database, listener: Listener
) -> None:
    pages = [
        profile("user_1", version=NOW, **GOOD | {"banned": True}),
        profile("user_1", version=NOW + 1, **GOOD),
    ]
    async with open_mirror(database.url) as mirror:
        await mirror.begin(restart=True)
        for number, page in enumerate(pages):
            for _ in range(2):
                await mirror.save([page], event_at=NOW + number * 10, progress=Progress())
        await mirror.bury([UserId("user_1")], event_at=NOW + 30)

    assert [each["is_lifted"] for each in listener.told()] == [False, True, False]
    assert [row["reason"] for row in in_force(database)] == ["deleted"]


async def test_replicas_at_the_same_time_end_in_the_same_revocations(
    database: Database, store: PostgresStore, listener: Listener
) -> None:
    """
    Nobody waits for anybody for ever, and what is told last is what is in force.
    """
    events = [each for n in range(20) for each in STORIES["banned last"](f"user_{n}")] * 2
    random.Random(3).shuffle(events)  # noqa: S311 - an example

    await asyncio.gather(*(store.apply(event) for event in events))

    rows = in_force(database)
    assert {row["revoked_at"].timestamp() for row in rows} == {seconds(NOW) + 4}
    assert len(rows) == 20
    last: dict[str, dict[str, Any]] = {each["id"]: each for each in listener.told()}
    assert {each["revoked_at"] for each in last.values()} == {seconds(NOW) + 4}
    assert not any(each["is_lifted"] for each in last.values())


async def test_those_who_were_refused_before_the_tables_were_there_are_revoked(
    database: Database,
) -> None:
    """
    An upgrade shortly after a ban; of longer ago there is nothing to revoke.
    """
    database.rows("DROP SCHEMA wicketgate CASCADE")
    *older, this = migrations()[:4]
    await migrate(database.url, steps=older)
    database.rows(
        "INSERT INTO wicketgate.users (clerk_user_id, banned, event_at, deleted_at) VALUES"
        " ('user_1', true, now(), NULL), ('user_2', false, now(), NULL),"
        " ('user_3', false, now(), now()), ('user_4', true, now() - interval '2 days', NULL)"
    )
    await migrate(database.url, steps=[*older, this])

    assert [(row["id"], row["reason"]) for row in in_force(database)] == [
        ("user_1", "banned"),
        ("user_3", "deleted"),
    ]


# -- what is forgotten


def make_expired(database: Database, count: int) -> None:
    database.rows(
        "INSERT INTO wicketgate.revocations (kind, id, revoked_at, expires_at, reason, source)"
        " SELECT 'session', 'sess_' || n, now() - interval '2 days', now(), 'x', 'clerk'"
        " FROM generate_series(1, %s) AS n",
        count,
    )


async def test_what_has_expired_is_forgotten_silently(
    database: Database, store: PostgresStore, listener: Listener
) -> None:
    await store.apply(updated(banned=True))
    make_expired(database, 7)
    listener.told()

    assert await store.prune(batch=3) == 7
    assert [row["id"] for row in database.rows(REVOCATIONS)] == ["user_1"]
    assert listener.told() == []


async def test_a_row_that_is_being_written_to_is_not_waited_for(
    database: Database, store: PostgresStore
) -> None:
    make_expired(database, 2)
    with psycopg.connect(database.url) as connection:
        connection.execute(
            "SELECT wicketgate.revoke('session', 'sess_1', now(), 'again', 'operator')"
        )
        assert await store.prune() == 1
        connection.commit()

    assert await store.prune() == 0
    assert [row["id"] for row in in_force(database)] == ["sess_1"]


def test_what_is_told_is_told_in_the_order_of_the_commits(
    database: Database, listener: Listener
) -> None:
    """
    Not in that of the statements: who commits first is told first.
    """
    revoke = "SELECT wicketgate.revoke('user', %s, now(), 'x', 'operator')"
    with psycopg.connect(database.url) as one, psycopg.connect(database.url) as other:
        one.execute(revoke, ["first"])
        other.execute(revoke, ["second"])
        other.commit()
        one.commit()

    assert [each["id"] for each in listener.told()] == ["second", "first"]


def test_times_are_exact_to_the_microsecond(database: Database, listener: Listener) -> None:
    moment = datetime.fromisoformat("2030-01-01T00:00:00.123457+00:00")
    database.rows("SELECT wicketgate.revoke('user', 'user_1', %s, 'x', 'operator')", moment)

    (told,) = listener.told()
    assert told["revoked_at"] == moment.timestamp()
