"""The gate behind our own transport: health, metrics and what it does not offer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from grpc_health.v1 import health_pb2
from prometheus_client import CollectorRegistry, generate_latest

from conformance.table import World
from gates import make_gate
from processes import check, serving
from wicketgate.adapters.connection_telemetry import ConnectionTelemetry
from wicketgate.adapters.envoy import SERVICE
from wicketgate.adapters.wire_server import WireGrpcServer
from wicketgate.errors import EnvironmentFaultError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Wired:
    """What is running."""

    server: WireGrpcServer
    address: str
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a metric's value."""
        return self.registry.get_sample_value(name, labels)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(world: World) -> AsyncIterator[Wired]:
    registry = CollectorRegistry()
    server = WireGrpcServer(
        make_gate(world), address="127.0.0.1:0", observer=ConnectionTelemetry(registry)
    )
    yield Wired(server, await server.start(), registry)
    await server.stop(grace=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(wired: Wired) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(wired.address) as channel:
        yield channel


async def test_health_of_a_stranger_is_not_found(channel: grpc.aio.Channel) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/grpc.health.v1.Health/Check"
    )
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(health_pb2.HealthCheckRequest(service="other").SerializeToString())

    assert error.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        f"/{SERVICE}/Other",
    ],
)
async def test_what_is_not_offered(path: str, channel: grpc.aio.Channel) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(b"")

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_connections_and_their_faults_are_counted(wired: Wired) -> None:
    before = wired.metric("wicketgate_connections")
    # Channels to the same address share a connection unless they are told not to.
    apart = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(wired.address, options=apart) as another:
        await check(another, b"")
        during = wired.metric("wicketgate_connections")

    assert before is not None
    assert during == before + 1
    assert b"wicketgate_connection_faults" in generate_latest(wired.registry)


async def test_a_gate_that_retires_says_so_for_good(world: World) -> None:
    server = WireGrpcServer(
        make_gate(world),
        address="127.0.0.1:0",
        observer=ConnectionTelemetry(CollectorRegistry()),
    )
    address = await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        await server.set_serving(serving=True)
        states = [await serving(channel)]
        await server.retire()
        await server.set_serving(serving=True)
        states.append(await serving(channel))
        answer = await check(channel, b"")
    await server.stop(grace=0)

    assert states == [True, False]
    assert isinstance(answer, CheckResponse)


async def refusal(world: World, address: str) -> str:
    """Return why an address cannot be listened on."""
    server = WireGrpcServer(
        make_gate(world), address=address, observer=ConnectionTelemetry(CollectorRegistry())
    )
    with pytest.raises(EnvironmentFaultError) as error:
        await server.start()
    await server.stop(grace=0)
    return str(error.value)


async def test_addresses_that_cannot_be_listened_on(
    world: World, wired: Wired, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    telemetry = ConnectionTelemetry(CollectorRegistry())
    holder = WireGrpcServer(make_gate(world), address=f"unix:{tmp_path}/held", observer=telemetry)
    assert await holder.start() == f"unix:{tmp_path}/held"

    why = {
        address: await refusal(world, address)
        for address in (
            wired.address,
            f"unix:{tmp_path}/no/where",
            f"unix:{tmp_path}/file",
            f"unix:{tmp_path}/held",
        )
    }
    # asyncio loses a connection that is accepted in the very turn in which it closes.
    await asyncio.sleep(0.01)
    await holder.stop(grace=0)

    assert "in use" in why[wired.address]
    assert "no directory" in why[f"unix:{tmp_path}/no/where"]
    assert "check its permissions" in why[f"unix:{tmp_path}/file"]
    assert "another process does" in why[f"unix:{tmp_path}/held"]
