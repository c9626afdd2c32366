"""A client of raw frames on a real socket."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from unit.grpc.peer import HELLO, Frame, frame, parsed

PATIENCE_SECONDS = 10.0


class Raw:
    """A connection that has said hello."""

    def __init__(
        self, address: str, *, hello: bytes = HELLO, tls: ssl.SSLContext | None = None
    ) -> None:
        """Connect, and say `hello`."""
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), int(port)))
        self.socket.settimeout(PATIENCE_SECONDS)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._rest = b""
        self.send(hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        """Send; a server that has hung up is no error."""
        with suppress(ConnectionError):
            self.socket.sendall(b"".join(parts))

    def read(self) -> list[Frame]:
        """Return the frames of one read; none at the end of the connection."""
        while True:
            data = b""
            with suppress(ConnectionError, ssl.SSLError):
                data = self.socket.recv(65_536)
            if not data:
                return []
            data = self._rest + data
            whole = _whole(data)
            self._rest = data[whole:]
            if whole:
                return parsed(data[:whole])

    def until(self, found: Callable[[Frame], bool]) -> list[str]:
        """Read until a frame is found, or the end; return the story."""
        told: list[str] = []
        while frames := self.read():
            told += [str(each) for each in frames]
            if any(found(each) for each in frames):
                break
        return told

    def until_said(self, line: str) -> list[str]:
        """Read until a frame tells this, or the end; return the story."""
        return self.until(lambda each: str(each) == line)

    def to_the_end(self) -> list[str]:
        """Read until the server hangs up; return the story."""
        return self.until(lambda _: False)


def _whole(data: bytes) -> int:
    at = 0
    while len(data) - at >= 9:
        end = at + 9 + int.from_bytes(data[at : at + 3], "big")
        if end > len(data):
            break
        at = end
    return at


def flood(kind: int, payload: bytes, *, stream_id: int = 0) -> bytes:
    """Return a thousand and some of the same frame."""
    return frame(kind, 0, stream_id, payload) * 1_200
