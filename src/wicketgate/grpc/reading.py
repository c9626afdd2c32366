"""From bytes to frames: the preface, lengths, padding, and header blocks made whole.

Source: RFC 9113 sections 3.4, 4, 6.1, 6.2 and 6.10.
"""

from collections.abc import Iterator
from typing import Final

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import (
    ACK,
    END_HEADERS,
    HEADER,
    HEADER_SIZE,
    MAX_STREAM_ID,
    PADDED,
    PREFACE,
    PRIORITY,
    ErrorCode,
    Type,
)
from wicketgate.grpc.limits import Limits

_PRIORITY_SIZE: Final = 5
# To look up a member of an enum takes as long as half of what else is done for a frame.
_HEADERS: Final = int(Type.HEADERS)
_CONTINUATION: Final = int(Type.CONTINUATION)

Frame = tuple[int, int, int, bytes]
"""Type, flags, stream id, payload. HEADERS carry the whole block, and nothing else."""


class _Block:
    """A header block that is not complete."""

    __slots__ = ("flags", "parts", "since", "size", "stream_id")

    def __init__(self, flags: int, stream_id: int, since: float) -> None:
        self.flags = flags
        self.stream_id = stream_id
        self.since = since
        self.parts: list[bytes] = []
        self.size = 0


class FrameReader:
    """Cuts what one peer sends into frames.

    Attributes:
        is_greeted: The peer has sent its SETTINGS.
        now: When what is read arrived, which whoever knows the time moves forward.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        """Begin before the preface."""
        self.is_greeted = False
        self.now = now
        self._limits = limits
        self._preface = PREFACE
        self._rest = b""
        self._block: _Block | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept because they do not make a frame yet."""
        return len(self._rest) + (self._block.size if self._block else 0)

    def waits_since(self, then: float) -> bool:
        """Tell whether a header block began before `then` and is not complete."""
        return self._block is not None and self._block.since < then

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and yield the frames that are complete with them.

        Raises:
            Fault: what was sent is not frames, or they are too long.
        """
        if self._rest:
            data = self._rest + data
        at = self._after_preface(data) if self._preface else 0
        end = len(data)
        unpack = HEADER.unpack_from
        longest = self._limits.frame_bytes
        while end - at >= HEADER_SIZE:
            high, low, kind, flags, stream_id = unpack(data, at)
            size = high << 8 | low
            if size > longest:
                raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a frame is too long")
            start = at + HEADER_SIZE
            if end - start < size:
                break
            at = start + size
            payload = data[start:at]
            stream_id &= MAX_STREAM_ID
            if not self.is_greeted:
                self._greet(kind, flags)
            if kind == _CONTINUATION or self._block is not None:
                whole = self._continued(kind, flags, stream_id, payload)
                if whole is not None:
                    yield whole
            elif kind == _HEADERS:
                payload = _fragment(flags, payload)
                if flags & END_HEADERS:
                    yield kind, flags, stream_id, payload
                else:
                    self._block = _Block(flags, stream_id, self.now)
                    self._collect(self._block, payload)
            else:
                yield kind, flags, stream_id, payload
        self._rest = data[at:] if at < end else b""

    def _after_preface(self, data: bytes) -> int:
        wanted = self._preface
        found = data[: len(wanted)]
        if not wanted.startswith(found):
            raise Fault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 connection preface")
        self._preface = wanted[len(found) :]
        return len(found)

    def _greet(self, kind: int, flags: int) -> None:
        if kind != Type.SETTINGS or flags & ACK:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "the first frame was not SETTINGS")
        self.is_greeted = True

    def _continued(self, kind: int, flags: int, stream_id: int, part: bytes) -> Frame | None:
        block = self._block
        if block is None:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        if kind != _CONTINUATION or stream_id != block.stream_id:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a header block was not continued")
        self._collect(block, part)
        if not flags & END_HEADERS:
            return None
        self._block = None
        return Type.HEADERS, block.flags | END_HEADERS, stream_id, b"".join(block.parts)

    def _collect(self, block: _Block, part: bytes) -> None:
        block.size += len(part)
        limits = self._limits
        if len(block.parts) > limits.continuations or block.size > limits.header_bytes:
            self._block = None
            raise Fault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long")
        block.parts.append(part)


def _fragment(flags: int, payload: bytes) -> bytes:
    """Return what a HEADERS frame has of its block: without padding, without priority."""
    if flags & PADDED:
        payload = unpadded(payload)
    if flags & PRIORITY:
        if len(payload) < _PRIORITY_SIZE:
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS are too short")
        payload = payload[_PRIORITY_SIZE:]
    return payload


def unpadded(payload: bytes) -> bytes:
    """Return a payload without its padding.

    Raises:
        Fault: the padding is longer than what it pads (RFC 9113 section 6.1).
    """
    if not payload:
        raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame has no padding")
    end = len(payload) - payload[0]
    if end < 1:
        raise Fault(ErrorCode.PROTOCOL_ERROR, "padding is longer than what it pads")
    return payload[1:end]
