"""A client that sends requests as they are written.

Paths are not normalised and headers neither joined nor renamed: the point of
most requests here is that they are odd.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

_TIMEOUT: Final = ClientTimeout(total=10.0)
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
        if ("content-type", "application/problem+json") not in self.headers:
            return ""
        with suppress(ValueError):
            document = json.loads(self.body)
            if isinstance(document, dict):
                return str(document.get("reason", ""))
        return ""


class Client:
    """Sends requests; many at a time if asked to."""

    def __init__(self) -> None:
        """Make a client that is not open yet."""
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open it."""
        self._session = ClientSession(
            connector=TCPConnector(limit=0), timeout=_TIMEOUT, auto_decompress=False
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    async def send(
        self, url: str, *, method: str = "GET", headers: Iterable[tuple[str, str]] = ()
    ) -> Reply:
        """Send one request and return what came back.

        Args:
            url: Sent as it is, dot segments and escapes included.
            method: The method.
            headers: Header lines in order.
        """
        if self._session is None:
            msg = "the client is not open"
            raise RuntimeError(msg)
        try:
            async with self._session.request(
                method, URL(url, encoded=True), headers=list(headers), allow_redirects=False
            ) as response:
                body = await response.read()
                lines = tuple((name.lower(), value) for name, value in response.headers.items())
                return Reply(response.status, lines, body)
        except (ClientError, TimeoutError):
            return Reply(NO_ANSWER)


def bearer(token: str) -> tuple[str, str]:
    """Return the header line that carries `token`."""
    return ("authorization", f"Bearer {token}")
