"""A client that sends requests as they are written.

HTTP libraries normalise paths, join or drop repeated headers and tidy up names.
The point of most requests here is that they are untidy, so the request is
written to a socket, octet for octet; a library only reads the answer.
"""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from types import TracebackType
from typing import Final, Self

TIMEOUT_SECONDS: Final = 10.0
NO_ANSWER: Final = 0
"""The status of a request to which no answer came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client got.

    Attributes:
        status: The HTTP status, or `NO_ANSWER`.
        headers: Every header line, names in lower case.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def reason(self) -> str:
        """The ``reason`` of the problem document; empty when it is none."""
        kind = dict(self.headers).get("content-type", "")
        if kind.partition(";")[0] != "application/problem+json":
            return ""
        with suppress(ValueError):
            document = json.loads(self.body)
            if isinstance(document, dict):
                return str(document.get("reason", ""))
        return ""


class Client:
    """Sends requests, each on a connection of its own; many at a time if asked to."""

    def __init__(self) -> None:
        """Make a client."""
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop the connections that are still open."""
        for writer in self._open:
            writer.transport.abort()

    async def send(
        self, url: str, *, method: str = "GET", headers: Iterable[tuple[str, str]] = ()
    ) -> Reply:
        """Send one request and return what came back.

        Args:
            url: ``http://host:port/...``; what follows the port is sent as it is.
            method: The method.
            headers: Header lines in order, after ``host`` and ``connection``.
        """
        authority, slash, rest = url.removeprefix("http://").partition("/")
        lines = (("host", authority), ("connection", "close"), *headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        request = f"{method} {slash}{rest} HTTP/1.1\r\n{head}\r\n".encode("latin-1")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return _reply(await self._exchange(authority, request), method)
        except (OSError, HTTPException):  # TimeoutError is an OSError
            return Reply(NO_ANSWER)

    async def _exchange(self, authority: str, request: bytes) -> bytes:
        host, _, port = authority.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._open.add(writer)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def bearer(token: str) -> tuple[str, str]:
    """Return the header line that carries `token`."""
    return ("authorization", f"Bearer {token}")


class _Received:
    """What `HTTPResponse` takes for a socket."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> BytesIO:  # noqa: ARG002 - called with "rb"
        return BytesIO(self._octets)


def _reply(octets: bytes, method: str) -> Reply:
    response = HTTPResponse(_Received(octets), method=method)  # type: ignore[arg-type] # see there
    response.begin()
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Reply(response.status, headers, response.read())
