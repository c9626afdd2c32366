"""Starts a server, waits until it listens, and ends it.

Its output goes to ``/dev/null``: a decision log then costs the gate what it costs to
write, and nobody the reading.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from suite.load.generator import BENCHMARKS, VoidError
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.webhook_stack import clean_environment

START_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.002
"""Short, because the case about starting waits here, too."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens.

    Attributes:
        port: Where, on the loopback.
        pid: Its process id.
        admin: The port of the gate's metrics; 0 when it has none.
    """

    port: int
    pid: int
    admin: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """A gate: ``wicketgate authz``, as it is installed.

    Attributes:
        transport: ``wire`` or ``grpcio``.
        log: ``WICKETGATE_DECISION_LOG``.
        cache: How many verified tokens it remembers.
        settings: Further settings.
    """

    transport: str
    log: str = "off"
    cache: int = 10_000
    settings: Mapping[str, str] = field(default_factory=dict)


def gate_environment(
    clerk: ClerkInstance, options: GateOptions, *, port: int, admin: int
) -> dict[str, str]:
    """Return the environment of a gate that needs no network."""
    return {
        **clean_environment(),
        "CLERK_JWT_KEY": clerk.public_pem,
        "CLERK_ISSUER": clerk.issuer,
        "WICKETGATE_AUTHZ_ADDRESS": f"{LOOPBACK}:{port}",
        "WICKETGATE_ADMIN_ADDRESS": f"{LOOPBACK}:{admin}",
        "WICKETGATE_TRANSPORT": options.transport,
        "WICKETGATE_DECISION_LOG": options.log,
        "WICKETGATE_TOKEN_CACHE_SIZE": str(options.cache),
        "WICKETGATE_DRAIN_SECONDS": "0",
        "WICKETGATE_GRACE_SECONDS": "1",
        **options.settings,
    }


@asynccontextmanager
async def gate(clerk: ClerkInstance, options: GateOptions) -> AsyncIterator[Server]:
    """Run a gate for as long as the context lasts.

    Raises:
        VoidError: it does not listen.
    """
    with held_ports(2) as (port, admin):
        variables = gate_environment(clerk, options, port=port, admin=admin)
        async with started(port, "-m", "wicketgate", "authz", variables=variables) as process:
            yield Server(port, process.pid, admin)


@asynccontextmanager
async def receiver(database_url: str, secret: str) -> AsyncIterator[Server]:
    """Run ``wicketgate webhooks`` for as long as the context lasts.

    Raises:
        VoidError: it does not listen.
    """
    with held_ports(2) as (port, admin):
        variables = {
            **clean_environment(),
            "DATABASE_URL": database_url,
            "CLERK_WEBHOOK_SIGNING_SECRET": secret,
            "WICKETGATE_WEBHOOKS_ADDRESS": f"{LOOPBACK}:{port}",
            "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": f"{LOOPBACK}:{admin}",
            "WICKETGATE_DRAIN_SECONDS": "0",
        }
        async with started(port, "-m", "wicketgate", "webhooks", variables=variables) as process:
            yield Server(port, process.pid, admin)


@asynccontextmanager
async def answering(module: str, answer: bytes) -> AsyncIterator[Server]:
    """Run `suite.servers.echo` or `suite.servers.noop` for as long as the context lasts.

    Raises:
        VoidError: it does not listen.
    """
    variables = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
    with held_ports(1) as (port,):
        command = ("-m", f"suite.servers.{module}", str(port), answer.hex())
        async with started(port, *command, variables=variables) as process:
            yield Server(port, process.pid)


@asynccontextmanager
async def started(
    port: int, *command: str, variables: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python with `command` until the context ends, and wait until `port` is listened on.

    Raises:
        VoidError: it is not.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listened_on(port, process)
        yield process
    finally:
        await _end(process)


async def _listened_on(port: int, process: asyncio.subprocess.Process) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(LOOPBACK, port)
                    writer.close()
                    return
                await asyncio.sleep(POLL_SECONDS)
    msg = f"a server did not start within {START_SECONDS:.0f} s, or ended: {process.returncode}"
    raise VoidError(msg)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
