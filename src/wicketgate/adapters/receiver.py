"""Takes Clerk's deliveries, over HTTP.

One path takes POSTs of signed bodies, and there is no router: nothing but what
is written here answers. Whatever a stranger sends is answered 400, 404, 405, 408
or 413. What cannot be taken for a reason of ours is answered 503, because Svix
then tries again; and 2xx comes only after the store committed.

Every length and every wait has a limit. The body is read only when the headers
could be a delivery's, and parsed only when its signature holds.

Source: RFC 9110 sections 10.1.1 (``Expect``) and 15.5; RFC 9457 (problem
details); Svix, "Receiving webhooks" (an answer within 15 s).
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from wicketgate.core.delivery import Delivery, Outcome
from wicketgate.core.event import Event, Ignored, Unusable
from wicketgate.core.receipt import Failure, Receipt, Refusal, answer_to, type_of
from wicketgate.core.webhook import (
    HEADERS,
    Rejection,
    SignatureVerifier,
    UnverifiedHeaders,
    read_headers,
    verify,
)
from wicketgate.errors import DependencyError

_LINGERING_SECONDS: Final = 2.0
"""How long what is left of a refused body is read, so that the answer arrives."""


_BROKEN: Final = (web.RequestPayloadError, HttpProcessingError, ConnectionError)
"""What reading a body raises when it is malformed, or its sender is gone."""


class Store(Protocol):
    """The part of the database that deliveries need."""

    async def apply(self, delivery: Delivery) -> Outcome:
        """Do what the delivery says, and commit.

        Raises:
            DependencyError: it was not committed, or nobody knows.
        """


class Recorder(Protocol):
    """Keeps what became of requests."""

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Keep one request.

        Args:
            receipt: What became of it.
            seconds: From its headers to its answer.
            lag_seconds: From the event at Clerk to the commit; `None` unless applied.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a delivery may take.

    Attributes:
        body_bytes: Clerk's largest bodies are far below 1 MiB.
        read_seconds: For the whole body, however slowly it drips.
        apply_seconds: For the store; with the answer it stays under 5 s.
        idle_seconds: From one request to the next; also for all of a request's headers.
        concurrent: Deliveries under way at once; each may hold a whole body.
    """

    body_bytes: int = 1_048_576
    read_seconds: float = 10.0
    apply_seconds: float = 4.5
    idle_seconds: float = 75.0
    concurrent: int = 256


_NO_LIMITS_CHANGED: Final = Limits()


