"""A connection over time: hello, limits of streams, early answers, cancellation, leaving."""

import pytest
from hpack import Encoder

from unit.grpc.peer import (
    ACK,
    ANSWER_HEADERS,
    ANSWER_TRAILERS,
    END_HEADERS,
    END_STREAM,
    FIRST,
    HELLO,
    LAST,
    PLAIN,
    PREFACE,
    Peer,
    ask,
    data,
    fields_of,
    frame,
    headers,
    parsed,
    ping,
    rst_stream,
    settings,
    story,
    window_update,
)
from wicketgate.grpc import frames
from wicketgate.grpc.frames import ErrorCode, Setting, Type
from wicketgate.grpc.limits import MEBIBYTE, Limits

SMALL = Limits(message_bytes=1_000, large_bytes=100, buffered_bytes=65_535)


def test_the_first_frame_of_the_server_is_settings() -> None:
    peer = Peer(hello=b"", limits=Limits(streams=7, message_bytes=1_000))

    hello, window = parsed(peer.connection.data_to_send() or peer.greeting)

    said = {
        int.from_bytes(hello.payload[at : at + 2], "big"): int.from_bytes(
            hello.payload[at + 2 : at + 6], "big"
        )
        for at in range(0, len(hello.payload), 6)
    }
    assert hello.kind == Type.SETTINGS
    assert said == {
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.MAX_CONCURRENT_STREAMS: 7,
        Setting.INITIAL_WINDOW_SIZE: 1_000 + 65_536,
        Setting.MAX_FRAME_SIZE: 16_384,
        Setting.MAX_HEADER_LIST_SIZE: 65_536,
    }
    assert str(window) == f"WINDOW 0 {64 * MEBIBYTE - 65_535}"


def test_no_window_is_wider_than_windows_can_be() -> None:
    limits = Limits(message_bytes=2**31, buffered_bytes=2**31 - 1)

    hello, window = parsed(Peer(limits=limits, hello=b"").greeting)

    assert bytes([0, Setting.INITIAL_WINDOW_SIZE, 0x7F, 0xFF, 0xFF, 0xFF]) in hello.payload
    assert str(window) == f"WINDOW 0 {2**31 - 1 - 65_535}"


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65_535, 65_536, 2**24 - 1])
def test_a_frame_says_how_long_it_is(size: int) -> None:
    (said,) = parsed(frames.frame(Type.PING, 0x5, 2**31 - 1, bytes(size)))

    assert (said.kind, said.flags, said.stream_id) == (Type.PING, 0x5, 2**31 - 1)
    assert len(said.payload) == size


def test_a_window_that_is_the_usual_one_is_not_widened() -> None:
    assert story(Peer(limits=SMALL, hello=b"").greeting) == ["SETTINGS"]


def test_a_ping_is_answered_with_what_it_said() -> None:
    assert parsed(Peer().send(ping(b"whatever")))[0].payload == b"whatever"


def test_a_block_is_decoded_for_its_state_even_if_its_request_is_refused() -> None:
    """
    RFC 9113 section 4.3: the table is shared by all requests.
    """
    encoder = Encoder()
    peer = Peer(hello=PREFACE + settings(), limits=Limits(streams=0))

    refused = peer.tell(frame(Type.HEADERS, LAST, 1, encoder.encode(list(PLAIN))))
    malformed = peer.tell(frame(Type.HEADERS, LAST, 3, encoder.encode([*PLAIN, ("A", "b")])))
    encoder.header_table_size = 0
    peer.send(frame(Type.SETTINGS, ACK, 0))
    again = peer.tell(frame(Type.HEADERS, LAST, 5, encoder.encode(list(PLAIN))))

    assert [refused, malformed, again] == [
        ["RST 1 REFUSED_STREAM"],
        ["RST 3 PROTOCOL_ERROR"],
        ["RST 5 REFUSED_STREAM"],
    ]


def test_no_more_streams_than_were_announced() -> None:
    """
    Open, asked or answered as far as the window goes: a stream counts until all of it is out.
    """
    peer = Peer(limits=Limits(streams=3), holds=True)
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)) + FIRST + ask(3))
    peer.release()
    peer.send(ask(5) + headers(7))

    refused = peer.tell(ask(9))
    freed = story(peer.send(window_update(3, 1)))
    taken = peer.tell(ask(11), ask(13))
    given_up = peer.tell(rst_stream(7), ask(15), ask(17))

    assert refused == ["RST 9 REFUSED_STREAM"]
    assert freed == ["DATA 3 1", "HEADERS 3 END"]
    assert taken == ["RST 13 REFUSED_STREAM"]
    assert given_up == ["RST 17 REFUSED_STREAM"]


