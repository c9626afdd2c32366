"""A gate behind either transport, in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from wicketgate.adapters.connection_telemetry import ConnectionTelemetry
from wicketgate.adapters.grpcio_server import GrpcServer
from wicketgate.adapters.wire_server import Checker, WireGrpcServer
from wicketgate.app.transport import AuthzServer
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.settings import Transport


@asynccontextmanager
async def serving_gate(
    transport: Transport,
    gate: Checker,
    *,
    address: str = "127.0.0.1:0",
    tls: TlsIdentity | None = None,
) -> AsyncIterator[tuple[AuthzServer, str]]:
    """Serve a gate; yields the server and its address as it turned out to be."""
    server: AuthzServer
    if transport is Transport.WIRE:
        observer = ConnectionTelemetry(CollectorRegistry())
        server = WireGrpcServer(gate, address=address, observer=observer, tls=tls)
    else:
        server = GrpcServer(gate, address=address, tls=tls)
    listening = await server.start()
    try:
        yield server, listening
    finally:
        await server.stop(grace=0)
