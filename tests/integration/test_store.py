"""Whatever is delivered, how often, in which order and by how many: one row, the right one."""

import asyncio
import json
import logging
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from database import Database, Row
from deliveries import (
    T0,
    deleted,
    delivery,
    ended,
    membership,
    membership_deleted,
    organization,
    organization_deleted,
    upserted,
)
from wicketgate.adapters.migrations import migrate
from wicketgate.adapters.postgres import PostgresStore, open_store
from wicketgate.core.delivery import Delivery, MessageId, Outcome
from wicketgate.core.event import Ignored, Unusable
from wicketgate.core.event_body import parse_event
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.local.postgres import EmbeddedPostgres
from wicketgate.sql import Migration, migrations

SECONDS = 2.0
"""The time limit of the stores that are kept waiting."""
SLACK = 1.0
"""For a machine that is busy."""

USERS = (
    "SELECT clerk_user_id, external_id, primary_email, first_name, public_metadata, banned,"
    " deleted_at FROM wicketgate.users ORDER BY clerk_user_id"
)
OF_ITS_OWN = {
    *("id", "clerk_user_id", "clerk_membership_id", "clerk_organization_id"),
    *("created_at", "updated_at"),
}
EVERY_TABLE = ("users", "organizations", "organization_memberships", "webhook_deliveries")


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[PostgresStore]:
    """A second store on the same database."""
    async with open_store(database.url) as store:
        yield store


def everything_about(database: Database, table: str) -> list[str]:
    """Return every different row of `table`, but for what differs in all of them."""
    found = (json.loads(row) for row in everything_in(database, table))
    shared = ({name: row[name] for name in row if name not in OF_ITS_OWN} for row in found)
    return sorted({json.dumps(row) for row in shared})


def everything_in(database: Database, table: str) -> list[str]:
    """Return every row of `table` as JSON."""
    statement = f"SELECT to_jsonb(t)::text AS row FROM wicketgate.{table} AS t"  # noqa: S608 - ours
    return [row["row"] for row in database.rows(statement)]


