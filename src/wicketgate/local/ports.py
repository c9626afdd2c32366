"""Ports for programs that must be told theirs beforehand.

Linux lets a program listen on a port that somebody has bound and does not listen
on, if both say ``SO_REUSEADDR``, as servers do; and it gives such a port to nobody
who asks for any. So a port can be held for a program. Elsewhere a port is taken,
noted and given back, and another process may be quicker.

Source: socket(7), ``SO_REUSEADDR``.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

LOOPBACK: Final = "127.0.0.1"


@contextmanager
def held_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Hold `count` different TCP ports of loopback, on which nobody listens yet.

    Until the context ends, only a program that is told one of them gets it.
    """
    with ExitStack() as stack:
        # All are held until the last is found, or one could be found twice.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((LOOPBACK, 0))
        ports = tuple(each.getsockname()[1] for each in sockets)
        if sys.platform != "linux":
            stack.close()
        yield ports


@contextmanager
def held_port(wanted: int) -> Iterator[int]:
    """Hold the port `wanted`, or any other one if somebody has it, or if it is 0.

    Until the context ends, only a program that is told the port gets it.
    """
    with ExitStack() as stack:
        if not wanted or not _hold(wanted, stack):
            (wanted,) = stack.enter_context(held_ports(1))
        yield wanted


def _hold(port: int, stack: ExitStack) -> bool:
    try:
        if sys.platform == "linux":
            # Who else holds the port does not listen yet, so that it would seem to be free.
            claim = stack.enter_context(socket.socket(socket.AF_UNIX))
            claim.bind(f"\0wicketgate-port-{port}")
        held = stack.enter_context(socket.socket())
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, port))
    except OSError:
        return False
    if sys.platform != "linux":
        stack.close()
    return True


def port_of(bound: object) -> int:
    """Return the port of an address as `asyncio` and aiohttp report it."""
    if isinstance(bound, tuple) and len(bound) > 1 and isinstance(bound[1], int):
        return bound[1]
    msg = f"{bound!r} is not an address with a port"
    raise ValueError(msg)
