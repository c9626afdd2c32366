"""The fast transport: Check and health over our own HTTP/2.

The handler moves bytes and decides nothing. Health is SERVING only while the
gate can verify tokens, so that Envoy sends Checks elsewhere when it cannot.

Source: gRPC health checking protocol; Envoy ``grpc_health_check``.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final, Protocol

from wicketgate.adapters.envoy import SERVICE
from wicketgate.grpc.endpoint import TlsIdentity, refused, require_free
from wicketgate.grpc.protocol import Observer
from wicketgate.grpc.server import WireServer
from wicketgate.grpc.service import HEALTH_CHECK, Health, Method
from wicketgate.grpc.tls import FollowedContext, peer_sans

CHECK: Final = f"/{SERVICE}/Check".encode()


class Checker(Protocol):
    """Answers Checks; see `wicketgate.gate.Gate`."""

    def check(self, raw: bytes) -> bytes | Awaitable[bytes]:
        """Answer a serialised ``CheckRequest``."""

    def refuse_peer(self) -> bytes:
        """Answer a caller that may not ask."""


class WireGrpcServer:
    """Serves one gate on one address."""

    def __init__(
        self,
        checker: Checker,
        *,
        address: str,
        observer: Observer,
        tls: TlsIdentity | None = None,
    ) -> None:
        """Build the server, not listening yet.

        Args:
            checker: Answers Checks.
            address: ``host:port`` or ``unix:/path``.
            observer: Told of connections.
            tls: `None` serves in the clear.
        """
        self._checker = checker
        self._address = address
        self._allowed_sans = tls.allowed_sans if tls else frozenset[str]()
        self._health = Health(frozenset({SERVICE}))
        self._is_retired = False
        self._tls = tls
        self._observer = observer
        self._server: WireServer | None = None
        self._methods: Final[Mapping[bytes, Method]] = {
            CHECK: checker.check,
            HEALTH_CHECK: self._health.check,
        }
        self._methods_of_strangers: Final[Mapping[bytes, Method]] = {
            CHECK: lambda _: checker.refuse_peer(),
            HEALTH_CHECK: self._health.check,
        }

    async def start(self) -> str:
        """Listen, and return the address with the port that was taken.

        Raises:
            EnvironmentFaultError: the address cannot be listened on.
            OSError: a TLS file cannot be read.
        """
        await require_free(self._address)
        context = FollowedContext(self._tls).context if self._tls else None
        self._server = WireServer(self._methods_for, observer=self._observer, tls=context)
        try:
            port = await self._server.listen(self._address)
        except OSError:
            raise refused(self._address) from None
        if self._address.startswith("unix:"):
            return self._address
        return f"{self._address.rpartition(':')[0]}:{port}"

    async def set_serving(self, *, serving: bool) -> None:
        """Tell health checkers whether to send Checks here."""
        self._health.is_serving = serving and not self._is_retired

    async def retire(self) -> None:
        """Answer NOT_SERVING from now on, whatever `set_serving` says; keep answering Checks."""
        self._is_retired = True
        self._health.is_serving = False

    async def stop(self, *, grace: float) -> None:
        """Send GOAWAY and give calls in flight `grace` seconds to finish."""
        if self._server is not None:
            await self._server.stop(grace=grace)

    def _methods_for(self, transport: asyncio.BaseTransport) -> Mapping[bytes, Method]:
        if self._allowed_sans and self._allowed_sans.isdisjoint(peer_sans(transport)):
            return self._methods_of_strangers
        return self._methods
