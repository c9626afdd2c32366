"""One sample a second, and one message a second for everybody who watches.

The rules:

* A sample is taken whether or not somebody watches, so that the page begins with the
  last minutes. It is a few counters; everything else is made for watchers only, once
  for all of them.
* Nobody is waited for. Whoever has not taken `BACKLOG` messages is dropped.
* Whoever joins gets the whole document, and the next message repeats all sections:
  what changed in between is in neither otherwise.
* A defect in here ends nothing: it is told once, and the next second tries again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from wicketgate.core.status.document import (
    FROM_THE_BEGINNING,
    Changes,
    Document,
    Position,
    encoded,
)

SECONDS: Final = 1.0
MAX_WATCHERS: Final = 8
"""Each costs a connection and a kilobyte a second."""
BACKLOG: Final = 5
"""Messages: a page that was still for five seconds has shown that it is not connected."""


class Source(Protocol):
    """Whoever knows how the process is."""

    def sample(self) -> None:
        """Note what was counted until now; called once a second."""

    def position(self) -> Position:
        """Return how far there is anything to read."""

    def document(self, after: Position) -> Document:
        """Return the document for somebody who has read so far."""


class Watcher:
    """One page that is open.

    Attributes:
        is_slow: It has not taken what it was given, and is dropped for that.
    """

    def __init__(self) -> None:
        """Begin with nothing to read."""
        self.is_slow = False
        self._messages: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG)
        self._is_over = asyncio.Event()

    def give(self, message: bytes) -> None:
        """Hand over a message, unless there is no room for it."""
        if self._messages.full():
            self.is_slow = True
            self.end()
        else:
            self._messages.put_nowait(message)

    def end(self) -> None:
        """Let it end."""
        self._is_over.set()

    async def until_over(self) -> None:
        """Wait until it is to end, whatever is left to read."""
        await self._is_over.wait()

    async def next(self) -> bytes:
        """Return the next message."""
        return await self._messages.get()


class StatusFeed:
    """Takes the samples, and tells the watchers."""

    def __init__(
        self,
        source: Source,
        *,
        timer: Callable[[], float],
        failed: Callable[[str], None],
        seconds: float = SECONDS,
        max_watchers: int = MAX_WATCHERS,
    ) -> None:
        """Make a feed that does nothing until it is `run`.

        Args:
            source: Knows how the process is.
            timer: Monotonic seconds.
            failed: Told, once, which kind of error this very code raised.
            seconds: Between two samples.
            max_watchers: How many may watch at a time.
        """
        self._source = source
        self._timer = timer
        self._failed = failed
        self._has_failed = False
        self._seconds = seconds
        self._max_watchers = max_watchers
        self._watchers: set[Watcher] = set()
        self._is_closed = False
        self._changes = Changes()
        self._told = FROM_THE_BEGINNING
        self._snapshot = ""
        self._snapshot_at = FROM_THE_BEGINNING
        self._snapshot_until = float("-inf")

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    async def run(self) -> None:
        """Sample and tell, until cancelled."""
        while True:
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - a page must not end what it is about
                if not self._has_failed:
                    self._failed(type(error).__name__)
                self._has_failed = True
            await asyncio.sleep(self._seconds)

    def tick(self) -> None:
        """Sample and tell once."""
        self._source.sample()
        if self._watchers:
            self._tell()

    def snapshot(self) -> str:
        """Return the whole document as JSON, made anew once a second at most."""
        now = self._timer()
        if now >= self._snapshot_until:
            self._snapshot_at = self._source.position()
            self._snapshot = encoded(self._source.document(FROM_THE_BEGINNING))
            self._snapshot_until = now + self._seconds
        return self._snapshot

    @contextmanager
    def watching(self) -> Iterator[Watcher | None]:
        """Watch for as long as the context lasts; `None` when too many do already."""
        if self._is_closed or len(self._watchers) >= self._max_watchers:
            yield None
            return
        watcher = Watcher()
        watcher.give(_message("whole", self.snapshot()))
        # What came after the snapshot is told, also when others have heard it already.
        known = self._snapshot_at
        self._told = self._told.earlier_of(known) if self._watchers else known
        self._changes.forget()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """Let everybody go, and nobody in."""
        self._is_closed = True
        for watcher in self._watchers:
            watcher.end()

    def _tell(self) -> None:
        position = self._source.position()
        changes = self._changes.in_(self._source.document(self._told))
        self._told = position
        message = _message("change", changes)
        for watcher in self._watchers:
            watcher.give(message)


def _message(event: str, text: str) -> bytes:
    # JSON as it is encoded here has no line break, which would end the data.
    return f"event: {event}\ndata: {text}\n\n".encode()
