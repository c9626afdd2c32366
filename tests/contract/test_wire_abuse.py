"""Peers that cost too much, over real sockets: each is ended and counted, others never notice."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from fuzz.listening import ECHO, LoopFactory, Served, on_both_loops, serving
from fuzz.raw import Raw, flood
from unit.grpc.peer import (
    FIRST,
    HELLO,
    PREFACE,
    ask,
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


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience for tests."""
    monkeypatch.setattr(server, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(protocol, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "PATIENCE_SECONDS", 0.2)


@contextmanager
def neighbour(served: Served) -> Iterator[None]:
    """Ask all the time on another connection; none of it may fail or be reconnected."""
    with grpc.insecure_channel(served.address) as channel:
        echo: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
        assert echo(b"before", timeout=10) == b"before"
        yield
        assert echo(b"after", timeout=10) == b"after"


RESETS = b"".join(headers(number) + rst_stream(number) for number in range(3, 22_003, 2))
MALFORMED = b"".join(headers(number, ("A", "b")) for number in range(3, 22_003, 2))

ATTACKS: dict[str, bytes] = {
    "SETTINGS": flood(Type.SETTINGS, b""),
    "SETTINGS with entries": flood(Type.SETTINGS, settings((4, 1), (4, 2))[9:]),
    "PING": flood(Type.PING, bytes(8)),
    "PRIORITY": flood(Type.PRIORITY, bytes(5), stream_id=1),
    "WINDOW_UPDATE": flood(Type.WINDOW_UPDATE, b"\0\0\0\1"),
    "unknown types": flood(0xEE, b""),
    "empty DATA": headers(3) + flood(Type.DATA, b"", stream_id=3),
    "CONTINUATION": frame(Type.HEADERS, 0, 3) + flood(Type.CONTINUATION, b"", stream_id=3),
    "long CONTINUATION": frame(Type.HEADERS, 0, 3)
    + frame(Type.CONTINUATION, 0, 3, bytes(16_384)) * 5,
    "rapid reset": RESETS,
    "made to reset": MALFORMED,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_its_own_connection(name: str) -> None:
    with serving() as served, neighbour(served):
        with Raw(served.address) as raw:
            raw.send(FIRST)
            raw.until_said("HEADERS 1 END")
            raw.send(ATTACKS[name])
            told = raw.to_the_end()
        served.until(lambda: served.observed.open == 1)

    assert told[-1].startswith("GOAWAY ")
    assert told[-1].endswith(" ENHANCE_YOUR_CALM")
    assert served.observed.faults == {"enhance_your_calm": 1, "": 1}
    assert served.troubles == []


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


@pytest.mark.usefixtures("hurried")
def test_a_request_that_does_not_end_is_ended() -> None:
    with serving(limits=Limits(stream_seconds=0.1)) as served, Raw(served.address) as raw:
        raw.send(FIRST + headers(3))
        told = raw.until_said("RST 3 CANCEL")

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