def test_a_message_that_is_too_long_is_answered_before_its_end() -> None:
    """
    RFC 9113 section 8.1: the answer is complete, so the rest may be stopped with NO_ERROR.
    """
    peer = Peer(limits=SMALL)
    peer.send(FIRST[:4] + bytes([END_HEADERS]) + FIRST[5:])

    told = peer.tell(data(1, bytes(1_006), flags=0), data(1, bytes(16_384), flags=0))
    later = peer.tell(data(1, bytes(9)), headers(1, flags=LAST), ask(3))

    assert peer.asked[0].is_cut
    assert told == ["HEADERS 1 END", "RST 1 NO_ERROR"]
    assert later == ["ANSWER 3"]


def test_a_message_of_the_greatest_length_is_taken() -> None:
    peer = Peer(limits=SMALL)

    told = peer.tell(
        FIRST[:4] + bytes([END_HEADERS]) + FIRST[5:],
        data(1, b"\xff" + bytes(1_005) + bytes(255), flags=0x8),
        data(1, b"", flags=END_STREAM),
    )

    assert told == ["ANSWER 1"]


def test_large_requests_are_refused_while_the_rest_would_not_fit() -> None:
    """
    Otherwise a few that never end would use up the connection's window for all.
    """
    peer = Peer(limits=Limits(message_bytes=60_000, large_bytes=9_999, buffered_bytes=65_535))
    peer.send(FIRST + headers(3) + headers(5) + headers(7))
    peer.send(data(3, bytes(16_384), flags=0) * 2 + data(5, bytes(9_999), flags=0))

    small = peer.tell(data(7, bytes(9_999), flags=0))
    large = peer.tell(data(3, b"1", flags=0))

    assert small == []
    assert large == ["WINDOW 0 32769", "HEADERS 3 END", "RST 3 NO_ERROR"]
    assert peer.tell(data(5), data(7)) == ["ANSWER 5", "ANSWER 7"]


def test_the_connection_s_window_is_given_back() -> None:
    """
    Whatever becomes of a request: answered, reset by either side, cut, or too late.
    """
    peer = Peer(limits=SMALL)
    peer.send(FIRST)
    given = 0
    for number in range(3, 800, 10):
        told = peer.tell(
            ask(number, bytes(900)),
            headers(number + 2) + data(number + 2, bytes(900), flags=0) + rst_stream(number + 2),
            headers(number + 4) + data(number + 4, bytes(900), flags=0) + headers(number + 4),
            headers(number + 6) + data(number + 6, bytes(1_100), flags=0),
            data(number + 6, bytes(900)),
            headers(number + 8, *PLAIN, ("content-length", "1")) + data(number + 8, bytes(900)),
            window_update(0, 900),
        )
        given += sum(int(line.split()[2]) for line in told if line.startswith("WINDOW 0"))

    assert peer.fault == ""
    assert given > 79 * (5 * 900 + 1_100) - 65_535


def test_more_than_the_connection_s_window_is_a_fault() -> None:
    peer = Peer(limits=Limits(buffered_bytes=65_535))
    peer.send(FIRST + headers(3))

    told = peer.tell(*[data(3, bytes(16_384), flags=0)] * 4)

    assert told == ["GOAWAY 3 FLOW_CONTROL_ERROR"]


def test_more_than_a_stream_s_window_ends_the_stream() -> None:
    peer = Peer(limits=Limits(message_bytes=100))
    peer.send(FIRST + headers(3))

    # Nearly all of it padding, so that it is not the message that is too long.
    padding = b"\xff" + bytes(255)
    fits = peer.tell(data(3, padding, flags=0x8) * 256, data(3, bytes(100)))
    exceeds = peer.tell(headers(5), data(5, padding, flags=0x8) * 256, data(5, bytes(101)))

    assert fits == ["ANSWER 3"]
    assert exceeds == ["RST 5 FLOW_CONTROL_ERROR"]


def test_an_answer_that_nobody_waits_for_goes_nowhere() -> None:
    peer = Peer(holds=True)
    peer.send(FIRST + headers(3))

    for number in (3, 99):
        peer.connection.answer(number, ANSWER_HEADERS, b"x", ANSWER_TRAILERS)
    once = story(peer.release())
    peer.connection.answer(1, ANSWER_HEADERS, b"x", ANSWER_TRAILERS)

    assert once == ["HEADERS 1 END"]
    assert peer.connection.data_to_send() == b""


