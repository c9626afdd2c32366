"""A log that never makes anybody wait.

Whoever collects the log may stall, and a pipe that is full blocks the writer:
every Check of the mesh would wait for a log shipper. Here a line that cannot be
taken at once is dropped, and counted.

Source: POSIX ``write``: a pipe that polls writable takes ``PIPE_BUF`` bytes
without blocking, and whole.
"""

import os
import select
from typing import Final

ATOMIC_BYTES: Final = select.PIPE_BUF
"""Longer lines could block half-way; no line of ours comes near."""


class LossyStream:
    """The writing half of a text file, over a descriptor that is not ours to close.

    Attributes:
        dropped: Lines that were lost so far.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to `descriptor`."""
        self.dropped = 0
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: str) -> int:
        """Write one whole line, or drop it. Nothing is raised."""
        octets = line.encode("utf-8", "backslashreplace")
        if len(octets) > ATOMIC_BYTES or not self._takes(octets):
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Do nothing: every line has been written or dropped already."""

    def _takes(self, octets: bytes) -> bool:
        try:
            return bool(self._poll.poll(0)) and os.write(self._descriptor, octets) == len(octets)
        except OSError:
            return False
