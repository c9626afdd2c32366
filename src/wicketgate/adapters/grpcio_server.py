"""The reference transport: ``grpc.aio`` serving Check, health and reflection.

The handler moves bytes and decides nothing. Health is SERVING only while the
gate can verify tokens, so that Envoy sends Checks elsewhere when it cannot.

Source: gRPC health checking protocol; Envoy ``grpc_health_check``.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from wicketgate.adapters.envoy import SERVICE
from wicketgate.grpc.endpoint import TlsIdentity, refused, require_free

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""A Check over the limit is a gRPC error, which ``failure_mode_allow`` may turn into
an allow. So the limit lies above the largest headers that Envoy takes (8 MiB)."""

_OPTIONS: Final = (
    # Two gates on one port would share it by lottery; the second must fail to start.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)


class Checker(Protocol):
    """Answers Checks; see `wicketgate.gate.Gate`."""

    def check(self, raw: bytes) -> bytes | Awaitable[bytes]:
        """Answer a serialised ``CheckRequest``."""

    def refuse_peer(self) -> bytes:
        """Answer a caller that may not ask."""


class GrpcServer:
    """Serves one gate on one address."""

    def __init__(self, checker: Checker, *, address: str, tls: TlsIdentity | None = None) -> None:
        """Build the server, not listening yet.

        Args:
            checker: Answers Checks.
            address: ``host:port`` or ``unix:/path``.
            tls: `None` serves in the clear.
        """
        self._checker = checker
        self._address = address
        self._tls = tls
        self._allowed_sans = tls.allowed_sans if tls else frozenset[str]()
        self._health = health_aio.HealthServicer()
        self._server = grpc.aio.server(options=_OPTIONS)
        # No serialisers: the gate takes and gives bytes.
        check: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._check
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Check": check}),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, "grpc.health.v1.Health", reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> str:
        """Listen, and return the address with the port that was taken.

        Raises:
            EnvironmentFaultError: the address cannot be listened on.
            OSError: a TLS file cannot be read.
        """
        await self.set_serving(serving=False)
        await require_free(self._address)
        credentials = _credentials(self._tls) if self._tls else None
        try:
            if credentials is None:
                port = self._server.add_insecure_port(self._address)
            else:
                port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError:
            raise refused(self._address) from None
        await self._server.start()
        if self._address.startswith("unix:"):
            return self._address
        return f"{self._address.rpartition(':')[0]}:{port}"

    async def set_serving(self, *, serving: bool) -> None:
        """Tell health checkers whether to send Checks here."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if serving else states.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, state)

    async def retire(self) -> None:
        """Answer NOT_SERVING from now on, whatever `set_serving` says; keep answering Checks."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, *, grace: float) -> None:
        """Send GOAWAY and give calls in flight `grace` seconds to finish."""
        await self._server.stop(grace)

    async def _check(self, raw: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        if self._allowed_sans and self._allowed_sans.isdisjoint(_sans(context)):
            return self._checker.refuse_peer()
        answer = self._checker.check(raw)
        return answer if isinstance(answer, bytes) else await answer


def _sans(context: "grpc.aio.ServicerContext[bytes, bytes]") -> set[str]:
    properties = context.auth_context()
    return {
        value.decode("utf-8", "replace")
        for name in ("x509_subject_alternative_name", "peer_uri", "peer_dns")
        for value in properties.get(name, ())
    }


def _credentials(tls: TlsIdentity) -> grpc.ServerCredentials:
    """Return credentials that follow the certificate files as they are renewed."""
    read = _reader(tls)
    return grpc.dynamic_ssl_server_credentials(
        read(),
        _if_changed(read),  # type: ignore[arg-type] # None is documented: no change
        require_client_authentication=tls.client_ca is not None,
    )


def _reader(tls: TlsIdentity) -> Callable[[], grpc.ServerCertificateConfiguration]:
    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(_content(tls.key), _content(tls.certificate))],
            root_certificates=_content(tls.client_ca) if tls.client_ca else None,
        )

    return read


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if not content:
        msg = "empty"  # a file that is being replaced
        raise OSError(msg)
    return content


def _if_changed(
    read: Callable[[], grpc.ServerCertificateConfiguration],
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # None keeps the certificate in use; a half-written file must not end it.
        with suppress(OSError):
            return read()
        return None

    return fetch
