"""Peers that cost too much, over real sockets: each is ended and counted, others never notice."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import pytest

from fuzz.listening import ECHO, LoopFactory, Served, on_both_loops, serving
from fuzz.raw import Raw, flood
from unit.grpc.peer import (
    END_HEADERS,
    END_STREAM,
    FIRST,
    HELLO,
    LAST,
    PLAIN,
    PREFACE,
    SETTINGS_ACK,
    ask,
    block,
    data,
    frame,
    goaway,
    headers,
    ping,
    rst_stream,
    settings,
    window_update,
)
from wicketgate.grpc import protocol, server
from wicketgate.grpc.frames import Setting, Type
from wicketgate.grpc.limits import MEBIBYTE, Limits

APART = (("grpc.use_local_subchannel_pool", 1),)
"""Channels to the same address share a connection unless they are told not to."""


@pytest.fixture(autouse=True)
def lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time to read why a connection ended, however busy the machine is."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 10.0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience for tests."""
    monkeypatch.setattr(server, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(protocol, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "PATIENCE_SECONDS", 0.2)


@contextmanager
def neighbour(served: Served) -> Iterator[Counter[str]]:
    """Ask all the time on another connection; none of it may fail or be reconnected.

    Yields how often that was answered, by what went wrong; the empty word for nothing.
    """
    answered: Counter[str] = Counter()
    is_over = threading.Event()
    with grpc.insecure_channel(served.address, options=APART) as channel:
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)

        def ask_on() -> None:
            while not is_over.is_set():
                try:
                    answered["" if echo(b"x", timeout=10) == b"x" else "another"] += 1
                except grpc.RpcError as error:
                    answered[str(error)] += 1
                time.sleep(0.001)

        asking = threading.Thread(target=ask_on)
        asking.start()
        try:
            served.until(lambda: answered[""] > 0)
            before = answered[""]
            yield answered
            # The one under way may have begun earlier.
            served.until(lambda: answered[""] > before + 1 or len(answered) > 1)
        finally:
            is_over.set()
            asking.join()
    assert set(answered) == {""}


RESETS = b"".join(headers(number) + rst_stream(number) for number in range(3, 22_003, 2))
MALFORMED = b"".join(headers(number, ("A", "b")) for number in range(3, 22_003, 2))
TOO_LATE = b"".join(ask(number) + data(number) for number in range(3, 22_003, 2))
BOMB = block(*PLAIN, ("x-long", "v" * 4_000)) + b"\xbe" * 100
"""An entry of the table, and a hundred times what it says (RFC 7541 section 7.3)."""

