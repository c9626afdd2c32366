"""Rows of users whom a gate meets first, in a real Postgres, and what upstreams do with them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import aiohttp
import grpc
import psycopg
import pytest
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict

from conformance.table import ANYONE, INSIDE, OPTIONAL, USERS, World, bearer, service
from database import Database
from deliveries import INSTANCE, T0, deleted, profile, upserted
from gates import check_request, upstream_headers
from meshes import mesh
from processes import Running, check, code, environ, gate
from wicketgate.adapters.first_sight import FirstSight
from wicketgate.adapters.postgres import PostgresStore
from wicketgate.adapters.postgres_first_sight import APPLICATION, PostgresUserRows, open_user_rows
from wicketgate.adapters.postgres_sync import open_mirror
from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Effect, Progress
from wicketgate.core.delivery import Outcome
from wicketgate.core.first_sight import KnownUsers, Sighting, UserRow
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.local.clerk_instance import USER
from wicketgate.sql import roles_script
from wicketgate.sql.pool import open_pool

ADA = UserId("user_ada")


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


def user(database: Database, user_id: str = ADA) -> dict[str, object]:
    return database.row(
        "SELECT *, id::text AS own_id, clerk_updated_at = 'epoch' AS is_stub"
        " FROM wicketgate.users WHERE clerk_user_id = %s",
        user_id,
    )


def count(database: Database) -> int:
    return int(database.row("SELECT count(*) AS users FROM wicketgate.users")["users"])


def is_waiting_for_a_lock(database: Database) -> bool:
    return bool(
        database.rows(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
            " AND wait_event_type = 'Lock' AND datname = current_database()",
            APPLICATION,
        )
    )


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that happens elsewhere."""
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it did not happen")


@pytest.fixture
async def rows(database: Database) -> AsyncIterator[PostgresUserRows]:
    """The table as a gate sees it."""
    async with open_user_rows(database.url) as rows:
        yield rows


# --- the statement -----------------------------------------------------------


async def test_a_row_is_made_once_and_found_afterwards(
    database: Database, rows: PostgresUserRows
) -> None:
    first = await rows.find_or_make(ADA)
    second = await rows.find_or_make(ADA)

    own_id = str(user(database)["own_id"])
    assert first == UserRow(own_id, is_new=True)
    assert second == UserRow(own_id)
    assert count(database) == 1


async def test_the_webhook_fills_the_row(
    database: Database, rows: PostgresUserRows, store: PostgresStore
) -> None:
    made = await rows.find_or_make(ADA)

    outcome = await store.apply(upserted(ADA, version=T0, banned=False))

    found = user(database)
    assert outcome is Outcome.APPLIED
    assert isinstance(made, UserRow)
    assert (found["own_id"], found["first_name"], found["instance_id"]) == (
        made.id,
        "Mina",
        INSTANCE,
    )


async def test_a_row_that_a_webhook_made_is_found_and_left_as_it_is(
    database: Database, rows: PostgresUserRows, store: PostgresStore
) -> None:
    await store.apply(upserted(ADA))
    before = database.row("SELECT *, xmin::text FROM wicketgate.users")

    found = await rows.find_or_make(ADA)

    assert found == UserRow(str(before["id"]))
    assert before == database.row("SELECT *, xmin::text FROM wicketgate.users")


async def test_a_tombstone_is_found_as_one_and_stays_one(
    database: Database, rows: PostgresUserRows, store: PostgresStore
) -> None:
    await store.apply(deleted(ADA))
    before = user(database)

    found = await rows.find_or_make(ADA)

    assert found == UserRow(str(before["own_id"]), is_buried=True)
    assert before == user(database)


async def test_a_deletion_buries_a_row_that_was_made_at_first_sight(
    rows: PostgresUserRows, store: PostgresStore
) -> None:
    made = await rows.find_or_make(ADA)
    await store.apply(deleted(ADA))
    found = await rows.find_or_make(ADA)

    assert isinstance(made, UserRow)
    assert found == UserRow(made.id, is_buried=True)


async def test_a_comparison_with_clerk_fills_the_row(
    database: Database, rows: PostgresUserRows
) -> None:
    await rows.find_or_make(ADA)

    async with open_mirror(database.url, instance_id=INSTANCE) as mirror:
        await mirror.begin(restart=False)
        effects = await mirror.save(
            [profile(ADA)], event_at=T0 + 10**6, progress=Progress(is_listed=True)
        )

    assert effects == {ADA: Effect.UPDATED}
    assert user(database)["first_name"] == "Mina"


async def test_a_row_that_is_made_at_first_sight_revokes_nothing(
    database: Database, rows: PostgresUserRows
) -> None:
    await rows.find_or_make(ADA)

    assert database.rows("SELECT * FROM wicketgate.revocations") == []


