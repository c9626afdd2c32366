"""Send webhooks as Svix does for Clerk: signed, again and again, in no order.

A message keeps its id for life; each attempt has a time and a signature of its
own. Any 2xx within 15 seconds is a success, and everything else is a failure, a
redirect included. Which message arrives first is nobody's promise.

Source: Svix, "Retries", "Verifying webhooks manually" and "Message ordering";
Standard Webhooks specification, "Webhook signature".
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from svix.webhooks import Webhook

from wicketgate.local.clerk_users import new_id

SCHEDULE: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds from one failure to the next attempt: eight attempts in 27.6 hours."""
TIMEOUT_SECONDS: Final = 15.0
USER_AGENT: Final = "Svix-Webhooks/1.99.1"

NO_ANSWER: Final = 0
"""The status of an attempt that nobody answered in time."""
_ABORT: Final = "abort-message"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages go, and the ``whsec_`` secret that signs them."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Message:
    """One event. Every endpoint gets it under the same id."""

    id: str
    body: bytes

    @classmethod
    def of(cls, body: bytes) -> "Message":
        """Return a new message."""
        return cls(new_id("msg_"), body)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one message at one endpoint.

    Attributes:
        message: The message.
        endpoint: The endpoint.
        statuses: The status of every attempt so far.
    """

    message: Message
    endpoint: Endpoint
    statuses: tuple[int, ...] = ()

    @property
    def is_delivered(self) -> bool:
        """Whether the last attempt was answered 2xx."""
        return bool(self.statuses) and is_success(self.statuses[-1])


class WebhookSender:
    """Sends, and does not give up before its schedule ends."""

    def __init__(
        self,
        *endpoints: Endpoint,
        session: ClientSession,
        schedule: Sequence[float] = SCHEDULE,
        clock: Callable[[], float] = time.time,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Send to every one of `endpoints`.

        Args:
            endpoints: Two with one URL are how Clerk rotates a secret.
            session: Stays the caller's to close; see `open_session`.
            schedule: Seconds to wait after each failure; empty tries once.
            clock: POSIX seconds, for the signatures.
            timeout_seconds: How long an endpoint may take.
        """
        self._signers = {endpoint: Webhook(endpoint.secret) for endpoint in endpoints}
        self._session = session
        self._schedule = schedule
        self._clock = clock
        self._timeout = ClientTimeout(total=timeout_seconds)

    async def send(self, message: Message) -> tuple[Sent, ...]:
        """Send to all endpoints at once; return what became of it, once that is settled."""
        sent = (self._deliver(Sent(message, endpoint)) for endpoint in self._signers)
        return tuple(await asyncio.gather(*sent))

    async def send_all(self, messages: Iterable[Message], *, parallel: int) -> tuple[Sent, ...]:
        """Send many, `parallel` of them at a time, begun in their order."""
        waiting = iter(messages)
        results: list[Sent] = []

        async def work() -> None:
            for message in waiting:
                results.extend(await self.send(message))

        async with asyncio.TaskGroup() as group:
            for _ in range(parallel):
                group.create_task(work())
        return tuple(results)

    def headers(self, message: Message, endpoint: Endpoint) -> dict[str, str]:
        """Return the headers of an attempt that is made now."""
        at = int(self._clock())
        signer = self._signers[endpoint]
        signature = signer.sign(message.id, datetime.fromtimestamp(at, UTC), message.body.decode())
        return {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "svix-id": message.id,
            "svix-timestamp": str(at),
            "svix-signature": signature,
        }

    async def _deliver(self, sent: Sent) -> Sent:
        for delay in (*self._schedule, None):
            status, is_over = await self._attempt(sent.message, sent.endpoint)
            sent = replace(sent, statuses=(*sent.statuses, status))
            if is_over or delay is None:
                break
            await asyncio.sleep(delay)
        return sent

    async def _attempt(self, message: Message, endpoint: Endpoint) -> tuple[int, bool]:
        try:
            async with self._session.post(
                endpoint.url,
                data=message.body,
                headers=self.headers(message, endpoint),
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                await response.read()
                wishes = response.headers.get("webhook-delivery", "")
                return response.status, is_success(response.status) or _ABORT in wishes
        except (ClientError, OSError):  # TimeoutError is an OSError
            return NO_ANSWER, False


def is_success(status: int) -> bool:
    """Tell whether Svix is content with `status`."""
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110 section 15.3


def disordered(messages: Iterable[Message], *, copies: int, random: Random) -> list[Message]:
    """Return `copies` of every message, in an order that means nothing."""
    everything = [message for message in messages for _ in range(copies)]
    random.shuffle(everything)
    return everything


def open_session(*, connections: int = 32) -> ClientSession:
    """Return a session for a sender; it keeps `connections` at most."""
    return ClientSession(
        connector=TCPConnector(limit=connections), cookie_jar=DummyCookieJar(), trust_env=False
    )
