"""The webhook half of the local stack: the tour, the command, and what they leave behind."""

import io
import json
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from database import Server
from processes import surroundings
from wicketgate.core.event import SessionEnded, UserDeleted, UserUpserted
from wicketgate.core.event_body import parse_event
from wicketgate.errors import ConfigurationError, EnvironmentFaultError
from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import ClerkDouble
from wicketgate.local.clerk_instance import ClerkInstance, new_key
from wicketgate.local.clerk_users import new_id
from wicketgate.local.event_command import (
    EVENT_TYPES,
    EventWish,
    body_of,
    send_event,
    user_id_of,
)
from wicketgate.local.runtime_file import announced, announced_endpoint, runtime_file
from wicketgate.local.table import Table
from wicketgate.local.tour_webhooks import run_webhook_tour
from wicketgate.local.webhook_sender import Endpoint
from wicketgate.local.webhook_stack import WebhookStack, new_secret

KEY = new_key()
NOW = 1_790_000_000_000
EMAIL = "zoë@example.com"


@pytest.fixture
async def clerk() -> AsyncIterator[ClerkDouble]:
    async with ClerkDouble(ClerkInstance(key=KEY)) as clerk:
        yield clerk


# -- the tour


async def test_the_tour_leaves_a_database_that_was_given_as_it_was_found(
    clerk: ClerkDouble, server: Server, tmp_path: Path
) -> None:
    """
    It runs in a schema of its own, which is gone afterwards; and it stops no Postgres.
    """
    schemas = "SELECT nspname FROM pg_namespace ORDER BY 1"
    out = io.StringIO()
    with psycopg.connect(server.url, autocommit=True) as connection:
        before = connection.execute(schemas).fetchall()

        async with WebhookStack(clerk, directory=tmp_path, database_url=server.url) as stack:
            table = Table(out, {})
            await run_webhook_tour(stack, table, users=clerk.backend.users)
            during = connection.execute(schemas).fetchall()

        after = connection.execute(schemas).fetchall()

    assert table.finish(), out.getvalue()
    assert len(during) == len(before) + 1
    assert before == after
    assert "Postgres is stopped" not in out.getvalue()


async def test_the_tour_notices_a_receiver_that_takes_what_is_not_its_own(
    clerk: ClerkDouble, server: Server, tmp_path: Path
) -> None:
    """
    The twin: without the instance's id the sample is applied, and that is a wrong row.
    """
    out = io.StringIO()
    careless = {"CLERK_INSTANCE_ID": ""}

    async with WebhookStack(
        clerk, directory=tmp_path, database_url=server.url, settings=careless
    ) as stack:
        table = Table(out, {})
        await run_webhook_tour(stack, table, users=clerk.backend.users)

    assert not table.finish()
    wrong = [line for line in out.getvalue().splitlines() if line.startswith("NO")]
    assert "Clerk's own example" in wrong[0]


async def test_a_receiver_that_does_not_start_is_reported_and_leaves_nothing_behind(
    clerk: ClerkDouble, server: Server, tmp_path: Path
) -> None:
    stack = WebhookStack(
        clerk,
        directory=tmp_path,
        database_url=server.url,
        settings={"CLERK_WEBHOOK_SIGNING_SECRET": "nonsense"},
    )

    with pytest.raises(
        EnvironmentFaultError, match=r"(?s)receiver ended.*CLERK_WEBHOOK_SIGNING_SECRET"
    ):
        await stack.__aenter__()

    assert not stack.receiver.is_running
    with psycopg.connect(server.url) as connection:
        found = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname = %s", [stack.schema]
        )
        assert found.fetchall() == []


# -- where one command tells another where it is


ENDPOINT = Endpoint("http://127.0.0.1:1/webhooks/clerk", new_secret())


def test_the_file_is_its_owner_s_alone_and_goes_with_the_process(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}

    with announced(ENDPOINT, environment) as path:
        assert announced_endpoint(environment) == ENDPOINT
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [path] == list(path.parent.iterdir())

    assert not path.exists()
    with pytest.raises(EnvironmentFaultError, match="no wicketgate local is running"):
        announced_endpoint(environment)


