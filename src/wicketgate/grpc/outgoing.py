"""How much of what was written to a connection has not arrived at the peer.

Closing a socket that has unread input makes the system reset the connection and drop
what it still had to send (RFC 9293 section 3.10.4). So what the system holds counts as
well as what asyncio does.

Source: Linux' tcp(7) and unix(7), ``SIOCOUTQ``, which is the ``TIOCOUTQ`` of terminals.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Final

_INT_BYTES: Final = 4


def bytes_on_their_way(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes the peer's system has not confirmed.

    Systems other than Linux are not asked: there, it is what asyncio holds.
    """
    waiting = transport.get_write_buffer_size()
    if waiting or sys.platform != "linux":
        return waiting
    return _held_by_the_system(transport)


if sys.platform == "linux":
    import fcntl
    import termios

    def _held_by_the_system(transport: asyncio.WriteTransport) -> int:
        connection = transport.get_extra_info("socket")
        if connection is None:
            return 0
        # A socket that is gone has nothing left to send.
        with suppress(OSError, ValueError):
            answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_INT_BYTES))
            return int.from_bytes(answer, sys.byteorder)
        return 0
