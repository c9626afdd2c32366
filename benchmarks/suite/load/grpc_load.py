"""A gRPC server under load."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Final

from suite.load.answers import Expected, common_beginning, http_status_of, require
from suite.load.blocks import fixed, varying
from suite.load.http2 import Http2Connection
from suite.load.messages import Message, read_messages
from suite.load.session import PATIENCE_SECONDS, Session

CHECK: Final = b"/envoy.service.auth.v3.Authorization/Check"
AUTHORITY: Final = b"authz"


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
    code: int = 0
    has_user: bool = True
    varying: bool = False


class GrpcSession(Session):
    """Connections to one gRPC server.

    Attributes:
        messages: What is asked, in turn.
        blocks: The header blocks, one for each request.
        beginning: What every answer begins with.
        must_hold: Whether each must hold its `Message.user` besides.
    """

    def __init__(self, load: GrpcLoad) -> None:
        """Prepare to ask as `load` says."""
        super().__init__(depth=load.depth)
        self.messages: list[Message] = []
        self.blocks: Iterator[bytes] = iter(())
        self.beginning = b""
        self.must_hold = False
        self._load = load
        self._connections: list[Http2Connection] = []
        self._once: asyncio.Future[bytes] | None = None

    @property
    def connections(self) -> Sequence[Http2Connection]:
        """The connections, all open."""
        return self._connections

    async def open(self) -> None:
        """Connect, and learn from two answers, decoded in full, what all must begin with.

        Raises:
            WrongAnswerError: they are not what is expected.
            OSError: nobody listens.
        """
        load, loop = self._load, asyncio.get_running_loop()
        self.messages = read_messages(Path(load.messages))
        self.blocks = (
            varying(CHECK, AUTHORITY, time_ns()) if load.varying else fixed(CHECK, AUTHORITY)
        )
        for number in range(load.connections):
            offset = number * len(self.messages) // load.connections
            connection = Http2Connection(self, offset=offset)
            await loop.create_connection(partial(_same, connection), "127.0.0.1", load.port)
            await asyncio.wait_for(connection.ready, PATIENCE_SECONDS)
            self._connections.append(connection)
        await self._learn()

    def answered_once(self, raw: bytes) -> None:
        """Take the answer to a request that was made by `Http2Connection.ask_once`."""
        if self._once is not None and not self._once.done():
            self._once.set_result(raw)

    def failed(self, error: Exception) -> None:
        """End the run."""
        super().failed(error)
        if self._once is not None and not self._once.done():
            self._once.set_exception(error)

    async def _learn(self) -> None:
        expected = Expected(self._load.code, self._load.has_user)
        first, user = await self._ask_once()
        require(first, user, expected)
        second, other = await self._ask_once()
        require(second, other, expected)
        self.beginning = common_beginning(first, second)
        if len({message.user for message in self.messages}) > 1:
            # Names may have a beginning in common as well; it is not to be expected of all.
            self.beginning = self.beginning[: first.find(user)]
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


def _same(connection: Http2Connection) -> Http2Connection:
    return connection
