"""Clients that are not ours, over real sockets, on both event loops."""

import asyncio
import socket
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest

from fuzz.h2_socket import H2Socket
from fuzz.listening import BROKEN, ECHO, SLOW, LoopFactory, on_both_loops, serving
from fuzz.raw import Raw
from fuzz.sessions import H2Client
from unit.grpc.peer import FIRST, HELLO, PLAIN, ask, data, headers
from wicketgate.grpc.limits import MEBIBYTE, Limits
from wicketgate.grpc.unary import framed

UNLIMITED = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
Call: TypeAlias = "grpc.UnaryUnaryMultiCallable[bytes, bytes]"
AioCall: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"


def status_of(error: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    """Return how a call failed."""
    code: grpc.StatusCode = error.value.code()
    return code


@on_both_loops
def test_a_synchronous_client(loop_factory: LoopFactory) -> None:
    with (
        serving(loop_factory=loop_factory) as served,
        grpc.insecure_channel(served.address, options=UNLIMITED) as channel,
    ):
        echo: Call = channel.unary_unary(ECHO)
        messages = [b"", b"x", bytes(16_384), bytes(range(256)) * 1_024, bytes(4 * MEBIBYTE)]

        answers = [echo(message) for message in messages]
        again = [
            echo(message, timeout=20, metadata=(("x-request-id", f"{number}"), ("a-bin", b"\0")))
            for number, message in enumerate(messages)
        ]

    assert answers == again == messages
    assert served.observed.seen == 1
    assert served.observed.faults == {"": 1}
    assert served.troubles == []


@pytest.mark.parametrize("size", [10, 5_000, MEBIBYTE])
@on_both_loops
async def test_an_asynchronous_client_with_many_calls(
    size: int, loop_factory: LoopFactory
) -> None:
    count = 200 if size < MEBIBYTE else 10
    with serving(loop_factory=loop_factory) as served:
        async with grpc.aio.insecure_channel(served.address, options=UNLIMITED) as channel:
            echo: AioCall = channel.unary_unary(ECHO)
            messages = [number.to_bytes(2, "big") * (size // 2) for number in range(count)]

            answers = await asyncio.gather(*(echo(each, timeout=30) for each in messages))

    assert answers == messages
    assert served.observed.faults == {"": 1}


@on_both_loops
async def test_late_answers_hold_up_nobody(loop_factory: LoopFactory) -> None:
    with serving(loop_factory=loop_factory) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            slow: AioCall = channel.unary_unary(SLOW)
            echo: AioCall = channel.unary_unary(ECHO)
            late = [asyncio.ensure_future(_answer(slow(b"%d" % number))) for number in range(50)]
            await asyncio.sleep(0.05)
            quick = [await echo(b"%d" % number) for number in range(50)]
            was_done = any(each.done() for each in late)
            answers = await asyncio.gather(*late)

    assert not was_done
    assert quick == answers


async def _answer(call: "grpc.aio.UnaryUnaryCall[bytes, bytes]") -> bytes:
    return await call


@on_both_loops
async def test_a_call_that_is_cancelled_is_cancelled_here(loop_factory: LoopFactory) -> None:
    with serving(loop_factory=loop_factory) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            slow: AioCall = channel.unary_unary(SLOW)
            calls = [slow(b"") for _ in range(3)]
            await asyncio.to_thread(served.until, lambda: served.asked["slow"] == 3)
            calls[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await calls[0]
            assert [await call for call in calls[1:]] == [b"", b""]

    assert served.asked["cancelled"] == 1
    assert served.troubles == []


async def test_a_deadline_that_passes() -> None:
    with serving() as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            slow: AioCall = channel.unary_unary(SLOW)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await slow(b"", timeout=0.1)
            assert await slow(b"x", timeout=10) == b"x"

    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert served.asked["cancelled"] == 1


def test_a_synchronous_client_with_deadlines_and_cancellation() -> None:
    with serving() as served, grpc.insecure_channel(served.address) as channel:
        slow: Call = channel.unary_unary(SLOW)
        with pytest.raises(grpc.RpcError) as error:
            slow(b"", timeout=0.1)
        served.until(lambda: served.asked["cancelled"] == 1)
        future = slow.future(b"")
        served.until(lambda: served.asked["slow"] == 2)
        future.cancel()
        served.until(lambda: served.asked["cancelled"] == 2)
        assert slow(b"x", timeout=10) == b"x"

    assert status_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert served.observed.faults == {"": 1}
    assert served.troubles == []


MANY: tuple[tuple[str, str | bytes], ...] = (
    *((f"x-{number}", "v" * 200) for number in range(100)),
    *(("x-repeated", f"{number}") for number in range(50)),
    ("one-bin", bytes(range(256))),
    ("other-bin", b""),
    ("long-bin", b"\xff" * 4_096),
)


async def test_metadata_of_all_kinds() -> None:
    """
    More than a frame of it, binary, repeated; and the next call has none.
    """
    with serving() as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            echo: AioCall = channel.unary_unary(ECHO)
            answers = [
                await echo(b"%d" % n, metadata=MANY[: 40 * n], timeout=10) for n in range(6)
            ]
            last = await echo(b"last")
        with grpc.insecure_channel(served.address) as blocking:
            call: Call = blocking.unary_unary(ECHO)
            assert call(b"x", metadata=MANY) == b"x"

    assert answers == [b"%d" % n for n in range(6)]
    assert last == b"last"
    assert set(served.observed.faults) == {""}


def test_more_metadata_than_is_taken_fails_its_own_call() -> None:
    too_much = tuple((f"x-{number}", "v" * 1_000) for number in range(80))
    with serving() as served, grpc.insecure_channel(served.address) as channel:
        echo: Call = channel.unary_unary(ECHO)
        assert echo(b"before") == b"before"
        with pytest.raises(grpc.RpcError):
            echo(b"x", metadata=too_much, timeout=10)
        assert echo(b"after", timeout=10) == b"after"

    assert served.asked["echo"] == 2


def test_the_longest_message_and_one_that_is_longer() -> None:
    longest = Limits().message_bytes
    with serving() as served, grpc.insecure_channel(served.address, options=UNLIMITED) as channel:
        echo: Call = channel.unary_unary(ECHO)
        is_echoed = echo(bytes(longest), timeout=20) == bytes(longest)
        with pytest.raises(grpc.RpcError) as error:
            echo(bytes(longest + 1), timeout=20)

    assert is_echoed
    assert status_of(error) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "snappy"])
def test_who_compresses_is_told_what_is_understood(encoding: str) -> None:
    """
    gRPC compression: UNIMPLEMENTED, and ``grpc-accept-encoding`` says what would do.
    """
    with serving() as served, H2Socket(served.address) as client:
        stream_id = client.begin(*PLAIN, ("grpc-encoding", encoding))
        client.go_on(stream_id, b"\1" + framed(b"whatever it is")[1:])
        answer = client.answer(stream_id)
        # Announced, but not done with this message.
        assert client.echo(b"plain", ("grpc-encoding", encoding)) == b"plain"

    assert answer.status == "12"
    assert answer.headers["grpc-accept-encoding"] == "identity"
    assert served.asked == {"echo": 1}


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression_is_refused(algorithm: grpc.Compression) -> None:
    with serving() as served, grpc.insecure_channel(served.address) as channel:
        echo: Call = channel.unary_unary(ECHO)
        with pytest.raises(grpc.RpcError) as error:
            echo(bytes(1_000), compression=algorithm)
        assert echo(b"x") == b"x"

    assert status_of(error) is grpc.StatusCode.UNIMPLEMENTED
    assert served.asked["echo"] == 1


def test_a_message_that_is_too_long_is_refused_and_nothing_else() -> None:
    with (
        serving(limits=Limits(message_bytes=100_000)) as served,
        grpc.insecure_channel(served.address, options=UNLIMITED) as channel,
    ):
        echo: Call = channel.unary_unary(ECHO)
        codes = []
        for size in (100_001, 200_000, 4 * MEBIBYTE):
            with pytest.raises(grpc.RpcError) as error:
                echo(bytes(size), timeout=10)
            codes.append(status_of(error))
        assert echo(bytes(100_000), timeout=10) == bytes(100_000)

    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
    assert served.observed.seen == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/no.Such/Method", grpc.StatusCode.UNIMPLEMENTED),
        ("/grpc.health.v1.Health/Watch", grpc.StatusCode.UNIMPLEMENTED),
        (BROKEN, grpc.StatusCode.INTERNAL),
    ],
)
def test_calls_that_fail(path: str, code: grpc.StatusCode) -> None:
    with serving() as served, grpc.insecure_channel(served.address) as channel:
        call: Call = channel.unary_unary(path)
        with pytest.raises(grpc.RpcError) as error:
            call(b"x")

    assert status_of(error) is code
    assert bool(served.troubles) == (path == BROKEN)