def test_a_stream_that_is_given_up_is_cancelled() -> None:
    peer = Peer(holds=True)
    peer.send(FIRST + ask(3))

    told = peer.tell(rst_stream(1), data(3))

    assert told == ["RST 3 STREAM_CLOSED"]
    assert peer.cancelled == [1, 3]
    assert story(peer.release()) == []


def test_a_request_that_is_given_up_at_once_is_not_even_worked_on() -> None:
    """
    So that it costs less than one that is not (CVE-2023-44487).
    """
    peer = Peer()

    told = peer.tell(FIRST, ask(3), rst_stream(3), ask(5))

    assert told == ["HEADERS 1 END", "ANSWER 5"]
    assert [request.stream_id for request in peer.asked] == [1, 5]


def test_a_waiting_answer_is_dropped_with_its_stream() -> None:
    peer = Peer()
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)) + FIRST + ask(3, bytes(50)))
    before = peer.connection.kept["answers"]

    told = peer.tell(rst_stream(3), window_update(0, 50))

    assert before == 50
    assert told == []
    assert not any(peer.connection.kept[what] for what in ("answers", "windows", "streams"))


def test_answers_that_there_is_no_room_for_are_not_given() -> None:
    """
    The others on that connection are; a peer that goes on like this is ended.
    """
    peer = Peer(limits=Limits(pending_bytes=99, resets=2, resets_per_second=0))
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)) + FIRST)

    assert peer.tell(ask(3, bytes(99))) == ["HEADERS 3"]
    assert peer.tell(ask(5, b"x")) == ["HEADERS 5", "RST 5 ENHANCE_YOUR_CALM"]
    assert peer.connection.kept["answers"] == 99
    assert peer.tell(window_update(3, 1)) == ["DATA 3 1"]
    assert peer.tell(ask(7, b"x")) == ["HEADERS 7"]
    told = peer.tell(ask(9, b"x"), ask(11, b"x"))
    assert told[-1] == "GOAWAY 11 ENHANCE_YOUR_CALM"


def test_the_table_s_size_is_said_again_whenever_it_may_have_changed() -> None:
    """
    RFC 9113 section 4.3.1: the first block after a reduction says so.
    """
    peer = Peer(hello=PREFACE + settings((Setting.HEADER_TABLE_SIZE, 0)) + HELLO[33:])
    first = parsed(peer.send(FIRST))[0].payload
    second = parsed(peer.send(ask(3)))[0].payload
    peer.send(settings((Setting.HEADER_TABLE_SIZE, 100)))
    third = parsed(peer.send(ask(5)))[0].payload

    assert [block[:1] for block in (first, second, third)] == [b"\x20", ANSWER_HEADERS, b"\x20"]


# -------------------------------------------------------------------------- leaving


def test_leaving_takes_what_is_on_its_way() -> None:
    """
    RFC 9113 section 6.8: first no last stream; the last follows when the peer knows.
    """
    peer = Peer(holds=True)
    peer.send(FIRST)
    peer.connection.close()
    told = parsed(peer.connection.data_to_send())

    still = story(peer.send(ask(3)))
    last = peer.tell(frame(Type.PING, ACK, 0, told[1].payload), ask(5), headers(7), data(7))

    assert [str(each) for each in told] == ["GOAWAY 2147483647 NO_ERROR", "PING"]
    assert still == []
    assert last == ["GOAWAY 3 NO_ERROR"]
    was_over = peer.connection.is_over
    assert story(peer.release()) == ["HEADERS 1 END", "ANSWER 3"]
    assert (was_over, peer.connection.is_over) == (False, True)
    assert peer.fault == ""


def test_streams_after_the_last_are_not_looked_at() -> None:
    peer = Peer(hello=PREFACE + settings(), holds=True)
    encoder = Encoder()
    peer.send(frame(Type.HEADERS, LAST, 1, encoder.encode(list(PLAIN))))
    peer.connection.close_now()
    peer.connection.data_to_send()

    told = peer.tell(
        frame(Type.HEADERS, END_HEADERS, 3, encoder.encode([*PLAIN, ("a", "b")])),
        data(3, flags=0),
        window_update(3, 5),
        frame(Type.HEADERS, LAST, 3, encoder.encode([("a", "b")])),
        rst_stream(3),
        frame(Type.HEADERS, LAST, 5, encoder.encode([*PLAIN, ("A", "b")])),
    )

    assert told == []
    assert [request.stream_id for request in peer.asked] == [1]


