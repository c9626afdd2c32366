"""What clients send: recorded from real ones, and made by the ``h2`` package."""

from functools import cache
from pathlib import Path
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from unit.grpc.peer import PLAIN, Peer

RECORDED: Final = Path(__file__).parent / "sessions"


class H2Client:
    """The ``h2`` package's half of a connection, and ours, in memory.

    Attributes:
        sent: All that the client sent.
    """

    def __init__(self, peer: Peer | None = None) -> None:
        """Connect."""
        config = H2Configuration(client_side=True, header_encoding=None)
        self.h2 = H2Connection(config)
        self.peer = peer or Peer(hello=b"")
        self.sent = b""
        self.h2.initiate_connection()
        self.h2.receive_data(self.peer.greeting)
        self.exchange()

    def exchange(self) -> None:
        """Let either side hear what the other has to say."""
        while sent := self.h2.data_to_send():
            self.sent += sent
            self.h2.receive_data(self.peer.send(sent))

    def ask(self, body: bytes = b"x", *extra: tuple[str, str], end: bool = True) -> int:
        """Send a request, as much of it as may be sent, and return its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, [*PLAIN, *extra])
        for at in range(0, len(body), 16_384):
            self.h2.send_data(stream_id, body[at : at + 16_384])
        if end:
            self.h2.end_stream(stream_id)
        return stream_id


def _h2_session() -> bytes:
    client = H2Client()
    for number in range(5):
        client.ask(b"a" * number * 7, ("x-request-id", f"{number}" * 9))
        client.exchange()
    client.h2.ping(b"12345678")
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    client.exchange()
    held = [client.ask(bytes([number]) * 150) for number in range(4)]
    client.exchange()
    for stream_id in held:
        client.h2.increment_flow_control_window(70, stream_id)
    client.h2.update_settings(
        {SettingCodes.INITIAL_WINDOW_SIZE: 70_000, SettingCodes.HEADER_TABLE_SIZE: 0}
    )
    client.exchange()
    trailing = client.ask(b"with trailers", end=False)
    client.h2.send_headers(trailing, [("x-checksum", "1")], end_stream=True)
    client.ask(b"b" * 40_000, ("traceparent", "00-1-2-01"), ("content-length", "40000"))
    client.exchange()
    padded = client.ask(end=False)
    client.h2.send_data(padded, b"padded", pad_length=9, end_stream=True)
    client.h2.prioritize(padded, weight=3)
    client.exchange()
    given_up = client.ask(b"c", end=False)
    client.h2.reset_stream(given_up, ErrorCodes.CANCEL)
    client.ask(b"d")
    client.exchange()
    client.h2.close_connection()
    client.exchange()
    return client.sent


@cache
def sessions() -> dict[str, bytes]:
    """Return all sessions by name."""
    recorded = {path.stem: path.read_bytes() for path in sorted(RECORDED.glob("*.bin"))}
    return {**recorded, "h2": _h2_session()}
