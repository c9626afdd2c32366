"""Read Clerk's users through its Backend API.

Politely: as many at a time as Clerk gives, waiting when told to wait, and asking
again when a request was lost. A user is gone only when Clerk itself says so, in
its own words: a 404 that a proxy made up is a failure like any other. Whatever
goes wrong becomes a line that holds nothing that the server sent.

Source: Clerk Backend API 2026-05-12, "List all users", "Retrieve a user", "Rate
limits"; RFC 9110 section 10.2.3 (``Retry-After``).
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor, Page
from wicketgate.core.event import UserProfile
from wicketgate.core.event_body import profile_of, storable
from wicketgate.errors import ConfigurationError, DependencyError, InternalError

API_VERSION: Final = "2026-05-12"
"""The version that introduced ``starting_after``."""
PAGE_LIMIT: Final = 500
"""Clerk's most; beyond it Clerk was seen to give ten."""
PARALLEL: Final = 8
"""Users asked about at the same time: far below 1000 requests in 10 s."""
OVERLAP: Final = 50
"""Pages by offset begin so many users early: a user deleted meanwhile moves the rest up."""

ATTEMPTS: Final = 8
FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 30.0
MAX_RETRY_AFTER_SECONDS: Final = 120.0
"""Clerk counts requests over 10 s; who asks for more than this means something else."""
TIMEOUT_SECONDS: Final = 30.0
"""For a whole page."""
CONNECT_SECONDS: Final = 5.0
LIMIT_BYTES: Final = 64 * 1024 * 1024
"""500 users with all three kinds of metadata full (8 KiB each) are 20 MiB."""

_OK: Final = 200
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_UNPROCESSABLE: Final = 422
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500

_GONE: Final = "resource_not_found"
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_INSTANCE_ID: Final = re.compile(r"ins_[A-Za-z0-9_]{1,64}")