async def test_gates_that_meet_the_same_users_at_once_agree(database: Database) -> None:
    users = [UserId(f"user_{number}") for number in range(200)]
    async with open_user_rows(database.url) as one, open_user_rows(database.url) as other:
        found = await asyncio.gather(
            *(table.find_or_make(user_id) for user_id in users for table in (one, other))
        )

    rows = [each for each in found if isinstance(each, UserRow)]
    assert count(database) == len(users)
    assert len(rows) == 2 * len(users)
    assert len({row.id for row in rows}) == len(users)
    assert sum(row.is_new for row in rows) == len(users)


async def test_a_row_that_another_transaction_is_just_making_is_found(
    database: Database, rows: PostgresUserRows
) -> None:
    """
    Postgres has it wait for the other's end, and does not show it what came of it.
    """
    async with await psycopg.AsyncConnection.connect(database.url) as other:
        await other.execute("INSERT INTO wicketgate.users (clerk_user_id) VALUES (%s)", [ADA])
        looking = asyncio.create_task(rows.find_or_make(ADA))
        await until(lambda: is_waiting_for_a_lock(database))
        await other.commit()

    assert await looking == UserRow(str(user(database)["own_id"]))


async def test_one_row_that_cannot_be_had_does_not_spoil_it_for_the_rest(
    database: Database, rows: PostgresUserRows
) -> None:
    """
    They share a statement, and a rule of the operator's own refuses one of them.
    """
    database.rows("ALTER TABLE wicketgate.users ADD CHECK (clerk_user_id <> 'user_7')")
    users = [UserId(f"user_{number}") for number in range(20)]

    found = dict(zip(users, await asyncio.gather(*map(rows.find_or_make, users)), strict=True))

    assert found.pop(UserId("user_7")) == "Postgres refuses it: CheckViolation (23514)"
    assert all(isinstance(each, UserRow) for each in found.values())
    assert count(database) == 19


async def test_what_the_gate_s_role_may_do_is_enough_and_all_that_it_may(
    database: Database, store: PostgresStore
) -> None:
    await store.apply(deleted("user_gone"))
    database.rows(roles_script("wicketgate"))
    role = database.as_role("wicketgate_gate")

    async with open_user_rows(role.url) as rows:
        made = await rows.find_or_make(ADA)
        gone = await rows.find_or_make(UserId("user_gone"))

    assert isinstance(made, UserRow)
    assert made.is_new
    assert isinstance(gone, UserRow)
    assert gone.is_buried
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.rows("SELECT primary_email FROM wicketgate.users")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.rows("UPDATE wicketgate.users SET deleted_at = NULL")


async def test_a_role_that_may_not_is_told_what_to_do(database: Database) -> None:
    database.rows(roles_script("wicketgate"))
    role = database.as_role("wicketgate_operator")

    async with open_user_rows(role.url) as rows:
        with pytest.raises(DependencyError, match="see the roles script"):
            await rows.find_or_make(ADA)


async def test_tables_that_are_not_there_are_told_with_the_next_step(database: Database) -> None:
    async with open_user_rows(database.url, schema="elsewhere") as rows:
        with pytest.raises(DependencyError, match="run wicketgate migrate"):
            await rows.find_or_make(ADA)


async def test_a_postgres_that_is_not_there_is_an_error_and_its_password_is_not_told(
    nobody: int,
) -> None:
    url = f"postgresql://gate:hunter2@127.0.0.1:{nobody}/users"
    async with open_user_rows(url) as rows:
        with pytest.raises(DependencyError) as caught:
            await rows.find_or_make(ADA)

    assert "hunter2" not in str(caught.value)


async def test_a_url_that_cannot_be_read_is_a_mistake_of_the_operator_s() -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL cannot be read"):
        async with open_user_rows("postgresql://a b"):
            pass


@pytest.mark.parametrize("prepares", [True, False])
async def test_a_pooler_may_be_in_between_when_nothing_is_prepared(
    database: Database, *, prepares: bool
) -> None:
    async def prepared(connection: psycopg.AsyncConnection) -> int:
        cursor = await connection.execute("SELECT FROM pg_prepared_statements")
        return cursor.rowcount

    async with open_pool(
        database.url, schema="wicketgate", size=1, seconds=5, prepares=prepares
    ) as pool:
        rows = PostgresUserRows(pool)
        for number in range(8):
            await rows.find_or_make(UserId(f"user_{number}"))
        count = await pool.run(prepared)
        await rows.close()

    assert bool(count) is prepares


