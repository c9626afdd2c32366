"""A client's trailers name nobody, also where what is behind Envoy gets them: it speaks HTTP/2."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hpack import Decoder

from deploy.edges import IMPOSTOR, bootstrap
from deploy.test_istio_envoy import BARE, CLUSTER, EDGE, managers
from unit.grpc.peer import END_HEADERS, LAST, PREFACE, data, headers, settings
from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.grpc.frames import Type
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.ports import LOOPBACK, held_ports

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio]

DELIVERY = (
    *((":method", "POST"), (":scheme", "https"), (":authority", "hooks.example.com")),
    *((":path", "/webhooks/clerk"), ("x-innocent", "head")),
)
FORGED = tuple((name, IMPOSTOR) for each in STRIPPED for name in spellings_of(each))
TRAILERS = (*FORGED, ("x-innocent", "1"))


@asynccontextmanager
async def upstream(arrived: "asyncio.Queue[dict[str, str]]") -> AsyncIterator[int]:
    """Take HTTP/2, tell each header list, and answer 200."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        await reader.readexactly(len(PREFACE))
        writer.write(settings())
        try:
            while head := await reader.readexactly(9):
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == Type.HEADERS:
                    fields = decoder.decode(payload)
                    arrived.put_nowait({str(name): str(value) for name, value in fields})
                if head[3] in {Type.HEADERS, Type.DATA} and head[4] & 1:
                    stream = int.from_bytes(head[5:], "big")
                    writer.write(headers(stream, (":status", "200"), flags=LAST))
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("place", "named"), [(EDGE, []), (BARE, sorted(name for name, _ in FORGED))]
)
async def test_a_client_s_trailers_name_nobody(place: str, named: list[str]) -> None:
    """
    Without the patches, all of them arrive. Nobody is asked about this route.
    """
    arrived: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    async with upstream(arrived) as port:
        with held_ports(2) as (admin, edge):
            clusters = [
                {
                    **CLUSTER,
                    "name": name,
                    "type": "STATIC",
                    "loadAssignment": {
                        "clusterName": name,
                        "endpoints": [{"lbEndpoints": [{"endpoint": {"address": at}}]}],
                    },
                }
                for name in (CLUSTER["name"], "core", "wicketgate-webhooks")
                for at in [{"socketAddress": {"address": LOOPBACK, "portValue": port}}]
            ]
            config = bootstrap({edge: managers()[place]}, clusters=clusters, admin_port=admin)
            envoy = EnvoyProcess(
                json.dumps(config), admin_port=admin, binary=find_envoy(), wait_for=("core",)
            )
            async with envoy:
                _, writer = await asyncio.open_connection(LOOPBACK, edge)
                writer.write(
                    PREFACE
                    + settings()
                    + headers(1, *DELIVERY, flags=END_HEADERS)
                    + data(1, flags=0)
                    + headers(1, *TRAILERS, flags=LAST)
                )
                async with asyncio.timeout(10):
                    head, trailers = await arrived.get(), await arrived.get()
                writer.close()

    assert head["x-innocent"] == "head"
    assert trailers.pop("x-innocent") == "1"
    assert sorted(trailers) == named