_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    # The first that fits; aiohttp's kinds overlap.
    (aiohttp.ClientConnectorDNSError, "the name does not resolve: check CLERK_API_URL and DNS"),
    (
        aiohttp.ClientConnectorCertificateError,
        "the certificate is not trusted: check this machine's CA certificates and clock",
    ),
    (aiohttp.ClientSSLError, "TLS failed: check CLERK_API_URL and what is in between"),
    (TimeoutError, "no complete answer in time: check the network on the way there"),
    (aiohttp.ClientConnectorError, "no connection: check CLERK_API_URL and the firewall"),
    (aiohttp.ClientPayloadError, "the answer was cut short: check what is in between"),
    (aiohttp.ClientResponseError, "the answer is not HTTP: check CLERK_API_URL"),
    (aiohttp.InvalidURL, "the URL is not valid: check CLERK_API_URL"),
    (OSError, "the connection broke: check the network on the way there"),
    (aiohttp.ServerDisconnectedError, "the connection was closed without an answer"),
)
_LASTING: Final = (
    # The same each time: asking again only delays the bad news.
    aiohttp.ClientConnectorCertificateError,
    aiohttp.InvalidURL,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer that is neither a refusal of the key nor worth another try."""

    path: str
    status: int
    body: bytes


class BackendApi:
    """Asks, and asks again when that is worth while."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        *,
        secret_key: str,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        timeout_seconds: float = TIMEOUT_SECONDS,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """Ask at `url`, the API without ``/v1``.

        Args:
            url: Such as ``https://api.clerk.com``.
            session: Stays the caller's to close.
            secret_key: Sent to `url` and nowhere else.
            jitter: A number from 0 to 1, new each time.
            sleep: Waits for seconds.
            timeout_seconds: For one exchange.
            limit_bytes: The longest body that is read.

        Raises:
            InternalError: the session would take proxies and passwords from the
                environment.
        """
        if session.trust_env:
            msg = "the session for Clerk's Backend API must not trust the environment"
            raise InternalError(msg)
        self._url = URL(url)
        self._session = session
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {secret_key}",
            "Clerk-API-Version": API_VERSION,
        }
        self._jitter = jitter
        self._sleep = sleep
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=min(CONNECT_SECONDS, timeout_seconds)
        )
        self._limit_bytes = limit_bytes

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """Return the answer of status 200, 400, 404 or 422.

        Args:
            path: Below ``/v1``, such as ``users/count``.
            query: Parameters, not encoded.

        Raises:
            ConfigurationError: Clerk does not take the secret key.
            DependencyError: there is no such answer, also after several attempts. No
                other exception escapes but a cancellation.
        """
        url = (self._url / "v1" / path).with_query(query or {})
        attempt = 0
        while True:
            attempt += 1
            delay = min(FIRST_DELAY_SECONDS * 2 ** (attempt - 1), MAX_DELAY_SECONDS)
            try:
                status, retry_after, body = await self._exchange(url)
            except DependencyError:
                raise
            except Exception as error:
                if attempt == ATTEMPTS or isinstance(error, _LASTING):
                    raise self.failure(_cause(error)) from error
            else:
                if status == _UNAUTHORIZED:
                    raise ConfigurationError(_WRONG_KEY)
                if status != _TOO_MANY and status < _SERVER_ERROR:
                    return self._checked(Answer(path, status, body))
                if attempt == ATTEMPTS:
                    raise self.failure(_refusal(status))
                if status == _TOO_MANY:
                    delay = self._told_to_wait(retry_after, otherwise=delay)
            await self._sleep(delay * (1 + 0.25 * self._jitter()))

    async def _exchange(self, url: URL) -> tuple[int, str, bytes]:
        async with self._session.get(
            url,
            headers=self._headers,
            timeout=self._timeout,
            # A redirect would take the secret key along.
            allow_redirects=False,
            auto_decompress=False,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                msg = "the answer is compressed, which was not asked for: check what is in between"
                raise self.failure(msg)
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._limit_bytes:
                    msg = f"the answer is larger than {self._limit_bytes} bytes"
                    raise self.failure(msg)
            return response.status, response.headers.get("Retry-After", ""), bytes(body)

    def _checked(self, answer: Answer) -> Answer:
        if answer.status not in {_OK, _BAD_REQUEST, _NOT_FOUND, _UNPROCESSABLE}:
            raise self.failure(_refusal(answer.status))
        return answer

    def _told_to_wait(self, retry_after: str, *, otherwise: float) -> float:
        if not _SECONDS.fullmatch(retry_after):
            return otherwise
        seconds = float(retry_after)
        if seconds > MAX_RETRY_AFTER_SECONDS:
            msg = (
                f"it asks to wait for {seconds:.0f} s: run again after that, it goes on from here"
            )
            raise self.failure(msg)
        return max(seconds, otherwise)

    def failure(self, what: str) -> DependencyError:
        """Return the error that says that `what` went wrong."""
        host = self._url.host or "nowhere"
        return DependencyError(f"Clerk's users could not be read from {host}: {what}")


class ClerkDirectory:
    """The users of one Clerk instance."""

    def __init__(self, api: BackendApi, *, instance_id: str | None) -> None:
        """List the users of `api`; `instance_id` is kept with each of them."""
        self._api = api
        self._instance_id = instance_id
        self._takes_cursors = True

    async def count(self) -> int:
        """Return how many users there are."""
        answer = await self._api.get("users/count")
        document = _parsed(answer)
        count = document.get("total_count") if type(document) is dict else None
        if answer.status != _OK or type(count) is not int or count < 0:
            raise self._unexpected(answer)
        return count

    async def page(self, cursor: Cursor | None) -> Page:
        """Return the page that begins at `cursor`, by it or, if Clerk will not, by offset.

        Raises:
            ConfigurationError: Clerk does not take the secret key.
            DependencyError: Clerk gives no list.
        """
        if cursor is not None and self._takes_cursors:
            answer = await self._api.get("users", _LIST | {"starting_after": cursor.after})
            if answer.status == _OK:
                entries = self._entries(answer)
                # One that does not know the parameter begins at the beginning again.
                if all(entry["id"] != cursor.after for entry in entries):
                    return self._page(entries, cursor.position, cursor.position)
            # Too old for it, or that user was deleted meanwhile.
            self._takes_cursors = False
        position = cursor.position if cursor is not None else 0
        offset = max(0, position - OVERLAP)
        answer = await self._api.get("users", _LIST | {"offset": str(offset)})
        return self._page(self._entries(answer), offset, position)

    async def users(self, ids: Sequence[UserId]) -> Mapping[UserId, UserProfile | None]:
        """Ask about each by name.

        Returns:
            Who they are; `None` for one of whom Clerk says that there is no such
            user.

        Raises:
            ConfigurationError: Clerk does not take the secret key.
            DependencyError: Clerk says neither about one of them.
        """
        found: dict[UserId, UserProfile | None] = {}
        waiting = iter(ids)

        async def ask() -> None:
            for user_id in waiting:
                found[user_id] = await self._user(user_id)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(PARALLEL, len(ids))):
                    group.create_task(ask())
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return found

    async def _user(self, user_id: UserId) -> UserProfile | None:
        answer = await self._api.get(f"users/{user_id}")
        document = _parsed(answer)
        if answer.status == _NOT_FOUND and _says(document, _GONE):
            return None
        if answer.status == _OK and type(document) is dict and document.get("id") == user_id:
            return profile_of(document, instance_id=self._instance_id)
        raise self._unexpected(answer)

    def _page(self, entries: Sequence[Mapping[str, Any]], offset: int, before: int) -> Page:
        profiles = [profile_of(entry, instance_id=self._instance_id) for entry in entries]
        usable = [profile for profile in profiles if profile is not None]
        position = max(before, offset + len(entries))
        # The end is where nothing more comes. A short page is not the end when
        # Clerk gives fewer at a time than were asked for.
        cursor = Cursor(entries[-1]["id"], position) if position > before else None
        return Page(usable, len(entries) - len(usable), position, cursor)

    def _entries(self, answer: Answer) -> Sequence[Mapping[str, Any]]:
        document = _parsed(answer)
        if answer.status != _OK or type(document) is not list or not all(map(_is_user, document)):
            raise self._unexpected(answer)
        return document

    def _unexpected(self, answer: Answer) -> DependencyError:
        return self._api.failure(
            f"GET /v1/{answer.path} was answered {answer.status}, and not in Clerk's words: "
            "check CLERK_API_URL and what is in between"
        )


