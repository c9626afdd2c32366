"""A gate that hears of revocations: the process, as users start it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import grpc
import pytest
from aiohttp import ClientSession
from psycopg.conninfo import conninfo_to_dict

from conformance.table import World
from database import Database
from gates import check_request
from processes import Running, check, code, environ, gate, refusal, serving
from wicketgate.adapters.migrations import migrate
from wicketgate.local.clerk_instance import SESSION, USER
from wicketgate.local.postgres import EmbeddedPostgres

SECONDS = 30.0
REVOKE = "SELECT wicketgate.revoke(%s, %s, now(), 'test', 'operator')"


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


class Asked:
    """A gate, and a user with a token."""

    def __init__(self, running: Running, channel: grpc.aio.Channel, world: World) -> None:
        self.running = running
        self.channel = channel
        self._world = world
        self.token = world.clerk.mint(now=time.time())

    async def verdict(self, token: str | None = None, *, context: str = "user") -> str:
        """Return ``allowed``, or the reason of the denial."""
        headers = {"authorization": f"Bearer {token or self.token}"}
        extensions = {"policy": context, "exposure": "internal"}
        response = await check(self.channel, check_request(headers, context=extensions))
        if code(response) == 0:
            return "allowed"
        assert response.denied_response is not None
        assert response.denied_response.status is not None
        reason = json.loads(response.denied_response.body)["reason"]
        return f"{response.denied_response.status.code.value} {reason}"

    async def becomes(self, expected: str, token: str | None = None) -> None:
        """Wait until a token gets the `expected` verdict."""
        await eventually(lambda: self._is(expected, token))

    async def readiness(self) -> tuple[int, dict[str, str]]:
        """Return what ``/readyz`` says."""
        async with (
            ClientSession() as session,
            session.get(f"http://{self.running.admin}/readyz") as response,
        ):
            return response.status, (await response.json())["components"]

    async def metrics(self) -> dict[str, float]:
        """Return every sample that is about revocations."""
        async with (
            ClientSession() as session,
            session.get(f"http://{self.running.admin}/metrics") as response,
        ):
            lines = (await response.text()).splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if line.startswith("wicketgate_revo"))
        return {name: float(number) for name, number in samples}

    async def _is(self, expected: str, token: str | None) -> bool:
        return await self.verdict(token) == expected


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await is_so():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def asked(world: World, settings: Mapping[str, str]) -> AsyncIterator[Asked]:
    async with (
        gate(environ(world, SERVICE_AUTH_TOKEN=world.service_token, **settings)) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
    ):
        yield Asked(running, channel, world)


async def test_whoever_is_banned_is_refused_with_a_token_that_was_good_a_moment_ago(
    world: World, database: Database
) -> None:
    database.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES (%s)", USER)
    async with asked(world, {"DATABASE_URL": url_of(database)}) as mesh:
        await eventually(lambda: serving(mesh.channel))
        # Remembered: from here on its signature is not verified again.
        before = [await mesh.verdict(), await mesh.verdict()]
        other = world.clerk.mint(now=time.time(), claims={"sub": "user_2other", "sid": "sess_2"})
        # As Clerk tells it: by hand, tokens of the next 5 s would be refused, too.
        database.rows("UPDATE wicketgate.users SET banned = true, clerk_updated_at = now()")
        await mesh.becomes("401 user_revoked")
        others = await mesh.verdict(other)
        new = world.clerk.mint(now=time.time() + 2)
        fresh = await mesh.verdict(new)
        database.rows("UPDATE wicketgate.users SET banned = false")
        await mesh.becomes("allowed")
        database.rows(REVOKE, "session", SESSION)
        await mesh.becomes("401 session_revoked")
        ready, metrics = await mesh.readiness(), await mesh.metrics()

    assert before == ["allowed", "allowed"]
    assert (others, fresh) == ("allowed", "allowed")
    assert ready[0] == 200
    assert ready[1]["revocations"] == "ready"
    assert metrics["wicketgate_revoked_sessions"] == 1
    assert metrics["wicketgate_revoked_users"] == 0
    assert metrics['wicketgate_revocation_changes_total{change="revoked",kind="user"}'] == 1
    assert metrics["wicketgate_revocation_feed_stale_seconds"] < 5


async def test_without_a_database_nothing_is_followed(world: World) -> None:
    async with asked(world, {}) as mesh:
        _, components = await mesh.readiness()

        assert await serving(mesh.channel)
        assert await mesh.verdict() == "allowed"
        assert "revocations" not in components
        assert await mesh.metrics() == {}


async def test_a_feed_that_is_off_is_off_whatever_else_the_database_is_for(
    world: World, nobody: int
) -> None:
    settings = {
        "DATABASE_URL": f"postgresql://gate@127.0.0.1:{nobody}/x",
        "WICKETGATE_REVOCATION_DATABASE_URL": "off",
    }
    async with asked(world, settings) as mesh:
        _, components = await mesh.readiness()

        assert await serving(mesh.channel)
        assert "revocations" not in components


async def test_a_start_waits_for_the_revocations_and_not_for_ever(
    world: World, nobody: int
) -> None:
    settings = {
        "WICKETGATE_REVOCATION_DATABASE_URL": f"postgresql://gate:hunter2@127.0.0.1:{nobody}/x",
        "WICKETGATE_REVOCATION_START_WAIT": "2",
    }
    async with asked(world, settings) as mesh:
        at_first = await serving(mesh.channel)
        not_ready = await mesh.readiness()
        lost = await mesh.running.next_event("revocations not known")
        await eventually(lambda: serving(mesh.channel))
        degraded = await mesh.readiness()
        verdict = await mesh.verdict()

    assert not at_first
    assert (not_ready[0], not_ready[1]["revocations"]) == (503, "not ready")
    assert (degraded[0], degraded[1]["revocations"]) == (200, "degraded")
    assert "hunter2" not in str(lost)
    # Nothing is known, and nothing was said about what that should mean.
    assert verdict == "allowed"


async def test_a_gate_that_must_know_refuses_users_until_it_does(world: World) -> None:
    """
    From before Postgres is there to after it was gone and came back.
    """
    async with EmbeddedPostgres(settings={"fsync": "off"}) as postgres:
        await migrate(postgres.url)
        Database(postgres.url).rows(REVOKE, "user", "user_2revoked")
        revoked = world.clerk.mint(now=world.now - 2, claims={"sub": "user_2revoked"})
        await postgres.stop()
        settings = {
            "DATABASE_URL": postgres.url,
            "WICKETGATE_REVOCATION_MAX_STALE": "5",
            "WICKETGATE_REVOCATION_START_WAIT": "0",
        }
        async with asked(world, settings) as mesh:
            never = await mesh.verdict()
            service = await mesh.verdict(world.service_token, context="service")
            anonymous = await mesh.verdict(context="anonymous")
            await postgres.start()
            await mesh.running.next_event("users admitted again")
            admitted = [await mesh.verdict(), await mesh.verdict(revoked)]
            await postgres.stop()
            within = await mesh.verdict()
            await mesh.running.next_event("users refused")
            stale = [await mesh.verdict(), await mesh.verdict(revoked)]
            degraded = await mesh.readiness()
            await postgres.start()
            await mesh.running.next_event("users admitted again")
            again = [await mesh.verdict(), await mesh.verdict(revoked)]

    assert never == "503 revocations_unavailable"
    assert (service, anonymous) == ("allowed", "allowed")
    assert admitted == ["allowed", "401 user_revoked"]
    assert within == "allowed"
    assert stale == ["503 revocations_unavailable", "401 user_revoked"]
    assert (degraded[0], degraded[1]["revocations"]) == (200, "degraded")
    assert again == ["allowed", "401 user_revoked"]


async def test_what_is_committed_while_the_connection_is_down_is_in_force_once_it_is_back(
    world: World, database: Database
) -> None:
    async with asked(world, {"DATABASE_URL": url_of(database)}) as mesh:
        await eventually(lambda: serving(mesh.channel))
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'wicketgate revocations' AND datname = current_database()"
        )
        database.rows(REVOKE, "user", USER)
        await mesh.becomes("401 user_revoked")
        lost = await mesh.running.next_event("revocations not followed")
        await mesh.running.next_event("revocations current")

    assert lost["level"] == "warning"


async def test_tokens_that_outlive_their_revocation_are_an_error_that_says_what_to_run(
    world: World, database: Database
) -> None:
    settings = {
        "DATABASE_URL": url_of(database),
        "WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS": "86401",
    }
    async with asked(world, settings) as mesh:
        await eventually(lambda: serving(mesh.channel))
        said = await mesh.running.event("revocations end too soon")
        _, components = await mesh.readiness()

    assert said["level"] == "error"
    assert "wicketgate migrate" in str(said["error"])
    assert components["revocations"] == "degraded"


async def test_a_url_that_libpq_cannot_read_is_a_mistake_of_the_operator(world: World) -> None:
    url = "postgresql://gate:hunter2@localhost/x?no_such_option=1"
    status, said = await refusal(environ(world, WICKETGATE_REVOCATION_DATABASE_URL=url))

    assert status == 2
    assert "the URL of the database with the revocations cannot be read" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["DATABASE_URL_FILE", "WICKETGATE_REVOCATION_DATABASE_URL_FILE"])
async def test_a_password_that_is_replaced_counts_for_the_next_connection(
    world: World,
    nobody: int,
    database: Database,
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("secret") / "url"
    file.write_text(f"postgresql://gate@127.0.0.1:{nobody}/x")
    async with asked(world, {name: str(file), "WICKETGATE_REVOCATION_START_WAIT": "60"}) as mesh:
        before = await serving(mesh.channel)
        file.write_text(url_of(database))
        await eventually(lambda: serving(mesh.channel))

    assert not before
