"""What a peer has not confirmed."""

import asyncio
import socket
import sys

import pytest

from wicketgate.grpc.outgoing import bytes_on_their_way

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")


class Transport(asyncio.WriteTransport):
    """Holds so much itself, and belongs to this socket."""

    def __init__(self, held: int, connection: socket.socket | None) -> None:
        super().__init__({"socket": connection})
        self._held = held

    def get_write_buffer_size(self) -> int:
        """Tell how much was not taken by the system."""
        return self._held


def test_what_asyncio_holds_counts() -> None:
    assert bytes_on_their_way(Transport(7, None)) == 7


def test_nothing_is_on_its_way_where_there_is_no_socket() -> None:
    assert bytes_on_their_way(Transport(0, None)) == 0


@only_linux
def test_what_the_peer_has_not_taken_from_the_system_counts() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        before = bytes_on_their_way(Transport(0, mine))
        mine.send(b"x" * 1_000)
        between = bytes_on_their_way(Transport(0, mine))
        other.recv(1_000)
        after = bytes_on_their_way(Transport(0, mine))

    assert (before, after) == (0, 0)
    # The system counts what it needs to keep them.
    assert between >= 1_000


@only_linux
def test_a_socket_that_is_closed_has_nothing_on_its_way() -> None:
    mine, other = socket.socketpair()
    mine.close()
    other.close()

    assert bytes_on_their_way(Transport(0, mine)) == 0
