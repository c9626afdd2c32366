"""HTTP/2 frames: their numbers, and how the ones that a server sends are written.

Source: RFC 9113 sections 4.1, 6, 7 and 11.
"""

from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113 section 3.4."""

HEADER: Final = Struct(">HBBBI")
"""Length in 16 and 8 bits, type, flags, stream id with a reserved first bit."""
HEADER_SIZE: Final = 9
MAX_STREAM_ID: Final = 0x7FFF_FFFF
MAX_WINDOW: Final = 0x7FFF_FFFF
"""RFC 9113 section 6.9.1."""
DEFAULT_WINDOW: Final = 65_535
"""RFC 9113 section 6.9.2."""
MIN_FRAME_SIZE: Final = 16_384
MAX_FRAME_SIZE: Final = 16_777_215
"""RFC 9113 section 4.2."""


class Type(IntEnum):
    """RFC 9113 section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Setting(IntEnum):
    """RFC 9113 section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


@lru_cache(maxsize=256)
def start(kind: int, flags: int, size: int) -> bytes:
    """Return the part of a frame's header before its stream id; answers are much alike."""
    return size.to_bytes(3, "big") + bytes((kind, flags))


def frame(kind: Type, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return one frame."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream_id) + payload


def window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(Type.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(Type.RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def goaway(last_stream_id: int, code: ErrorCode, debug: bytes = b"") -> bytes:
    """Return a GOAWAY frame."""
    payload = last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + debug
    return frame(Type.GOAWAY, 0, 0, payload)


SETTINGS_ACK: Final = frame(Type.SETTINGS, ACK, 0, b"")