def test_streaming_calls_are_refused_where_they_are_not_unary() -> None:
    with serving() as served, grpc.insecure_channel(served.address) as channel:
        codes = []
        many: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(ECHO)
        for messages in ([], [b"a", b"b"]):
            with pytest.raises(grpc.RpcError) as error:
                many(iter(messages), timeout=10)
            codes.append(status_of(error))
        one = many(iter([b"a"]), timeout=10)

    assert codes == [grpc.StatusCode.UNIMPLEMENTED] * 2
    assert one == b"a"


@on_both_loops
def test_a_unix_socket(tmp_path: Path, loop_factory: LoopFactory) -> None:
    address = f"unix:{tmp_path}/gate.sock"
    with (
        serving(address, loop_factory=loop_factory) as served,
        grpc.insecure_channel(served.address) as channel,
    ):
        echo: Call = channel.unary_unary(ECHO)
        assert echo(bytes(300_000)) == bytes(300_000)

    # What it left behind is in nobody's way.
    with serving(address, loop_factory=loop_factory) as served, Raw(served.address) as raw:
        raw.send(FIRST)
        assert raw.until_said("HEADERS 1 END")


def test_all_addresses_of_both_kinds() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    with serving("[::]:0") as served:
        port = served.address.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            with Raw(f"{host}:{port}") as raw:
                raw.send(FIRST)
                assert raw.until_said("HEADERS 1 END")