async def test_a_flood_of_users_shares_few_statements(database: Database) -> None:
    """
    500 at once: no more than are agreed upon at a time, and nobody is asked twice.
    """
    sightings: list[Sighting] = []

    class Heard:
        def sighted(self, sighting: Sighting) -> None:
            sightings.append(sighting)

        def refused(self, why: str) -> None:
            raise AssertionError(why)

        failed = refused

        def recovered(self) -> None:
            raise AssertionError

    async with open_user_rows(database.url) as rows:
        looking = FirstSight(
            rows,
            KnownUsers(keeps_ids=True),
            Heard(),
            timer=time.monotonic,
            wait_seconds=30,
            max_under_way=300,
        )
        users = [UserId(f"user_{number}") for number in range(500)]
        waiting = [wait for user_id in users if (wait := looking.meet(user_id))]
        await asyncio.gather(*(wait() for wait in waiting))
        await looking.close()

    assert len(waiting) == 300
    assert sightings.count(Sighting.SKIPPED) == 200
    assert sightings.count(Sighting.INSERTED) == 300
    assert count(database) == 300
    transactions = database.row("SELECT count(DISTINCT xmin::text) AS n FROM wicketgate.users")
    assert transactions["n"] < 30


# --- a gate ------------------------------------------------------------------


def settings_of(
    world: World, database: Database, mode: str = "sync", **more: str
) -> dict[str, str]:
    return environ(
        world,
        DATABASE_URL=url_of(database),
        WICKETGATE_FIRST_SIGHT=mode,
        **({"WICKETGATE_USER_ID_HEADER": "true"} if mode != "off" else {}),
        **more,
    )


@asynccontextmanager
async def asked(variables: dict[str, str]) -> AsyncIterator[tuple[Running, grpc.aio.Channel]]:
    async with gate(variables) as running, grpc.aio.insecure_channel(running.checks) as channel:
        yield running, channel


def connections(database: Database) -> int:
    """Return how many connections there are for first sight."""
    found = database.row(
        "SELECT count(*) AS n FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = %s",
        APPLICATION,
    )
    return int(found["n"])


async def page(running: Running, path: str) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{running.admin}{path}") as answer,
    ):
        return await answer.text()


async def counted(running: Running) -> dict[str, float]:
    """Return the outcomes that were counted."""
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(await page(running, "/metrics"))
        for sample in family.samples
        if sample.name == "wicketgate_first_sight_total" and sample.value
    }


def sent_by(world: World, user_id: str) -> bytes:
    return check_request(bearer(sub=user_id)(world))


async def until_connected(database: Database) -> None:
    await until(lambda: connections(database) == 2)


async def until_told(channel: grpc.aio.Channel, world: World) -> CheckResponse:
    """Ask until the answer tells the id of the row, and return that."""
    for _ in range(200):
        response = await check(channel, sent_by(world, ADA))
        if "x-user-id" in (upstream_headers(response, {}) or {}):
            return response
        await asyncio.sleep(0.05)
    pytest.fail("the id was not told")


async def test_off_makes_no_row_and_no_connection(world: World, database: Database) -> None:
    async with asked(settings_of(world, database, "off")) as (_, channel):
        response = await check(channel, sent_by(world, ADA))
        held = connections(database)

    assert code(response) == 0
    assert "x-user-id" not in (upstream_headers(response, {}) or {})
    assert (held, count(database)) == (0, 0)


async def test_sync_makes_the_row_before_the_answer(world: World, database: Database) -> None:
    async with asked(settings_of(world, database)) as (running, channel):
        await until_connected(database)
        response = await check(channel, sent_by(world, ADA))
        own_id = user(database)["own_id"]
        again = await check(channel, sent_by(world, ADA))
        seen = await counted(running)
        ready = await page(running, "/readyz")

    assert [upstream_headers(each, {}) for each in (response, again)] == [
        {"clerk_user_id": ADA, "wicketgate-principal": f"user:{ADA}", "x-user-id": own_id}
    ] * 2
    assert seen == {"inserted": 1}
    assert '"first sight": "ready"' in ready


async def test_async_makes_the_row_while_it_answers(world: World, database: Database) -> None:
    async with asked(settings_of(world, database, "async")) as (_, channel):
        await until_connected(database)
        first = await check(channel, sent_by(world, ADA))
        later = await until_told(channel, world)

    assert "x-user-id" not in (upstream_headers(first, {}) or {})
    assert (upstream_headers(later, {}) or {})["x-user-id"] == user(database)["own_id"]


