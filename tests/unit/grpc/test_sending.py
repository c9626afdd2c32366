"""Answers on their way out: windows to the octet, and turns."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from unit.grpc.peer import ANSWER_HEADERS, ANSWER_TRAILERS, END_STREAM, parsed, story
from wicketgate.grpc.frames import DEFAULT_WINDOW, MAX_WINDOW, Type
from wicketgate.grpc.sending import Sender


@dataclass
class Desk:
    """A sender, and what it has written."""

    out: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sender = Sender(self.out)

    def answer(self, stream_id: int, message: bytes) -> bool:
        """Answer."""
        return self.sender.answer(stream_id, ANSWER_HEADERS, message, ANSWER_TRAILERS)

    def told(self) -> list[str]:
        """Return the story since the last time."""
        written = b"".join(self.out)
        self.out.clear()
        return story(written)


def test_an_octet_at_a_time() -> None:
    desk = Desk()
    desk.sender.set_initial_window(0)
    done = [desk.answer(1, b"abc")]
    message = b""
    for _ in range(3):
        desk.out.clear()
        assert desk.sender.widen_stream(1, 1)
        done.append(bool(desk.sender.flush()))
        message += parsed(b"".join(desk.out))[0].payload

    assert done == [False, False, False, True]
    assert message == b"abc"
    assert desk.told()[-1] == "HEADERS 1 END"
    assert desk.sender.kept == desk.sender.pending_bytes == 0


def test_streams_that_wait_take_turns() -> None:
    """
    A frame each, so that a long answer does not hold up a short one.
    """
    desk = Desk()
    desk.answer(1, bytes(DEFAULT_WINDOW))
    desk.answer(3, bytes(40_000))
    desk.answer(5, bytes(40_000))
    desk.answer(7, bytes(10))
    desk.out.clear()

    desk.sender.widen(100_000)
    finished = desk.sender.flush()

    assert finished == [7, 3, 5]
    assert desk.told() == [
        "DATA 3 16384",
        "DATA 5 16384",
        "DATA 7 10",
        "HEADERS 7 END",
        "DATA 3 16384",
        "DATA 5 16384",
        "DATA 3 7232",
        "HEADERS 3 END",
        "DATA 5 7232",
        "HEADERS 5 END",
    ]


def test_a_turn_goes_on_where_the_connection_s_window_ended_it() -> None:
    desk = Desk()
    desk.answer(1, bytes(DEFAULT_WINDOW))
    desk.answer(3, b"12")
    desk.answer(5, b"12")
    desk.out.clear()
    for _ in range(4):
        desk.sender.widen(1)
        desk.sender.flush()

    told = desk.told()

    assert told == [
        *("DATA 3 1", "DATA 5 1"),
        *("DATA 3 1", "HEADERS 3 END", "DATA 5 1", "HEADERS 5 END"),
    ]


def test_a_stream_without_a_window_holds_up_no_other() -> None:
    desk = Desk()
    desk.sender.set_initial_window(2)
    assert not desk.answer(1, b"123")

    assert desk.answer(3, b"12")
    assert desk.told() == ["HEADERS 1", "DATA 1 2", "ANSWER 3"]


def test_a_message_longer_than_a_frame() -> None:
    desk = Desk()
    desk.sender.frame_bytes = 20_000

    assert desk.answer(1, bytes(50_001))
    assert desk.told() == [
        *("HEADERS 1", "DATA 1 20000", "DATA 1 20000", "DATA 1 10001", "HEADERS 1 END")
    ]


def test_a_window_that_became_negative_has_to_be_made_good() -> None:
    """
    RFC 9113 section 6.9.2.
    """
    desk = Desk()
    desk.sender.set_initial_window(10)
    desk.answer(1, bytes(20))
    desk.out.clear()

    desk.sender.set_initial_window(3)
    for increment in (7, 1):
        desk.sender.widen_stream(1, increment)
        desk.sender.flush()
    desk.sender.set_initial_window(12)
    desk.sender.flush()

    assert desk.told() == ["DATA 1 1", "DATA 1 9", "HEADERS 1 END"]


def test_a_ready_stream_whose_window_shrinks_waits_on() -> None:
    desk = Desk()
    desk.answer(1, bytes(DEFAULT_WINDOW))
    desk.answer(3, b"123")
    desk.out.clear()

    desk.sender.set_initial_window(0)
    desk.sender.widen(10)
    assert desk.sender.flush() == []
    desk.sender.set_initial_window(2)
    desk.sender.flush()
    desk.sender.widen_stream(3, 1)

    assert desk.sender.flush() == [3]
    assert desk.told() == ["DATA 3 2", "DATA 3 1", "HEADERS 3 END"]


def test_windows_do_not_go_beyond_their_end() -> None:
    sender = Desk().sender

    assert sender.widen(MAX_WINDOW - DEFAULT_WINDOW)
    assert not sender.widen(1)
    assert sender.widen_stream(1, MAX_WINDOW - DEFAULT_WINDOW)
    assert not sender.set_initial_window(DEFAULT_WINDOW + 1)
    assert sender.set_initial_window(0)
    assert not sender.widen_stream(1, MAX_WINDOW)


def test_nothing_is_kept_for_a_stream_that_is_over() -> None:
    desk = Desk()
    for number in range(1, 21, 4):
        desk.sender.widen_stream(number, 5)
        desk.answer(number, b"x")
        desk.sender.widen_stream(number + 2, 5)
        desk.sender.answer(number + 2, ANSWER_HEADERS, b"", b"")
    desk.sender.set_initial_window(0)
    desk.answer(21, b"abc")
    desk.sender.widen_stream(21, 1)
    desk.sender.forget(21)
    desk.sender.forget(23)

    assert desk.sender.kept == desk.sender.pending_bytes == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(1, 60_000), st.just(0)),
        st.tuples(st.just("widen"), st.integers(1, 40_000), st.just(0)),
        st.tuples(st.just("widen one"), st.integers(1, 40_000), st.integers(0, 9)),
        st.tuples(st.just("initial"), st.integers(0, 70_000), st.just(0)),
        st.tuples(st.just("forget"), st.just(0), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_the_windows_do_each_stream_gets_its_own_octets(
    steps: list[tuple[str, int, int]],
) -> None:
    """
    Never more than the windows allow, and nothing waits that could go.
    """
    desk = Desk()
    messages: dict[int, bytes] = {}
    grants: dict[int, int] = {}
    forgotten: set[int] = set()
    connection, initial = DEFAULT_WINDOW, DEFAULT_WINDOW
    for what, size, which in steps:
        stream_id = 2 * which + 1
        is_live = stream_id in messages and stream_id not in forgotten
        if what == "answer":
            stream_id = 2 * len(messages) + 1
            messages[stream_id] = bytes([stream_id % 256]) * size
            desk.answer(stream_id, messages[stream_id])
        elif what == "widen":
            connection += size
            desk.sender.widen(size)
        elif what == "widen one" and is_live and stream_id in waiting(desk, messages):
            grants[stream_id] = grants.get(stream_id, 0) + size
            desk.sender.widen_stream(stream_id, size)
        elif what == "initial":
            initial = size
            desk.sender.set_initial_window(size)
        elif what == "forget" and is_live:
            forgotten.add(stream_id)
            desk.sender.forget(stream_id)
        desk.sender.flush()
        sent = {stream_id: octets(desk, stream_id) for stream_id in messages}
        assert sum(map(len, sent.values())) <= connection
        for stream_id, message in messages.items():
            assert message.startswith(sent[stream_id])
            left = len(message) - len(sent[stream_id])
            window = initial + grants.get(stream_id, 0) - len(sent[stream_id])
            if left and stream_id not in forgotten:
                assert window <= 0 or connection == sum(map(len, sent.values()))
    pending = sum(
        len(message) - len(octets(desk, stream_id))
        for stream_id, message in messages.items()
        if stream_id not in forgotten
    )
    assert desk.sender.pending_bytes == pending


def octets(desk: Desk, stream_id: int) -> bytes:
    """Return what went out on a stream."""
    return b"".join(
        each.payload
        for each in parsed(b"".join(desk.out))
        if each.kind == Type.DATA and each.stream_id == stream_id
    )


def waiting(desk: Desk, messages: dict[int, bytes]) -> set[int]:
    """Return the streams that are not at their end."""
    ended = {
        each.stream_id
        for each in parsed(b"".join(desk.out))
        if each.flags & END_STREAM and each.kind
    }
    return messages.keys() - ended