async def instance_of(api: BackendApi) -> str | None:
    """Return the id of the instance whose secret key it is; `None` if Clerk does not tell."""
    document = _parsed(await api.get("instance"))
    found = document.get("id") if type(document) is dict else None
    return found if type(found) is str and _INSTANCE_ID.fullmatch(found) else None


def open_session() -> aiohttp.ClientSession:
    """Return a session fit for `BackendApi`: no cookies, nothing from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=PARALLEL),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


_LIST: Final = {"limit": str(PAGE_LIMIT), "order_by": "+created_at"}
"""Ascending, so that new users come at the end instead of moving the others."""

_WRONG_KEY: Final = (
    "CLERK_SECRET_KEY is not taken by Clerk (status 401); expected the secret key of the "
    "instance, from API keys in Clerk's dashboard; for example CLERK_SECRET_KEY=sk_live_..."
)


def _parsed(answer: Answer) -> Any:  # noqa: ANN401 - untyped JSON
    try:
        return storable(json.loads(answer.body))
    except (ValueError, RecursionError):
        return None


def _is_user(entry: object) -> bool:
    user_id = entry.get("id") if type(entry) is dict else None
    return type(user_id) is str and _ID.fullmatch(user_id) is not None


def _says(document: object, code: str) -> bool:
    errors = document.get("errors") if type(document) is dict else None
    return type(errors) is list and any(
        type(error) is dict and error.get("code") == code for error in errors
    )


def _refusal(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110 section 15.4
        return f"status {status}, a redirect, which is not followed: check CLERK_API_URL"
    if status == _TOO_MANY:
        return f"status {status}, again and again: run again later, it goes on from here"
    if status >= _SERVER_ERROR:
        return f"status {status}: the server fails; if it lasts, see Clerk's status page"
    return f"status {status} instead of {_OK}: check CLERK_API_URL and what is in between"


def _cause(error: Exception) -> str:
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return f"unexpected {type(error).__name__}"
