"""The conformance table, second depth: over gRPC, in one process, with both transports."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from conformance.table import IDENTITY, ROWS, Row, World
from gates import check_request, denial, make_gate, upstream_headers
from processes import check
from servers import serving_gate
from transports import TRANSPORTS
from wicketgate.adapters.envoy import SERVICE
from wicketgate.app.transport import AuthzServer
from wicketgate.settings import Transport

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Served:
    """What is running, and a client of it."""

    transport: Transport
    server: AuthzServer
    channel: grpc.aio.Channel


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=TRANSPORTS)
async def served(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Served]:
    async with (
        serving_gate(request.param, make_gate(world)) as (server, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Served(request.param, server, channel)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_service_gives_the_row_s_answer(row: Row, world: World, served: Served) -> None:
    sent = row.sends(world)

    response = await check(
        served.channel, check_request(sent, context=row.route.context, path=row.route.path)
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
async def test_bytes_that_are_no_check_are_denied_not_an_error(raw: bytes, served: Served) -> None:
    """
    A gRPC error would leave the decision to ``failure_mode_allow``.
    """
    denied = denial(await check(served.channel, raw))

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
async def test_health_follows_set_serving(service: str, served: Served) -> None:
    states = []
    for serving in (False, True, False):
        await served.server.set_serving(serving=serving)
        states.append(await health(served.channel, service))

    down, up = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
    assert [down, up, down] == states


async def test_reflection_lists_the_services_or_is_not_offered(served: Served) -> None:
    """
    It streams, and our own transport has unary calls only.
    """
    info: grpc.aio.StreamStreamMultiCallable[
        reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse
    ] = served.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    names: set[str] = set()
    code = grpc.StatusCode.OK
    try:
        async for answer in info(iter([asked]), timeout=10):
            names |= {service.name for service in answer.list_services_response.service}
    except grpc.aio.AioRpcError as error:
        code = error.code()

    if served.transport is Transport.WIRE:
        assert (code, names) == (grpc.StatusCode.UNIMPLEMENTED, set())
    else:
        assert code is grpc.StatusCode.OK
        assert {SERVICE, "grpc.health.v1.Health"} <= names
