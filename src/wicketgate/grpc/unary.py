"""Unary gRPC: one length-prefixed message each way, and a status.

Source: gRPC over HTTP/2 (PROTOCOL-HTTP2), "Requests", "Responses"; gRPC status codes
(who says UNIMPLEMENTED, and who INTERNAL); gRPC compression.
"""

import re
from enum import IntEnum
from struct import Struct
from typing import Final

from wicketgate.grpc.head import Head

_PREFIX: Final = Struct(">BI")
_PREFIX_SIZE: Final = 5
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CONTENT_TYPES: Final = (b"application/grpc+", b"application/grpc;")


class Status(IntEnum):
    """The statuses that this server gives."""

    OK = 0
    CANCELLED = 1
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13


class RefusedError(Exception):
    """The call cannot be made; carries the status for the caller."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def http_status(head: Head) -> int:
    """Return the status for a request that is not gRPC; 200 when it is."""
    if head.method != b"POST":
        return 405
    kind = head.content_type
    if kind == b"application/grpc" or kind.startswith(_CONTENT_TYPES):
        return 200
    return 415


def message_in(head: Head, body: bytes, *, limit: int) -> bytes:
    """Return the one message of a call.

    Raises:
        RefusedError: there is not exactly one, it is too long, or it is compressed.
    """
    if not body:
        raise RefusedError(Status.UNIMPLEMENTED, "expected one message, got none")
    if len(body) < _PREFIX_SIZE:
        raise RefusedError(Status.INTERNAL, "the message is cut short")
    flag, size = _PREFIX.unpack_from(body)
    if size > limit:
        raise too_long()
    if flag:
        raise _compressed(flag, head.encoding)
    if size > len(body) - _PREFIX_SIZE:
        raise RefusedError(Status.INTERNAL, "the message is cut short")
    if size < len(body) - _PREFIX_SIZE:
        raise RefusedError(Status.UNIMPLEMENTED, "expected one message, got more")
    return body[_PREFIX_SIZE:]


def too_long() -> RefusedError:
    """Return why a message was not read to its end."""
    return RefusedError(Status.RESOURCE_EXHAUSTED, "the message is too long")


def _compressed(flag: int, encoding: bytes) -> RefusedError:
    if flag == 1 and encoding not in {b"", b"identity"}:
        return RefusedError(Status.UNIMPLEMENTED, "compression is not supported")
    return RefusedError(Status.INTERNAL, "the compression flag is wrong")


def framed(message: bytes) -> bytes:
    """Return a message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


def seconds_of(timeout: bytes) -> float | None:
    """Return a ``grpc-timeout`` in seconds; `None` when there is none that can be read."""
    found = _TIMEOUT.fullmatch(timeout)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def _literal(name: bytes, value: bytes) -> bytes:
    """Return a field that is never indexed and not Huffman-coded (RFC 7541 section 6.2.2)."""
    return b"\x00" + _length(name) + name + _length(value) + value


def _length(text: bytes) -> bytes:
    size, mask = len(text), 0x7F
    if size < mask:
        return bytes([size])
    size -= mask
    octets = [mask]
    while size >= 0x80:  # noqa: PLR2004 - seven bits an octet
        octets.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*octets, size])


_STATUS_200: Final = b"\x88"
_GRPC: Final = _literal(b"content-type", b"application/grpc")

RESPONSE_HEADERS: Final = _STATUS_200 + _GRPC
"""The header block of every answer with a message."""
OK_TRAILERS: Final = _literal(b"grpc-status", b"0")
_HTTP_STATUS: Final = {
    405: _literal(b":status", b"405") + _literal(b"allow", b"POST"),
    415: _literal(b":status", b"415"),
}


def http_error(status: int) -> bytes:
    """Return the header block for a caller that does not speak gRPC."""
    return _HTTP_STATUS[status]


def error_headers(status: Status, message: str) -> bytes:
    """Return the header block of an answer without a message."""
    block = RESPONSE_HEADERS + _literal(b"grpc-status", str(int(status)).encode())
    if status is Status.UNIMPLEMENTED:
        block += _literal(b"grpc-accept-encoding", b"identity")
    return block + _literal(b"grpc-message", percent_encoded(message))


def percent_encoded(message: str) -> bytes:
    """Return a ``grpc-message``: printable ASCII as it is, all else percent-encoded."""
    return b"".join(
        bytes([octet])
        if 0x20 <= octet <= 0x7E and octet != 0x25  # noqa: PLR2004 - space to ~, but for %
        else b"%%%02X" % octet
        for octet in message.encode("utf-8", "replace")
    )
