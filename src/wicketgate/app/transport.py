"""What answers Checks at an address: our own HTTP/2, or grpcio."""

from typing import Protocol

from wicketgate.adapters.connection_telemetry import ConnectionTelemetry
from wicketgate.adapters.telemetry import Telemetry
from wicketgate.gate import Gate
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.lifecycle import Server
from wicketgate.settings import AuthzSettings, Transport


class AuthzServer(Server, Protocol):
    """A transport: answers Checks at an address."""

    async def start(self) -> str:
        """Listen, and return the address with the port that was taken."""


def connection_telemetry(
    settings: AuthzSettings, telemetry: Telemetry
) -> ConnectionTelemetry | None:
    """Return what counts connections, where the transport tells of them."""
    if settings.transport is not Transport.WIRE:
        return None
    return ConnectionTelemetry(telemetry.registry)


def transport_of(
    settings: AuthzSettings, gate: Gate, connections: ConnectionTelemetry | None
) -> AuthzServer:
    """Return the transport that the settings ask for, with `gate` behind it."""
    address, tls = str(settings.authz_address), _tls(settings)
    # Each is imported when it is used: grpcio takes 20 MiB and half a second.
    if connections is not None:
        from wicketgate.adapters.wire_server import WireGrpcServer  # noqa: PLC0415

        return WireGrpcServer(gate, address=address, observer=connections, tls=tls)
    from wicketgate.adapters.grpcio_server import GrpcServer  # noqa: PLC0415

    return GrpcServer(gate, address=address, tls=tls)


def _tls(settings: AuthzSettings) -> TlsIdentity | None:
    if settings.tls is None:
        return None
    return TlsIdentity(
        certificate=settings.tls.cert_file,
        key=settings.tls.key_file,
        client_ca=settings.tls.client_ca_file,
        allowed_sans=settings.tls.allowed_sans,
    )
