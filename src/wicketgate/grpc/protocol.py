"""One connection of the server: moves bytes between asyncio and the HTTP/2 half.

Every request that came with one read is answered with one write. An answer that has
to be waited for becomes a task; nothing else waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, cast

from wicketgate.grpc.headers import Head, HeaderCache, RequestBlocks
from wicketgate.grpc.http2 import Cancelled, Connection, Request
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.service import Method, method_for
from wicketgate.grpc.unary import (
    NO_TABLE,
    NOT_GRPC,
    OK_TRAILERS,
    RESPONSE_HEADERS,
    RefusedError,
    Status,
    error_headers,
    framed,
    is_grpc,
    message_in,
    seconds_of,
)

WRITE_BUFFER_BYTES: Final = 1024 * 1024
"""Unread answers beyond this stop the reading: whoever does not read cannot ask."""


class Observer(Protocol):
    """Whoever counts connections and faults."""

    def opened(self) -> None:
        """Take note of a connection."""

    def closed(self, fault: str) -> None:
        """Take note that it is over; `fault` is empty when it ended well."""


class WireProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        methods_for: Callable[[asyncio.BaseTransport], Mapping[bytes, Method]],
        *,
        limits: Limits,
        cache: HeaderCache,
        observer: Observer,
        entered: "Callable[[WireProtocol], None]",
        left: "Callable[[WireProtocol], None]",
    ) -> None:
        """Serve what the peer can call.

        Args:
            methods_for: Returns that, by path, for a connected transport.
            limits: What the peer may cost.
            cache: Header blocks that were seen before, of all connections.
            observer: Told of faults.
            entered: Told when the connection is open.
            left: Told when it no longer is.
        """
        self.last_heard = 0.0
        self._methods_for = methods_for
        self._methods: Mapping[bytes, Method] = {}
        self._limits = limits
        self._cache = cache
        self._observer = observer
        self._entered = entered
        self._left = left
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._connection = self._new_connection()
        self._first_block = NO_TABLE

    def _new_connection(self) -> Connection[Head]:
        blocks = RequestBlocks(self._cache, max_bytes=self._limits.header_bytes)
        return Connection(blocks, limits=self._limits, now=self._loop.time())

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # A cast, because uvloop's transports are not asyncio's by descent.
        self._transport = cast("asyncio.Transport", transport)
        self._methods = self._methods_for(transport)
        self._entered(self)
        self._observer.opened()
        self.last_heard = self._loop.time()
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._write()

    def data_received(self, data: bytes) -> None:
        """Take what arrived, answer what can be answered, write once."""
        now = self.last_heard = self._loop.time()
        for event in self._connection.receive(data, now):
            if isinstance(event, Request):
                self._answer(event)
            else:
                self._cancel(event)
        self._write()

    def eof_received(self) -> bool:
        """Close when the peer has said its last."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget everything."""
        self._left(self)
        for task in self._tasks.values():
            task.cancel()
        fault = self._connection.fault
        self._observer.closed(fault[0].name.lower() if fault else "")
        self._transport = None

    def pause_writing(self) -> None:
        """Stop reading: the peer does not take its answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    # ------------------------------------------------------------------ the server's side

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being asked or answered."""
        return self._connection.is_idle

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._connection.ping()
        self._write()

    def close_softly(self) -> None:
        """Ask the peer to open no more streams."""
        self._connection.close()
        self._write()

    def close_now(self) -> None:
        """Take no more streams, and hang up when those that are open are answered."""
        self._connection.close_now()
        self._write()

    def abort(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ calls

    def _answer(self, request: Request[Head]) -> None:
        head = request.head
        if not is_grpc(head):
            self._connection.answer(request.stream_id, self._block(NOT_GRPC), b"", b"")
            return
        try:
            method = method_for(self._methods, head.path)
            answer = method(message_in(head, request.body, limit=self._limits.message_bytes))
        except RefusedError as refusal:
            self._refuse(request.stream_id, refusal)
            return
        except Exception:  # noqa: BLE001 - a defect must not end the connection
            self._refuse(request.stream_id, RefusedError(Status.INTERNAL, "internal error"))
            return
        if isinstance(answer, bytes):
            self._reply(request.stream_id, answer)
        else:
            self._await(request, answer)

    def _reply(self, stream_id: int, answer: bytes) -> None:
        headers = self._block(RESPONSE_HEADERS)
        self._connection.answer(stream_id, headers, framed(answer), OK_TRAILERS)

    def _refuse(self, stream_id: int, refusal: RefusedError) -> None:
        headers = self._block(error_headers(refusal.status, refusal.message))
        self._connection.answer(stream_id, headers, b"", b"")

    def _block(self, block: bytes) -> bytes:
        if self._first_block:
            block, self._first_block = self._first_block + block, b""
        return block

    def _await(self, request: Request[Head], answer: Awaitable[bytes]) -> None:
        stream_id = request.stream_id
        task = self._loop.create_task(self._later(request, answer))
        self._tasks[stream_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(stream_id, None))

    async def _later(self, request: Request[Head], answer: Awaitable[bytes]) -> None:
        try:
            async with asyncio.timeout(seconds_of(request.head.timeout)):
                reply = await answer
        except TimeoutError:
            refusal = RefusedError(Status.DEADLINE_EXCEEDED, "deadline exceeded")
            self._refuse(request.stream_id, refusal)
        except Exception:  # noqa: BLE001 - as above
            self._refuse(request.stream_id, RefusedError(Status.INTERNAL, "internal error"))
        else:
            self._reply(request.stream_id, reply)
        self._write()

    def _cancel(self, event: Cancelled) -> None:
        task = self._tasks.pop(event.stream_id, None)
        if task is not None:
            task.cancel()

    def _write(self) -> None:
        transport = self._transport
        if transport is None:
            return
        data = self._connection.data_to_send()
        if data:
            transport.write(data)
        if self._connection.is_over:
            transport.close()
