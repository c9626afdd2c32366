"""Where the time of a Check goes: a profile of the wire transport and the gate, without a socket.

    make profile
    make profile WHAT=verify     # every signature verified; also: deny, varying

One connection's bytes are handed to the server's protocol in portions of 16 Checks, as a
socket would, and the answers are checked and thrown away. First it is timed without the
profiler, which makes functions look dearer than what they call; then the table says
where the calls are.
"""

import argparse
import asyncio
import cProfile
import io
import pstats
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from suite.bench import Bench, bench
from suite.cases.decision import in_process_gate
from suite.checks import Caller, check_messages
from suite.load.blocks import TABLE_IS_EMPTY, fixed, varying
from wicketgate.adapters.wire_server import CHECK
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.grpc.budget import Budget
from wicketgate.grpc.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    Type,
    frame,
    window_update,
)
from wicketgate.grpc.headers import HeaderCache
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.protocol import WireProtocol
from wicketgate.local.clerk_instance import USER

PORTION = 16
PORTIONS = 1_000
ROUNDS = 7
SHOWN = 40
WHATS = ("hit", "verify", "deny", "varying")
ALLOWED, DENIED = f"user:{USER}".encode(), b"www-authenticate"


class Sink(asyncio.Transport):
    """Keeps what is written until it was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Never."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take note of nothing."""

    def get_write_buffer_size(self) -> int:
        """Say that everything is on its way."""
        return 0


class Nobody:
    """Counts no connections and keeps none."""

    def opened(self) -> None:
        """Do nothing."""

    def closed(self, fault: str) -> None:
        """Do nothing."""

    def enter(self, connection: WireProtocol) -> bool:
        """Have room."""
        del connection
        return True

    def leave(self, connection: WireProtocol) -> None:
        """Do nothing."""


def portions(what: str, shared: Bench) -> Iterator[bytes]:
    """Yield what the client sends, the greeting and one portion of Checks first."""
    caller = Caller("", "") if what == "deny" else Caller(shared.token)
    messages = [message.raw for message in check_messages(caller)]
    blocks = varying(CHECK, b"authz", 1) if what == "varying" else fixed(CHECK, b"authz")
    greeting = (
        PREFACE
        + frame(Type.SETTINGS, 0, 0, b"")
        + frame(Type.SETTINGS, ACK, 0, b"")
        + window_update(0, 2**30)
    )
    stream_id, beginning = 1, TABLE_IS_EMPTY
    while True:
        pieces = [greeting]
        for _ in range(PORTION):
            raw = messages[stream_id // 2 % len(messages)]
            body = b"\0" + len(raw).to_bytes(4, "big") + raw
            pieces.append(
                frame(Type.HEADERS, END_HEADERS, stream_id, beginning + next(blocks))
                + frame(Type.DATA, END_STREAM, stream_id, body)
            )
            stream_id, beginning = stream_id + 2, b""
        yield b"".join(pieces)
        greeting = b""


def server(what: str, shared: Bench) -> tuple[WireProtocol, Sink]:
    """Return the server's half of a connection, and where it writes."""
    gate = in_process_gate(shared, RoutePolicy(), cache=0 if what == "verify" else 10_000)
    nobody = Nobody()
    protocol = WireProtocol(
        lambda _: {CHECK: gate.check},
        limits=Limits(),
        cache=HeaderCache(),
        budget=Budget(),
        observer=nobody,
        connections=nobody,
    )
    sink = Sink()
    protocol.connection_made(sink)
    return protocol, sink


def take(protocol: WireProtocol, sink: Sink, sent: list[bytes], expected: bytes) -> float:
    """Return the CPU µs of each Check in `sent`, every one of which has to be answered rightly."""
    before = time.process_time()
    for portion in sent:
        protocol.data_received(portion)
    took = time.process_time() - before
    count = PORTION * len(sent)
    assert b"".join(sink.written).count(expected) == count, "an answer was wrong"
    sink.written.clear()
    return took / count * 1e6


async def main() -> None:
    """Time it, profile it, print both."""
    parser = argparse.ArgumentParser(description="Profile a Check.")
    parser.add_argument("what", nargs="?", default="hit", choices=WHATS)
    what = parser.parse_args().what
    expected = DENIED if what == "deny" else ALLOWED
    with TemporaryDirectory(prefix="wicketgate-bench-") as directory:
        shared = bench(
            Path(directory), rounds=1, seconds=1, is_long=False, report=lambda _: None, only=""
        )
        protocol, sink = server(what, shared)
        sent = portions(what, shared)
        take(protocol, sink, list(islice(sent, PORTIONS // 10)), expected)
        costs = [
            take(protocol, sink, list(islice(sent, PORTIONS)), expected) for _ in range(ROUNDS)
        ]
        profiler, last = cProfile.Profile(), list(islice(sent, PORTIONS))
        profiler.enable()
        take(protocol, sink, last, expected)
        profiler.disable()
    print(f"{what}: {min(costs):.1f} CPU µs per Check (best of {ROUNDS} rounds), no profiler")
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(SHOWN)
    print(text.getvalue().strip())


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