def test_the_last_one_to_tell_counts_and_is_not_forgotten_by_the_first(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    other = Endpoint("http://127.0.0.1:2/webhooks/clerk", new_secret())

    with announced(other, environment):
        with announced(ENDPOINT, environment):
            assert announced_endpoint(environment) == ENDPOINT
        with announced(ENDPOINT, environment) as path:
            path.write_text(json.dumps({"url": other.url, "secret": other.secret}))
        assert announced_endpoint(environment) == other


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_not_used(tmp_path: Path, mode: int) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    directory = runtime_file(environment).parent
    directory.mkdir()
    directory.chmod(mode)
    (directory / "local.json").write_text(json.dumps({"url": "http://evil", "secret": "whsec_"}))

    with pytest.raises(EnvironmentFaultError, match="mode 0700"):
        announced_endpoint(environment)
    with pytest.raises(EnvironmentFaultError, match="mode 0700"), announced(ENDPOINT, environment):
        pass


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    runtime_file(environment).parent.symlink_to(elsewhere)

    with pytest.raises(EnvironmentFaultError, match="directory of your own"):
        announced_endpoint(environment)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url":"x"}', "\xff"])
def test_a_file_that_says_nothing_is_nobody(tmp_path: Path, text: str) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with announced(ENDPOINT, environment) as path:
        path.write_bytes(text.encode("latin-1"))

        with pytest.raises(EnvironmentFaultError, match="no wicketgate local is running"):
            announced_endpoint(environment)


def test_without_a_runtime_directory_there_is_one_for_each_user() -> None:
    assert f"wicketgate-{os.getuid()}" in str(runtime_file({}))
    assert runtime_file({"XDG_RUNTIME_DIR": "relative"}) == runtime_file({})


# -- one event by hand


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_event_that_can_be_sent_can_be_read(kind: str) -> None:
    wish = EventWish(type=kind, email=EMAIL, first_name="Zoë")

    event = parse_event(body_of(wish, user_id_of(EMAIL), now=NOW))

    assert isinstance(event.content, UserUpserted | UserDeleted | SessionEnded)
    assert (event.type, event.event_at) == (kind, NOW)


def test_an_address_is_always_the_same_user() -> None:
    assert user_id_of(EMAIL) == user_id_of(EMAIL) != user_id_of("jo@example.com")
    assert re.fullmatch(r"user_[A-Za-z0-9]{27}", user_id_of(EMAIL))


@pytest.mark.parametrize(
    "wish",
    [
        EventWish(type="user.exploded"),
        EventWish(type="user.created", url="http://127.0.0.1:1/"),
        EventWish(type="user.created", secret_file="secret"),
        EventWish(type="user.created", url="http://127.0.0.1:1/", secret_file="not/there"),
    ],
)
async def test_a_wish_that_cannot_be_granted_is_told(wish: EventWish) -> None:
    with pytest.raises(ConfigurationError):
        await send_event(wish, say=print)


async def test_no_receiver_is_told(tmp_path: Path, nobody: int) -> None:
    secret = tmp_path / "secret"
    secret.write_text(new_secret() + "\n")
    wish = EventWish(
        type="user.created", url=f"http://127.0.0.1:{nobody}/", secret_file=str(secret)
    )

    with pytest.raises(EnvironmentFaultError, match="is the receiver running"):
        await send_event(wish, say=print)


async def run(directory: Path, environment: dict[str, str], *arguments: str) -> ChildProcess:
    """Run one ``wicketgate local event`` to its end."""
    child = ChildProcess(
        f"event-{new_id('')}",
        (sys.executable, "-m", "wicketgate", "local", "event", *arguments),
        directory=directory,
        environment=environment,
    )
    await child.start()
    await child.wait(seconds=20)
    return child


@pytest.mark.envoy
async def test_an_event_sent_by_hand_is_in_postgres(tmp_path: Path) -> None:
    """
    As a person does it: one terminal runs everything, another sends, the table shows it.
    """
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    environment = surroundings() | {"XDG_RUNTIME_DIR": str(runtime)}
    local = ChildProcess(
        "local",
        (sys.executable, "-m", "wicketgate", "local"),
        directory=tmp_path,
        environment=environment,
    )
    await local.start()
    try:

        async def is_up() -> bool:
            return "Ctrl-C" in local.stdout

        await local.wait_until(is_up, seconds=45, what="running")
        (url,) = re.findall(r"psql '(postgresql://[^']+)'", local.stdout)
        row = "SELECT primary_email, first_name, deleted_at FROM wicketgate.users"

        created = await run(
            tmp_path, environment, "user.created", "--email", EMAIL, "--first-name", "Zoë"
        )
        with psycopg.connect(url, autocommit=True) as connection:
            signed_up = connection.execute(row).fetchall()
            deleted = await run(tmp_path, environment, "user.deleted", "--email", EMAIL)
            gone = connection.execute(row).fetchall()

        await local.interrupt(signal.SIGINT)
        late = await run(tmp_path, environment, "user.updated", "--email", EMAIL)
    finally:
        await local.stop()

    assert (created.returncode, deleted.returncode) == (0, 0), created.tail
    assert created.stdout.startswith(f"user.created about {user_id_of(EMAIL)}, msg_")
    assert created.stdout.endswith(": 204\n")
    assert signed_up == [(EMAIL, "Zoë", None)]
    ((email, name, deleted_at),) = gone
    assert (email, name) == (None, None)
    assert deleted_at is not None
    assert late.returncode == 1
    assert "no wicketgate local is running" in late.stderr
    assert not list((runtime / "wicketgate").iterdir())
    assert urlsplit(url).hostname == "127.0.0.1"
