"""Taking leave: no call fails, whatever was under way."""

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest

from certificates import Authority
from fuzz.listening import ECHO, SLOW, LoopFactory, on_both_loops, serving
from fuzz.raw import Raw
from unit.grpc.peer import (
    ACK,
    FIRST,
    HELLO,
    PREFACE,
    ask,
    headers,
    ping,
    settings,
    story,
    window_update,
)
from wicketgate.grpc.endpoint import TlsIdentity
from wicketgate.grpc.frames import Setting
from wicketgate.grpc.tls import FollowedContext

CALLERS = 8


@on_both_loops
async def test_calls_move_to_another_server_and_none_fails(loop_factory: LoopFactory) -> None:
    """
    With calls that are quick and calls that take their time, while one of two leaves.
    """
    results: Counter[str] = Counter()
    with (
        serving(loop_factory=loop_factory) as staying,
        serving(loop_factory=loop_factory) as leaving,
    ):
        addresses = f"ipv4:{leaving.address},{staying.address}"
        options = (("grpc.lb_policy_name", "round_robin"),)
        async with grpc.aio.insecure_channel(addresses, options=options) as channel:
            is_over = asyncio.Event()

            async def caller(path: str) -> None:
                call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                while not is_over.is_set():
                    try:
                        results[path] += await call(b"x", timeout=10) == b"x"
                    except grpc.aio.AioRpcError as error:
                        results[str(error.details())] += 1

            callers = [
                asyncio.create_task(caller(ECHO if number % 2 else SLOW))
                for number in range(CALLERS)
            ]
            await asyncio.to_thread(
                leaving.until, lambda: leaving.asked["echo"] > 5 and leaving.asked["slow"] > 0
            )
            # It returns as soon as the last answer is out, and fails if that takes half of this.
            await asyncio.to_thread(leaving.stop, grace=60)
            before = Counter(staying.asked)
            await asyncio.to_thread(staying.until, lambda: (staying.asked - before).total() > 20)
            is_over.set()
            await asyncio.gather(*callers)

    assert set(results) == {ECHO, SLOW}
    assert leaving.observed.faults == {"": 1}


@on_both_loops
def test_what_is_under_way_is_finished(loop_factory: LoopFactory) -> None:
    """
    The client hears twice: first that it should go, then which stream was the last.
    """
    with serving(loop_factory=loop_factory) as served, Raw(served.address) as raw:
        raw.send(FIRST)
        raw.until_said("HEADERS 1 END")
        raw.send(headers(3))
        stopping = threading.Thread(target=served.stop, kwargs={"grace": 5})
        stopping.start()
        told = raw.until_said("PING")
        raw.send(ping(b"wicketga", flags=ACK))
        told += raw.until_said("GOAWAY 3 NO_ERROR")
        raw.send(headers(5) + headers(3, ("a", "b"))[:4] + b"\x05" + headers(3, ("a", "b"))[5:])
        told += raw.to_the_end()
        raw.socket.close()
        stopping.join()

    assert told == ["GOAWAY 2147483647 NO_ERROR", "PING", "GOAWAY 3 NO_ERROR", "HEADERS 3 END"]
    assert served.observed.faults == {"": 1}


@on_both_loops
def test_who_does_not_answer_has_a_second(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wicketgate.grpc.server.LEAVE_SECONDS", 0.1)
    with serving(loop_factory=loop_factory) as served, Raw(served.address) as raw:
        raw.send(FIRST)
        raw.until_said("HEADERS 1 END")
        # Bounded by `stop` itself, which fails if it takes half as long.
        stopping = threading.Thread(target=served.stop, kwargs={"grace": 60})
        stopping.start()
        told = raw.to_the_end()
        raw.socket.close()
        stopping.join()

    assert told == ["GOAWAY 2147483647 NO_ERROR", "PING", "GOAWAY 1 NO_ERROR"]


@on_both_loops
def test_the_grace_has_an_end(loop_factory: LoopFactory) -> None:
    """
    A call that takes longer is lost.
    """
    with serving(loop_factory=loop_factory) as served, Raw(served.address) as raw:
        raw.send(FIRST + headers(3))
        raw.until_said("HEADERS 1 END")
        started = time.monotonic()
        served.stop(grace=0.2)
        took = time.monotonic() - started
        told = raw.to_the_end()

    assert told[-1] == "GOAWAY 3 NO_ERROR"
    assert took > 0.1


def test_nobody_can_come_while_it_leaves() -> None:
    with serving() as served:
        with Raw(served.address) as raw:
            raw.send(FIRST + headers(3))
            raw.until_said("HEADERS 1 END")
            stopping = threading.Thread(target=served.stop, kwargs={"grace": 5})
            stopping.start()
            raw.until_said("PING")
            with pytest.raises(ConnectionRefusedError):
                Raw(served.address)
        stopping.join()


@on_both_loops
def test_a_handshake_that_comes_to_its_end_too_late(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The client hears at once that none of its streams was looked at, so it may ask elsewhere.
    """
    monkeypatch.setattr("wicketgate.grpc.server.LEAVE_SECONDS", 5.0)
    authority = Authority()
    certificate, key = authority.server().write(tmp_path, "server")
    context = FollowedContext(TlsIdentity(certificate=certificate, key=key)).context
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    client.set_alpn_protocols(["h2"])
    with serving(tls=context, loop_factory=loop_factory) as served:
        with Raw(served.address, tls=client) as open_one:
            open_one.send(FIRST + headers(3))
            open_one.until_said("HEADERS 1 END")
            host, port = served.address.split(":")
            with socket.create_connection((host, int(port))) as late:
                served.until(lambda: served.observed.seen == 1)
                # Accepted, but nothing was said yet.
                time.sleep(0.05)
                stopping = threading.Thread(target=served.stop, kwargs={"grace": 5})
                stopping.start()
                open_one.until_said("PING")
                with client.wrap_socket(late, server_hostname="localhost") as secured:
                    secured.settimeout(10)
                    said = b""
                    while data := secured.recv(65_536):
                        said += data
                open_one.send(ping())
                others = open_one.until_said("PING ACK")
        stopping.join()

    assert story(said)[-1] == "GOAWAY 0 NO_ERROR"
    # Those that were there before still have their time.
    assert others == ["PING ACK"]


@on_both_loops
def test_who_reads_slowly_gets_all_that_was_answered(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The server waits for it, as long as its grace lasts, after its own last word.
    """
    monkeypatch.setattr("wicketgate.grpc.protocol.LINGER_SECONDS", 0.02)
    monkeypatch.setattr("wicketgate.grpc.server.LEAVE_SECONDS", 0.02)
    body = b"\0" + (15_000).to_bytes(4, "big") + bytes(15_000)
    with serving(loop_factory=loop_factory) as served, Raw(served.address, hello=b"") as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        wide = settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1))
        raw.send(PREFACE, wide, HELLO[33:], window_update(0, 2**30), FIRST)
        # More than fits into the buffers of the system, and less than what stops the reading.
        sending = threading.Thread(
            target=raw.send, args=[ask(number, body) for number in range(3, 1_203, 2)]
        )
        sending.start()
        served.until(lambda: served.asked["echo"] > 200)
        stopping = threading.Thread(target=served.stop, kwargs={"grace": 20})
        stopping.start()
        # Much longer than it would linger for somebody who is to blame.
        time.sleep(0.3)
        told = raw.to_the_end()
        raw.socket.close()
        sending.join()
        stopping.join()

    assert len([line for line in told if line.endswith(" END")]) == 1 + served.asked["echo"]
    assert served.observed.faults == {"": 1}
