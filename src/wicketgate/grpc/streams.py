"""The streams of one connection: which there are, and which there were.

Streams that are over are forgotten, except for the last that were reset from this
side: the peer may not know yet, and what it still sends on them is ignored.

Source: RFC 9113 sections 5.1 and 5.1.1.
"""

from dataclasses import dataclass
from typing import Final

from wicketgate.grpc.head import Head

REMEMBERED_RESETS: Final = 1_000


class Request:
    """A stream, from its HEADERS to the last of its answer.

    Attributes:
        stream_id: Where it is to be answered.
        head: What its header block says.
        body: Its data; all of it, once `is_complete`.
        is_complete: Nothing more is wanted from the peer.
        is_cut: ... because there would have been too much. `body` is then useless.
        is_answered: The answer is on its way.
        size: What it takes of the connection's window, until it is answered.
        since: When it began.
    """

    __slots__ = (
        "_parts",
        "body",
        "head",
        "is_answered",
        "is_complete",
        "is_cut",
        "since",
        "size",
        "stream_id",
    )

    def __init__(self, stream_id: int, head: Head, since: float) -> None:
        """Begin, without data."""
        self.stream_id = stream_id
        self.head = head
        self.body = b""
        self.is_complete = False
        self.is_cut = False
        self.is_answered = False
        self.size = 0
        self.since = since
        self._parts: bytearray | None = None

    @property
    def is_asked(self) -> bool:
        """Whether somebody is to answer it, and has not."""
        return self.is_complete and not self.is_answered

    def add(self, data: bytes) -> None:
        """Take some of the body. Many short pieces take no more room than one long one."""
        if self._parts is not None:
            self._parts += data
        elif not self.body:
            self.body = data
        else:
            self._parts = bytearray(self.body)
            self._parts += data
            self.body = b""

    @property
    def held_bytes(self) -> int:
        """Bytes of the body that are kept."""
        return len(self.body if self._parts is None else self._parts)

    def finish_body(self) -> bool:
        """Put the body together, and tell whether it is as long as had been announced."""
        if self._parts is not None:
            self.body = bytes(self._parts)
            self._parts = None
        length = self.head.content_length
        return length is None or length == len(self.body)

    def cut(self) -> None:
        """Take no more, and forget what there was."""
        self.is_complete = self.is_cut = True
        self.body = b""
        self.size = 0
        self._parts = None


@dataclass(slots=True)
class Cancelled:
    """The peer no longer wants the answer on this stream."""

    stream_id: int


class Streams:
    """All streams of one connection.

    Attributes:
        live: Those that are not closed, the oldest first.
        newest: The highest id that the peer has used.
        last_taken: The highest id that was looked at; what GOAWAY says.
        is_shut: Ids above `last_taken` are not looked at.
        has_gaps: Some ids were left out.
    """

    __slots__ = ("_resets", "has_gaps", "is_shut", "last_taken", "live", "newest")

    def __init__(self) -> None:
        """Begin with none."""
        self.live: dict[int, Request] = {}
        self.newest = -1
        self.last_taken = 0
        self.is_shut = False
        self.has_gaps = False
        self._resets: dict[int, None] = {}

    @property
    def kept(self) -> dict[str, int]:
        """How much is kept, by what."""
        return {
            "streams": len(self.live),
            "requests": sum(request.held_bytes for request in self.live.values()),
            "resets": len(self._resets),
        }

    def is_idle(self, stream_id: int) -> bool:
        """Tell whether the stream was never opened; those of the server never are."""
        return stream_id > self.newest or stream_id % 2 == 0

    def use(self, stream_id: int) -> bool:
        """Take note of a new id, and tell whether its stream is to be looked at."""
        if stream_id != self.newest + 2:
            self.has_gaps = True
        self.newest = stream_id
        if self.is_shut:
            return False
        self.last_taken = stream_id
        return True

    def begin(self, stream_id: int, head: Head, now: float) -> Request:
        """Add a stream."""
        request = self.live[stream_id] = Request(stream_id, head, now)
        return request

    def remember_reset(self, stream_id: int) -> None:
        """Take note that this side has reset a stream."""
        resets = self._resets
        resets[stream_id] = None
        if len(resets) > REMEMBERED_RESETS:
            del resets[next(iter(resets))]

    def is_ignored(self, stream_id: int) -> bool:
        """Tell whether the peer may not know yet that nobody looks at this stream."""
        return stream_id in self._resets or stream_id > self.last_taken

    def older_than(self, since: float) -> list[int]:
        """Return the live streams that began before then."""
        found = []
        for request in self.live.values():
            if request.since >= since:
                break
            found.append(request.stream_id)
        return found
