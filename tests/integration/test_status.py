"""The status pages of real processes: what they show, to whom, and that they let go."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc

from conformance.table import World, bearer
from gates import check_request
from processes import Running, check, environ, gate, receiver
from webhooks import PATH, SECRET, USER, body_of, signed, user
from wicketgate.core.status.advice import COMPONENT_ADVICE
from wicketgate.status import ASSETS

TOKEN = "a-status-token-of-more-than-32-characters"
NEXT_TOKEN = "the-next-status-token-of-32-characters-"
SERVICE = "this-is-a-service-token-of-some-length"
POLICY = """
version: 1
rules:
  - { name: admins, match: { paths: /admin/** }, allow: { user: { org_role: admin } } }
  - { name: maybe, match: { paths: /admin/** }, allow: service, shadow: true }
  - { name: app, allow: user }
"""


class Stream:
    """A stream of messages that is read, and what was told so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.raw = b""
        self.sections: dict[str, Any] = {}
        self.denials: list[dict[str, Any]] = []
        self._response = response

    async def until(self, reason: str) -> dict[str, Any]:
        """Return the newest event with this reason, when it was told."""
        async with asyncio.timeout(10):
            while True:
                for each in self.denials:
                    if each["reason"] == reason:
                        return each
                await self._next()

    async def until_end(self) -> None:
        """Read what is left."""
        async with asyncio.timeout(10):
            self.raw += await self._response.content.read()

    async def _next(self) -> None:
        message = await self._response.content.readuntil(b"\n\n")
        self.raw += message
        told = json.loads(message.split(b"data: ", 1)[1])
        self.sections |= told
        self.denials[:0] = told.get("events", {"newest": []})["newest"]


@asynccontextmanager
async def watching(
    admin: str, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[aiohttp.ClientSession, Stream]]:
    """Open the stream of a process; yields a client of its admin address, and the stream."""
    async with (
        aiohttp.ClientSession(f"http://{admin}", headers=headers or {}) as client,
        client.get("/status/events") as response,
    ):
        assert response.status == 200, await response.text()
        yield client, Stream(response)


async def status_of(running: Running, path: str = "/status.json", token: str = "") -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    address = running.admin.replace("0.0.0.0", "127.0.0.1")
    async with (
        aiohttp.ClientSession(f"http://{address}", headers=headers) as client,
        client.get(path) as response,
    ):
        return response.status


async def test_a_gate_shows_what_it_has_just_denied_and_no_secret(
    world: World, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    token = bearer()(world)
    secret = token["authorization"].split()[1]
    variables = environ(world, WICKETGATE_POLICY_FILE=str(policy), SERVICE_AUTH_TOKEN=SERVICE)
    async with (
        gate(variables) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        watching(running.admin) as (admin, stream),
    ):
        path = f"/admin/{SERVICE}?token={secret}"
        await check(channel, check_request({**token, "x-request-id": SERVICE}, path=path))
        await check(channel, check_request({"authorization": f"Bearer {SERVICE}"}))
        await check(channel, check_request(token))
        denied = await stream.until("role_not_admitted")
        exposed = await stream.until("service_token_exposed")
        line = await running.next_event("decision")
        await asyncio.sleep(1.1)
        pages = [stream.raw]
        for page in [*(asset.path for asset in ASSETS), "/status.json"]:
            async with admin.get(page) as response:
                pages.append(await response.read())

    document = json.loads(pages[-1])
    assert (denied["decision_id"], denied["rule"]) == (line["decision_id"], "admins")
    assert (denied["principal"], denied["template"]) == ("user", "/admin/**")
    assert denied["who"].startswith("user_")
    assert (exposed["principal"], exposed["who"]) == ("service", "static")
    assert document["decisions"]["allowed"] == 1
    assert document["decisions"]["denied"] == 2
    assert document["policy"]["source"] == "file"
    assert [each["name"] for each in document["policy"]["rules"]] == [
        *("admins", "maybe", "app", "default")
    ]
    assert document["hits"]["rows"] == [[0, 1], [0, 0], [1, 1], [0, 0]]
    assert document["process"]["facts"]["checks"] == running.checks
    assert document["keys"]["source"] == "pem"
    for piece in (SERVICE, *secret.split(".")[1:]):
        assert [page for page in pages if piece.encode() in page] == []


async def test_an_open_page_does_not_hold_up_the_end(world: World) -> None:
    async with gate(environ(world)) as running, watching(running.admin) as (_, stream):
        running.process.send_signal(signal.SIGTERM)
        await stream.until_end()

        assert await asyncio.wait_for(running.process.wait(), 10) == 0


async def test_an_open_page_sees_the_drain(world: World) -> None:
    variables = environ(world, WICKETGATE_DRAIN_SECONDS="2")
    async with gate(variables) as running, watching(running.admin) as (_, stream):
        running.process.send_signal(signal.SIGTERM)
        await stream.until_end()

    assert b'"draining":true' in stream.raw


async def test_reachable_from_elsewhere_it_is_off_until_there_is_a_token(world: World) -> None:
    variables = environ(world, WICKETGATE_ADMIN_ADDRESS="0.0.0.0:0")
    async with gate(variables) as running:
        assert await status_of(running, "/") == 403
        assert await status_of(running, token=TOKEN) == 403
        assert await status_of(running, "/readyz") == 200


async def test_the_token_of_a_file_is_followed(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    variables = environ(
        world, WICKETGATE_ADMIN_ADDRESS="0.0.0.0:0", WICKETGATE_STATUS_TOKEN_FILE=str(secret)
    )
    async with gate(variables) as running:
        before = [await status_of(running, token=each) for each in ("", TOKEN, NEXT_TOKEN)]
        secret.write_text(NEXT_TOKEN)
        await asyncio.wait_for(running.next_event("reloaded"), 20)
        after = [await status_of(running, token=each) for each in ("", TOKEN, NEXT_TOKEN)]
        shell = await status_of(running, "/")

    assert (before, after, shell) == ([401, 200, 401], [401, 401, 200], 200)


async def test_a_socket_is_open_to_whoever_may_open_it(world: World, tmp_path: Path) -> None:
    variables = environ(world, WICKETGATE_ADMIN_ADDRESS=f"unix:{tmp_path}/admin.sock")
    async with (
        gate(variables),
        aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=f"{tmp_path}/admin.sock")
        ) as client,
        client.get("http://gate.example/status.json") as response,
    ):
        assert response.status == 200


async def test_a_receiver_shows_what_went_wrong_and_nothing_of_the_body() -> None:
    body = body_of("user.created", user())
    forged_headers = {**signed(body), "svix-id": "msg_somebody"}
    async with receiver() as (webhooks, admin), watching(admin) as (client, stream):
        for headers in (signed(body), forged_headers):
            async with client.post(
                f"http://{webhooks}{PATH}", data=body, headers=headers
            ) as response:
                await response.read()
        failed = await stream.until("store_unavailable")
        forged = await stream.until("no_matching_signature")
        async with client.get("/status.json") as response:
            document = await response.text()

    assert (failed["what"], failed["type"], failed["status"]) == ("failed", "user.created", 503)
    assert (forged["what"], forged["message_id"]) == ("rejected", "")
    process = json.loads(document)["process"]
    assert process["kind"] == "webhooks"
    assert process["advice"] == {"store": COMPONENT_ADVICE["store"]}
    for word in (USER, "mina", "Okafor", SECRET, "hunter2", "msg_somebody"):
        assert word not in document
        assert word.encode() not in stream.raw