CALM = "ENHANCE_YOUR_CALM"
ATTACKS: dict[str, tuple[bytes, str]] = {
    "SETTINGS": (flood(Type.SETTINGS, b""), CALM),
    "SETTINGS with entries": (flood(Type.SETTINGS, settings((4, 1), (4, 2))[9:]), CALM),
    "SETTINGS with many entries": (settings(*[(4, 1)] * 33), CALM),
    "acknowledgements": (SETTINGS_ACK * 1_200, CALM),
    "PING": (flood(Type.PING, bytes(8)), CALM),
    "PRIORITY": (flood(Type.PRIORITY, bytes(5), stream_id=1), CALM),
    "WINDOW_UPDATE": (flood(Type.WINDOW_UPDATE, b"\0\0\0\1"), CALM),
    "WINDOW_UPDATE on a stream": (
        headers(3) + flood(Type.WINDOW_UPDATE, b"\0\0\0\1", stream_id=3),
        CALM,
    ),
    "GOAWAY": (flood(Type.GOAWAY, bytes(8)), CALM),
    "unknown types": (flood(0xEE, b""), CALM),
    "empty DATA": (headers(3) + flood(Type.DATA, b"", stream_id=3), CALM),
    "CONTINUATION": (
        frame(Type.HEADERS, 0, 3) + flood(Type.CONTINUATION, b"", stream_id=3),
        CALM,
    ),
    "long CONTINUATION": (
        frame(Type.HEADERS, 0, 3) + frame(Type.CONTINUATION, 0, 3, bytes(16_384)) * 5,
        CALM,
    ),
    "rapid reset": (RESETS, CALM),
    "made to reset": (MALFORMED, CALM),
    "DATA after the end": (TOO_LATE, CALM),
    "a table, where there is none": (
        frame(Type.HEADERS, LAST, 3, b"\x3f\xe1\x1f" + BOMB),
        "COMPRESSION_ERROR",
    ),
    "a frame that is too long": (
        headers(3) + frame(Type.DATA, 0, 3, bytes(16_385)),
        "FRAME_SIZE_ERROR",
    ),
    "a frame that is announced too long": (
        frame(Type.HEADERS, 0, 3, bytes(2**24 - 1))[:9],
        "FRAME_SIZE_ERROR",
    ),
    "a window that overflows": (window_update(0, 2**31 - 1), "FLOW_CONTROL_ERROR"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_its_own_connection(name: str) -> None:
    sent, code = ATTACKS[name]
    with serving() as served, neighbour(served):
        with Raw(served.address) as raw:
            raw.send(FIRST)
            raw.until_said("HEADERS 1 END")
            raw.send(sent)
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 1)

    assert told[-1].startswith("GOAWAY ")
    assert told[-1].endswith(f" {code}")
    assert served.observed.faults == {code.lower(): 1, "": 1}
    assert served.troubles == []


def test_a_table_bomb_ends_its_own_connection() -> None:
    """
    Until a peer knows that there is no table, it may use one.
    """
    with serving() as served, neighbour(served):
        with Raw(served.address, hello=PREFACE + settings()) as raw:
            raw.send(frame(Type.HEADERS, LAST, 1, b"\x40\x01a\x7f\xa1\x1e" + bytes(4_000)))
            raw.send(frame(Type.HEADERS, LAST, 3, b"\xbe" * 100))
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 1)

    assert told[-1] == "GOAWAY 3 COMPRESSION_ERROR"
    assert served.observed.faults == {"compression_error": 1, "": 1}


def test_a_header_list_that_is_too_long_ends_its_own_stream() -> None:
    fields = [(f"x-{number}", "") for number in range(2_000)]
    with serving() as served, neighbour(served), Raw(served.address) as raw:
        raw.send(FIRST)
        raw.until_said("HEADERS 1 END")
        raw.send(_in_frames(3, block(*PLAIN, *fields)), ask(5))
        told = raw.until_said("HEADERS 5 END")

    assert told == ["RST 3 PROTOCOL_ERROR", "HEADERS 5 END"]
    assert served.observed.faults == {"": 2}


def _in_frames(stream_id: int, coded: bytes) -> bytes:
    """Return a long block as HEADERS and CONTINUATION, the end of its request."""
    pieces = [coded[at : at + 16_384] for at in range(0, len(coded), 16_384)]
    first, *rest = pieces
    sent = frame(Type.HEADERS, END_STREAM, stream_id, first)
    for number, piece in enumerate(rest, 1):
        flags = END_HEADERS if number == len(rest) else 0
        sent += frame(Type.CONTINUATION, flags, stream_id, piece)
    return sent


def test_more_than_the_connection_s_window_ends_it() -> None:
    with serving(limits=Limits(buffered_bytes=65_535)) as served, neighbour(served):
        with Raw(served.address) as raw:
            raw.send(FIRST, headers(3), *[data(3, bytes(16_384), flags=0)] * 4)
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 1)

    assert told[-1] == "GOAWAY 3 FLOW_CONTROL_ERROR"
    assert served.observed.faults == {"flow_control_error": 1, "": 1}


def test_who_grants_nothing_starves_nobody_else() -> None:
    """
    Neither the other streams of its connection nor the other connections.
    """
    with serving() as served, neighbour(served) as answered, Raw(served.address) as raw:
        raw.send(FIRST)
        raw.until_said("HEADERS 1 END")
        raw.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
        message = b"\0\0\0\0\4echo"
        raw.send(*(ask(number, message) for number in range(3, 2_003, 2)))
        told = raw.until_said("HEADERS 2001")
        before = answered[""]
        served.until(lambda: answered[""] > before + 10)
        raw.send(window_update(1_001, 9))
        told += raw.until_said("HEADERS 1001 END")

    assert [line for line in told if line.startswith("DATA")] == ["DATA 1001 9"]
    assert [line for line in told if line.endswith(" END")] == ["HEADERS 1001 END"]
    assert served.asked["echo"] >= 1_000