def ms(milliseconds: int) -> datetime:
    """The time, by another way than the store's."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
        microsecond=milliseconds % 1000 * 1000
    )


def story(user: str, *, with_deletion: bool) -> list[Delivery]:
    """Created, updated twice (once under the same version), deleted; each of them twice."""
    events = [
        upserted(user, version=T0, first_name="first"),
        upserted(user, version=T0 + 5, at=T0 + 10, first_name="second"),
        upserted(user, version=T0 + 5, at=T0 + 11, first_name="third"),
    ]
    if with_deletion:
        # Before the last version, as it may look with clocks that differ.
        events.append(deleted(user, at=T0 + 3))
    return events * 2


def orders(count: int) -> Iterator[tuple[int, ...]]:
    """Yield every order of `count` events and their duplicates, those alike once."""
    seen = {tuple(index % count for index in order) for order in permutations(range(2 * count))}
    yield from sorted(seen)


# -- in any order, any number of times


@pytest.mark.parametrize(
    ("with_deletion", "first_name", "count"), [(False, "third", 90), (True, None, 2520)]
)
async def test_every_order_ends_in_the_same_row(
    database: Database,
    store: PostgresStore,
    first_name: str | None,
    count: int,
    *,
    with_deletion: bool,
) -> None:
    """
    One user for each order; what is stored of them differs in nothing.
    """
    limit = asyncio.Semaphore(100)

    async def live(user: str, order: Sequence[int]) -> None:
        events = story(user, with_deletion=with_deletion)
        async with limit:
            for index in order:
                await store.apply(events[index])

    lives = [
        live(f"user_{number}", order)
        for number, order in enumerate(orders(4 if with_deletion else 3))
    ]
    await asyncio.gather(*lives)

    assert database.row("SELECT count(*) AS n FROM wicketgate.users")["n"] == count
    (row,) = everything_about(database, "users")
    assert json.loads(row)["first_name"] == first_name
    assert (json.loads(row)["deleted_at"] is None) == (not with_deletion)


@pytest.mark.parametrize("with_deletion", [False, True])
async def test_replicas_at_the_same_time_end_in_the_same_row(
    database: Database, store: PostgresStore, replica: PostgresStore, *, with_deletion: bool
) -> None:
    """
    Two stores, everything at once; every delivery is applied at most once.
    """
    events = [
        event for user in range(60) for event in story(f"user_{user}", with_deletion=with_deletion)
    ]
    random.Random(7).shuffle(events)  # noqa: S311 - an example

    outcomes = await asyncio.gather(
        *(each.apply(event) for event in events for each in (store, replica))
    )

    assert len(everything_about(database, "users")) == 1
    applied = outcomes.count(Outcome.APPLIED)
    noted = database.row(
        "SELECT count(*) AS n, sum(attempts) AS attempts FROM wicketgate.webhook_deliveries"
        " WHERE outcome = 'applied'"
    )
    assert applied == noted["n"]
    total = database.row("SELECT sum(attempts) AS n FROM wicketgate.webhook_deliveries")["n"]
    assert total == len(outcomes)


async def test_the_same_message_is_applied_once(
    database: Database, store: PostgresStore, replica: PostgresStore
) -> None:
    """
    As when two secrets, so two endpoints, get a copy each.
    """
    outcomes = await asyncio.gather(
        *(each.apply(upserted(message="msg_1")) for each in (store, replica) for _ in range(5))
    )

    assert sorted(outcomes) == [Outcome.APPLIED, *[Outcome.STALE] * 9]
    noted = database.row("SELECT * FROM wicketgate.webhook_deliveries")
    assert (noted["svix_id"], noted["outcome"], noted["attempts"]) == ("msg_1", "applied", 10)
    assert noted["last_received_at"] > noted["received_at"]


async def test_an_older_event_is_stale(store: PostgresStore, database: Database) -> None:
    assert await store.apply(upserted(version=T0 + 1)) is Outcome.APPLIED
    assert await store.apply(upserted(version=T0, first_name="Old")) is Outcome.STALE

    assert database.row(USERS)["first_name"] == "Mina"


@pytest.mark.parametrize(
    ("change", "remove", "table", "what"),
    [
        (organization, organization_deleted, "organizations", "name"),
        (membership, membership_deleted, "organization_memberships", "role"),
    ],
)
async def test_organizations_are_guarded_likewise(
    database: Database,
    store: PostgresStore,
    change: Callable[..., Delivery],
    remove: Callable[..., Delivery],
    table: str,
    what: str,
) -> None:
    prefix = "org" if table == "organizations" else "orgmem"
    for number, order in enumerate(permutations(range(3))):
        identity = f"{prefix}_{number}"
        events = [
            change("old", version=T0, identity=identity),
            change("new", version=T0 + 1, identity=identity),
            change("newest", version=T0 + 2, identity=identity),
        ]
        for index in order:
            await store.apply(events[index])
    (row,) = everything_about(database, table)
    assert json.loads(row)[what] == "newest"

    for number, order in enumerate(permutations(range(3))):
        identity = f"{prefix}_d{number}"
        events = [
            change("old", version=T0, identity=identity),
            change("new", version=T0 + 1, identity=identity),
            remove(at=T0 + 2, identity=identity),
        ]
        for index in (*order, *order):
            await store.apply(events[index])
    _, row = sorted(everything_about(database, table), key=lambda row: '"deleted_at": "' in row)
    assert json.loads(row)[what] is None
    assert json.loads(row)["public_metadata"] == {}


# -- what is stored


async def test_everything_of_a_profile_is_stored(database: Database, store: PostgresStore) -> None:
    await store.apply(upserted(version=T0 + 7))

    row = database.row("SELECT * FROM wicketgate.users")
    assert row.pop("id").version == 4
    assert row.pop("created_at") == row.pop("updated_at")
    assert row == {
        "clerk_user_id": "user_1",
        "instance_id": "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx",
        "external_id": "crm-1",
        "primary_email": "mina@example.com",
        "primary_email_verified": True,
        "primary_phone": "+15550100",
        "username": "mina",
        "first_name": "Mina",
        "last_name": "Okafor",
        "image_url": "https://img.example.com/mina",
        "public_metadata": {"plan": "pro"},
        "banned": True,
        "locked": True,
        "deprovisioned": True,
        "clerk_created_at": ms(T0),
        "clerk_updated_at": ms(T0 + 7),
        "event_at": ms(T0 + 27),
        "deleted_at": None,
    }


@pytest.mark.parametrize("version", [1, T0 + 1, T0 + 999, 253_402_300_799_000])
async def test_times_are_exact(database: Database, store: PostgresStore, version: int) -> None:
    await store.apply(upserted(version=version, at=version))

    row = database.row("SELECT clerk_updated_at, event_at FROM wicketgate.users")
    assert row == {"clerk_updated_at": ms(version), "event_at": ms(version)}


async def test_a_time_that_nobody_told_is_unknown_and_old(
    database: Database, store: PostgresStore
) -> None:
    await store.apply(upserted(version=0, at=0, clerk_created_at=0))

    row = database.row("SELECT clerk_created_at, clerk_updated_at, event_at FROM wicketgate.users")
    assert row == {"clerk_created_at": None, "clerk_updated_at": ms(0), "event_at": ms(0)}
    assert database.row("SELECT event_at FROM wicketgate.webhook_deliveries")["event_at"] is None


async def test_a_tombstone_holds_no_person(database: Database, store: PostgresStore) -> None:
    """
    The ids and the time of the deletion are all that is left.
    """
    await store.apply(upserted())
    before = database.row("SELECT id, created_at FROM wicketgate.users")
    await store.apply(deleted(at=T0 + 3))

    row = database.row("SELECT * FROM wicketgate.users")
    assert {name: row[name] for name in before} == before
    del row["id"], row["created_at"], row["updated_at"]
    assert {name: value for name, value in row.items() if value not in (None, False)} == {
        "clerk_user_id": "user_1",
        "instance_id": "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx",
        "public_metadata": {},
        "clerk_updated_at": ms(T0 + 3),
        "event_at": ms(T0 + 3),
        "deleted_at": ms(T0 + 3),
    }


@pytest.mark.parametrize("times", [(T0, T0 + 5), (T0 + 5, T0)])
async def test_of_two_deletions_the_earlier_is_kept(
    database: Database, store: PostgresStore, times: Sequence[int]
) -> None:
    for at in times:
        await store.apply(deleted(at=at))

    assert database.row(USERS)["deleted_at"] == ms(T0)


async def test_a_deletion_without_a_time_is_one(database: Database, store: PostgresStore) -> None:
    await store.apply(deleted(at=0))

    age = database.row("SELECT now() - deleted_at AS age FROM wicketgate.users")["age"]
    assert age < timedelta(minutes=1)


async def test_a_row_with_an_id_alone_is_filled(database: Database, store: PostgresStore) -> None:
    """
    A service that meets the user before the webhook does may make one.
    """
    made = database.row(
        "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1') RETURNING id"
    )
    assert await store.apply(upserted()) is Outcome.APPLIED

    found = database.row("SELECT id, first_name FROM wicketgate.users")
    assert found == {"id": made["id"], "first_name": "Mina"}


async def test_a_tombstone_stays_whatever_comes(database: Database, store: PostgresStore) -> None:
    """
    Made of a row with an id alone; neither a newer profile nor a second stub undoes it.
    """
    stub = "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1') ON CONFLICT DO NOTHING"
    database.rows(stub)
    await store.apply(deleted(at=T0))
    database.rows(stub)

    assert await store.apply(upserted(version=T0 + 10**9)) is Outcome.STALE
    assert database.row(USERS)["deleted_at"] == ms(T0)
    assert database.row(USERS)["primary_email"] is None


async def test_two_users_may_swap_their_addresses(
    database: Database, store: PostgresStore
) -> None:
    """
    In the order in which one address belongs to both for a while.
    """
    await store.apply(upserted("user_1", primary_email="a@example.com"))
    await store.apply(upserted("user_2", primary_email="b@example.com"))
    await store.apply(upserted("user_1", primary_email="b@example.com", version=T0 + 1))
    await store.apply(upserted("user_2", primary_email="a@example.com", version=T0 + 1))

    assert [row["primary_email"] for row in database.rows(USERS)] == [
        "b@example.com",
        "a@example.com",
    ]


async def test_business_tables_keep_their_references(
    database: Database, store: PostgresStore
) -> None:
    """
    A meeting's owner is deleted at Clerk: the meeting stays, and so does its owner's row.
    """
    database.rows(
        "CREATE TABLE meetings (id int PRIMARY KEY,"
        " owner uuid NOT NULL REFERENCES wicketgate.users (id))"
    )
    await store.apply(upserted())
    database.rows("INSERT INTO meetings SELECT 1, id FROM wicketgate.users")
    await store.apply(deleted())

    joined = database.row(
        "SELECT meetings.id, deleted_at FROM meetings JOIN wicketgate.users ON users.id = owner"
    )
    assert joined == {"id": 1, "deleted_at": ms(T0 + 9000)}
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        database.rows("DELETE FROM wicketgate.users")


async def test_private_and_unsafe_metadata_are_nowhere(
    database: Database, store: PostgresStore
) -> None:
    """
    In no column of any table, whatever became of the delivery.
    """
    secret = "do-not-keep-me"
    hidden = {"private_metadata": {"k": secret}, "unsafe_metadata": {secret: 1}}
    refused = {"public_metadata": {"x": "@"}}
    bodies: list[dict[str, Any]] = [
        {"type": "user.created", "data": {"id": "user_1", **hidden}},
        {"type": "user.updated", "data": {"id": "user_2", **refused, **hidden}},
        {"type": "user.updated", "data": {"id": secret, **hidden}},
        {"type": "organization.created", "data": {"id": "org_1", **hidden}},
        {
            "type": "organizationMembership.created",
            "data": {
                "id": "orgmem_1",
                "organization": {"id": "org_1", **hidden},
                "public_user_data": {"user_id": "user_1", "identifier": secret},
                **hidden,
            },
        },
        {"type": "unknown.event", "data": {"id": "x", **hidden}},
    ]
    for number, body in enumerate(bodies):
        text = json.dumps(body | {"timestamp": T0}).replace('"@"', "1e999")
        event = parse_event(text.encode(), organizations=True)
        await store.apply(Delivery(MessageId(f"msg_{number}"), event))

    for table in (*EVERY_TABLE, "dead_letters"):
        rows = everything_in(database, table)
        assert rows
        assert not [row for row in rows if secret in row]


@pytest.mark.parametrize(
    ("content", "outcome", "letters"),
    [
        (Ignored("unknown_type"), Outcome.IGNORED, []),
        (Unusable("data.id is not a user id"), Outcome.DEAD, ["data.id is not a user id"]),
    ],
)
async def test_what_changes_nothing_is_noted(
    database: Database,
    store: PostgresStore,
    content: Ignored | Unusable,
    outcome: Outcome,
    letters: list[str],
) -> None:
    """
    Once, however often it comes.
    """
    for _ in range(2):
        assert await store.apply(delivery(content, message="msg_1", kind="a.b")) is outcome

    noted = database.row("SELECT * FROM wicketgate.webhook_deliveries")
    assert noted["outcome"] == outcome.value
    assert noted["attempts"] == 2
    assert noted["type"] == "a.b"
    assert noted["event_at"] == ms(T0)
    found = database.rows("SELECT why, attempts FROM wicketgate.dead_letters")
    assert found == [{"why": why, "attempts": 2} for why in letters]
    assert not database.rows(USERS)


async def test_the_end_of_a_session_is_recorded(database: Database, store: PostgresStore) -> None:
    assert await store.apply(ended("msg_1")) is Outcome.RECORDED

    assert (
        database.row("SELECT outcome FROM wicketgate.webhook_deliveries")["outcome"] == "recorded"
    )


# -- rows that Postgres refuses


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "spoiled",
    [
        {"public_metadata": {"x": float("inf")}},
        {"public_metadata": {"x": "\x00"}},
        {"public_metadata": {"x": "\ud800"}},
        {"public_metadata": nested(100_000)},
        {"public_metadata": {"x": 10**5000}},
        {"primary_email": "\x00@example.com"},
        {"first_name": "\ud800"},
        # Too long for an index, even compressed.
        {"primary_email": random.Random(1).randbytes(9000).hex()},  # noqa: S311 - an example
    ],
    ids=["infinity", "nul", "surrogate", "depth", "digits", "nul text", "surrogate text", "long"],
)
async def test_a_row_that_is_refused_is_buried_and_the_others_are_not(
    database: Database, store: PostgresStore, spoiled: dict[str, Any]
) -> None:
    """
    All at once, so that it goes with others, and again alone.
    """
    bad = upserted("user_bad", message="msg_bad", **spoiled)
    good = [upserted(f"user_{number}") for number in range(40)]

    outcomes = await asyncio.gather(*(store.apply(each) for each in (*good[:20], bad, *good[20:])))

    assert outcomes == [*[Outcome.APPLIED] * 20, Outcome.DEAD, *[Outcome.APPLIED] * 20]
    assert await store.apply(bad) is Outcome.DEAD
    letter = database.row("SELECT svix_id, type, why, attempts FROM wicketgate.dead_letters")
    assert letter["svix_id"] == "msg_bad"
    assert letter["type"] == "user.updated"
    assert letter["attempts"] == 2
    assert "example.com" not in letter["why"]
    assert len(database.rows(USERS)) == 40


async def test_an_organization_that_is_refused_is_buried(
    database: Database, store: PostgresStore
) -> None:
    assert await store.apply(organization("nul\x00", version=T0)) is Outcome.DEAD

    assert database.row("SELECT why FROM wicketgate.dead_letters")["why"].startswith("cannot be")


async def test_a_constraint_of_somebody_else_s_is_no_reason_to_stop(
    database: Database, store: PostgresStore
) -> None:
    """
    The classic mistake. When it is mended, Svix is asked to send the message again.
    """
    database.rows("CREATE UNIQUE INDEX mistake ON wicketgate.users (primary_email)")
    await store.apply(upserted("user_1"))

    assert await store.apply(upserted("user_2", message="msg_2")) is Outcome.DEAD
    why = database.row("SELECT why FROM wicketgate.dead_letters")["why"]
    assert why == "Postgres refuses it: UniqueViolation (23505)"

    database.rows("DROP INDEX wicketgate.mistake")
    assert await store.apply(upserted("user_2", message="msg_2")) is Outcome.APPLIED
    noted = database.row(
        "SELECT outcome, attempts FROM wicketgate.webhook_deliveries WHERE svix_id = 'msg_2'"
    )
    assert noted == {"outcome": "applied", "attempts": 2}


# -- a database that fails


async def refusal(store: PostgresStore, event: Delivery) -> str:
    """Return what `store` says against `event`, within its time limit."""
    started = time.monotonic()
    with pytest.raises(DependencyError) as caught:
        await store.apply(event)
    assert time.monotonic() - started < SECONDS + SLACK
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_row_that_is_locked_holds_up_itself_alone(database: Database) -> None:
    """
    The others that arrive together with it are applied; later, so is it.
    """
    async with open_store(database.url, timeout_seconds=SECONDS) as store:
        await store.apply(upserted("user_0"))
        with psycopg.connect(database.url) as connection:
            connection.execute("SELECT FROM wicketgate.users FOR UPDATE")
            locked = asyncio.create_task(refusal(store, upserted("user_0", version=T0 + 1)))
            others = [store.apply(upserted(f"user_{number}")) for number in range(1, 40)]
            outcomes = await asyncio.gather(*others)
            assert "locked" in await locked
            assert "locked" in await refusal(store, deleted("user_0"))

        assert outcomes == [Outcome.APPLIED] * 39
        assert await store.apply(upserted("user_0", version=T0 + 1)) is Outcome.APPLIED


async def test_nothing_is_promised_before_postgres_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    It starts, refuses in time, finds Postgres when it comes, and loses it without a fuss.
    """
    caplog.set_level(logging.CRITICAL)
    async with EmbeddedPostgres() as postgres:
        await migrate(postgres.url)
        await postgres.stop()
        async with open_store(postgres.url, timeout_seconds=SECONDS) as store:
            *said, is_ready = await asyncio.gather(
                refusal(store, upserted()), refusal(store, deleted("user_0")), store.is_ready()
            )
            assert ["Connection refused" in str(each) for each in said] == [True, True]
            assert not is_ready

            await postgres.start()
            assert await eventually(store, upserted()) is Outcome.APPLIED
            assert await store.is_ready()

            # Its connections are dead, all of them; nobody is to notice.
            await postgres.stop()
            await postgres.start()
            events = [upserted(f"user_{number}") for number in range(20)]
            assert {await eventually(store, event) for event in events} == {
                Outcome.APPLIED,
                Outcome.STALE,
            }


