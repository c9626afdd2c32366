"""Ports that were free a moment ago.

A port is taken, noted and given back, so another process may be quicker; there
is no other way to tell a port to a program that must know it beforehand.
"""

import socket
from contextlib import ExitStack
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different TCP ports that nobody listens on."""
    with ExitStack() as stack:
        # All are held until the last is found, or one could be found twice.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return tuple(each.getsockname()[1] for each in sockets)


def port_of(bound: object) -> int:
    """Return the port of an address as `asyncio` and aiohttp report it."""
    if isinstance(bound, tuple) and len(bound) > 1 and isinstance(bound[1], int):
        return bound[1]
    msg = f"{bound!r} is not an address with a port"
    raise ValueError(msg)
