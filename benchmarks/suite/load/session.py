"""One server under load: its connections, and runs of some seconds each."""

import asyncio
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter, time_ns
from typing import Final

from suite.load.answers import (
    Expected,
    WrongAnswerError,
    common_beginning,
    http_status_of,
    require,
)
from suite.load.blocks import fixed, varying
from suite.load.http2 import Http2Connection
from suite.load.messages import Message, read_messages

CHECK: Final = b"/envoy.service.auth.v3.Authorization/Check"
PATIENCE_SECONDS: Final = 20.0
"""How long the last answers of a run may take; Envoy would have given up long before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcLoad:
    """How a gRPC server is asked.

    Attributes:
        port: Where it listens, on the loopback.
        messages: The file of requests; see `suite.load.messages`.
        connections: How many there are.
        depth: Requests in flight on each.
        code: The code that every answer must have.
        has_user: Whether every answer names the user that its request is of.
        varying: Whether header blocks differ from request to request.
    """

    port: int
    messages: str
    connections: int
    depth: int
    code: int
    has_user: bool
    varying: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run showed.

    Attributes:
        answers: How many came, all of them right.
        seconds: From the first request to the last answer.
        p50: Microseconds that half of the answers took at most.
        p99: The same for 99 of 100.
    """

    answers: int
    seconds: float
    p50: float
    p99: float


@dataclass
class GrpcSession:
    """Connections to one server."""

    load: GrpcLoad
    messages: list[Message] = field(default_factory=list)
    blocks: Iterator[bytes] = field(default_factory=lambda: iter(()))
    beginning: bytes = b""
    must_hold: bool = False
    _connections: list[Http2Connection] = field(default_factory=list)
    _took: list[float] = field(default_factory=list)
    _in_flight: int = 0
    _left: int = 0
    _until: float = 0.0
    _done: "asyncio.Future[None] | None" = None
    _once: "asyncio.Future[bytes] | None" = None
    _raw: bytes = b""

    async def open(self) -> None:
        """Connect, and learn from two answers, decoded in full, what all must begin with.

        Raises:
            WrongAnswerError: they are not what is expected.
            OSError: nobody listens.
        """
        load = self.load
        self.messages = read_messages(Path(load.messages))
        authority = b"authz"
        self.blocks = (
            varying(CHECK, authority, time_ns()) if load.varying else fixed(CHECK, authority)
        )
        loop = asyncio.get_running_loop()
        for number in range(load.connections):
            offset = number * len(self.messages) // load.connections
            connection = Http2Connection(self, offset=offset, on_answer=self._answered_once)
            await loop.create_connection(partial(_same, connection), "127.0.0.1", load.port)
            await asyncio.wait_for(connection.ready, PATIENCE_SECONDS)
            self._connections.append(connection)
        await self._learn()

    async def run(self, *, seconds: float, answers: int = 0) -> Sample:
        """Ask for some time, or for so many answers, and wait for all that was asked.

        Raises:
            WrongAnswerError: an answer was wrong, or none came.
        """
        self._took, self._left = [], answers or 2**62
        self._done = asyncio.get_running_loop().create_future()
        started = perf_counter()
        self._until = started + (2**31 if answers else seconds)
        for connection in self._connections:
            wanted = self._grant(self.load.depth)
            if wanted:
                connection.ask(wanted)
        patience = (answers / 1_000 if answers else seconds) + PATIENCE_SECONDS
        try:
            await asyncio.wait_for(self._done, patience)
        except TimeoutError:
            got = f"{self._in_flight} too few within {patience:.0f} s"
            raise WrongAnswerError(expected="all answers", got=got) from None
        return sample_of(self._took, perf_counter() - started)

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()

    # ------------------------------------------------------------------ for connections

    def finished(self, took: list[float]) -> int:
        """Take note of how long right answers took, and return how many requests to make now."""
        if self._once is not None:
            self._once.set_result(self._raw)
            return 0
        self._took += took
        self._in_flight -= len(took)
        granted = self._grant(len(took))
        if not self._in_flight and self._done is not None and not self._done.done():
            self._done.set_result(None)
        return granted

    def failed(self, error: Exception) -> None:
        """End the run."""
        for waiting in (self._done, self._once):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)

    def _grant(self, wanted: int) -> int:
        if perf_counter() >= self._until:
            return 0
        granted = min(wanted, self._left)
        self._left -= granted
        self._in_flight += granted
        return granted

    # ------------------------------------------------------------------ learning

    async def _learn(self) -> None:
        expected = Expected(self.load.code, self.load.has_user)
        first, user = await self._ask_once()
        require(first, user, expected)
        second, user = await self._ask_once()
        require(second, user, expected)
        self._once = None
        self.beginning = common_beginning(first, second)
        if expected.code:
            told = http_status_of(first)
            self.messages = [Message(message.raw, told) for message in self.messages]
        self.must_hold = bool(expected.code) or user not in self.beginning

    async def _ask_once(self) -> tuple[bytes, bytes]:
        connection = self._connections[0]
        user = self.messages[connection.next_message].user
        self._once = asyncio.get_running_loop().create_future()
        connection.ask_once()
        return await asyncio.wait_for(self._once, PATIENCE_SECONDS), user

    def _answered_once(self, raw: bytes) -> None:
        self._raw = raw


def _same(connection: Http2Connection) -> Http2Connection:
    return connection


def sample_of(took: list[float], seconds: float) -> Sample:
    """Return what a run showed.

    Raises:
        WrongAnswerError: nothing.
    """
    if len(took) < 2:  # noqa: PLR2004 - quantiles want two
        raise WrongAnswerError(expected="answers", got=len(took))
    percentiles = statistics.quantiles(took, n=100)
    return Sample(len(took), seconds, percentiles[49] * 1e6, percentiles[98] * 1e6)


def as_json(load: GrpcLoad | Sample) -> dict[str, object]:
    """Return it for a line of JSON."""
    return asdict(load)
