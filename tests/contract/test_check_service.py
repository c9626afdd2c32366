"""The conformance table, second depth: over gRPC, in one process."""

import json
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from conformance.table import IDENTITY, ROWS, Row, World
from gates import check_request, denial, make_gate, upstream_headers
from wicketgate.adapters.envoy import SERVICE
from wicketgate.adapters.grpcio_server import GrpcServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECK = f"/{SERVICE}/Check"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(world: World) -> AsyncIterator[tuple[GrpcServer, str]]:
    server = GrpcServer(make_gate(world), address="127.0.0.1:0")
    address = await server.start()
    yield server, address
    await server.stop(grace=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(server: tuple[GrpcServer, str]) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server[1]) as channel:
        yield channel


async def ask(channel: grpc.aio.Channel, raw: bytes) -> CheckResponse:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(CHECK)
    return CheckResponse.parse(await call(raw, timeout=10))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_service_gives_the_row_s_answer(
    row: Row, world: World, channel: grpc.aio.Channel
) -> None:
    sent = row.sends(world)

    response = await ask(
        channel, check_request(sent, context=row.route.context, path=row.route.path)
    )

    if row.reason:
        denied = denial(response)
        assert denied.status is not None
        assert row.status == denied.status.code
        assert row.reason == json.loads(denied.body)["reason"]
    else:
        seen = upstream_headers(response, sent)
        assert seen is not None
        assert row.identity == {name: seen[name] for name in IDENTITY if name in seen}
        assert "user_attacker" not in "".join(seen.values())
        assert ("authorization" in sent and row.authorization_arrives) == ("authorization" in seen)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"\x0a\x02\xff\xff", b"\x0a\x00", b"\x22" * 100], ids=repr
)
async def test_bytes_that_are_no_check_are_denied_not_an_error(
    raw: bytes, channel: grpc.aio.Channel
) -> None:
    """
    A gRPC error would leave the decision to ``failure_mode_allow``.
    """
    denied = denial(await ask(channel, raw))

    assert denied.status is not None
    assert denied.status.code in {400, 503}


async def health(channel: grpc.aio.Channel, service: str) -> int:
    check: grpc.aio.UnaryUnaryMultiCallable[
        health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
    ] = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return (await check(health_pb2.HealthCheckRequest(service=service), timeout=10)).status


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_health_follows_set_serving(
    service: str, server: tuple[GrpcServer, str], channel: grpc.aio.Channel
) -> None:
    states = []
    for serving in (False, True, False):
        await server[0].set_serving(serving=serving)
        states.append(await health(channel, service))

    down, up = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
    assert [down, up, down] == states


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    info: grpc.aio.StreamStreamMultiCallable[
        reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    ] = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    answers = [answer async for answer in info(iter([asked]), timeout=10)]

    names = {service.name for service in answers[0].list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
