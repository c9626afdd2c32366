"""``wicketgate authz`` as an operator meets it: a process, its exit status, its last words."""

import asyncio
import signal
import socket
from pathlib import Path

import aiohttp
import grpc
import pytest

from conformance.table import World, bearer
from gates import check_request
from processes import check, code, environ, gate, refusal, serving, spawn
from transports import on_both_transports
from wicketgate.settings import Transport

SECRET = "this-is-a-service-token-of-some-length"


async def test_mistakes_are_told_all_at_once_and_exit_2(world: World) -> None:
    variables = environ(
        world,
        CLERK_JWT_KEY="not a pem",
        SERVICE_AUTH_TOKEN="short",
        WICKETGATE_DRAIN_SECONDS="soon",
        WICKETGATE_DRAIN_SECOND="3",
    )

    status, said = await refusal(variables)

    assert status == 2
    assert "Traceback" not in said
    for name in ("CLERK_JWT_KEY", "SERVICE_AUTH_TOKEN", "WICKETGATE_DRAIN_SECONDS"):
        assert name in said
    assert "WICKETGATE_DRAIN_SECOND " in said
    assert "short" not in said.replace("shorter", "")


@on_both_transports
@pytest.mark.parametrize("name", ["WICKETGATE_AUTHZ_ADDRESS", "WICKETGATE_ADMIN_ADDRESS"])
async def test_a_port_in_use_is_one_line_and_exits_1(
    name: str, world: World, transport: Transport
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        variables = environ(
            world, WICKETGATE_TRANSPORT=transport, **{name: f"127.0.0.1:{taken.getsockname()[1]}"}
        )

        status, said = await refusal(variables)

    *lines, last = said.splitlines()
    assert status == 1
    assert last.startswith("wicketgate: cannot listen on 127.0.0.1:")
    assert name in last
    # What was said before is the log, one object a line, and nothing of gRPC's own.
    assert all(line.startswith("{") for line in lines)


@on_both_transports
async def test_a_socket_in_no_directory_is_told_with_the_directory(
    world: World, tmp_path: Path, transport: Transport
) -> None:
    nowhere = tmp_path / "nowhere"
    variables = environ(
        world, WICKETGATE_TRANSPORT=transport, WICKETGATE_AUTHZ_ADDRESS=f"unix:{nowhere}/gate.sock"
    )

    status, said = await refusal(variables)

    assert status == 1
    assert f"there is no directory {nowhere}" in said.splitlines()[-1]


@on_both_transports
async def test_a_socket_that_another_gate_answers_on_is_left_to_it(
    world: World, tmp_path: Path, transport: Transport
) -> None:
    variables = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        WICKETGATE_AUTHZ_ADDRESS=f"unix:{tmp_path}/gate.sock",
    )
    async with gate(variables) as first, grpc.aio.insecure_channel(first.checks) as channel:
        status, said = await refusal(variables)
        answered = code(await check(channel, check_request(bearer()(world))))

    assert status == 1
    assert "another process does" in said.splitlines()[-1]
    assert answered == 0


@on_both_transports
async def test_a_socket_that_a_crash_left_behind_is_taken(
    world: World, tmp_path: Path, transport: Transport
) -> None:
    variables = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        WICKETGATE_AUTHZ_ADDRESS=f"unix:{tmp_path}/gate.sock",
    )
    async with gate(variables):
        pass  # ends it by SIGKILL
    assert (tmp_path / "gate.sock").exists()

    async with gate(variables) as second, grpc.aio.insecure_channel(second.checks) as channel:
        assert code(await check(channel, check_request(bearer()(world)))) == 0


async def test_rubbish_on_the_admin_address_is_not_quoted_and_blocks_nobody(
    world: World,
) -> None:
    rubbish = f"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization : {SECRET}\r\n\r\n".encode()
    async with (
        gate(environ(world)) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
    ):
        host, port = running.admin.split(":")
        for _ in range(200):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(rubbish)
            await reader.read()
            writer.close()
        answered = code(await check(channel, check_request(bearer()(world))))
        running.process.terminate()
        await asyncio.wait_for(running.process.wait(), 10)

    assert answered == 0
    lines = [running.lines.get_nowait() for _ in range(running.lines.qsize())]
    assert SECRET not in repr(lines)


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\n?\n"])
async def test_a_certificate_that_cannot_be_used_is_told_and_exits_2(
    content: str | None, world: World, tmp_path: Path
) -> None:
    certificate = tmp_path / "cert.pem"
    if content is not None:
        certificate.write_text(content)
    variables = environ(
        world,
        WICKETGATE_TLS_CERT_FILE=str(certificate),
        WICKETGATE_TLS_KEY_FILE=str(certificate),
    )

    for arguments in ((), ("authz", "--check")):
        status, said = await refusal(variables, *arguments)

        assert status == 2
        assert "Traceback" not in said
        assert "WICKETGATE_TLS_CERT_FILE" in said