def test_the_h2_package_over_a_socket() -> None:
    with serving() as served, Raw(served.address, hello=b"") as raw:
        client = H2Client()
        raw.send(client.sent)
        before = len(client.sent)
        client.ask(b"\0\0\0\0\3abc", ("grpc-timeout", "1S"))
        client.exchange()
        raw.send(client.sent[before:])
        told = raw.until_said("HEADERS 1 END")

    assert "DATA 1 8" in told


@on_both_loops
def test_octets_one_by_one(loop_factory: LoopFactory) -> None:
    with serving(loop_factory=loop_factory) as served, Raw(served.address, hello=b"") as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in HELLO + FIRST + ask(3, b"\0\0\0\0\1x"):
            raw.send(bytes([octet]))
        told = raw.until_said("HEADERS 3 END")

    assert "DATA 3 6" in told


@on_both_loops
def test_a_client_that_hangs_up_in_the_middle(loop_factory: LoopFactory) -> None:
    with serving(loop_factory=loop_factory) as served:
        for sent in (b"", FIRST, FIRST[:20], FIRST + headers(3) + data(3, b"x", flags=0)):
            with Raw(served.address) as raw:
                raw.send(sent)
        with Raw(served.address) as raw:
            raw.send(FIRST)
            assert raw.until_said("HEADERS 1 END")
        served.until(lambda: served.observed.open == 0)

    assert served.observed.faults == {"": 5}
    assert served.troubles == []


@pytest.mark.parametrize("fault", [b"", headers(2)], ids=["hangs up", "is at fault"])
@on_both_loops
def test_what_a_client_waited_for_ends_with_its_connection(
    fault: bytes, loop_factory: LoopFactory
) -> None:
    with serving(loop_factory=loop_factory) as served:
        with Raw(served.address) as raw:
            raw.send(FIRST)
            raw.until_said("HEADERS 1 END")
            for number in (3, 5, 7):
                fields = [f if f[0] != ":path" else (":path", SLOW) for f in PLAIN]
                raw.send(headers(number, *fields), data(number, b"\0\0\0\0\1x"))
            served.until(lambda: served.asked["slow"] == 3)
            raw.send(fault)
            if fault:
                # At once, and not when the client has read it.
                served.until(lambda: served.asked["cancelled"] == 3)
        served.until(lambda: served.asked["cancelled"] == 3)

    assert served.troubles == []


@on_both_loops
def test_a_connection_takes_its_turn_with_the_others(loop_factory: LoopFactory) -> None:
    """
    However much one asks at once, another's answer comes before its last.
    """
    with (
        serving(loop_factory=loop_factory) as served,
        Raw(served.address) as greedy,
        Raw(served.address) as modest,
    ):
        modest.send(FIRST)
        modest.until_said("HEADERS 1 END")
        greedy.send(FIRST, *(ask(number, b"\0\0\0\0\1x") for number in range(3, 12_003, 2)))
        modest.send(ask(3))
        modest.until_said("HEADERS 3 END")
        answered = served.asked["echo"]
        greedy.until_said("HEADERS 12001 END")

    assert answered < 6_000
    assert served.asked["echo"] == 6_000
