"""Get the bytes of a JWKS over HTTP, and trust nothing about the answer.

One request, one answer, a bounded number of bytes in a bounded time: no
redirects, no proxies, no cookies, no compression. Whatever goes wrong becomes
a `DependencyError` whose line holds nothing that the server sent.

Source: RFC 9110 sections 8.4 and 15.4.
"""

from typing import Final

import aiohttp
from yarl import URL

from wicketgate.errors import DependencyError, InternalError

TIMEOUT_SECONDS: Final = 5.0
"""For the whole exchange, names and TLS included; Clerk answers within 0.2 s."""
CONNECT_SECONDS: Final = 2.0
"""Beyond a lost SYN and its first retransmission, nobody is there."""
LIMIT_BYTES: Final = 65_536
"""Clerk's document is under 1 KiB; 64 KiB hold every key that would be read."""

_OK: Final = 200
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}

_STATUSES: Final = {
    401: "the JWKS URL must be readable without credentials: check CLERK_JWKS_URL",
    403: "the JWKS URL must be readable without credentials: check CLERK_JWKS_URL",
    404: "check CLERK_JWKS_URL, or the publishable key that it comes from",
    429: "too many requests come from this address",
}

_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    # The first that fits; aiohttp's kinds overlap.
    (aiohttp.ClientConnectorDNSError, "the name does not resolve: check CLERK_JWKS_URL and DNS"),
    (
        aiohttp.ClientConnectorCertificateError,
        "the certificate is not trusted: check this machine's CA certificates and clock",
    ),
    (aiohttp.ClientSSLError, "TLS failed: check CLERK_JWKS_URL and what is in between"),
    (TimeoutError, "no complete answer in time: check the network on the way there"),
    (aiohttp.ClientConnectorError, "no connection: check CLERK_JWKS_URL and the firewall"),
    (aiohttp.ClientPayloadError, "the answer was cut short: check what is in between"),
    (aiohttp.ClientResponseError, "the answer is not HTTP: check CLERK_JWKS_URL"),
    (aiohttp.InvalidURL, "the URL is not valid: check CLERK_JWKS_URL"),
    (aiohttp.NonHttpUrlClientError, "the URL is not http or https: check CLERK_JWKS_URL"),
    (OSError, "the connection broke: check the network on the way there"),
    (aiohttp.ServerDisconnectedError, "the connection was closed without an answer"),
)


class HttpFetch:
    """Gets one JWKS document, each time it is called."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """Fetch `url` through `session`, which stays the caller's to close.

        Raises:
            InternalError: the session would take proxies and passwords from the
                environment.
        """
        if session.trust_env:
            msg = "the session for Clerk's keys must not trust the environment"
            raise InternalError(msg)
        self._url = URL(url)
        self._session = session
        self._limit_bytes = limit_bytes
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=min(CONNECT_SECONDS, timeout_seconds)
        )

    async def __call__(self) -> bytes:
        """Return the document as it was sent.

        Raises:
            DependencyError: there is no complete answer of status 200 and bearable
                size. No other exception escapes but a cancellation.
        """
        try:
            async with self._session.get(
                self._url,
                headers=_HEADERS,
                timeout=self._timeout,
                allow_redirects=False,
                # A bomb must not go off before its header has been read.
                auto_decompress=False,
                middlewares=(self._once,),
            ) as response:
                return await self._body_of(response)
        except DependencyError:
            raise
        except Exception as error:
            # aiohttp lets ValueError, RuntimeError and others through. Its
            # messages may quote the server, hence our own words.
            raise self._failure(_cause(error)) from error

    async def _once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp sends a GET again when the connection breaks. Whether and when to
        # ask again is not its to decide: that is what the cooldown is for.
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise self._failure(_cause(error)) from error

    async def _body_of(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status != _OK:
            raise self._failure(_refusal(response.status))
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            msg = "the answer is compressed, which was not asked for: check what is in between"
            raise self._failure(msg)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._limit_bytes:
                msg = f"the answer is larger than {self._limit_bytes} bytes: check CLERK_JWKS_URL"
                raise self._failure(msg)
        return bytes(body)

    def _failure(self, what: str) -> DependencyError:
        host = self._url.host or "nowhere"
        return DependencyError(f"Clerk's keys could not be fetched from {host}: {what}")


def open_session() -> aiohttp.ClientSession:
    """Return a session fit for `HttpFetch`.

    No cookies, nothing from the environment, and a new connection each time: an
    idle one may be closed by the other end just when it is needed.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _refusal(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110 section 15.4
        return (
            f"status {status}, a redirect, which is not followed: "
            "set CLERK_JWKS_URL to where the keys are"
        )
    if status in _STATUSES:
        return f"status {status}: {_STATUSES[status]}"
    if status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
        return f"status {status}: the server fails; if it lasts, see Clerk's status page"
    return f"status {status} instead of {_OK}: check CLERK_JWKS_URL"


def _cause(error: Exception) -> str:
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return f"unexpected {type(error).__name__}"