async def test_check_tells_that_the_settings_are_good(world: World) -> None:
    process = await spawn(environ(world), "authz", "--check")
    said, complained = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, complained) == (0, b"")
    assert b"good" in said


@on_both_transports
async def test_a_gate_answers_checks_health_and_admin(world: World, transport: Transport) -> None:
    async with (
        gate(environ(world, WICKETGATE_TRANSPORT=transport)) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
    ):
        assert await serving(channel)
        assert code(await check(channel, check_request(bearer()(world)))) == 0
        assert code(await check(channel, check_request({}))) == 16
        async with admin.get("/readyz") as ready:
            assert ready.status == 200
        async with admin.get("/metrics") as metrics:
            exposed = await metrics.text()

    denied = 'wicketgate_checks_total{principal="none",reason="no_credential",verdict="deny"} 1.0'
    assert denied in exposed


COUNTED = "wicketgate_connections "


async def test_a_gate_that_is_told_none_runs_on_our_own_transport(world: World) -> None:
    variables = environ(world)
    del variables["WICKETGATE_TRANSPORT"]
    async with (
        gate(variables) as running,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
        admin.get("/metrics") as metrics,
    ):
        assert COUNTED in await metrics.text()


async def test_a_gate_that_is_told_the_reference_runs_on_it(world: World) -> None:
    async with (
        gate(environ(world, WICKETGATE_TRANSPORT=Transport.GRPCIO)) as running,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
        admin.get("/metrics") as metrics,
    ):
        assert COUNTED not in await metrics.text()


@on_both_transports
async def test_what_is_logged_holds_no_token_and_no_query(
    world: World, transport: Transport
) -> None:
    sent = bearer()(world)
    async with (
        gate(environ(world, WICKETGATE_TRANSPORT=transport, SERVICE_AUTH_TOKEN=SECRET)) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
    ):
        raw = check_request({**sent, "x-request-id": "r-1"}, path=f"/v1/me?token={SECRET}")
        await check(channel, raw)
        await check(channel, check_request({"authorization": f"Bearer {SECRET}"}))
        lines = [await running.next_event("decision") for _ in range(2)]

    assert [line["reason"] for line in lines] == ["allowed", "service_token_exposed"]
    assert lines[0]["request_id"] == "r-1"
    assert SECRET not in repr(lines)
    assert sent["authorization"].split()[1] not in repr(lines)


@on_both_transports
async def test_a_unix_socket_serves(world: World, tmp_path: Path, transport: Transport) -> None:
    address = f"unix:{tmp_path}/gate.sock"
    async with (
        gate(
            environ(world, WICKETGATE_TRANSPORT=transport, WICKETGATE_AUTHZ_ADDRESS=address)
        ) as running,
        grpc.aio.insecure_channel(address) as channel,
    ):
        assert address == running.checks
        assert code(await check(channel, check_request(bearer()(world)))) == 0


@on_both_transports
async def test_without_keys_it_starts_and_is_not_serving(
    world: World, nobody: int, transport: Transport
) -> None:
    """
    Clerk cannot be reached and there is no copy: wait for it, do not crash.
    """
    variables = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        CLERK_JWT_KEY="",
        CLERK_JWKS_URL=f"http://127.0.0.1:{nobody}/jwks",
        WICKETGATE_JWKS_CACHE_FILE="off",
    )
    async with (
        gate(variables) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
        aiohttp.ClientSession(f"http://{running.admin}") as admin,
    ):
        assert not await serving(channel)
        assert code(await check(channel, check_request(bearer()(world)))) == 14
        async with admin.get("/healthz") as alive, admin.get("/readyz") as ready:
            assert (alive.status, ready.status) == (200, 503)


@on_both_transports
async def test_sigterm_turns_health_first_and_keeps_answering(
    world: World, transport: Transport
) -> None:
    async with (
        gate(
            environ(world, WICKETGATE_TRANSPORT=transport, WICKETGATE_DRAIN_SECONDS="5")
        ) as running,
        grpc.aio.insecure_channel(running.checks) as channel,
    ):
        assert await serving(channel)

        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(running.next_event("draining"), 5)
        still_serving = await serving(channel)
        answered = code(await check(channel, check_request(bearer()(world))))
        running.process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(running.process.wait(), 10)

    assert not still_serving
    assert answered == 0
    assert status == 0


@on_both_transports
async def test_a_second_signal_ends_a_long_drain(world: World, transport: Transport) -> None:
    async with gate(
        environ(world, WICKETGATE_TRANSPORT=transport, WICKETGATE_DRAIN_SECONDS="600")
    ) as running:
        running.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(running.next_event("draining"), 5)
        running.process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(running.process.wait(), 10) == 0
