"""What the compose file starts works together: from nothing to a user who is banned."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from composed import Composed
from compositions import DEPLOY
from wicketgate.local.clerk import SECRET_KEY, ClerkDouble
from wicketgate.local.clerk_instance import SESSION, USER
from wicketgate.local.clerk_users import event_body, user_document
from wicketgate.local.client import Client, Reply, bearer
from wicketgate.local.webhook_sender import Endpoint, Message, WebhookSender, open_session

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.envoy,
    pytest.mark.timeout(150),  # the first waits for everything to start, one after the other
]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has made before."""
    script = tmp_path_factory.mktemp("compose") / "secrets.sh"
    shutil.copy(DEPLOY / "compose" / "secrets.sh", script)
    subprocess.run([script], check=True, stdout=subprocess.DEVNULL)
    script.with_name("secrets").joinpath("clerk-secret-key").write_text(SECRET_KEY)
    return script.with_name("secrets")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def composed(
    secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Composed]:
    """Everything, as it is after ``docker compose up --wait``."""
    directory = tmp_path_factory.mktemp("composed")
    async with (
        ClerkDouble() as clerk,
        Composed(secrets=secrets, directory=directory, clerk=clerk) as composed,
    ):
        yield composed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


async def ask(
    composed: Composed, client: Client, *, session: str = SESSION, user: str = USER
) -> Reply:
    """Ask Envoy's public listener, as `user`, through the door."""
    claims = {"sub": user, "sid": session}
    token = composed.clerk.instance.mint(now=time.time(), claims=claims)
    return await client.send(composed.url("door", 18000, "/v1/me"), headers=[bearer(token)])


async def refusal(composed: Composed, client: Client, **whose: str) -> str:
    """Return why the user is refused, once they are."""
    for _ in range(250):
        reply = await ask(composed, client, **whose)
        if reply.status != 200:
            return reply.reason
        await asyncio.sleep(0.02)
    pytest.fail("the user goes on being let in")


async def test_everything_starts_after_what_it_needs(composed: Composed) -> None:
    order = composed.order

    assert [
        each for each in order if each in {"postgres", "migrate", "roles", "gate", "envoy"}
    ] == [*("postgres", "migrate", "roles", "gate", "envoy")]


async def test_nobody_is_let_in_without_a_token(composed: Composed, client: Client) -> None:
    reply = await client.send(composed.url("door", 18000))

    assert (reply.status, reply.reason) == (401, "no_credential")


async def test_a_user_is_let_in_and_the_upstream_is_told_who(
    composed: Composed, client: Client
) -> None:
    reply = await ask(composed, client)

    assert reply.status == 200
    assert ["clerk_user_id", USER] in json.loads(reply.body)["headers"]


async def test_a_user_whom_clerk_bans_is_refused(composed: Composed, client: Client) -> None:
    """Through the port of webhooks, the receiver, Postgres, and the gate's own login."""
    banned = "user_2xBannedBannedBannedBannedBan"
    assert (await ask(composed, client, user=banned)).status == 200
    now = int(time.time() * 1000)
    body = event_body("user.updated", user_document(banned, now=now, banned=True), timestamp=now)
    endpoint = Endpoint(
        composed.url("door", 18080, "/webhooks/clerk"),
        composed.secret("clerk-webhook-signing-secret"),
    )

    async with open_session() as session:
        (sent,) = await WebhookSender(endpoint, session=session, schedule=()).send(
            Message.of(body)
        )

    assert sent.statuses == (204,)
    assert await refusal(composed, client, user=banned) == "user_revoked"
    assert (await ask(composed, client)).status == 200


async def test_the_port_of_webhooks_leads_to_nothing_else(
    composed: Composed, client: Client
) -> None:
    for path in ("/", "/v1/me", "/metrics", "/readyz"):
        assert (await client.send(composed.url("door", 18080, path))).status == 404


async def test_an_operator_revokes_a_session(composed: Composed, client: Client) -> None:
    stolen = "sess_2xStolenStolenStolenStolenSto"
    assert (await ask(composed, client, session=stolen)).status == 200

    await composed.run("operator", "revoke", "session", stolen)

    assert await refusal(composed, client, session=stolen) == "session_revoked"


async def test_a_user_whom_no_webhook_told_of_is_found_by_sync(composed: Composed) -> None:
    missed = "user_2xMissedMissedMissedMissedMis"
    now = int(time.time() * 1000)
    composed.clerk.backend.users[missed] = user_document(missed, now=now)

    # All: whom the other tests have invented, Clerk does not know.
    await composed.run("sync", "--max-deletes", "100")

    with psycopg.connect(composed.secret("database-sync")) as connection:
        rows = connection.execute("SELECT clerk_user_id FROM wicketgate.users").fetchall()
    assert (missed,) in rows


async def test_a_login_may_do_what_its_process_does_and_nothing_else(composed: Composed) -> None:
    """Each is a member of one role; and whoever else has a login cannot connect."""
    owner = composed.secret("database-migrate")
    with psycopg.connect(owner, autocommit=True) as connection:
        members = connection.execute(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
            " WHERE roleid::regrole::text LIKE 'wicketgate\\_%' ORDER BY 1"
        ).fetchall()
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'example'")

    assert [pair for pair in members if pair[0] != "wicketgate"] == [
        (name, f"wicketgate_{name}") for name in ("gate", "operator", "sync", "webhooks")
    ]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(make_conninfo(owner, user="stranger", password="example"))


async def test_a_password_that_was_changed_is_changed_in_postgres(composed: Composed) -> None:
    path = composed.secrets / "database-operator"
    before = path.read_text().strip()
    after = make_conninfo(before, password="another-password")
    path.write_text(after)

    await composed.run("roles")

    psycopg.connect(after).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(before)


async def test_the_status_page_wants_its_token(composed: Composed, client: Client) -> None:
    """The page itself holds nothing, and asks for the token by which it gets the rest."""
    token = composed.secret("status-token")

    for service, port in (("gate", 9464), ("door", 19465)):
        url = composed.url(service, port, "/status.json")
        assert (await client.send(composed.url(service, port))).status == 200
        assert (await client.send(url)).status == 401
        assert (await client.send(url, headers=[bearer(token)])).status == 200


async def test_prometheus_can_read_envoy_s_metrics_and_do_nothing_else(
    composed: Composed, client: Client
) -> None:
    metrics = await client.send(composed.url("door", 19901, "/stats/prometheus"))

    assert b"envoy_http_ext_authz_ok{" in metrics.body
    for method, path in (("POST", "/quitquitquit"), ("GET", "/"), ("POST", "/stats/prometheus")):
        reply = await client.send(composed.url("door", 19901, path), method=method)
        assert reply.status == 404, path
