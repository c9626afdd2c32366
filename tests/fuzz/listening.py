"""An echo behind our server, for whoever needs one that listens."""

import asyncio
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import uvloop

from wicketgate.grpc.budget import SHARED_BYTES
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.server import MAX_CONNECTIONS, WireServer
from wicketgate.grpc.service import Method

ECHO = "/echo.Echo/Echo"
SLOW = "/echo.Echo/Slow"
BROKEN = "/echo.Echo/Broken"
SLOW_SECONDS = 0.3

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
on_both_loops = pytest.mark.parametrize(
    "loop_factory",
    [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ],
)
"""The server's event loop, as `loop_factory`."""


class Observed:
    """Counts as the real observer does."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.open = 0
        self.seen = 0
        self.faults: Counter[str] = Counter()

    def opened(self) -> None:
        """Count one more."""
        self.open += 1
        self.seen += 1

    def closed(self, fault: str) -> None:
        """Count one less."""
        self.open -= 1
        self.faults[fault] += 1


@dataclass
class Served:
    """A server that listens, in a thread with an event loop of its own.

    Attributes:
        address: Where.
        observed: Its connections.
        asked: Calls, by what became of them.
        troubles: What the event loop was told of.
    """

    address: str
    server: WireServer
    loop: asyncio.AbstractEventLoop
    observed: Observed
    asked: Counter[str]
    troubles: list[str]

    def stop(self, *, grace: float) -> None:
        """Stop the server, and wait until it has."""
        asyncio.run_coroutine_threadsafe(self.server.stop(grace=grace), self.loop).result(30)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that happens in the server's thread."""
        end = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < end, (self.observed.faults, self.asked)
            time.sleep(0.005)


def _methods(asked: Counter[str]) -> Mapping[bytes, Method]:
    def echo(raw: bytes) -> bytes:
        asked["echo"] += 1
        return raw

    async def slowly(raw: bytes) -> bytes:
        asked["slow"] += 1
        try:
            await asyncio.sleep(SLOW_SECONDS)
        except asyncio.CancelledError:
            asked["cancelled"] += 1
            raise
        return raw

    def broken(_: bytes) -> bytes:
        msg = "a defect"
        raise ValueError(msg)

    return {ECHO.encode(): echo, SLOW.encode(): slowly, BROKEN.encode(): broken}


@contextmanager
def serving(
    address: str = "127.0.0.1:0",
    *,
    loop_factory: LoopFactory = asyncio.new_event_loop,
    limits: Limits | None = None,
    max_connections: int = MAX_CONNECTIONS,
    shared_bytes: int = SHARED_BYTES,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Served]:
    """Serve an echo, for as long as the context lasts."""
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    observed, asked, troubles = Observed(), Counter[str](), list[str]()
    methods = _methods(asked)

    async def listen() -> tuple[WireServer, int]:
        loop.set_exception_handler(lambda _, context: troubles.append(str(context)))
        server = WireServer(
            lambda _: methods,
            observer=observed,
            limits=limits,
            max_connections=max_connections,
            shared_bytes=shared_bytes,
            tls=tls,
        )
        return server, await server.listen(address)

    try:
        server, port = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
        where = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
        served = Served(where, server, loop, observed, asked, troubles)
        try:
            yield served
        finally:
            served.stop(grace=0)
    finally:
        # Closing transports takes the loop a turn or two.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
