"""Webhook deliveries as Clerk sends them, signed, and the connections that bring them."""

import asyncio
import time
from datetime import UTC, datetime
from itertools import count
from typing import Final

from svix.webhooks import Webhook

from suite.load.generator import VoidError
from wicketgate.local.clerk_users import (
    event_body,
    numbered_id,
    session_document,
    user_document,
)
from wicketgate.local.ports import LOOPBACK

CONNECTIONS: Final = 32
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Sender:
    """Sends deliveries, each about a user of whom nothing was heard before."""

    def __init__(self) -> None:
        self._webhook = Webhook(SECRET)
        self._numbers = count(1)

    def event(self) -> tuple[str, bytes]:
        """Return the id and the body of the next delivery, a ``user.created`` of 1.7 KB."""
        number, now = next(self._numbers), int(time.time() * 1000)
        user = user_document(
            numbered_id("user_", number),
            now=now,
            email=f"user{number}@example.com",
            first_name="Mina",
            last_name="Okafor",
            public_metadata={"plan": "pro"},
        )
        return f"msg_{number:027d}", event_body("user.created", user, timestamp=now)

    def request(self, *, is_genuine: bool = True) -> bytes:
        """Return a whole HTTP request; if it is not genuine, its body was changed."""
        return self._signed(*self.event(), is_genuine=is_genuine)

    def session_revoked(self, session_id: str, user_id: str) -> bytes:
        """Return a whole HTTP request that says that a session was revoked just now."""
        number, now = next(self._numbers), int(time.time() * 1000)
        session = session_document(session_id, user_id, now=now, status="revoked")
        body = event_body("session.revoked", session, timestamp=now)
        return self._signed(f"msg_{number:027d}", body, is_genuine=True)

    def _signed(self, message_id: str, body: bytes, *, is_genuine: bool) -> bytes:
        now = datetime.now(UTC)
        signature = self._webhook.sign(message_id, now, body.decode())
        if not is_genuine:
            body = body.replace(b"Okafor", b"Okafur")
        head = (
            "POST /webhooks/clerk HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"svix-id: {message_id}\r\nsvix-timestamp: {int(now.timestamp())}\r\n"
            f"svix-signature: {signature}\r\n\r\n"
        )
        return head.encode() + body


async def status_of(port: int, request: bytes) -> int:
    """Send one request and return the status of its answer."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(answer.split()[1])


async def deliver(port: int, requests: list[bytes]) -> list[float]:
    """Send all, over `CONNECTIONS` connections; return the seconds that each took.

    Raises:
        VoidError: one was not answered 204.
    """
    waiting = iter(requests)
    took: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for request in waiting:
            started = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            took.append(time.perf_counter() - started)
            if not answer.startswith(b"HTTP/1.1 204"):
                msg = f"expected 204, got {answer[:80]!r}"
                raise VoidError(msg)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return took