@on_both_loops
def test_rapid_reset_of_what_is_under_way(loop_factory: LoopFactory) -> None:
    """
    What Envoy passes on from a client of its own is no attack (CVE-2023-44487).
    """
    with (
        serving(loop_factory=loop_factory) as served,
        neighbour(served),
        Raw(served.address) as raw,
    ):
        raw.send(FIRST)
        raw.send(*(ask(n, b"\0\0\0\0\1x") + rst_stream(n) for n in range(3, 10_003, 2)))
        raw.send(ping())
        told = raw.until_said("PING ACK")

    assert told[-1] == "PING ACK"
    assert served.observed.faults == {"": 2}
    assert served.asked["echo"] < 5_000


@pytest.mark.usefixtures("hurried")
@on_both_loops
def test_a_peer_that_does_not_read_is_not_read_from_and_ended(loop_factory: LoopFactory) -> None:
    """
    What is kept for it is bounded, and its neighbour is served all the time.
    """
    with (
        serving(loop_factory=loop_factory) as served,
        neighbour(served),
        Raw(served.address, hello=b"") as raw,
    ):
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        window = settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1))
        raw.send(PREFACE, window, HELLO[33:], window_update(0, 2**30), FIRST)
        raw.socket.settimeout(0.05)
        body = b"\0" + (60_000).to_bytes(4, "big") + bytes(60_000)
        sent, number = 0, 3
        try:
            while sent < 200 * MEBIBYTE:
                whole = headers(number) + b"".join(
                    frame(
                        Type.DATA,
                        int(at + 16_000 >= len(body)),
                        number,
                        body[at : at + 16_000],
                    )
                    for at in range(0, len(body), 16_000)
                )
                raw.socket.sendall(whole)
                sent, number = sent + len(whole), number + 2
        except OSError:
            pass
        served.until(lambda: served.observed.faults["enhance_your_calm"] == 1)

    assert sent < 40 * MEBIBYTE
    assert served.asked["echo"] * 60_000 < 40 * MEBIBYTE


@on_both_loops
def test_a_slow_reader_gets_everything(loop_factory: LoopFactory) -> None:
    """
    It is read from only as fast as it reads, so it has to do both at a time.
    """
    with serving(loop_factory=loop_factory) as served, Raw(served.address, hello=b"") as raw:
        window = settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1))
        raw.send(PREFACE, window, HELLO[33:], window_update(0, 2**30), FIRST)
        body = b"\0" + (15_000).to_bytes(4, "big") + bytes(15_000)
        asking = threading.Thread(
            target=raw.send, args=[ask(number, body) for number in range(3, 1_603, 2)]
        )
        asking.start()
        served.until(lambda: served.asked["echo"] > 10)
        time.sleep(0.1)
        while_unread = served.asked["echo"]
        told = raw.until_said("HEADERS 1601 END")
        asking.join()

    assert while_unread < 800
    assert told.count("DATA 5 15005") == 1
    assert len([line for line in told if line.endswith(" END")]) == 801
    assert served.observed.faults == {"": 1}


@pytest.mark.usefixtures("hurried")
def test_a_peer_that_says_nothing_is_ended() -> None:
    with serving(limits=Limits(greeting_seconds=0.1)) as served:
        with Raw(served.address, hello=PREFACE[:10]) as raw:
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 0)

    assert told[-1] == "GOAWAY 0 SETTINGS_TIMEOUT"
    assert served.observed.faults == {"settings_timeout": 1}


@pytest.mark.usefixtures("hurried")
def test_a_peer_that_is_not_there_any_more_is_ended() -> None:
    """
    One that is answers the PING, and stays.
    """
    with serving() as served, Raw(served.address) as gone, Raw(served.address) as quiet:
        seen = 0
        while served.observed.faults["lost"] == 0:
            if quiet.until_said("PING"):
                quiet.send(ping(bytes(8), flags=1))
                seen += 1
        told = gone.to_the_end()
        quiet.send(FIRST)
        assert quiet.until_said("HEADERS 1 END")

    assert seen >= 1
    assert told.count("PING") == 1
    assert served.observed.faults == {"lost": 1, "": 1}


