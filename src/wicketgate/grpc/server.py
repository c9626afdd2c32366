"""The server: listens, watches over its connections, and takes leave of them.

Source: RFC 9113 sections 3.2 (ALPN ``h2``) and 6.8 (GOAWAY).
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from wicketgate.grpc.endpoint import UNIX
from wicketgate.grpc.headers import HeaderCache
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.protocol import Observer, WireProtocol
from wicketgate.grpc.service import Method

SILENCE_SECONDS: Final = 60.0
"""After this the peer is asked for a sign of life; half-open connections give none."""
PATIENCE_SECONDS: Final = 20.0
"""... and after this without one the connection is closed."""
LEAVE_SECONDS: Final = 1.0
"""How long peers have to answer that they heard that no more streams are taken."""
BACKLOG: Final = 1_024


class WireServer:
    """Serves methods on one address, over HTTP/2."""

    def __init__(
        self,
        methods_for: Callable[[asyncio.BaseTransport], Mapping[bytes, Method]],
        *,
        observer: Observer,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            methods_for: Returns what the peer at a transport can call.
            observer: Told of connections.
            limits: What a peer may cost.
            tls: `None` serves in the clear.
        """
        self._methods_for = methods_for
        self._observer = observer
        self._limits = limits or Limits()
        self._tls = tls
        self._cache = HeaderCache()
        self._connections: set[WireProtocol] = set()
        self._emptied = asyncio.Event()
        self._emptied.set()
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
        if address.startswith(UNIX):
            # asyncio removes a socket that was left behind.
            self._server = await loop.create_unix_server(
                self._protocol, address.removeprefix(UNIX), ssl=self._tls, backlog=BACKLOG
            )
            port = 0
        else:
            host, _, number = address.rpartition(":")
            self._server = await loop.create_server(
                self._protocol, host.strip("[]"), int(number), ssl=self._tls, backlog=BACKLOG
            )
            port = int(self._server.sockets[0].getsockname()[1])
        self._watch = loop.create_task(self._watch_over())
        return port

    async def stop(self, *, grace: float) -> None:
        """Take no more connections or streams, and give those that are open `grace` seconds."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close_softly()
        # A peer answers after whatever it had sent before, and then hears which was the last.
        await self._until_none_left(min(grace, LEAVE_SECONDS))
        for connection in tuple(self._connections):
            connection.close_now()
        await self._until_none_left(grace)
        for connection in tuple(self._connections):
            connection.abort()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    def _protocol(self) -> WireProtocol:
        return WireProtocol(
            self._methods_for,
            limits=self._limits,
            cache=self._cache,
            observer=self._observer,
            entered=self._enter,
            left=self._leave,
        )

    async def _until_none_left(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._emptied.wait()

    def _enter(self, connection: WireProtocol) -> None:
        self._connections.add(connection)
        self._emptied.clear()

    def _leave(self, connection: WireProtocol) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._emptied.set()

    async def _watch_over(self) -> None:
        """Ask silent peers for a sign of life, and hang up on those that give none."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SILENCE_SECONDS / 10)
            now = loop.time()
            for connection in tuple(self._connections):
                silence = now - connection.last_heard
                if silence > SILENCE_SECONDS + PATIENCE_SECONDS:
                    connection.abort()
                elif silence > SILENCE_SECONDS:
                    connection.ping()
