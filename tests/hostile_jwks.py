"""A JWKS server on loopback that misbehaves exactly as it is told.

It writes bytes to sockets, because a proper HTTP server cannot be talked into
most of this.
"""

import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

Responder = Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]
"""Answers one request; returns, at the latest, when the event says that the server closes."""

BOMB_BYTES: Final = 50_000_000
"""What the bomb grows to; on the wire it is under the limit for a document."""


class HostileJwks:
    """Serves whatever `respond` does, and keeps the requests that it saw.

    Attributes:
        respond: How the next requests are answered.
        requests: The head of every request so far.
    """

    def __init__(self, respond: Responder, *, tls: ssl.SSLContext | None = None) -> None:
        self.respond = respond
        self.requests: list[str] = []
        self._tls = tls
        self._serving: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where the document would be."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._port}/.well-known/jwks.json"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._serving:
            await asyncio.wait(self._serving, timeout=10)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.decode("latin-1"))
            await self.respond(writer, self._closing)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def answer(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Responder:
    """Answer properly."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(wire: bytes) -> Responder:
    """Write `wire` and close."""

    async def respond(writer: asyncio.StreamWriter, _: asyncio.Event) -> None:
        writer.write(wire)
        await writer.drain()

    return respond


def truncated(body: bytes) -> Responder:
    """Promise all of `body`, and close after half of it."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return raw(head + body[: len(body) // 2])


def truncated_chunk(body: bytes) -> Responder:
    """Close in the middle of a chunk."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head + f"{len(body):x}\r\n".encode() + body[: len(body) // 2])


def bomb() -> Responder:
    """Send a small body that decompresses to a huge one."""
    return answer(gzip.compress(bytes(BOMB_BYTES)), headers={"Content-Encoding": "gzip"})


def redirect(to: str, *, status: int = 302) -> Responder:
    """Point somewhere else."""
    return answer(b"", status=status, headers={"Location": to})


def endless() -> Responder:
    """Send a body that never ends, as fast as it is read."""

    async def respond(writer: asyncio.StreamWriter, closing: asyncio.Event) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while not closing.is_set():
            writer.write(b" " * 16_384)
            await writer.drain()

    return respond


def drip(body: bytes, *, pause_seconds: float = 0.01) -> Responder:
    """Send one byte at a time, so that no single read ever times out."""

    async def respond(writer: asyncio.StreamWriter, closing: asyncio.Event) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for octet in body:
            if closing.is_set():
                return
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(pause_seconds)

    return respond


def silence() -> Responder:
    """Accept the request and say nothing."""

    async def respond(_: asyncio.StreamWriter, closing: asyncio.Event) -> None:
        await closing.wait()

    return respond


def reset(*, after: bytes = b"") -> Responder:
    """Reset the connection, perhaps in mid-answer."""

    async def respond(writer: asyncio.StreamWriter, _: asyncio.Event) -> None:
        writer.write(after)
        await writer.drain()
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return respond
