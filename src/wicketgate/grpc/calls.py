"""The calls of one connection: which method, with what message, and what is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial

from wicketgate.grpc.exchange import Event
from wicketgate.grpc.http2 import Connection
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.service import Method, method_for
from wicketgate.grpc.streams import Cancelled, Request
from wicketgate.grpc.unary import (
    OK_TRAILERS,
    RESPONSE_HEADERS,
    RefusedError,
    Status,
    error_headers,
    framed,
    http_error,
    http_status,
    message_in,
    seconds_of,
    too_long,
)


class _Pending:
    """An answer that is waited for."""

    __slots__ = ("deadline", "future")

    def __init__(
        self, future: "asyncio.Future[bytes]", deadline: asyncio.TimerHandle | None
    ) -> None:
        self.future = future
        self.deadline = deadline

    def cancel(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.future.cancel()


class Calls:
    """Answers requests.

    Attributes:
        methods: What the peer can call, by path.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[], None],
    ) -> None:
        """Answer the requests of one connection.

        Args:
            connection: Takes the answers.
            limits: What a message may take.
            loop: Where answers are waited for.
            write: Sends what `connection` has to send; called for late answers.
        """
        self.methods: Mapping[bytes, Method] = {}
        self._connection = connection
        self._limits = limits
        self._loop = loop
        self._write = write
        self._pending: dict[int, _Pending] = {}

    def handle(self, events: Iterable[Event]) -> None:
        """Answer what can be answered now, and wait for the rest."""
        for event in events:
            if isinstance(event, Cancelled):
                self._cancel(event.stream_id)
            else:
                self._answer(event)

    def cancel_all(self) -> None:
        """Wait for nothing any more."""
        for stream_id in tuple(self._pending):
            self._cancel(stream_id)

    def _cancel(self, stream_id: int) -> None:
        pending = self._pending.pop(stream_id, None)
        if pending is not None:
            pending.cancel()

    def _answer(self, request: Request) -> None:
        head, stream_id = request.head, request.stream_id
        status = http_status(head)
        if status != 200:  # noqa: PLR2004 - HTTP's own
            self._connection.answer(stream_id, http_error(status))
            return
        try:
            if request.is_cut:
                raise too_long()  # noqa: TRY301 - refused like any other
            method = method_for(self.methods, head.path)
            answer = method(message_in(head, request.body, limit=self._limits.message_bytes))
        except RefusedError as refusal:
            self._refuse(stream_id, refusal)
        except Exception as error:  # noqa: BLE001 - a defect must not end the connection
            self._fail(stream_id, error)
        else:
            if isinstance(answer, bytes):
                self._reply(stream_id, answer)
            else:
                self._wait(stream_id, answer, seconds_of(head.timeout))

    def _reply(self, stream_id: int, answer: bytes) -> None:
        self._connection.answer(stream_id, RESPONSE_HEADERS, framed(answer), OK_TRAILERS)

    def _refuse(self, stream_id: int, refusal: RefusedError) -> None:
        self._connection.answer(stream_id, error_headers(refusal.status, refusal.message))

    def _fail(self, stream_id: int, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {"message": "a defect in a gRPC method", "exception": error}
        )
        self._refuse(stream_id, RefusedError(Status.INTERNAL, "internal error"))

    # ------------------------------------------------------------------ late answers

    def _wait(self, stream_id: int, answer: Awaitable[bytes], seconds: float | None) -> None:
        future = asyncio.ensure_future(answer, loop=self._loop)
        deadline = (
            None if seconds is None else self._loop.call_later(seconds, self._expire, stream_id)
        )
        self._pending[stream_id] = _Pending(future, deadline)
        future.add_done_callback(partial(self._arrive, stream_id))

    def _arrive(self, stream_id: int, future: "asyncio.Future[bytes]") -> None:
        pending = self._pending.pop(stream_id, None)
        if pending is None:
            # Nobody waits any more. An error of it is of no interest, but has to be looked at.
            if not future.cancelled():
                future.exception()
            return
        if pending.deadline is not None:
            pending.deadline.cancel()
        if future.cancelled():
            self._refuse(stream_id, RefusedError(Status.CANCELLED, "cancelled"))
        elif (error := future.exception()) is None:
            self._reply(stream_id, future.result())
        elif isinstance(error, RefusedError):
            self._refuse(stream_id, error)
        else:
            self._fail(stream_id, error)
        self._write()

    def _expire(self, stream_id: int) -> None:
        self._cancel(stream_id)
        refusal = RefusedError(Status.DEADLINE_EXCEEDED, "deadline exceeded")
        self._refuse(stream_id, refusal)
        self._write()
