"""The server: listens, watches over its connections, and takes leave of them.

Source: RFC 9113 section 6.8 (GOAWAY).
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from wicketgate.grpc.budget import SHARED_BYTES, Budget
from wicketgate.grpc.endpoint import UNIX
from wicketgate.grpc.headers import HeaderCache
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.protocol import Observer, WireProtocol
from wicketgate.grpc.service import Method

TICK_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 1.0
"""How long peers have to answer that they heard that no more streams are taken."""
ABORT_SECONDS: Final = 0.1
"""How long the event loop has to forget those that were hung up on."""
HANDSHAKE_SECONDS: Final = 10.0
"""For TLS."""
MAX_CONNECTIONS: Final = 10_000
"""Envoy opens one for each of its worker threads."""
BACKLOG: Final = 1_024


class WireServer:
    """Serves methods on one address, over HTTP/2."""

    def __init__(
        self,
        methods_for: Callable[[asyncio.BaseTransport], Mapping[bytes, Method]],
        *,
        observer: Observer,
        limits: Limits | None = None,
        max_connections: int = MAX_CONNECTIONS,
        shared_bytes: int = SHARED_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            methods_for: Returns what the peer at a transport can call.
            observer: Told of connections.
            limits: What a peer may cost.
            max_connections: Any more are told to go away.
            shared_bytes: What all connections together may have kept for them.
            tls: `None` serves in the clear.
        """
        self._methods_for = methods_for
        self._observer = observer
        self._limits = limits or Limits()
        self._max_connections = max_connections
        self._tls = tls
        self._cache = HeaderCache()
        self._budget = Budget(shared_bytes)
        self._connections: set[WireProtocol] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._is_leaving = False
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    async def listen(self, address: str) -> int:
        """Listen, and return the port; 0 for a Unix socket.

        Args:
            address: ``host:port`` or ``unix:/path``.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        listen = partial(
            loop.create_unix_server if address.startswith(UNIX) else loop.create_server,
            self._protocol,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
            backlog=BACKLOG,
        )
        host, _, port = address.rpartition(":")
        if address.startswith(UNIX):
            # asyncio removes a socket that was left behind.
            self._server = await listen(path=address.removeprefix(UNIX))
        elif host == "[::]":
            self._server = await listen(sock=_all_addresses(int(port)))
        else:
            self._server = await listen(host=host.strip("[]"), port=int(port))
        self._watch = loop.create_task(self._watch_over())
        name = self._server.sockets[0].getsockname()
        return 0 if isinstance(name, str) else int(name[1])

    async def stop(self, *, grace: float) -> None:
        """Take no more connections or streams, and give those that are open `grace` seconds."""
        self._is_leaving = True
        if self._server is not None:
            self._server.close()
        now = asyncio.get_running_loop().time()
        for connection in tuple(self._connections):
            connection.close_softly()
        # A peer answers after whatever it had sent before, and then hears which was the last.
        await self._until_none_left(now + min(grace, LEAVE_SECONDS))
        for connection in tuple(self._connections):
            connection.close_now()
        await self._until_none_left(now + grace)
        for connection in tuple(self._connections):
            connection.abort()
        await self._until_none_left(now + grace + ABORT_SECONDS)
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    # ------------------------------------------------------------------ for connections

    def enter(self, connection: WireProtocol) -> bool:
        """Take note of a connection, and tell whether there is room for it."""
        self._connections.add(connection)
        self._emptied.clear()
        if self._is_leaving:
            # It was on its way, or its TLS handshake took until now.
            connection.close_now()
        return len(self._connections) <= self._max_connections

    def leave(self, connection: WireProtocol) -> None:
        """Take note that it is over."""
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    def _protocol(self) -> WireProtocol:
        return WireProtocol(
            self._methods_for,
            limits=self._limits,
            cache=self._cache,
            budget=self._budget,
            observer=self._observer,
            connections=self,
        )

    async def _until_none_left(self, when: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._emptied.wait()

    async def _watch_over(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for connection in tuple(self._connections):
                connection.tick()


def _all_addresses(port: int) -> socket.socket:
    """Return a socket on all addresses, those of IPv4 included: what ``::`` means to grpcio.

    Raises:
        OSError: the port cannot be listened on.
    """
    return socket.create_server(
        ("::", port),
        family=socket.AF_INET6,
        backlog=BACKLOG,
        dualstack_ipv6=socket.has_dualstack_ipv6(),
    )