def test_connections_together_hold_no_more_than_there_is_room_for() -> None:
    """
    Each within its own bounds; the one that holds most goes, and not who came last.
    """
    with serving(shared_bytes=20 * MEBIBYTE) as served, neighbour(served):
        with Raw(served.address) as greedy, Raw(served.address) as modest:
            for each, size in ((greedy, 15), (modest, 4)):
                each.send(FIRST, headers(3), data(3, bytes(16_384), flags=0) * 64 * size)
                each.send(ping())
                each.until_said("PING ACK")
            before = dict(served.observed.faults)
            modest.send(data(3, bytes(16_384), flags=0) * 64 * 2)
            told = greedy.to_the_end()
            modest.send(data(3, b"x"), ping())
            assert modest.until_said("PING ACK")
        served.until(lambda: served.observed.open == 1)

    assert before == {}
    assert told[-1] == "GOAWAY 3 ENHANCE_YOUR_CALM"
    assert served.observed.faults == {"enhance_your_calm": 1, "": 2}


@pytest.mark.usefixtures("hurried")
def test_a_header_block_that_does_not_end_is_ended() -> None:
    with serving(limits=Limits(stream_seconds=0.1)) as served, neighbour(served):
        with Raw(served.address) as raw:
            raw.send(FIRST + frame(Type.HEADERS, 0, 3, b"\x82"))
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 1)

    assert told[-1] == "GOAWAY 1 ENHANCE_YOUR_CALM"
    assert served.observed.faults == {"enhance_your_calm": 1, "": 1}


@pytest.mark.usefixtures("hurried")
def test_a_request_that_does_not_end_is_ended() -> None:
    with serving(limits=Limits(stream_seconds=0.1)) as served, Raw(served.address) as raw:
        raw.send(FIRST + headers(3))
        told: list[str] = []
        raw.socket.settimeout(0.03)
        while "RST 3 CANCEL" not in told:
            # However often something comes of it.
            raw.send(data(3, b"x", flags=0))
            with suppress(TimeoutError):
                told += raw.until_said("RST 3 CANCEL")

    assert "RST 3 CANCEL" in told
    assert served.observed.faults == {"": 1}


def test_more_connections_than_there_is_room_for() -> None:
    with serving(max_connections=2) as served, Raw(served.address) as first:
        with Raw(served.address) as second:
            for each in (first, second):
                each.send(FIRST)
                each.until_said("HEADERS 1 END")
            with Raw(served.address) as third:
                told = third.to_the_end()
        served.until(lambda: served.observed.open == 1)
        with Raw(served.address) as again:
            again.send(FIRST)
            assert again.until_said("HEADERS 1 END")

    assert told[-1] == "GOAWAY 0 ENHANCE_YOUR_CALM"
    assert served.observed.faults == {"enhance_your_calm": 1, "": 3}


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", bytes.fromhex("16030100a5010000a10303")]
)
@on_both_loops
def test_another_protocol_is_told_goodbye(sent: bytes, loop_factory: LoopFactory) -> None:
    with serving(loop_factory=loop_factory) as served:
        with Raw(served.address, hello=sent) as raw:
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 0)

    assert told[-1] == "GOAWAY 0 PROTOCOL_ERROR"
    assert served.observed.faults == {"protocol_error": 1}


@on_both_loops
def test_a_fault_is_read_even_by_who_is_still_sending(loop_factory: LoopFactory) -> None:
    """
    To close at once would reset the connection, and GOAWAY with it.
    """
    with serving(loop_factory=loop_factory) as served, Raw(served.address) as raw:
        raw.send(FIRST, headers(2), *[ask(3, bytes(16_000))] * 100)

        assert raw.to_the_end()[-1] == "GOAWAY 1 PROTOCOL_ERROR"


def test_a_defect_of_ours_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        msg = "a defect"
        raise ValueError(msg)

    with serving() as served, neighbour(served):
        monkeypatch.setattr("wicketgate.grpc.http2.Connection._on_goaway", fail)
        with Raw(served.address) as raw:
            raw.send(goaway())
            told = raw.to_the_end()
        monkeypatch.undo()
        served.until(lambda: served.observed.open == 1)

    assert told[-1] == "GOAWAY 0 INTERNAL_ERROR"
    assert served.observed.faults == {"internal_error": 1, "": 1}
    assert any("a defect" in each for each in served.troubles)
