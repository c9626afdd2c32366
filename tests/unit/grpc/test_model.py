"""The ``h2`` package as a client, doing whatever clients may: each answer finds its request."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unit.grpc.peer import PLAIN, Peer

SIZES = st.one_of(st.integers(0, 40), st.sampled_from([16_383, 16_384, 16_385, 70_000]))
WINDOWS = st.sampled_from([0, 1, 5, 100, 65_535, 200_000])
PIECES = st.one_of(st.integers(1, 30), st.just(100_000))
LIBERAL = 10_000_000


class Clients(RuleBasedStateMachine):
    """A client and a server, and the bytes between them."""

    def __init__(self) -> None:
        super().__init__()
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.peer = Peer(hello=b"", holds=True)
        self.up = b""
        self.down = self.peer.greeting
        self.asked: dict[int, bytes] = {}
        self.unfinished: list[int] = []
        self.given_up: set[int] = set()
        self.answers: dict[int, bytes] = {}
        self.statuses: dict[int, str] = {}
        self.ended: set[int] = set()
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 20_000})
        # Until it knows the server's settings, a client may send less than it will here.
        self._settle()

    # ------------------------------------------------------------------ the client

    @precondition(lambda self: len(self.asked) < 30)
    @rule(size=SIZES, is_finished=st.booleans(), tag=st.text("abc", max_size=3))
    def ask(self, size: int, tag: str, *, is_finished: bool) -> None:
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, [*PLAIN, ("x-tag", tag), ("x-id", str(stream_id))])
        self.asked[stream_id] = b""
        self._send(stream_id, size)
        if is_finished:
            self.h2.end_stream(stream_id)
        else:
            self.unfinished.append(stream_id)

    @precondition(lambda self: self.unfinished)
    @rule(size=SIZES, has_trailers=st.booleans(), is_finished=st.booleans())
    def go_on(self, size: int, *, has_trailers: bool, is_finished: bool) -> None:
        stream_id = self.unfinished.pop(0)
        self._send(stream_id, size)
        if not is_finished:
            self.unfinished.append(stream_id)
        elif has_trailers:
            self.h2.send_headers(stream_id, [("x-sum", "1")], end_stream=True)
        else:
            self.h2.end_stream(stream_id)

    def _send(self, stream_id: int, size: int) -> None:
        body = bytes([stream_id % 251]) * size
        self.asked[stream_id] += body
        for at in range(0, size, 16_380):
            self.h2.send_data(stream_id, body[at : at + 16_380], pad_length=size % 3 or None)

    @precondition(lambda self: self.asked.keys() - self.given_up - self.ended)
    @rule(which=st.integers(0, 99))
    def give_up(self, which: int) -> None:
        live = sorted(self.asked.keys() - self.given_up - self.ended)
        stream_id = live[which % len(live)]
        self.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        self.given_up.add(stream_id)
        if stream_id in self.unfinished:
            self.unfinished.remove(stream_id)

    @rule(payload=st.binary(min_size=8, max_size=8))
    def ping(self, payload: bytes) -> None:
        self.h2.ping(payload)

    @rule(window=WINDOWS, table=st.sampled_from([0, 99]))
    def change_settings(self, window: int, table: int) -> None:
        self.h2.update_settings(
            {
                SettingCodes.INITIAL_WINDOW_SIZE: window,
                SettingCodes.HEADER_TABLE_SIZE: table,
            }
        )

    @rule(increment=st.integers(1, 50_000), which=st.integers(0, 99))
    def grant(self, increment: int, which: int) -> None:
        live = sorted(self.asked.keys() - self.given_up - self.ended)
        if live and which % 3:
            self.h2.increment_flow_control_window(increment, live[which % len(live)])
        else:
            self.h2.increment_flow_control_window(increment)

    # ------------------------------------------------------------------ the server

    @precondition(lambda self: self.peer.held)
    @rule(which=st.integers(0, 99))
    def answer(self, which: int) -> None:
        held = self.peer.held
        at = which % len(held)
        self.peer.held = [held[at]]
        self.down += self.peer.release()
        self.peer.held = held[:at] + held[at + 1 :]

    # ------------------------------------------------------------------ between them

    @rule(size=PIECES)
    def carry_up(self, size: int) -> None:
        self.up += self.h2.data_to_send()
        piece, self.up = self.up[:size], self.up[size:]
        self.down += self.peer.send(piece)

    @rule(size=PIECES)
    def carry_down(self, size: int) -> None:
        piece, self.down = self.down[:size], self.down[size:]
        # h2 raises when the server breaks a rule: windows, states, header lists.
        for event in self.h2.receive_data(piece):
            self._hear(event)

    def _hear(self, event: Event) -> None:
        match event:
            case ResponseReceived(stream_id=int(number), headers=list(fields)):
                self.statuses[number] = dict(fields)[b":status"].decode()
            case DataReceived(stream_id=int(number), data=bytes(data)):
                self.answers[number] = self.answers.get(number, b"") + data
            case TrailersReceived(stream_id=int(number), headers=list(fields)):
                assert dict(fields) == {b"grpc-status": b"0"}
            case StreamEnded(stream_id=int(number)):
                assert number not in self.ended
                self.ended.add(number)
            case StreamReset(stream_id=number, remote_reset=True):
                raise AssertionError(number)
            case ConnectionTerminated():
                raise AssertionError(event)
            case _:
                pass

    # ------------------------------------------------------------------ what holds

    @invariant()
    def no_fault(self) -> None:
        assert self.peer.fault == ""

    @invariant()
    def answers_belong_to_their_requests(self) -> None:
        for stream_id, answer in self.answers.items():
            assert self.asked[stream_id].startswith(answer)
        for stream_id in self.ended:
            expected = "200" if self.asked[stream_id] else "400"
            assert self.statuses[stream_id] == expected
            assert self.answers.get(stream_id, b"") == self.asked[stream_id]

    def teardown(self) -> None:
        while self.unfinished:
            self.go_on(3, has_trailers=False, is_finished=True)
        self._settle()
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: LIBERAL})
        self.h2.increment_flow_control_window(LIBERAL)
        self._settle()
        kept = self.peer.connection.kept
        assert self.peer.fault == ""
        assert self.ended >= self.asked.keys() - self.given_up
        assert kept["streams"] == kept["answers"] == kept["windows"] == kept["unread"] == 0
        assert set(self.peer.cancelled) <= self.given_up

    def _settle(self) -> None:
        while True:
            self.down += self.peer.release() + self.peer.connection.data_to_send()
            self.up += self.h2.data_to_send()
            if not self.up and not self.down:
                return
            self.carry_up(LIBERAL)
            self.carry_down(LIBERAL)


Clients.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestClients = Clients.TestCase
