"""What a peer may cost: each flood ends its connection, and ordinary peers never get there."""

from collections.abc import Callable

import pytest

from unit.grpc.peer import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FIRST,
    LAST,
    PLAIN,
    PREFACE,
    SETTINGS_ACK,
    Peer,
    ask,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
    story,
    window_update,
)
from wicketgate.grpc.frames import Type
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.patience import EARNED_BY_REQUEST, Bucket

LOW = Limits(glitches=50, glitches_per_second=10, resets=20, resets_per_second=5)
CALM = "ENHANCE_YOUR_CALM"


def asked(number: int) -> bytes:
    """Return the frames of a request that is answered; the streams of one row are apart."""
    return ask(100_001 + 2 * number)


def first_headers(stream_id: int) -> bytes:
    """Return HEADERS that leave a stream open."""
    return frame(Type.HEADERS, END_HEADERS, stream_id, b"\x20" + block(*PLAIN))


FLOODS: dict[str, Callable[[int], bytes]] = {
    "SETTINGS (CVE-2019-9515)": lambda _: settings((4, 1)),
    "acknowledgements": lambda _: SETTINGS_ACK,
    "PING (CVE-2019-9512)": lambda _: ping(),
    "answers to PING": lambda _: ping(flags=ACK),
    "PRIORITY (CVE-2019-9513)": lambda number: frame(Type.PRIORITY, 0, number + 1, bytes(5)),
    "WINDOW_UPDATE that sets nothing free": lambda _: window_update(0, 1),
    "WINDOW_UPDATE on what is over": lambda _: window_update(1, 1),
    "RST_STREAM on what is over": lambda _: rst_stream(1),
    "GOAWAY": lambda _: goaway(),
    "an unknown type": lambda _: frame(0xBB, 0, 0, b"?"),
    "an unknown type near the known": lambda _: frame(0x0A, 0, 0, b"?"),
}
"""Frames that carry nothing forward; stream 1 was answered."""


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(name: str) -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    sent = 0
    while not peer.fault and sent < 1_000:
        peer.send(FLOODS[name](sent))
        sent += 1

    assert peer.fault == CALM
    # Two of the fifty went with hello; a request earns some that are ordinary beside it.
    assert 48 <= sent <= 49 + EARNED_BY_REQUEST


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_in_a_steady_trickle_does_not(name: str) -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    for number in range(500):
        peer.now += 0.101
        peer.send(FLOODS[name](number))

    assert peer.fault == ""


@pytest.mark.parametrize("name", [name for name in FLOODS if name[:2] in {"PI", "WI", "RS", "PR"}])
def test_beside_requests_such_frames_are_ordinary(name: str) -> None:
    """
    gRPC clients send PING and WINDOW_UPDATE with nearly every call.
    """
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    for number in range(2_000):
        peer.send(asked(number) + FLOODS[name](number) * (EARNED_BY_REQUEST - 1))
        if not number % 50:
            peer.send(window_update(0, 100))

    assert peer.fault == ""


def test_what_requests_earn_is_not_hoarded() -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)
    for number in range(3_000):
        peer.send(asked(number))

    peer.send(ping() * 10_200)

    assert peer.fault == CALM


def test_a_window_update_that_sets_something_free_is_work_done() -> None:
    peer = Peer(limits=LOW)
    peer.send(settings((4, 0)) + FIRST + ask(3, bytes(900)))

    for _ in range(899):
        assert peer.tell(window_update(3, 1)) == ["DATA 3 1"]

    assert peer.fault == ""


IGNORED: dict[str, Callable[[int], bytes]] = {
    "DATA on what was reset": lambda _: data(3, b"x", flags=0),
    "trailers on what was reset": lambda _: headers(3, ("a", "b"), flags=LAST),
    "HEADERS after the last stream": lambda number: headers(5 + 2 * number, flags=LAST),
    "DATA after the last stream": lambda _: data(5, b"x", flags=0),
}
"""What comes for nobody; stream 3 was reset, and then the server left."""


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_ignored_is_counted_all_the_same(name: str) -> None:
    peer = Peer(limits=LOW, holds=True)
    peer.send(FIRST + headers(3, ("A", "b")))
    peer.connection.close_now()
    peer.send(headers(5))

    sent = 0
    while not peer.fault and sent < 1_000:
        peer.send(IGNORED[name](sent + 1))
        sent += 1

    assert peer.fault == CALM
    assert sent <= LOW.glitches + EARNED_BY_REQUEST