async def eventually(store: PostgresStore, event: Delivery) -> Outcome:
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.apply(event)
            except DependencyError:
                await asyncio.sleep(0.05)


async def test_a_postgres_that_hangs_is_given_up_in_time() -> None:
    """
    It takes what is sent, answers nothing and does not cancel either. Then it goes on.
    """
    async with EmbeddedPostgres() as postgres:
        await migrate(postgres.url)
        async with open_store(postgres.url, timeout_seconds=SECONDS, pool_size=2) as store:
            await store.apply(upserted())
            backends = Database(postgres.url).rows("SELECT pid FROM pg_stat_activity")
            pids = [postgres.pid, *(row["pid"] for row in backends)]
            alive = [pid for pid in pids if pid is not None and signalled(pid, signal.SIGSTOP)]
            try:
                *said, is_ready = await asyncio.gather(
                    refusal(store, upserted("user_2")),
                    refusal(store, deleted("user_3")),
                    store.is_ready(),
                )
                # Or no connection: perhaps the pool had only one when time stopped.
                assert [str(each)[:19] for each in said] == ["Postgres failed: no"] * 2
                assert not is_ready
            finally:
                for pid in alive:
                    signalled(pid, signal.SIGCONT)

            assert await eventually(store, upserted("user_4")) is Outcome.APPLIED


