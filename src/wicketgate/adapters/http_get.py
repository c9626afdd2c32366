"""One HTTP answer, with its headers: for tools that look at what others serve.

No redirects, no proxies, no cookies; a bounded number of bytes in a bounded time.
Whatever goes wrong becomes a `DependencyError` whose line holds nothing that the
server sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from wicketgate.errors import DependencyError

TIMEOUT_SECONDS: Final = 5.0
LIMIT_BYTES: Final = 16 * 1024 * 1024
"""What a file may have, too; the dump of a large mesh is a few MB."""

_OK: Final = 200


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What was answered.

    Attributes:
        headers: Names in lower case.
        body: As it was sent.
    """

    headers: Mapping[str, str]
    body: bytes


async def http_get(
    url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, limit_bytes: int = LIMIT_BYTES
) -> HttpAnswer:
    """Return what is answered with status 200.

    Raises:
        DependencyError: there is no complete answer of that kind. No other exception
            escapes but a cancellation.
    """
    host = _host(url)
    try:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
            session.get(
                URL(url),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            ) as response,
        ):
            return await _answer_of(response, host, limit_bytes)
    except DependencyError:
        raise
    except Exception as error:
        # aiohttp lets ValueError and others through, and its messages may quote the server.
        msg = f"no answer from {host}: {_cause(error, timeout_seconds)}"
        raise DependencyError(msg) from error


async def _answer_of(response: aiohttp.ClientResponse, host: str, limit_bytes: int) -> HttpAnswer:
    if response.status != _OK:
        msg = f"{host} answered with status {response.status} instead of {_OK}"
        raise DependencyError(msg)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            msg = f"{host} answered with more than {limit_bytes} bytes"
            raise DependencyError(msg)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(headers, bytes(body))


def _host(url: str) -> str:
    try:
        return URL(url).authority.rpartition("@")[2] or "nowhere"
    except ValueError:
        return "nowhere"


def _cause(error: Exception, timeout_seconds: float) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the name does not resolve"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "TLS failed"
        case TimeoutError():
            return f"nothing complete within {timeout_seconds:g} s"
        case aiohttp.ClientConnectorError():
            return "no connection"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return "the URL is not valid"
        case _:
            return f"{type(error).__name__}"
