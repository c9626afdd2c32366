"""What RFC 9113 asks of a server, over a real socket.

First with the ``h2`` package as the client, a row for each demand that a client of good
manners can put to the test; then with raw frames, for the rows of the table that end badly.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from fuzz.h2_socket import H2Socket
from fuzz.listening import SLOW, Served, serving
from fuzz.raw import Raw
from unit.grpc.peer import PLAIN, PSEUDO, Field, frame, ping
from unit.grpc.test_rfc9113 import TABLE, Row
from wicketgate.grpc import protocol
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.unary import framed

BUFFERED = 65_535
MESSAGE = 40_000
LIMITS = Limits(streams=5, message_bytes=MESSAGE, large_bytes=MESSAGE, buffered_bytes=BUFFERED)

Script = Callable[[H2Socket], None]


@pytest.fixture(autouse=True)
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time to read why a connection ended, however busy the machine is."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 10.0)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(limits=LIMITS) as served:
        yield served


@dataclass(frozen=True)
class Demand:
    """One demand.

    Attributes:
        section: Where RFC 9113 says so.
        script: What the client does, and finds.
        is_strict: It sends nothing that is malformed.
        takes: It widens windows as data arrives.
    """

    section: str
    script: Script
    is_strict: bool = True
    takes: bool = True


def slow(client: H2Socket) -> int:
    """Ask for something that takes a while."""
    stream_id = client.begin(*(f if f[0] != ":path" else (":path", SLOW) for f in PLAIN))
    client.go_on(stream_id, framed(b"slow"))
    return stream_id


def settings_are_said_and_acknowledged(client: H2Socket) -> None:
    assert client.settings == {
        SettingCodes.HEADER_TABLE_SIZE: 0,
        SettingCodes.MAX_CONCURRENT_STREAMS: 5,
        SettingCodes.INITIAL_WINDOW_SIZE: MESSAGE + 65_536,
        SettingCodes.MAX_FRAME_SIZE: 16_384,
        SettingCodes.MAX_HEADER_LIST_SIZE: 65_536,
    }
    client.h2.update_settings({SettingCodes.ENABLE_PUSH: 0})
    client.send()
    client.until(lambda: client.acknowledged == 2)


def unknown_types_are_ignored(client: H2Socket) -> None:
    client.send(frame(0xBB, 0xFF, 7, b"whatever"))
    assert client.still_serves()


def frames_of_the_greatest_length_are_taken(client: H2Socket) -> None:
    assert client.echo(bytes(16_384 - 5)) == bytes(16_384 - 5)


def the_table_is_given_up_as_was_asked(client: H2Socket) -> None:
    for _ in range(3):
        assert client.echo(b"x", ("x-custom", "a value that would be indexed")) == b"x"
    assert client.h2.encoder.header_table_size == 0


def streams_may_be_left_out(client: H2Socket) -> None:
    client.h2.send_headers(9, list(PLAIN))
    client.h2.send_data(9, framed(b"nine"), end_stream=True)
    client.send()
    assert client.answer(9).body == framed(b"nine")


def as_many_streams_as_were_announced(client: H2Socket) -> None:
    asked = [slow(client) for _ in range(5)]
    assert [client.answer(each).status for each in asked] == ["0"] * 5
    assert client.still_serves()


def a_stream_that_is_over_makes_room_for_another(client: H2Socket) -> None:
    for _ in range(4):
        slow(client)
    for _ in range(20):
        assert client.still_serves()


def half_closed_streams_take_window_updates_and_resets(client: H2Socket) -> None:
    first, second = slow(client), slow(client)
    client.h2.increment_flow_control_window(9, first)
    client.h2.reset_stream(second, ErrorCodes.CANCEL)
    client.send()
    assert client.answer(first).status == "0"
    assert client.still_serves()
    assert not client.answers[second].headers


def windows_are_given_back(client: H2Socket) -> None:
    for size in (MESSAGE, 20_000, MESSAGE, MESSAGE):
        assert len(client.echo(bytes(size))) == size


def a_request_takes_nothing_from_others(client: H2Socket) -> None:
    held = client.begin()
    client.go_on(held, framed(bytes(MESSAGE))[:30_000], end=False)
    for _ in range(10):
        assert len(client.echo(bytes(10_000))) == 10_000
    client.go_on(held, framed(bytes(MESSAGE))[30_000:])
    assert client.answer(held).body == framed(bytes(MESSAGE))


def priorities_are_ignored(client: H2Socket) -> None:
    client.h2.prioritize(101, weight=3)
    stream_id = client.h2.get_next_available_stream_id()
    client.h2.send_headers(
        stream_id,
        list(PLAIN),
        priority_weight=1,
        priority_depends_on=101,
        priority_exclusive=True,
    )
    client.go_on(stream_id, framed(b"x"))
    client.h2.prioritize(stream_id, weight=200)
    assert client.answer(stream_id).status == "0"
    client.h2.prioritize(stream_id, weight=9)
    assert client.still_serves()


def padding_is_no_data(client: H2Socket) -> None:
    stream_id = client.begin()
    for octet in framed(b"abc"):
        client.h2.send_data(stream_id, bytes([octet]), pad_length=octet % 200 + 1)
    client.h2.send_data(stream_id, b"", end_stream=True, pad_length=255)
    client.send()
    assert client.answer(stream_id).body == framed(b"abc")


def a_reset_of_an_unknown_code_is_a_reset(client: H2Socket) -> None:
    stream_id = client.begin()
    client.h2.reset_stream(stream_id, 0xFFFF_FFFF)
    client.send()
    assert client.still_serves()
    assert not client.answers[stream_id].headers


def frames_may_be_longer_when_asked(client: H2Socket) -> None:
    client.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 30_000})
    client.send()
    client.until(lambda: client.acknowledged == 2)
    answer = client.answer(client.ask(bytes(MESSAGE)))
    assert answer.pieces == [30_000, MESSAGE + 5 - 30_000]


def frames_are_no_longer_than_asked(client: H2Socket) -> None:
    answer = client.answer(client.ask(bytes(MESSAGE)))
    assert answer.pieces == [16_384, 16_384, MESSAGE + 5 - 2 * 16_384]


def pings_are_answered_in_order(client: H2Socket) -> None:
    sent = [bytes([n]) * 8 for n in range(5)]
    for each in sent:
        client.h2.ping(each)
    client.send()
    client.until(lambda: len(client.pongs) == 5)
    assert client.pongs == sent


def who_leaves_is_still_answered(client: H2Socket) -> None:
    stream_id = slow(client)
    # Not `h2`'s own, after which it would hear no more.
    client.send(frame(7, 0, 0, bytes(8) + b"bye"))
    assert client.answer(stream_id).status == "0"


def an_octet_at_a_time(client: H2Socket) -> None:
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.send()
    stream_id = client.ask(b"one by one")
    answer = client.answers[stream_id]
    for count in range(1, 16):
        client.h2.increment_flow_control_window(1, stream_id)
        client.send()
        client.until(lambda count=count: len(answer.body) == count)  # type: ignore[misc] # bound at once
    assert client.answer(stream_id).body == framed(b"one by one")
    assert answer.pieces == [1] * 15


def a_window_that_becomes_negative(client: H2Socket) -> None:
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    client.send()
    stream_id = client.ask(bytes(20))
    answer = client.answers[stream_id]
    client.until(lambda: len(answer.body) == 10)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2})
    client.h2.increment_flow_control_window(8, stream_id)
    client.h2.ping(b"nothing?")
    client.send()
    client.until(lambda: client.pongs == [b"nothing?"])
    assert len(answer.body) == 10
    client.h2.increment_flow_control_window(15, stream_id)
    client.send()
    assert client.answer(stream_id).body == framed(bytes(20))


def a_larger_window_lets_go_what_waits(client: H2Socket) -> None:
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 4})
    client.send()
    asked = [client.ask(bytes(20)) for _ in range(3)]
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 400})
    client.send()
    assert [len(client.answer(each).body) for each in asked] == [25] * 3


def the_connection_s_window_is_shared(client: H2Socket) -> None:
    asked = [client.ask(bytes(30_000)) for _ in range(3)]
    client.until(lambda: sum(len(client.answers[each].body) for each in asked) == BUFFERED)
    client.h2.increment_flow_control_window(100_000)
    client.send()
    assert [len(client.answer(each).body) for each in asked] == [30_005] * 3


def a_block_in_pieces(client: H2Socket) -> None:
    assert client.echo(b"x", *[(f"x-{n}", "v" * 9_000) for n in range(5)]) == b"x"


def trailers_end_a_request(client: H2Socket) -> None:
    stream_id = client.begin()
    client.go_on(stream_id, framed(b"x"), end=False)
    client.h2.send_headers(stream_id, [("x-sum", "1")], end_stream=True)
    client.send()
    assert client.answer(stream_id).body == framed(b"x")


def an_answer_before_the_end_of_the_request(client: H2Socket) -> None:
    stream_id = client.begin()
    client.go_on(stream_id, framed(bytes(MESSAGE + 9)), end=False)
    answer = client.answers[stream_id]
    client.until(lambda: answer.is_whole)
    client.until(lambda: answer.reset is not None)
    assert (answer.status, answer.reset) == ("8", ErrorCodes.NO_ERROR)
    assert client.still_serves()


def answers_have_a_status(client: H2Socket) -> None:
    answer = client.answer(client.ask())
    assert answer.headers == {":status": "200", "content-type": "application/grpc"}
    assert answer.trailers == {"grpc-status": "0"}


def content_length(client: H2Socket) -> None:
    assert client.echo(b"123", ("content-length", "8")) == b"123"


def cookies_in_pieces(client: H2Socket) -> None:
    assert client.echo(b"x", ("cookie", "a=b"), ("cookie", "c=d")) == b"x"


def host_without_authority(client: H2Socket) -> None:
    fields = [f for f in PLAIN if f[0] != ":authority"]
    stream_id = client.begin(*fields, ("host", "echo"))
    client.go_on(stream_id, framed(b"x"))
    assert client.answer(stream_id).status == "0"


def malformed(*fields: Field, ends: bool = True) -> Script:
    """Return a script whose request is malformed: its stream is reset, and no more."""

    def script(client: H2Socket) -> None:
        stream_id = client.begin(*fields, end=ends)
        assert client.answer(stream_id).reset == ErrorCodes.PROTOCOL_ERROR
        assert client.still_serves()

    script.__name__ = f"malformed_{fields[-1][0]}_{fields[-1][1]}"
    return script


def malformed_trailers(client: H2Socket) -> None:
    stream_id = client.begin()
    client.h2.send_headers(stream_id, [("X-Sum", "1")], end_stream=True)
    client.send()
    assert client.answer(stream_id).reset == ErrorCodes.PROTOCOL_ERROR
    assert client.still_serves()


def another_length_than_announced(client: H2Socket) -> None:
    stream_id = client.begin(*PLAIN, ("content-length", "9"))
    client.go_on(stream_id, framed(b"123"))
    assert client.answer(stream_id).reset == ErrorCodes.PROTOCOL_ERROR
    assert client.still_serves()


DEMANDS = [
    Demand("3.4", settings_are_said_and_acknowledged),
    Demand("4.1", unknown_types_are_ignored),
    Demand("4.2", frames_of_the_greatest_length_are_taken),
    Demand("4.3.1", the_table_is_given_up_as_was_asked),
    Demand("5.1", half_closed_streams_take_window_updates_and_resets),
    Demand("5.1.1", streams_may_be_left_out),
    Demand("5.1.2", as_many_streams_as_were_announced),
    Demand("5.1.2", a_stream_that_is_over_makes_room_for_another),
    Demand("5.2", windows_are_given_back),
    Demand("5.2", a_request_takes_nothing_from_others),
    Demand("5.3", priorities_are_ignored),
    Demand("6.1", padding_is_no_data),
    Demand("6.5.2", frames_may_be_longer_when_asked),
    Demand("6.5.2", frames_are_no_longer_than_asked),
    Demand("6.7", pings_are_answered_in_order),
    Demand("6.8", who_leaves_is_still_answered),
    Demand("6.9.1", an_octet_at_a_time, takes=False),
    Demand("6.9.1", the_connection_s_window_is_shared, takes=False),
    Demand("6.9.2", a_window_that_becomes_negative, takes=False),
    Demand("6.9.2", a_larger_window_lets_go_what_waits, takes=False),
    Demand("6.10", a_block_in_pieces),
    Demand("7", a_reset_of_an_unknown_code_is_a_reset),
    Demand("8.1", trailers_end_a_request),
    Demand("8.1", an_answer_before_the_end_of_the_request),
    Demand("8.1", malformed_trailers, is_strict=False),
    Demand("8.1.1", content_length),
    Demand("8.1.1", another_length_than_announced),
    Demand("8.2.1", malformed(*PLAIN, ("X-Upper", "a")), is_strict=False),
    Demand("8.2.1", malformed(*PLAIN, ("x", "a\nb")), is_strict=False),
    Demand("8.2.2", malformed(*PLAIN, ("connection", "close")), is_strict=False),
    Demand("8.2.2", malformed(*PSEUDO, ("te", "gzip")), is_strict=False),
    Demand("8.2.3", cookies_in_pieces),
    Demand("8.3", malformed(("a", "b"), *PSEUDO), is_strict=False),
    Demand("8.3", malformed(*PSEUDO, (":status", "200")), is_strict=False),
    Demand("8.3.1", malformed(*PSEUDO[:2]), is_strict=False),
    Demand("8.3.1", malformed(*PLAIN, ("host", "other")), is_strict=False),
    Demand("8.3.1", host_without_authority),
    Demand("8.3.2", answers_have_a_status),
    Demand("8.5", malformed((":method", "CONNECT"), (":authority", "a:1")), is_strict=False),
]


@pytest.mark.parametrize(
    "demand", DEMANDS, ids=lambda each: f"{each.section} {each.script.__name__}"
)
def test_the_h2_package_finds_what_it_may_expect(demand: Demand, served: Served) -> None:
    before = served.observed.faults.total() - served.observed.faults[""]
    with H2Socket(
        served.address,
        is_strict=demand.is_strict,
        takes=demand.takes,
    ) as client:
        demand.script(client)

    assert client.fault is None
    assert served.observed.faults.total() - served.observed.faults[""] == before
    assert served.troubles == []


# -------------------------------------------------------------------------- raw frames


def ends_badly(row: Row) -> bool:
    """Tell whether a row is about what is wrong, and needs no answer of its own."""
    last = row.expected[-1] if row.expected else ""
    is_alone = all(line.startswith(("GOAWAY", "RST", "SETTINGS")) for line in row.expected)
    return last.startswith(("GOAWAY", "RST")) and is_alone and not row.holds


BAD = [row for row in TABLE if ends_badly(row)]


@pytest.mark.parametrize("row", BAD, ids=lambda row: f"{row.section} {row.name}")
def test_what_is_wrong_is_told_over_a_socket(row: Row) -> None:
    """
    A fault ends the connection, and is counted; a stream's end does not.
    """
    *_, last = row.expected
    code = last.split()[-1].lower()
    with serving() as served:
        with Raw(served.address, hello=row.hello) as raw:
            if row.before:
                raw.send(row.before, ping())
                raw.until_said("PING ACK")
            raw.send(row.sent)
            if last.startswith("GOAWAY"):
                told = raw.to_the_end()
            else:
                raw.send(ping())
                told = raw.until_said("PING ACK")[:-1]
        served.until(lambda: served.observed.open == 0)

    assert told[-1] == last
    assert served.observed.faults == {code if last.startswith("GOAWAY") else "": 1}


def test_most_of_the_table_that_ends_badly_is_tried_over_a_socket() -> None:
    """
    Otherwise a change of the table could leave nothing to try.
    """
    assert len(BAD) > 80
    assert {row.section for row in BAD} >= {"3.4", "4.2", "4.3", "5.1", "6.1", "6.9.1", "8.1.1"}
