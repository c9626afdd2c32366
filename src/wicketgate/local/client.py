"""A client that sends requests as they are written.

HTTP libraries normalise paths, join or drop repeated headers and tidy up names.
The point of most requests here is that they are untidy, so the request is
written to a socket, octet for octet; a library only reads the answer.
"""

import asyncio
import json
import re
import ssl
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

_READ_BYTES: Final = 64 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+) *(?:\r|\Z)", re.IGNORECASE)


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

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Make a client.

        Args:
            tls: How ``https`` is spoken; `None` for the usual way.
        """
        self._tls = tls
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
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Iterable[tuple[str, str]] = (),
        target: str | None = None,
        host: str | None = None,
    ) -> Reply:
        """Send one request and return what came back.

        Text is one octet for each character, so octets that are no text can be sent.

        Args:
            url: ``http://host:port/...``; what follows the port is sent as it is.
            method: The method.
            headers: Header lines in order, after ``host`` and ``connection``.
            target: The request target, when it is not what follows the port.
            host: The value of ``host``, when it is not that of the URL.
        """
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        named = authority if host is None else host
        lines = (("host", named), ("connection", "close"), *headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        asked = slash + path if target is None else target
        request = f"{method} {asked} HTTP/1.1\r\n{head}\r\n".encode("latin-1")
        tls = self._tls or ssl.create_default_context() if scheme == "https" else None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return _reply(await self._exchange(authority, request, tls), method)
        except (OSError, HTTPException):  # TimeoutError is an OSError
            return Reply(NO_ANSWER)

    async def _exchange(self, authority: str, request: bytes, tls: ssl.SSLContext | None) -> bytes:
        host, _, port = authority.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
        self._open.add(writer)
        try:
            writer.write(request)
            octets = b""
            # Not until the end: Envoy keeps a connection that it gave up open for 1 s.
            while not _is_whole(octets) and (more := await reader.read(_READ_BYTES)):
                octets += more
            return octets
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _is_whole(octets: bytes) -> bool:
    """Tell whether an answer says how long it is, and is."""
    head, blank, body = octets.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(blank) and length is not None and len(body) >= int(length[1])


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
