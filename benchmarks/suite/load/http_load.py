"""An HTTP/1.1 server, such as Envoy, under load."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from suite.load.http1 import Http1Connection
from suite.load.messages import Message, read_messages
from suite.load.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLoad:
    """How an HTTP server is asked.

    Attributes:
        port: Where it listens, on the loopback.
        messages: The file of whole requests; see `suite.load.messages`. Each answer must
            hold the user of its request.
        connections: How many there are, with one request in flight each.
        beginning: What every answer begins with: its status line.
        end: What every answer ends with.
    """

    port: int
    messages: str
    connections: int
    beginning: str = "HTTP/1.1 200 OK\r\n"
    end: str


class HttpSession(Session):
    """Connections to one HTTP server.

    Attributes:
        messages: What is asked, in turn.
        beginning: What every answer begins with.
        end: What every answer ends with.
    """

    def __init__(self, load: HttpLoad) -> None:
        """Prepare to ask as `load` says."""
        super().__init__(depth=1)
        self.messages: list[Message] = []
        self.beginning = load.beginning.encode()
        self.end = load.end.encode()
        self._load = load
        self._connections: list[Http1Connection] = []

    @property
    def connections(self) -> Sequence[Http1Connection]:
        """The connections, all open."""
        return self._connections

    async def open(self) -> None:
        """Connect.

        Raises:
            OSError: nobody listens.
        """
        load, loop = self._load, asyncio.get_running_loop()
        self.messages = read_messages(Path(load.messages))
        for number in range(load.connections):
            connection = Http1Connection(self, offset=number % len(self.messages))
            await loop.create_connection(partial(_same, connection), "127.0.0.1", load.port)
            self._connections.append(connection)


def _same(connection: Http1Connection) -> Http1Connection:
    return connection