def test_leaving_twice_says_it_once() -> None:
    connection = Peer().connection

    connection.close()
    connection.close()
    connection.close_now()
    connection.close_now()
    connection.close()

    assert story(connection.data_to_send()) == [
        "GOAWAY 2147483647 NO_ERROR",
        "PING",
        "GOAWAY 0 NO_ERROR",
    ]


def test_the_answer_to_another_ping_closes_nothing() -> None:
    peer = Peer()

    assert peer.tell(frame(Type.PING, ACK, 0, b"wicketga")) == []
    peer.connection.close()
    peer.connection.data_to_send()
    assert peer.tell(frame(Type.PING, ACK, 0, b"whatever")) == []


def test_after_a_fault_nothing_else_is_said() -> None:
    peer = Peer(holds=True)
    peer.send(FIRST)

    told = peer.tell(headers(2))
    peer.connection.close()
    peer.connection.close_now()
    peer.connection.give_up(ErrorCode.INTERNAL_ERROR, "late")

    assert told == ["GOAWAY 1 PROTOCOL_ERROR"]
    assert peer.connection.is_over
    assert peer.fault == "PROTOCOL_ERROR"
    assert peer.release() == b""
    assert peer.connection.tick(1e9) == []


# -------------------------------------------------------------------------- time


def test_a_peer_that_says_nothing_is_given_up() -> None:
    connection = Peer(hello=PREFACE[:5], limits=Limits(greeting_seconds=10)).connection

    assert connection.tick(10.0) == []
    assert connection.fault is None
    connection.tick(10.1)

    assert story(connection.data_to_send()) == ["GOAWAY 0 SETTINGS_TIMEOUT"]


@pytest.mark.parametrize(
    ("hello", "fault"),
    [(PREFACE + settings(), "SETTINGS_TIMEOUT"), (HELLO, "")],
    ids=["no acknowledgement", "all of it"],
)
def test_hello_is_over_when_it_is_acknowledged(hello: bytes, fault: str) -> None:
    """
    Until then its header blocks use a table, and cost ten times as much (RFC 9113 6.5.3).
    """
    peer = Peer(hello=hello, limits=Limits(greeting_seconds=10))

    peer.take(peer.connection.tick(10.0))
    in_time = peer.fault
    peer.take(peer.connection.tick(10.1))

    assert (in_time, peer.fault) == ("", fault)


def test_a_stream_has_an_end() -> None:
    """
    Whether it is the question that does not end, the answer that does not come, or its reader.
    """
    peer = Peer(limits=Limits(stream_seconds=60), holds=True)
    peer.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)) + FIRST + ask(3))
    peer.release()
    peer.send(ask(5) + headers(7))
    peer.now = 30.0
    peer.send(ask(9))

    in_time = story(peer.take(peer.connection.tick(60.0)))
    told = story(peer.take(peer.connection.tick(61.0)))

    assert in_time == []
    assert told == ["RST 3 CANCEL", "RST 5 CANCEL", "RST 7 CANCEL"]
    assert peer.cancelled == [5]
    assert story(peer.release()) == ["HEADERS 9"]


def test_too_many_such_streams_end_the_connection() -> None:
    peer = Peer(limits=Limits(resets=2, resets_per_second=0), holds=True)
    peer.send(FIRST + ask(3) + ask(5))

    told = story(peer.take(peer.connection.tick(100.0)))

    assert told[-1] == "GOAWAY 5 ENHANCE_YOUR_CALM"


def test_a_sign_of_life_can_be_asked_for() -> None:
    connection = Peer().connection

    connection.ping()

    assert story(connection.data_to_send()) == ["PING"]


def test_idle_is_without_streams() -> None:
    peer = Peer(holds=True)
    states = [peer.connection.is_idle]
    peer.send(FIRST)
    states.append(peer.connection.is_idle)
    peer.release()
    states.append(peer.connection.is_idle)

    assert states == [True, False, True]


def test_hpack_reads_what_is_answered() -> None:
    peer = Peer()

    sent = peer.send(FIRST + ask(3))

    assert fields_of(sent)[3] == [{":status": "200"}, {"grpc-status": "0"}]


@pytest.mark.parametrize("number", [1, 2**31 - 1])
def test_leaving_after_the_last_id_there_is(number: int) -> None:
    peer = Peer()
    peer.send(frame(Type.HEADERS, LAST, number, FIRST[9:]))

    peer.connection.close_now()

    assert story(peer.connection.data_to_send()) == [f"GOAWAY {number} NO_ERROR"]
    assert peer.connection.is_over
