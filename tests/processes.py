"""``wicketgate authz`` as a process, for the tests that need one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from grpc_health.v1 import health_pb2

from conformance.table import World
from transports import TRANSPORT
from webhooks import SECRET
from wicketgate.adapters.envoy import SERVICE

SETTINGS = ("CLERK_", "WICKETGATE_", "SERVICE_AUTH_TOKEN", "DATABASE_URL", "OTEL_")


def surroundings() -> dict[str, str]:
    """Return our environment without settings that a developer may have exported."""
    return {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}


def environ(world: World, **settings: str) -> dict[str, str]:
    """Return the environment of a gate that needs no network."""
    return {
        **surroundings(),
        "CLERK_JWT_KEY": world.clerk.public_pem,
        "CLERK_ISSUER": world.clerk.issuer,
        "WICKETGATE_TRANSPORT": TRANSPORT,
        "WICKETGATE_AUTHZ_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_ADMIN_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_DRAIN_SECONDS": "0",
        "WICKETGATE_GRACE_SECONDS": "2",
        **settings,
    }


@dataclass
class Running:
    """A gate that listens. Its log is read all the time, so that it never waits for us."""

    process: asyncio.subprocess.Process
    checks: str = ""
    admin: str = ""
    lines: asyncio.Queue[dict[str, object] | None] = field(default_factory=asyncio.Queue)
    passed: list[dict[str, object]] = field(default_factory=list)

    async def read(self) -> None:
        """Read the log until the process ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.put_nowait(json.loads(line))
        self.lines.put_nowait(None)

    async def event(self, name: str) -> dict[str, object]:
        """Return the first log line about `name`, however long ago it was."""
        for line in self.passed:
            if line["event"] == name:
                return line
        return await self.next_event(name)

    async def next_event(self, name: str) -> dict[str, object]:
        """Return the next log line about `name`."""
        while (line := await self.lines.get()) is not None:
            self.passed.append(line)
            if line["event"] == name:
                return line
        pytest.fail(f"the process ended without saying {name!r}")


async def spawn(variables: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    """Start the command line."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wicketgate", *(arguments or ("authz",))),
        env=variables,
        stdout=asyncio.subprocess.PIPE if arguments else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def gate(variables: Mapping[str, str]) -> AsyncIterator[Running]:
    """Run a gate for as long as the context lasts."""
    process = await spawn(variables)
    running = Running(process)
    reading = asyncio.create_task(running.read())
    try:
        listening = await asyncio.wait_for(running.next_event("listening"), 20)
        running.checks, running.admin = str(listening["checks"]), str(listening["admin"])
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, str]]:
    """Run a receiver without a database; yields where it listens, and its admin address."""
    variables = {
        **surroundings(),
        "CLERK_WEBHOOK_SIGNING_SECRET": SECRET,
        # Nobody listens on port 1, and nobody is given it who asks for any.
        "DATABASE_URL": "postgresql://wicketgate:hunter2-correct-horse@127.0.0.1:1/users",
        "WICKETGATE_WEBHOOKS_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": "127.0.0.1:0",
        "WICKETGATE_DRAIN_SECONDS": "0",
    }
    running = Running(await spawn(variables, "webhooks"))
    reading = asyncio.create_task(running.read())
    try:
        listening = await asyncio.wait_for(running.next_event("listening"), 30)
        yield str(listening["webhooks"]), str(listening["admin"])
    finally:
        running.process.kill()
        await running.process.wait()
        await reading


async def refusal(variables: Mapping[str, str], *arguments: str) -> tuple[int | None, str]:
    """Return how a process ended that should not have started, and its last words."""
    process = await spawn(variables, *arguments)
    try:
        _, said = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, said.decode()


async def check(
    channel: grpc.aio.Channel, raw: bytes, *, seconds: float = 10, wait_for_ready: bool = True
) -> CheckResponse:
    """Ask for one decision."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/Check")
    return CheckResponse.parse(await call(raw, timeout=seconds, wait_for_ready=wait_for_ready))


async def serving(channel: grpc.aio.Channel) -> bool:
    """Ask for the health of the service."""
    call: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    asked = health_pb2.HealthCheckRequest(service=SERVICE)
    answer = await call(asked, timeout=10, wait_for_ready=True)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def code(response: CheckResponse) -> int:
    """Return the code that Envoy goes by."""
    return response.status.code if response.status else 0
