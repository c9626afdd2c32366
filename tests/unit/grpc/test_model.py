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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from unit.grpc.peer import PLAIN, Peer, frame, goaway, parsed
from wicketgate.grpc.frames import Type

SIZES = st.one_of(st.integers(0, 40), st.sampled_from([16_383, 16_384, 16_385, 70_000]))
WINDOWS = st.sampled_from([0, 1, 5, 100, 65_535, 200_000])
LIBERAL = 10_000_000
PIECES = st.one_of(st.just(LIBERAL), st.integers(1, 30), st.integers(30, 30_000), st.just(LIBERAL))
UNKNOWN_TYPE = 0xEE


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
        self.goodbyes: list[int] = []
        self.is_leaving = False
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 20_000})
        # Until it knows the server's settings, a client may send less than it will here.
        self._settle()

    # ------------------------------------------------------------------ the client

    @precondition(lambda self: len(self.asked) < 30 and not self.is_leaving)
    @rule(
        size=SIZES,
        is_finished=st.booleans(),
        tag=st.text("abc", max_size=3),
        # More than a frame, so that it is continued.
        length=st.sampled_from([0, 0, 9, 20_000]),
        weight=st.sampled_from([None, None, 9]),
    )
    def ask(
        self, size: int, tag: str, length: int, weight: int | None, *, is_finished: bool
    ) -> None:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [*PLAIN, ("x-tag", tag), ("x-id", str(stream_id)), ("x-long", "~" * length)]
        # h2 does not count a priority when it cuts a block, and sends too long a frame.
        weight = None if length > 9 else weight
        self.h2.send_headers(
            stream_id,
            fields,
            priority_weight=weight,
            priority_depends_on=weight and stream_id + 40,
        )
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

    @rule(which=st.integers(0, 60), weight=st.integers(1, 256))
    def prioritize(self, which: int, weight: int) -> None:
        self.h2.prioritize(2 * which + 1, weight=weight)

    @rule(kind=st.sampled_from(["unknown", "goaway"]))
    def say_what_h2_does_not(self, kind: str) -> None:
        # What h2 has to say are whole frames, so that another fits behind them.
        self.up += self.h2.data_to_send()
        self.up += goaway() if kind == "goaway" else frame(UNKNOWN_TYPE, 0xFF, 99, b"what?")

    @rule(
        window=WINDOWS,
        table=st.sampled_from([0, 99]),
    )
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
        self._say(self.peer.release())
        self.peer.held = held[:at] + held[at + 1 :]

    @precondition(lambda self: self.ended and len(self.asked) > 4 and not self.is_leaving)
    @rule()
    def leave(self) -> None:
        self.is_leaving = True
        self.peer.connection.close()

    def _say(self, said: bytes) -> None:
        """Send; but h2 takes nothing after GOAWAY, so that the client is told otherwise."""
        for each in parsed(said):
            if each.kind == Type.GOAWAY:
                self.goodbyes.append(int.from_bytes(each.payload[:4], "big"))
                assert not int.from_bytes(each.payload[4:8], "big")
            else:
                self.down += frame(each.kind, each.flags, each.stream_id, each.payload)

    # ------------------------------------------------------------------ between them

    @initialize(sizes=st.lists(SIZES, min_size=1, max_size=4))
    def begin(self, sizes: list[int]) -> None:
        for size in sizes:
            self.ask(size, "", 0, None, is_finished=True)

    @rule(up=PIECES, which=st.integers(0, 99), down=PIECES)
    def carry(self, up: int, which: int, down: int) -> None:
        self.carry_up(up)
        if self.peer.held:
            self.answer(which)
        self.carry_down(down)

    @rule(size=PIECES)
    def carry_up(self, size: int) -> None:
        self.up += self.h2.data_to_send()
        piece, self.up = self.up[:size], self.up[size:]
        self._say(self.peer.send(piece))

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
        assert self.peer.connection.is_over == self.is_leaving
        if self.is_leaving:
            assert self.goodbyes == [2**31 - 1, max(self.asked)]

    def _settle(self) -> None:
        while True:
            self._say(self.peer.release() + self.peer.connection.data_to_send())
            self.up += self.h2.data_to_send()
            if not self.up and not self.down:
                return
            self.carry_up(LIBERAL)
            self.carry_down(LIBERAL)


Clients.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestClients = Clients.TestCase