async def test_a_tombstone_s_id_is_not_told(
    world: World, database: Database, store: PostgresStore
) -> None:
    """
    And its token is refused as well, as soon as the gate hears of revocations.
    """
    await store.apply(deleted(ADA))
    async with asked(settings_of(world, database)) as (running, channel):
        await until_connected(database)
        # Issued after the deletion, which says nothing about tokens from then on.
        response = await check(channel, sent_by(world, ADA))
        seen = await counted(running)

    assert "x-user-id" not in (upstream_headers(response, {}) or {})
    assert code(response) != 0 or seen == {"tombstone": 1}


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_gate_without_its_postgres_lets_users_in(
    mode: str, world: World, nobody: int
) -> None:
    variables = environ(
        world,
        DATABASE_URL=f"postgresql://gate:hunter2@127.0.0.1:{nobody}/users",
        WICKETGATE_FIRST_SIGHT=mode,
    )
    async with asked(variables) as (running, channel):
        codes = [code(await check(channel, sent_by(world, f"user_{n}"))) for n in range(5)]
        line = await asyncio.wait_for(running.next_event("first sight fails"), 20)
        refused = await check(channel, check_request({}))
        seen = await counted(running)
        ready = await page(running, "/readyz")

    assert codes == [0] * 5
    assert code(refused) != 0
    assert seen["failed"] >= 1
    assert "inserted" not in seen
    assert "hunter2" not in str(line)
    assert '"first sight": "degraded"' in ready


async def test_a_gate_makes_rows_again_when_its_postgres_is_back(
    world: World, database: Database
) -> None:
    database.rows("ALTER TABLE wicketgate.users RENAME TO away")
    async with asked(settings_of(world, database)) as (running, channel):
        await check(channel, sent_by(world, ADA))
        await asyncio.wait_for(running.next_event("first sight fails"), 20)
        database.rows("ALTER TABLE wicketgate.away RENAME TO users")
        response = await until_told(channel, world)
        await asyncio.wait_for(running.next_event("first sight works again"), 20)
        own_id = user(database)["own_id"]

    assert (upstream_headers(response, {}) or {})["x-user-id"] == own_id


async def test_a_table_that_is_locked_holds_nobody_up_for_long(
    world: World, database: Database
) -> None:
    """
    The request goes on without the row, and the row comes when it can.
    """
    async with asked(settings_of(world, database)) as (running, channel):
        await until_connected(database)
        async with await psycopg.AsyncConnection.connect(database.url) as other:
            await other.execute("LOCK TABLE wicketgate.users")
            response = await check(channel, sent_by(world, ADA))
            seen = await counted(running)
        later = await until_told(channel, world)

    assert code(response) == 0
    assert "x-user-id" not in (upstream_headers(response, {}) or {})
    assert seen["late"] == 1
    assert "inserted" not in seen
    assert (upstream_headers(later, {}) or {})["x-user-id"] == user(database)["own_id"]


# --- Envoy and an upstream ---------------------------------------------------


@pytest.mark.envoy
async def test_an_upstream_can_reference_a_user_at_the_first_request(
    world: World, database: Database, store: PostgresStore
) -> None:
    """
    The webhook comes later, and fills the row that business tables reference already.
    """
    database.rows("CREATE TABLE meetings (owner uuid NOT NULL REFERENCES wicketgate.users (id))")
    spellings = ("x-user-id", "X-User-Id", "x_user_id", "x-user_id", "x_user-id")
    spoofed = dict.fromkeys(spellings, "7a1c0000-0000-4000-8000-000000000000")
    async with mesh(settings_of(world, database)) as running:
        await until_connected(database)
        headers = [*bearer()(world).items(), *spoofed.items()]
        reply = await running.client.send(running.edge + USERS.path, headers=headers)
        (seen,) = running.upstream.take()
    (told,) = seen.values("x-user-id")
    database.rows("INSERT INTO meetings VALUES (%s)", told)
    outcome = await store.apply(upserted(USER, banned=False))

    assert reply.status == 200
    assert outcome is Outcome.APPLIED
    assert {name for name, value in seen.headers if value == told} == {"x-user-id"}
    assert not set(spoofed.values()) & {value for _, value in seen.headers}
    owner = database.row("SELECT first_name FROM meetings JOIN wicketgate.users ON owner = id")
    assert owner == {"first_name": "Mina"}


@pytest.mark.envoy
@pytest.mark.parametrize("name", ["x-user-id", "X-USER-ID", "x_user_id", "X-User_Id", "x_user-id"])
async def test_nobody_but_a_user_comes_with_an_id_whatever_is_sent(
    name: str, world: World, database: Database
) -> None:
    variables = settings_of(world, database, SERVICE_AUTH_TOKEN=world.service_token)
    async with mesh(variables) as running:
        for url, sends in (
            (running.edge + OPTIONAL.path, {}),
            (running.edge + ANYONE.path, bearer()(world)),
            (running.internal + INSIDE.path, service(world)),
        ):
            reply = await running.client.send(url, headers=[*sends.items(), (name, "forged")])
            assert reply.status == 200
        seen = running.upstream.take()

    assert len(seen) == 3
    assert "forged" not in repr(seen)
    assert not any("user" in name and "id" in name for each in seen for name, _ in each.headers)
    assert count(database) == 0