def signalled(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


async def test_it_says_what_to_do(database: Database) -> None:
    async with open_store(database.url, timeout_seconds=SECONDS, schema="nowhere") as store:
        assert "run wicketgate migrate" in await refusal(store, upserted())
        assert not await store.is_ready()

    url = make_conninfo(database.url, options="-c default_transaction_read_only=on")
    async with open_store(url, timeout_seconds=SECONDS) as store:
        assert "it is read-only" in await refusal(store, upserted())


async def test_a_wrong_password_is_said_and_not_shown(database: Database) -> None:
    url = make_conninfo(database.url, password="hunter2")

    async with open_store(url, timeout_seconds=SECONDS) as store:
        said = await refusal(store, upserted())

    assert "password authentication failed" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("url", "schema"), [("hunter2", "wicketgate"), ("postgresql://h/d", "Users")]
)
async def test_what_cannot_be_used_is_refused_at_once(url: str, schema: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with open_store(url, schema=schema):
            pass
    assert "hunter2" not in str(caught.value)


async def test_it_is_ready_with_every_table_that_it_knows(database: Database) -> None:
    """
    A newer schema is ready, too: an upgrade migrates before it replaces the last replica.
    """
    newer = Migration(9999, "9999_newer", "SELECT 1")
    async with open_store(database.url) as store:
        await migrate(database.url, steps=[*migrations(), newer])
        assert await store.is_ready()

        database.rows("DELETE FROM wicketgate.schema_migrations WHERE version > 1")
        assert not await store.is_ready()


# -- what is forgotten


def aged(database: Database, *, days: int) -> None:
    for table in ("webhook_deliveries", "dead_letters"):
        statement = f"UPDATE wicketgate.{table} SET received_at = received_at - %s"  # noqa: S608 - ours
        database.rows(statement, timedelta(days=days))


async def test_what_is_old_is_forgotten_and_users_are_not(
    database: Database, store: PostgresStore
) -> None:
    for number in range(7):
        await store.apply(upserted(f"user_{number}"))
    await store.apply(delivery(Unusable("no"), message="msg_dead"))
    aged(database, days=31)
    await store.apply(upserted("user_new", message="msg_new"))

    assert await store.prune(older_than_days=32) == 0
    assert await store.prune(batch=3) == 9
    assert await store.prune() == 0
    kept = database.rows("SELECT svix_id FROM wicketgate.webhook_deliveries")
    assert kept == [{"svix_id": "msg_new"}]
    assert not database.rows("SELECT FROM wicketgate.dead_letters")
    assert len(database.rows(USERS)) == 8


async def test_one_replica_forgets_at_a_time(database: Database, store: PostgresStore) -> None:
    await store.apply(upserted())
    aged(database, days=31)
    with psycopg.connect(database.url) as connection:
        for name in ("prune_webhook_deliveries", "prune_dead_letters", "prune_revocations"):
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"wicketgate:{name}"]
            )
        assert await store.prune() == 0

    assert await store.prune() == 1


async def test_a_forgotten_delivery_may_come_again(
    database: Database, store: PostgresStore
) -> None:
    """
    Months later, by hand: the guard needs no memory of deliveries.
    """
    old: list[Row] = []
    for name in ("first", "second"):
        await store.apply(upserted(message=f"msg_{name}", first_name=name, version=T0 + len(name)))
    old = database.rows(USERS)
    aged(database, days=400)
    await store.prune()

    outcome = await store.apply(upserted(message="msg_first", first_name="first", version=T0 + 5))

    assert outcome is Outcome.STALE
    assert database.rows(USERS) == old