@pytest.mark.parametrize("payload", [b"", b"\1\0"], ids=["empty", "padding"])
def test_data_without_data_ends_the_connection(payload: bytes) -> None:
    """
    CVE-2019-9518.
    """
    peer = Peer(limits=LOW)
    peer.send(first_headers(1))

    peer.send(frame(Type.DATA, 8 if payload else 0, 1, payload) * 60)

    assert peer.fault == CALM


def test_a_request_that_is_finished_by_empty_data_is_no_glitch() -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    for number in range(3, 1_003, 2):
        peer.send(headers(number) + data(number, b""))

    assert peer.fault == ""


RESETS: dict[str, Callable[[int], bytes]] = {
    "by the client (CVE-2023-44487)": lambda number: ask(number) + rst_stream(number),
    "before the end of the request": lambda number: headers(number) + rst_stream(number),
    "malformed (CVE-2025-8671)": lambda number: headers(number, ("A", "b")),
    "widened by nothing (CVE-2025-8671)": lambda number: (
        headers(number) + window_update(number, 0)
    ),
    "DATA after the end": lambda number: ask(number) + data(number),
}


@pytest.mark.parametrize("name", RESETS)
def test_streams_that_are_given_up_end_the_connection(name: str) -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    number = 3
    while not peer.fault and number < 1_000:
        peer.send(RESETS[name](number))
        number += 2

    assert peer.fault == CALM
    assert number == 3 + 2 * (LOW.resets + 1)


@pytest.mark.parametrize("name", RESETS)
def test_a_few_of_them_every_second_do_not(name: str) -> None:
    peer = Peer(limits=LOW)
    peer.send(FIRST)

    for number in range(3, 303, 2):
        peer.now += 0.201
        peer.send(RESETS[name](number))

    assert peer.fault == ""


def test_what_is_remembered_of_resets_is_bounded() -> None:
    peer = Peer(limits=Limits(resets=10_000))
    peer.send(FIRST)
    for number in range(3, 6_003, 2):
        peer.send(headers(number, ("A", "b")))

    assert peer.connection.kept["resets"] == 1_000
    assert peer.tell(data(6_001)) == []
    assert peer.tell(data(3)) == ["RST 3 STREAM_CLOSED"]


def test_continuations_are_counted() -> None:
    """
    CVE-2024-27316.
    """
    peer = Peer(limits=Limits(continuations=3))

    peer.send(frame(Type.HEADERS, 0, 1) + frame(Type.CONTINUATION, 0, 1, b"\x20") * 3)
    assert peer.fault == ""
    peer.send(frame(Type.CONTINUATION, END_HEADERS, 1))

    assert peer.fault == CALM


def test_the_octets_of_a_block_are_counted() -> None:
    peer = Peer(limits=Limits(header_bytes=20_000))

    peer.send(frame(Type.HEADERS, END_STREAM, 1, bytes(16_384)))
    assert peer.fault == ""
    peer.send(frame(Type.CONTINUATION, 0, 1, bytes(3_617)))

    assert peer.fault == CALM


def test_the_octets_of_its_first_piece_are_counted() -> None:
    peer = Peer(limits=Limits(header_bytes=400))

    peer.send(frame(Type.HEADERS, END_STREAM, 1, bytes(401)))

    assert peer.fault == CALM


LONG = [("x-long", "v" * 500)] * 3


def test_a_header_list_that_is_too_long_before_the_table_is_settled() -> None:
    """
    hpack stops in the middle, so what the table holds is not known any more.
    """
    peer = Peer(hello=PREFACE + settings(), limits=Limits(header_bytes=1_500))

    peer.send(headers(1, *PLAIN, *LONG))

    assert peer.fault == "COMPRESSION_ERROR"


