"""One HTTP/1.1 connection of the load generator: a request, an answer, the next request.

It can drive keep-alive connections with one request in flight each, which is what
clients do, against answers that are short and have a Content-Length. It cannot do TLS,
chunked answers or pipelining, and stops at an answer that is not what it expects.

Source: RFC 9112.
"""

import asyncio
from time import perf_counter
from typing import Final, Protocol, cast

from suite.load.answers import WrongAnswerError
from suite.load.messages import Message

LONGEST: Final = 65_536


class Session(Protocol):
    """Whoever has the connection, among others."""

    beginning: bytes
    """What every answer begins with: its status line."""
    end: bytes
    """What every answer ends with: its body, and what precedes that."""
    messages: list[Message]

    def finished(self, took: list[float]) -> int:
        """Take note of how long a right answer took, and return whether to ask again."""

    def failed(self, error: Exception) -> None:
        """Take note that it is over."""


class Http1Connection(asyncio.Protocol):
    """A connection that asks while its session wants more."""

    def __init__(self, session: Session, *, offset: int) -> None:
        """Prepare; `offset` is the message to begin with."""
        self._session = session
        self._next_message = offset
        self._transport: asyncio.WriteTransport | None = None
        self._asked = 0.0
        self._user = b""
        self._got = b""
        self._is_waiting = False

    def ask(self, count: int) -> None:
        """Make one request; there is never more than one in flight."""
        assert count == 1, count
        messages = self._session.messages
        message = messages[self._next_message]
        self._next_message = (self._next_message + 1) % len(messages)
        self._user, self._got, self._is_waiting = message.user, b"", True
        self._asked = perf_counter()
        if self._transport is not None:
            self._transport.write(message.raw)

    def close(self) -> None:
        """Hang up."""
        self._is_waiting = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport."""
        # uvloop's transports are of no class of asyncio.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless nothing was asked."""
        if self._is_waiting:
            self._session.failed(WrongAnswerError(expected="an answer", got=f"the end: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Judge an answer once it is there, and ask again."""
        data, session = self._got + data, self._session
        begins = data.startswith(session.beginning)
        if begins and not data.endswith(session.end) and len(data) < LONGEST:
            self._got = data
            return
        self._is_waiting = False
        if not begins or self._user not in data or len(data) >= LONGEST:
            session.failed(WrongAnswerError(expected="a right answer", got=data[:300]))
        elif session.finished([perf_counter() - self._asked]):
            self.ask(1)
