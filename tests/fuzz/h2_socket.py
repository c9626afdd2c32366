"""The ``h2`` package as a client on a real socket.

It raises whatever the server does that a client need not put up with: frames in the
wrong state, more than a window allows, header lists that are malformed.
"""

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from fuzz.raw import PATIENCE_SECONDS
from unit.grpc.peer import PLAIN, Field
from wicketgate.grpc.unary import framed


@dataclass
class Answer:
    """What came on one stream.

    Attributes:
        headers: The first header list.
        body: All of it, so far.
        pieces: The length of each DATA frame.
        trailers: The last header list.
        is_whole: The stream was ended by the server.
        reset: The error code that the server reset it with.
    """

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[int] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    is_whole: bool = False
    reset: int | None = None

    @property
    def status(self) -> str:
        """The gRPC status, from trailers or from headers that are all there is."""
        return self.trailers.get("grpc-status") or self.headers.get("grpc-status", "")


class H2Socket:
    """A connection.

    Attributes:
        h2: The client's half; what it has to say goes out with `send`.
        answers: By stream.
        pongs: What PINGs were answered with.
        acknowledged: How often our SETTINGS were acknowledged.
        settings: The server's.
        goodbyes: The last stream ids of its GOAWAYs.
        fault: The error code of the last of them.
    """

    def __init__(
        self,
        address: str,
        *,
        is_strict: bool = True,
        takes: bool = True,
    ) -> None:
        """Connect, and wait until both sides know each other's settings.

        Args:
            address: Where.
            is_strict: Refuse to send what is malformed.
            takes: Widen windows as data arrives.
        """
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=is_strict,
                normalize_outbound_headers=is_strict,
            )
        )
        self.answers: defaultdict[int, Answer] = defaultdict(Answer)
        self.pongs: list[bytes] = []
        self.acknowledged = 0
        self.settings: dict[int, int] = {}
        self.goodbyes: list[int] = []
        self.fault: int | None = None
        self._takes = takes
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2.initiate_connection()
        self.send()
        self.until(lambda: self.acknowledged == 1 and bool(self.settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, raw: bytes = b"") -> None:
        """Send what `h2` has to say, and octets that it would not."""
        self.socket.sendall(self.h2.data_to_send() + raw)

    def until(self, holds: Callable[[], bool]) -> None:
        """Read until something holds."""
        while not holds():
            data = self.socket.recv(65_536)
            assert data, "the server hung up"
            for event in self.h2.receive_data(data):
                self._hear(event)
            self.send()

    def begin(self, *fields: Field, end: bool = False) -> int:
        """Send the headers of a request, without `fields` those of a plain one."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, list(fields or PLAIN), end_stream=end)
        self.send()
        return stream_id

    def go_on(self, stream_id: int, data: bytes, *, end: bool = True) -> None:
        """Send more of a request, as fast as the server lets."""
        while data:
            room = min(
                self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size
            )
            if room <= 0:
                self.until(lambda: self.h2.local_flow_control_window(stream_id) > 0)
                continue
            self.h2.send_data(stream_id, data[:room])
            data = data[room:]
            self.send()
        if end:
            self.h2.end_stream(stream_id)
            self.send()

    def ask(self, message: bytes = b"x", *extra: Field) -> int:
        """Send a whole request."""
        stream_id = self.begin(*PLAIN, *extra)
        self.go_on(stream_id, framed(message))
        return stream_id

    def answer(self, stream_id: int) -> Answer:
        """Wait for the end of an answer, whichever it is."""
        answer = self.answers[stream_id]
        self.until(lambda: answer.is_whole or answer.reset is not None)
        return answer

    def echo(self, message: bytes = b"x", *extra: Field) -> bytes:
        """Ask, and return what was answered."""
        answer = self.answer(self.ask(message, *extra))
        assert answer.status == "0"
        return answer.body[5:]

    def still_serves(self) -> bool:
        """Tell whether the connection goes on."""
        return self.echo(b"still there") == b"still there"

    def _hear(self, event: Event) -> None:
        stream_id = getattr(event, "stream_id", None)
        if stream_id:
            self._hear_of_stream(self.answers[stream_id], event)
            return
        match event:
            case PingAckReceived(ping_data=bytes(data)):
                self.pongs.append(data)
            case SettingsAcknowledged():
                self.acknowledged += 1
            case RemoteSettingsChanged(changed_settings=dict(changed)):
                self.settings |= {int(key): each.new_value for key, each in changed.items()}
            case ConnectionTerminated(last_stream_id=int(last), error_code=code):
                self.goodbyes.append(last)
                self.fault = None if code is None else int(code)
            case _:
                pass

    def _hear_of_stream(self, answer: Answer, event: Event) -> None:
        match event:
            case ResponseReceived(headers=list(fields)):
                answer.headers = _texts(fields)
            case DataReceived(stream_id=int(number), data=bytes(data)):
                answer.body += data
                answer.pieces.append(len(data))
                if self._takes:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case TrailersReceived(headers=list(fields)):
                answer.trailers = _texts(fields)
            case StreamEnded():
                answer.is_whole = True
            case StreamReset(error_code=int(code)):
                answer.reset = int(code)
            case _:
                pass


def _texts(fields: Iterable[tuple[object, object]]) -> dict[str, str]:
    return {str(name): str(value) for name, value in fields}
