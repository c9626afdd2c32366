"""What the two sides of a connection ask of each other.

Source: RFC 9113 section 6.5.
"""

from struct import Struct
from typing import Final

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import (
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    MIN_FRAME_SIZE,
    ErrorCode,
    Setting,
    Type,
    frame,
)
from wicketgate.grpc.limits import Limits

_ENTRY: Final = Struct(">HI")


def hello(limits: Limits, *, stream_window: int) -> bytes:
    """Return the SETTINGS frame of this side."""
    values = {
        # Blocks then carry no state, and equal bytes mean equal headers.
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.MAX_CONCURRENT_STREAMS: limits.streams,
        Setting.INITIAL_WINDOW_SIZE: stream_window,
        Setting.MAX_FRAME_SIZE: limits.frame_bytes,
        Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
    }
    return frame(Type.SETTINGS, 0, 0, b"".join(_ENTRY.pack(*entry) for entry in values.items()))


def asked(payload: bytes, limits: Limits) -> dict[int, int]:
    """Return what a SETTINGS frame asks for; what it says twice counts as it was said last.

    Raises:
        Fault: something that nobody may ask for, or too much at once.
    """
    entries, rest = divmod(len(payload), _ENTRY.size)
    if rest:
        raise Fault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS have the wrong length")
    if entries > limits.settings:
        raise Fault(ErrorCode.ENHANCE_YOUR_CALM, "SETTINGS have too many entries")
    found: dict[int, int] = {}
    for setting, value in _ENTRY.iter_unpack(payload):
        if setting == Setting.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
        if setting == Setting.MAX_FRAME_SIZE and not MIN_FRAME_SIZE <= value <= MAX_FRAME_SIZE:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of bounds")
        if setting == Setting.ENABLE_PUSH and value > 1:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        found[setting] = value
    return found
