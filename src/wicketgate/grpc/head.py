"""What the fields of a request say, and what they must not.

Source: RFC 9113 sections 8.1.1, 8.2 and 8.3; gRPC over HTTP/2, "Requests".
"""

import re
from typing import Final, NamedTuple

from wicketgate.grpc.faults import MalformedError

PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
READ: Final = frozenset(
    {b"content-type", b"grpc-timeout", b"grpc-encoding", b"content-length", b"host", b"te"}
)
"""Fields whose values mean something here. All others only have to be well formed."""
ENTRY_OVERHEAD: Final = 32
"""What a field counts beside its octets (RFC 9113 section 6.5.2)."""

LONGEST_KEPT: Final = 256
"""Octets of a value that are kept while its stream is open, which flow control does not
bound. No method, timeout or encoding is as long, so what is cut is none of them."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
BAD_VALUE: Final = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]\Z")
"""Found in what no value may be (RFC 9113 section 8.2.1)."""
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)


class Head(NamedTuple):
    """What a server of unary calls wants to know of a request's headers.

    Attributes:
        method: ``:method``.
        path: ``:path``: ``/package.Service/Method``.
        content_type: Empty when absent.
        timeout: ``grpc-timeout`` as it was sent, empty when absent.
        encoding: ``grpc-encoding``, empty when absent.
        content_length: `None` when absent.
    """

    method: bytes
    path: bytes
    content_type: bytes = b""
    timeout: bytes = b""
    encoding: bytes = b""
    content_length: int | None = None


class Fields:
    """The fields of one block, as far as they were read.

    What is wrong with them is kept for later: a block is decoded to its end before
    anything is said about it, because what cannot be decoded weighs more.
    """

    __slots__ = ("_is_regular", "_max_bytes", "_read", "_wrong", "size")

    def __init__(self, max_bytes: int) -> None:
        """Begin, with none; more than `max_bytes` of them are too many."""
        self.size = 0
        self._max_bytes = max_bytes
        self._read: dict[bytes, bytes] = {}
        self._is_regular = False
        self._wrong = ""

    def add(self, name: bytes, value: bytes) -> None:
        """Take a field; of a list that is too long already, no more than its size."""
        self.size += len(name) + len(value) + ENTRY_OVERHEAD
        if self.size > self._max_bytes:
            return
        if BAD_VALUE.search(value):
            self._wrong = "a field value holds what no value may hold"
        if name in READ:
            self._add_read(name, value)
        elif name[:1] == b":":
            if self._is_regular or name in self._read or name not in PSEUDO:
                self._wrong = "a pseudo-header field is unknown, repeated or late"
            self._read[name] = value
        else:
            self._add_name(name)

    def add_unread(self, name: bytes, size: int) -> None:
        """Take a field of no interest, whose value is well formed and was not decoded."""
        self.size += len(name) + size + ENTRY_OVERHEAD
        if self.size <= self._max_bytes:
            self._add_name(name)

    def head(self) -> Head:
        """Return what they say.

        Raises:
            MalformedError: they are not those of a request.
        """
        read = self._read
        method, path = read.get(b":method"), read.get(b":path")
        if not method or not path or not read.get(b":scheme"):
            self._wrong = "a pseudo-header field is missing"
        host = read.get(b"host")
        if host is not None and read.get(b":authority", host) != host:
            self._wrong = "host is not what :authority is"
        length = read.get(b"content-length")
        if length is not None and _DIGITS.fullmatch(length) is None:
            self._wrong = "content-length is not a number"
        self._judge()
        return Head(
            (method or b"")[:LONGEST_KEPT],
            (path or b"")[:LONGEST_KEPT],
            read.get(b"content-type", b"")[:LONGEST_KEPT],
            read.get(b"grpc-timeout", b"")[:LONGEST_KEPT],
            read.get(b"grpc-encoding", b"")[:LONGEST_KEPT],
            None if length is None else int(length),
        )

    def trailers(self) -> None:
        """Make sure that they can be trailers.

        Raises:
            MalformedError: they cannot.
        """
        if any(name in PSEUDO for name in self._read):
            self._wrong = "trailers with a pseudo-header field"
        self._judge()

    def _judge(self) -> None:
        if self.size > self._max_bytes:
            self._wrong = "the header list is too long"
        if self._wrong:
            raise MalformedError(self._wrong)

    def _add_read(self, name: bytes, value: bytes) -> None:
        self._is_regular = True
        if name == b"te" and value.lower() != b"trailers":
            self._wrong = "a connection-specific field"
        if self._read.setdefault(name, value) != value:
            self._wrong = "a field is repeated with another value"

    def _add_name(self, name: bytes) -> None:
        self._is_regular = True
        if name in _CONNECTION:
            self._wrong = "a connection-specific field"
        elif _NAME.fullmatch(name) is None:
            self._wrong = "a field name holds what no name may hold"
