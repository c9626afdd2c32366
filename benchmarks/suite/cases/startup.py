"""How long a gate takes from being executed to SERVING, as gRPC's health check says it.

Keys come from a PEM, or from the file that an earlier gate left behind, while Clerk refuses
connections or takes them and never answers. Python's compiled modules and the files are in
the page cache, as they are when a container is started again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import product
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from suite.bench import Bench
from suite.load.generator import VoidError
from suite.probe import require_gate
from suite.processes import cpu_seconds, resident_mib
from suite.result import Row
from suite.servers.process import GateOptions, gate
from suite.statistic import Spread
from wicketgate.adapters.envoy import SERVICE
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.local.ports import LOOPBACK, held_ports

TITLE = "start, from exec to SERVING"
TRANSPORTS: Final = ("wire", "grpcio")
SECONDS, CPU, MIB = "s", "CPU s", "MiB"
POLL_SECONDS: Final = 0.002
PATIENCE_SECONDS: Final = 20.0
PEM, REFUSED, SILENT = "PEM", "keys on disk, Clerk refuses", "keys on disk, Clerk is silent"
ROUNDS: Final = 5


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: a gate did not come to serve, or answered wrongly when it did.
    """
    found: dict[str, list[tuple[float, float, float]]] = {}
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(_clerk_that_is_silent())
        (closed,) = stack.enter_context(held_ports(1))
        sources = {
            PEM: {},
            REFUSED: _keys_on_disk(bench, f"http://{LOOPBACK}:{closed}/jwks"),
            SILENT: _keys_on_disk(bench, f"http://{LOOPBACK}:{silent}/jwks"),
        }
        for number in range(max(ROUNDS, bench.rounds) + 1):
            bench.report(f"round {number}" if number else "warming up")
            for transport, (source, settings) in product(TRANSPORTS, sources.items()):
                name = f"{transport}, {source}"
                if bench.only not in name:
                    continue
                options = GateOptions(transport=transport, log="all", settings=settings)
                started = await _started(bench, options, judge=not number)
                if number:
                    found.setdefault(name, []).append(started)
    return [
        Row(
            name,
            dict(zip((SECONDS, CPU, MIB), map(Spread.of, zip(*each, strict=True)), strict=True)),
        )
        for name, each in found.items()
    ]


def _keys_on_disk(bench: Bench, url: str) -> Mapping[str, str]:
    """Leave the file of an earlier gate, and return the settings of one that finds it."""
    path = bench.directory / f"keys-{url.partition(':')[2].strip('/').replace('/', '-')}" / "jwks"
    path.parent.mkdir(mode=0o700)
    KeyFile(path, url).save(bench.clerk.jwks(), time.time() - 60)
    return {
        "CLERK_JWT_KEY": "",
        "CLERK_JWKS_URL": url,
        "WICKETGATE_JWKS_CACHE_FILE": str(path),
    }


async def _started(
    bench: Bench, options: GateOptions, *, judge: bool
) -> tuple[float, float, float]:
    """Return the seconds to SERVING, the CPU seconds, and the MiB that the gate then has."""
    began = time.perf_counter()
    async with gate(bench.clerk, options) as server:
        await _serving(server.port)
        took = time.perf_counter() - began
        spent, memory = cpu_seconds(server.pid), resident_mib(server.pid)
        if judge:
            await require_gate(server.port, bench.token)
        return took, spent, memory


async def _serving(port: int) -> None:
    """Ask until the answer is SERVING.

    Raises:
        VoidError: it does not become so.
    """
    asked = health_pb2.HealthCheckRequest(service=SERVICE)
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            grpc.aio.insecure_channel(f"{LOOPBACK}:{port}") as channel,
        ):
            call: grpc.aio.UnaryUnaryMultiCallable[
                health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
            ] = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            while True:
                with suppress(grpc.aio.AioRpcError):
                    answer = await call(asked, wait_for_ready=True)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                await asyncio.sleep(POLL_SECONDS)
    msg = f"expected SERVING within {PATIENCE_SECONDS:.0f} s"
    raise VoidError(msg)


@asynccontextmanager
async def _clerk_that_is_silent() -> AsyncIterator[int]:
    """Take connections and never answer."""
    writers = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):
            await reader.read()

    server = await asyncio.start_server(take, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