class Receiver:
    """Answers requests, each on its own."""

    def __init__(
        self,
        *,
        path: str,
        verifiers: Iterable[SignatureVerifier],
        parse: Callable[[bytes], Event],
        store: Store,
        recorder: Recorder,
        clock: Callable[[], float],
        timer: Callable[[], float],
        limits: Limits = _NO_LIMITS_CHANGED,
    ) -> None:
        """Answer at `path` only.

        Args:
            path: As it is spelled in the request line, without a query.
            verifiers: One for each signing secret.
            parse: Reads a body whose signature was verified; raises nothing.
            store: Takes deliveries.
            recorder: Keeps what became of them.
            clock: Returns POSIX seconds.
            timer: Returns seconds, for durations.
            limits: What a delivery may take.
        """
        self._path = path
        self.verifiers: Collection[SignatureVerifier] = tuple(verifiers)
        self._parse = parse
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._timer = timer
        self._limits = limits
        self._under_way = 0
        self._abandoned: set[asyncio.Task[Outcome]] = set()
        self._is_leaving = False

    def server(self) -> web.Server:
        """Return the HTTP server; every connection to it is answered here."""
        return web.Server(
            self.answer,
            access_log=None,
            logger=_ServerLog(self._recorder),
            # The signature is over the bytes that were sent.
            auto_decompress=False,
            keepalive_timeout=self._limits.idle_seconds,
            lingering_time=_LINGERING_SECONDS,
        )

    def retire(self) -> None:
        """Ask every client from now on to connect anew, and hence to another replica."""
        self._is_leaving = True

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer to one request. Nothing is raised but cancellation."""
        started = self._timer()
        try:
            receipt = await self._receipt(request)
        except Exception as error:  # noqa: BLE001 - answered 500, the delivery might be lost
            receipt = Receipt(Failure.INTERNAL, detail=_place(error))
        applied = receipt.verdict is Outcome.APPLIED and receipt.event_at
        # What was committed is committed, whether or not it can be written down.
        with suppress(Exception):
            self._recorder.record(
                receipt,
                seconds=self._timer() - started,
                lag_seconds=max(0.0, self._clock() - receipt.event_at / 1000) if applied else None,
            )
        said = answer_to(receipt)
        response = web.Response(
            status=said.status, headers=dict(said.headers), text=said.body or None
        )
        is_unread = receipt.verdict in {Refusal.TOO_LARGE, Refusal.TOO_SLOW, Refusal.BROKEN_BODY}
        if self._is_leaving or is_unread:
            response.force_close()
        return response

    async def _receipt(self, request: web.BaseRequest) -> Receipt:
        if request.rel_url.raw_path != self._path:
            return Receipt(Refusal.NOT_FOUND)
        if request.method != hdrs.METH_POST:
            return Receipt(Refusal.METHOD_NOT_ALLOWED)
        if not _is_plain(request):
            return Receipt(Refusal.CONTENT_ENCODING)
        if (request.content_length or 0) > self._limits.body_bytes:
            return Receipt(Refusal.TOO_LARGE)
        headers = read_headers(
            {name: request.headers.getall(name, ()) for name in HEADERS}, now=self._clock()
        )
        if isinstance(headers, Rejection):
            return Receipt(headers)
        if self._under_way >= self._limits.concurrent:
            return Receipt(Failure.BUSY, headers.message_id)
        self._under_way += 1
        try:
            return await self._take(request, headers)
        finally:
            self._under_way -= 1

    async def _take(self, request: web.BaseRequest, headers: UnverifiedHeaders) -> Receipt:
        body = await self._body(request)
        if isinstance(body, Refusal):
            return Receipt(body, headers.message_id)
        verified = verify(headers, body, self.verifiers)
        if isinstance(verified, Rejection):
            return Receipt(verified, headers.message_id)
        return await self._apply(Delivery(verified, self._parse(body)))

    async def _body(self, request: web.BaseRequest) -> bytes | Refusal:
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                await _encourage(request)
                async for chunk in request.content.iter_any():
                    if len(body) + len(chunk) > self._limits.body_bytes:
                        return Refusal.TOO_LARGE
                    body += chunk
        except TimeoutError:
            return Refusal.TOO_SLOW
        except _BROKEN:
            return Refusal.BROKEN_BODY
        return bytes(body)

    async def _apply(self, delivery: Delivery) -> Receipt:
        event, content, detail = delivery.event, delivery.event.content, ""
        verdict: Outcome | Failure
        try:
            verdict = await self._applied(delivery)
        except DependencyError as error:
            verdict, detail = Failure.STORE_UNAVAILABLE, str(error)
        except Exception as error:  # noqa: BLE001 - here the delivery can still be named
            verdict, detail = Failure.INTERNAL, _place(error)
        return Receipt(
            verdict,
            message_id=delivery.message_id,
            type=type_of(event),
            event_at=event.event_at,
            why=content.why if isinstance(content, Ignored | Unusable) else "",
            detail=detail,
        )

    async def _applied(self, delivery: Delivery) -> Outcome | Failure:
        # Not asyncio.timeout: a store that is stuck may be stuck in its own clearing up,
        # and nobody waits for that. What it did is found out when Svix tries again.
        applying = asyncio.create_task(self._store.apply(delivery))
        try:
            await asyncio.wait({applying}, timeout=self._limits.apply_seconds)
        finally:
            if not applying.done():
                self._abandoned.add(applying)
                applying.add_done_callback(self._forget)
                applying.cancel()
        if not applying.done():
            return Failure.STORE_TIMEOUT
        return Failure.STORE_UNAVAILABLE if applying.cancelled() else applying.result()

    def _forget(self, abandoned: asyncio.Task[Outcome]) -> None:
        self._abandoned.discard(abandoned)
        if not abandoned.cancelled():
            # Looked at, lest asyncio complain that nobody did.
            abandoned.exception()


class _ServerLog(logging.Logger):
    """What the HTTP server would log, which quotes strangers and tells their addresses."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(__name__, logging.DEBUG)
        self._recorder = recorder

    def handle(self, record: logging.LogRecord) -> None:
        """Make receipts of faults that the receiver itself never sees."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._recorder.record(Receipt(Refusal.NOT_HTTP), seconds=0.0, lag_seconds=None)
        elif error is not None and not isinstance(error, _BROKEN):
            receipt = Receipt(Failure.INTERNAL, detail=_place(error))
            self._recorder.record(receipt, seconds=0.0, lag_seconds=None)


def _is_plain(request: web.BaseRequest) -> bool:
    codings = request.headers.getall(hdrs.CONTENT_ENCODING, ())
    return all(coding.strip().lower() in {"", "identity"} for coding in codings)


async def _encourage(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to go on and send the body."""
    expected = request.headers.get(hdrs.EXPECT, "")
    if request.version >= HttpVersion11 and expected.lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Or the server would think that the answer has begun.
        request.writer.output_size = 0


def _place(error: BaseException) -> str:
    """Return what was raised and where, without its message, which may quote the body."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = (
        f" at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    )
    return type(error).__name__ + where