def test_a_header_list_that_is_too_long_afterwards() -> None:
    peer = Peer(limits=Limits(header_bytes=1_500))
    peer.send(FIRST)

    assert peer.tell(headers(3, *PLAIN, *LONG), ask(5)) == ["RST 3 PROTOCOL_ERROR", "ANSWER 5"]


def test_short_fields_count_32_octets_each() -> None:
    """
    RFC 9113 section 6.5.2: otherwise a short block could say a long list.
    """
    peer = Peer(limits=Limits(header_bytes=1_500))
    peer.send(FIRST)

    fields = block(*PLAIN) + b"\x90" * 100
    assert peer.tell(frame(Type.HEADERS, LAST, 3, fields)) == ["RST 3 PROTOCOL_ERROR"]


def test_settings_have_few_entries() -> None:
    peer = Peer(limits=Limits(settings=4))

    assert peer.tell(settings(*[(4, 1)] * 4)) == ["SETTINGS ACK"]
    assert peer.tell(settings(*[(4, 1)] * 5)) == ["GOAWAY 0 ENHANCE_YOUR_CALM"]


def test_settings_weigh_more_where_they_touch_many_streams() -> None:
    limits = Limits(glitches=40, glitches_per_second=0)
    peer = Peer(limits=limits)
    peer.send(settings((4, 0)) + FIRST + b"".join(ask(number) for number in range(3, 5_003, 2)))

    peer.send(settings((4, 0)))
    assert peer.fault == ""
    peer.send(settings((4, 0)) * 3)

    assert peer.fault == CALM


def test_a_body_in_small_pieces_takes_no_more_than_in_one() -> None:
    peer = Peer()
    peer.send(first_headers(1) + data(1, b"ab", flags=0) * 10_000)

    assert peer.connection.kept["requests"] == 20_000
    assert peer.send(data(1, b"c"))
    assert peer.asked[0].body == b"ab" * 10_000 + b"c"


def test_a_bucket_refills_but_not_beyond_its_burst() -> None:
    bucket = Bucket(burst=3, per_second=2, now=100.0)

    taken = [bucket.take(now) for now in (100, 100, 100, 100.5, 200, 200, 200)]

    assert taken == [True, True, True, True, True, True, True]
    assert not bucket.take(200.4)


def test_a_bucket_that_was_overdrawn_takes_longer() -> None:
    bucket = Bucket(burst=1, per_second=1, now=0.0)

    assert [bucket.take(0.0, 3), bucket.take(2.9), bucket.take(4.9)] == [False, False, True]


# -------------------------------------------------------------------------- memory and work


def in_frames(stream_id: int, coded: bytes, *, flags: int = 0) -> bytes:
    """Return HEADERS, and CONTINUATION where a block is longer than a frame."""
    pieces = [coded[at : at + 16_384] for at in range(0, len(coded), 16_384)]
    kinds = [Type.HEADERS] + [Type.CONTINUATION] * (len(pieces) - 1)
    return b"".join(
        frame(
            kind,
            (flags if kind == Type.HEADERS else 0)
            | (END_HEADERS if number == len(pieces) - 1 else 0),
            stream_id,
            piece,
        )
        for number, (kind, piece) in enumerate(zip(kinds, pieces, strict=True))
    )


@pytest.mark.parametrize("name", [":path", "content-type", "grpc-timeout", "grpc-encoding"])
def test_long_headers_are_not_kept_with_their_streams(name: str) -> None:
    """
    HEADERS are not flow controlled: what is kept of them has to be small.
    """
    peer = Peer()
    peer.send(FIRST)
    fields = dict(PLAIN)
    for number in range(3, 203, 2):
        long = fields | {name: f"{number}" + "v" * 50_000}
        peer.send(in_frames(number, block(*long.items())))

    heads = [request.head for request in peer.connection._exchange.streams.live.values()]  # noqa: SLF001 - what is kept cannot be seen otherwise
    assert len(heads) == 100
    assert max(len(value) for head in heads for value in head if isinstance(value, bytes)) == 256


@pytest.mark.parametrize(
    "coded", [b"\x40\x7f" + b"\xff" * 16_000, b"\x82\xff\xff", b"\x40\x01a\x81\xff"]
)
def test_what_is_said_about_a_fault_does_not_quote_the_peer(coded: bytes) -> None:
    """
    Nor an address of our memory; and GOAWAY is as short as any frame has to be.
    """
    for hello in (PREFACE + settings(), PREFACE + settings() + SETTINGS_ACK):
        peer = Peer(hello=hello)

        said = peer.send(frame(Type.HEADERS, LAST, 1, coded))

        assert len(said) < 100
        assert b"0x" not in said
        assert b"\\x" not in said


@pytest.mark.parametrize(
    "coded",
    [block(*PLAIN, ("x-long", "y" * 20_000)), block(*PLAIN) + b"\x90" * 900],
    ids=["long", "many fields"],
)
def test_a_block_like_no_other_is_not_kept_by_its_connection(coded: bytes) -> None:
    """
    Nor is it looked for what it has in common with the one before.
    """
    peer = Peer()
    peer.send(FIRST)
    for number in range(3):
        peer.send(in_frames(3 + 2 * number, coded + block(("x-a", f"{number}"))))

    assert peer.blocks._before.block == b""  # noqa: SLF001 - what is kept cannot be seen otherwise
    assert peer.blocks._template is None  # noqa: SLF001 - as above


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_what_is_too_long_is_not_kept(pieces: int) -> None:
    peer = Peer(limits=Limits(message_bytes=pieces * 10_000 - 100), holds=True)
    peer.send(FIRST + headers(3))

    peer.send(data(3, bytes(10_000), flags=0) * pieces)

    assert peer.held[-1].is_cut
    assert peer.connection.kept["requests"] == 0


def test_a_header_block_has_to_end() -> None:
    """
    Its stream is not open yet, so nothing else has an eye on it.
    """
    peer = Peer(limits=Limits(stream_seconds=60))
    peer.now = 100.0
    peer.send(FIRST + frame(Type.HEADERS, 0, 3, b"\x82"))
    for _ in range(3):
        peer.now += 20.0
        peer.take(peer.connection.tick(peer.now))
        peer.send(frame(Type.CONTINUATION, 0, 3, b"\x84"))
    in_time = peer.fault

    peer.take(peer.connection.tick(160.1))

    assert in_time == ""
    assert peer.fault == CALM


def test_what_waits_for_an_answer_takes_room_until_it_is_answered() -> None:
    """
    So that the connection's window bounds it, as it bounds what is not complete.
    """
    peer = Peer(limits=Limits(buffered_bytes=65_535, message_bytes=30_000), holds=True)
    peer.send(FIRST)
    peer.tell(*(ask(number, bytes(15_000)) for number in (3, 5, 7, 9)))

    assert peer.connection.held_bytes > 60_000
    assert [line for line in story(peer.release()) if line.startswith("WINDOW")]
    peer.send(window_update(0, 100_000))
    assert peer.connection.held_bytes == 0
    assert peer.tell(*(headers(11), data(11, bytes(16_000), flags=0) * 4))[-1:] != []


@pytest.mark.parametrize("ends", ["answered", "reset", "cut", "malformed", "fault", "expired"])
def test_what_a_connection_holds_is_counted_until_it_is_over(ends: str) -> None:
    peer = Peer(limits=Limits(message_bytes=20_000), holds=True)
    peer.send(settings((4, 0)) + FIRST)
    peer.release()
    peer.send(headers(3, *PLAIN, ("content-length", "16000")) + data(3, bytes(16_000), flags=0))
    before = peer.connection.held_bytes
    match ends:
        case "answered":
            peer.send(data(3, b""))
            peer.release()
            during = peer.connection.held_bytes
            assert during > 16_000
            peer.send(window_update(3, 16_000))
        case "reset":
            peer.send(rst_stream(3))
        case "cut":
            peer.send(data(3, bytes(16_000), flags=0))
            assert peer.connection.kept["requests"] == 0
            peer.release()
        case "malformed":
            peer.send(data(3, b"x"))
        case "fault":
            peer.send(headers(2))
        case _:
            peer.take(peer.connection.tick(61.0))

    assert before > 16_000
    assert peer.connection.held_bytes == 0
