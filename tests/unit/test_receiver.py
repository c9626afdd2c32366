"""The receiver: what it takes, what it refuses, and that it never waits for ever."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeStore
from webhooks import (
    EVENT_AT,
    HOSTILE_HEADERS,
    MESSAGE_ID,
    OTHER_SECRET,
    PATH,
    SECRET,
    USER_CREATED,
    BrokenReceipts,
    Receipts,
    Receiving,
    as_received,
    body_of,
    receiving,
    signed,
    user,
)
from wicketgate.adapters.receiver import Limits, _ServerLog
from wicketgate.core.delivery import MessageId, Outcome
from wicketgate.core.receipt import Failure, Receipt, Refusal
from wicketgate.core.webhook import Rejection
from wicketgate.errors import DependencyError

# --- raw requests, because a client's library would never send what these do --


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when the connection ended without a word."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """The word of a problem."""
        return str(json.loads(self.body)["reason"])


def request(
    body: bytes = USER_CREATED,
    headers: Mapping[str, Sequence[str]] | None = None,
    *,
    line: str = f"POST {PATH} HTTP/1.1",
    length: bool = True,
    **more: str,
) -> bytes:
    """Return the bytes of a request, signed unless `headers` are given."""
    given = as_received(signed(body)) if headers is None else headers
    fields = {
        "host": ["receiver.test"],
        **given,
        **({"content-length": [str(len(body))]} if length else {}),
        **{name.replace("_", "-"): [value] for name, value in more.items()},
    }
    lines = [line, *(f"{name}: {it}" for name, values in fields.items() for it in values)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


async def exchange(port: int, *parts: bytes, end: bool = False) -> Answer:
    """Send `parts`, each when the receiver had time to read the last, and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.02 if len(parts) > 1 else 0)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(read_answer(reader), 10)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, {}, b"")
    status, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    try:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except asyncio.IncompleteReadError as error:
        # The answer to HEAD says how long it would be.
        body = error.partial
    return Answer(int(status.split()[1]), headers, body)


async def post(
    receiver: Receiving,
    body: bytes = USER_CREATED,
    headers: Mapping[str, Sequence[str]] | None = None,
) -> Answer:
    """Make a delivery, good unless `headers` say otherwise."""
    return await exchange(receiver.port, request(body, headers))


# --- what is taken -----------------------------------------------------------


async def test_a_delivery_is_stored_and_then_answered() -> None:
    async with receiving() as receiver:
        answer = await post(receiver)

    (delivery,) = receiver.store.kept
    assert answer.status == 204
    assert answer.body == b""
    assert delivery.message_id == MESSAGE_ID
    assert delivery.event.type == "user.created"
    assert receiver.receipts.kept == [
        Receipt(Outcome.APPLIED, MESSAGE_ID, "user.created", EVENT_AT)
    ]


async def test_a_receipt_that_cannot_be_kept_changes_no_answer() -> None:
    """
    What was committed must not be answered 500, and sent again for 28 hours.
    """
    async with receiving(receipts=BrokenReceipts()) as receiver:
        answer = await post(receiver)

    assert answer.status == 204
    assert len(receiver.store.kept) == 1


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.APPLIED, 204),
        (Outcome.STALE, 204),
        (Outcome.RECORDED, 204),
        (Outcome.IGNORED, 200),
        (Outcome.DEAD, 200),
    ],
)
async def test_every_outcome_is_a_success(outcome: Outcome, expected: int) -> None:
    store = FakeStore({MessageId(MESSAGE_ID): outcome})
    async with receiving(store) as receiver:
        answer = await post(receiver)

    assert expected == answer.status


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (body_of("email.created", {"otp": "123456"}), "unknown_type"),
        (body_of("user.created", user(), instance_id="ins_123"), "other_instance"),
        (body_of("organization.created", {}), "organizations_off"),
        (body_of("user.created", {}), "data.id is not a user id"),
        (b"[]", "not a JSON object"),
        (b"", "not a JSON object"),
        (b"\xef\xbb\xbf{}", "not a JSON object"),
        (b"hi", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
    ],
)
async def test_what_can_never_be_applied_is_handed_on_and_acknowledged(
    body: bytes, why: str
) -> None:
    """
    The store keeps the note; a refusal would only bring the same body again.
    """
    store = FakeStore({MessageId(MESSAGE_ID): Outcome.DEAD})
    async with receiving(store) as receiver:
        answer = await post(receiver, body)

    assert answer.status == 200
    assert json.loads(answer.body) == {"outcome": "dead", "why": why}
    assert len(store.kept) == 1


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
async def test_the_secret_of_either_endpoint_will_do(secret: str) -> None:
    headers = as_received(signed(secret=secret))
    async with receiving(secrets=[SECRET, OTHER_SECRET]) as receiver:
        answer = await post(receiver, headers=headers)

    assert answer.status == 204


async def test_the_body_is_taken_as_it_was_sent_however_it_arrives() -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(USER_CREATED), USER_CREATED)
    headers = as_received(signed())
    whole = request(chunked, headers, length=False, transfer_encoding="chunked")
    async with receiving() as receiver:
        at_once = await exchange(receiver.port, whole)
        in_parts = await exchange(receiver.port, whole[:700], whole[700:900], whole[900:])

    assert (at_once.status, in_parts.status) == (204, 204)


async def test_a_connection_serves_one_delivery_after_another() -> None:
    async with receiving() as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        statuses = []
        for number in range(3):
            writer.write(request(headers=as_received(signed(message_id=f"msg_{number}"))))
            statuses.append((await read_answer(reader)).status)
        writer.close()

    assert statuses == [204, 204, 204]
    assert [each.message_id for each in receiver.store.kept] == ["msg_0", "msg_1", "msg_2"]


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    head, body = request(expect="100-continue").split(b"\r\n\r\n", 1)
    async with receiving() as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(head + b"\r\n\r\n")
        encouraged = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.write(body)
        answer = await read_answer(reader)
        writer.close()

    assert encouraged == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.status == 204


async def test_a_client_that_asks_first_is_not_told_to_send_what_is_refused() -> None:
    head = request(expect="100-continue", headers={}).split(b"\r\n\r\n", 1)[0]
    async with receiving() as receiver:
        answer = await exchange(receiver.port, head + b"\r\n\r\n")

    assert answer.status == 400


async def test_an_expectation_of_anything_else_is_overlooked() -> None:
    """
    RFC 9110 allows 417, which is no answer of ours.
    """
    async with receiving() as receiver:
        answer = await exchange(receiver.port, request(expect="200-maybe"))

    assert answer.status == 204


async def test_the_lag_is_from_the_event_to_the_commit() -> None:
    now = int(time.time() * 1000)
    async with receiving() as receiver:
        for event_at in (now - 7_000, None, now + 60_000):
            await post(receiver, body_of("user.created", user(), timestamp=event_at))

    late, without, early = receiver.receipts.lags
    assert late == pytest.approx(7, abs=2)
    assert without is None
    assert early == 0


async def test_only_what_was_applied_has_a_lag() -> None:
    async with receiving(FakeStore({MessageId(MESSAGE_ID): Outcome.STALE})) as receiver:
        await post(receiver)

    assert receiver.receipts.lags == [None]


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
async def test_hostile_headers_are_a_bad_request(name: str) -> None:
    spoil, expected = HOSTILE_HEADERS[name]
    async with receiving() as receiver:
        answer = await post(receiver, headers=spoil(signed()))

    if isinstance(expected, Rejection):
        assert (answer.status, answer.reason) == (400, expected)
        assert receiver.store.kept == []
    else:
        assert answer.status == 204
    assert [each.status for each in receiver.receipts.kept] == [answer.status]


async def test_a_signed_body_that_is_not_utf_8_does_not_verify() -> None:
    async with receiving() as receiver:
        answer = await post(receiver, b"\xff{}")

    assert (answer.status, answer.reason) == (400, Rejection.NO_MATCHING_SIGNATURE)


@pytest.mark.parametrize("change", [b"", USER_CREATED + b" ", USER_CREATED[:-1] + b"]"])
async def test_another_body_than_the_signed_one_is_refused(change: bytes) -> None:
    async with receiving() as receiver:
        answer = await post(receiver, change, as_received(signed()))

    assert (answer.status, answer.reason) == (400, Rejection.NO_MATCHING_SIGNATURE)
    assert receiver.store.kept == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PATH, 204),
        (f"{PATH}?token=x", 204),
        (f"http://elsewhere.test{PATH}", 204),
        ("/", 404),
        (f"{PATH}/", 404),
        (f"/{PATH}", 404),
        (f"{PATH}/../clerk", 404),
        ("/webhooks/%63lerk", 404),
        ("/webhooks/clerk%00", 404),
        (PATH.upper(), 404),
        ("/metrics", 404),
        ("/healthz", 404),
    ],
)
async def test_there_is_one_path(path: str, expected: int) -> None:
    async with receiving() as receiver:
        answer = await exchange(receiver.port, request(line=f"POST {path} HTTP/1.1"))

    assert expected == answer.status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "MOVE"])
async def test_there_is_one_method(method: str) -> None:
    async with receiving() as receiver:
        answer = await exchange(
            receiver.port, request(b"", line=f"{method} {PATH} HTTP/1.1", connection="close")
        )

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("coding", "expected"),
    [("identity", 204), ("IDENTITY", 204), ("gzip", 400), ("br", 400), ("identity, gzip", 400)],
)
async def test_nothing_is_decompressed(coding: str, expected: int) -> None:
    async with receiving() as receiver:
        answer = await exchange(receiver.port, request(content_encoding=coding))

    assert expected == answer.status


async def test_not_even_what_is_refused_is_decompressed() -> None:
    """
    Else a few bytes of a stranger's would become as many as it likes.
    """
    whole = request(b"this is not gzip" * 9, content_encoding="gzip")
    async with receiving() as receiver:
        answer = await exchange(receiver.port, whole[:-100], whole[-100:-50], whole[-50:])

    assert answer.status == 400
    assert receiver.receipts.kept == [Receipt(Refusal.CONTENT_ENCODING)]


async def test_nothing_of_the_request_is_in_the_answer() -> None:
    body = body_of("user.created", user(first_name="Wilhelmina"))
    async with receiving(secrets=[OTHER_SECRET]) as receiver:
        answer = await post(receiver, body)

    assert answer.status == 400
    assert json.loads(answer.body) == {
        "type": "urn:wicketgate:reason:no_matching_signature",
        "title": "This is not a delivery from Clerk.",
        "status": 400,
        "reason": "no_matching_signature",
    }


# --- limits ------------------------------------------------------------------

SMALL = Limits(
    body_bytes=len(USER_CREATED),
    read_seconds=0.3,
    apply_seconds=0.3,
    idle_seconds=0.3,
    concurrent=2,
)


async def test_a_body_as_long_as_may_be_is_taken() -> None:
    async with receiving(limits=SMALL) as receiver:
        answer = await post(receiver)

    assert answer.status == 204


async def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes() -> None:
    head = request(content_length=str(len(USER_CREATED) + 1), length=False)
    async with receiving(limits=SMALL) as receiver:
        answer = await exchange(receiver.port, head.split(b"\r\n\r\n")[0] + b"\r\n\r\n")

    assert answer.status == 413
    assert answer.headers["connection"] == "close"


async def test_a_body_that_does_not_say_so_is_refused_once_it_is_too_long() -> None:
    headers = as_received(signed())
    too_long = b"%x\r\n%b\r\n" % (len(USER_CREATED) + 1, USER_CREATED + b" ")
    whole = request(too_long, headers, length=False, transfer_encoding="chunked")
    async with receiving(limits=SMALL) as receiver:
        answer = await exchange(receiver.port, whole)

    assert answer.status == 413
    assert answer.headers["connection"] == "close"


async def test_the_limit_is_one_mebibyte() -> None:
    assert Limits().body_bytes == 2**20
    padded = USER_CREATED + b" " * (2**20 - len(USER_CREATED))
    async with receiving() as receiver:
        whole = await post(receiver, padded)
        more = await post(receiver, padded + b" ")

    assert (whole.status, more.status) == (204, 413)


async def test_a_body_that_drips_is_given_up() -> None:
    """
    However much arrives now and then, the time for all of it is the same.
    """
    drips = [bytes([byte]) for byte in USER_CREATED[:60]]
    head = request().split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    async with receiving(limits=SMALL) as receiver:
        started = time.perf_counter()
        answer = await exchange(receiver.port, head, *drips)

    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert time.perf_counter() - started < 5
    assert receiver.receipts.kept == [Receipt(Refusal.TOO_SLOW, MESSAGE_ID)]


async def test_headers_that_drip_are_given_up() -> None:
    async with receiving(limits=SMALL) as receiver:
        answer = await exchange(receiver.port, *(bytes([byte]) for byte in request()[:30]))

    assert answer.status == 0
    assert receiver.receipts.kept == []


async def test_a_body_that_ends_too_soon_is_no_delivery() -> None:
    async with receiving() as receiver:
        await exchange(receiver.port, request()[:-5], end=True)
        await eventually(lambda: receiver.receipts.kept)

    assert receiver.receipts.kept == [Receipt(Refusal.BROKEN_BODY, MESSAGE_ID)]


async def test_no_more_deliveries_are_under_way_than_may_be() -> None:
    store = FakeStore({MessageId(f"msg_{number}"): 0.2 for number in range(2)})
    async with receiving(store, limits=SMALL) as receiver:
        slow = [
            asyncio.create_task(
                post(receiver, headers=as_received(signed(message_id=f"msg_{number}")))
            )
            for number in range(2)
        ]
        await asyncio.sleep(0.1)
        refused = await post(receiver)
        statuses = [(await each).status for each in slow]
        afterwards = await post(receiver)

    assert statuses == [204, 204]
    assert (refused.status, refused.reason) == (503, Failure.BUSY)
    assert afterwards.status == 204


# --- when the store fails ----------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (DependencyError("Postgres failed: it is down"), Failure.STORE_UNAVAILABLE),
        (60.0, Failure.STORE_TIMEOUT),
        (KeyError("mina@example.com"), Failure.INTERNAL),
        (TimeoutError(), Failure.INTERNAL),
        (RuntimeError(), Failure.INTERNAL),
    ],
)
async def test_what_was_not_committed_is_asked_for_again(
    fault: Exception | float, expected: Failure
) -> None:
    store = FakeStore({MessageId(MESSAGE_ID): fault})
    async with receiving(store, limits=SMALL) as receiver:
        started = time.perf_counter()
        answer = await post(receiver)

    (receipt,) = receiver.receipts.kept
    assert (answer.status, answer.reason) == (503, expected)
    assert answer.headers["retry-after"] == "5"
    assert time.perf_counter() - started < 5
    assert (receipt.message_id, receipt.type) == (MESSAGE_ID, "user.created")
    assert "mina@example.com" not in repr(receipt)
    assert store.kept == []


def test_the_store_has_less_than_five_seconds() -> None:
    assert Limits().apply_seconds < 5


async def test_a_store_that_cannot_even_be_cancelled_keeps_nobody_waiting() -> None:
    released = asyncio.Event()

    @dataclass
    class Stuck(FakeStore):
        async def apply(self, delivery: object) -> Outcome:  # noqa: ARG002 - the seam's shape
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
            msg = "too late"
            raise DependencyError(msg)

    async with receiving(Stuck(), limits=SMALL) as receiver:
        answer = await post(receiver)
        released.set()

    assert (answer.status, answer.reason) == (503, Failure.STORE_TIMEOUT)


async def test_a_store_that_was_cancelled_by_others_is_not_there() -> None:
    @dataclass
    class Closing(FakeStore):
        async def apply(self, delivery: object) -> Outcome:  # noqa: ARG002 - the seam's shape
            raise asyncio.CancelledError

    async with receiving(Closing(), limits=SMALL) as receiver:
        answer = await post(receiver)

    assert (answer.status, answer.reason) == (503, Failure.STORE_UNAVAILABLE)


async def test_a_defect_tells_where_it_is_and_never_what_it_met() -> None:
    store = FakeStore({MessageId(MESSAGE_ID): KeyError("mina@example.com")})
    async with receiving(store) as receiver:
        await post(receiver)

    (receipt,) = receiver.receipts.kept
    assert re.fullmatch(r"KeyError at fakes\.py:\d+", receipt.detail)


async def test_a_defect_before_the_store_is_answered_the_same_way() -> None:
    def broken_clock() -> float:
        raise ZeroDivisionError

    async with receiving(clock=broken_clock) as receiver:
        answer = await post(receiver)

    (receipt,) = receiver.receipts.kept
    assert (answer.status, answer.reason) == (503, Failure.INTERNAL)
    assert receipt.detail.startswith("ZeroDivisionError at test_receiver.py:")


async def test_a_sender_that_leaves_does_not_undo_its_delivery() -> None:
    """
    It will send again, and then find that it was applied.
    """
    store = FakeStore({MessageId(MESSAGE_ID): 0.1})
    async with receiving(store) as receiver:
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(request())
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await eventually(lambda: store.kept)

    assert store.given_up == 0


async def test_whoever_is_cut_off_at_the_end_gives_the_store_up() -> None:
    store = FakeStore({MessageId(MESSAGE_ID): 60.0})
    async with receiving(store) as receiver:
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(request())
        await asyncio.sleep(0.05)
    await eventually(lambda: store.given_up)
    writer.close()

    assert store.given_up == 1


async def test_whoever_retires_asks_clients_to_leave_and_still_answers() -> None:
    async with receiving() as receiver:
        before = await post(receiver)
        receiver.receiver.retire()
        after = await post(receiver)

    assert (before.status, after.status) == (204, 204)
    assert "connection" not in before.headers
    assert after.headers["connection"] == "close"


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, or as long as it reasonably could take."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)


# --- whatever the socket brings ----------------------------------------------

NOT_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version": request(line=f"POST {PATH} HTTP/9.9"),
    "method": request(line=f'P"ST {PATH} HTTP/1.1'),
    "header without colon": b"POST / HTTP/1.1\r\nhost\r\n\r\n",
    "folded header": b"POST / HTTP/1.1\r\nhost: x\r\n y\r\n\r\n",
    "NUL in a header": request(x="a\0b"),
    "too long a header": request(x="x" * 10_000),
    "too many headers": request(headers={f"x{number}": ["x"] for number in range(300)}),
    "length and chunks": request(transfer_encoding="chunked"),
    "length below 0": request(content_length="-1"),
    "length of many digits": request(content_length="9" * 5_000),
    "length of 2^64": request(content_length=str(2**64)),
    "length with _": request(content_length="1_0"),
    "chunk of no size": request(b"zz\r\n", length=False, transfer_encoding="chunked"),
    "chunk beyond 2^64": request(b"f" * 17 + b"\r\n", length=False, transfer_encoding="chunked"),
    "other coding": request(length=False, transfer_encoding="gzip"),
    "URL": request(line=f"POST http://[::1{PATH} HTTP/1.1"),
    "port": request(line=f"POST http://x:99999999{PATH} HTTP/1.1"),
    "path not ASCII": request(line="POST /\udcff HTTP/1.1"),
}


@pytest.mark.parametrize("name", NOT_HTTP)
async def test_what_is_not_http_is_a_bad_request_without_a_traceback(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        answer = await exchange(receiver.port, NOT_HTTP[name])

    assert answer.status == 400
    assert receiver.receipts.kept == [Receipt(Refusal.NOT_HTTP)]
    assert [each for each in caplog.records if each.name != "asyncio"] == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("path", [PATH, "/elsewhere"])
async def test_a_body_that_goes_bad_is_given_up_without_a_traceback(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = request(
        b"5\r\nhello\r\n",
        line=f"POST {path} HTTP/1.1",
        length=False,
        transfer_encoding="chunked",
    )
    caplog.set_level(logging.DEBUG)
    async with receiving(limits=SMALL) as receiver:
        answer = await exchange(receiver.port, first, b"zz\r\n")

    assert answer.status in {400, 404, 408}
    assert [each for each in caplog.records if each.name != "asyncio"] == []


async def test_a_request_that_wants_another_protocol_is_answered_in_this_one() -> None:
    async with receiving() as receiver:
        answer = await exchange(receiver.port, request(connection="upgrade", upgrade="websocket"))

    assert answer.status == 204


async def test_bytes_behind_a_delivery_do_not_undo_it() -> None:
    async with receiving() as receiver:
        await exchange(receiver.port, request() + b"\x00\x01 and so on\r\n\r\n")
        await eventually(lambda: receiver.receipts.kept)

    assert {each.verdict for each in receiver.receipts.kept} <= {Outcome.APPLIED, Refusal.NOT_HTTP}


def test_what_the_server_itself_meets_is_told_without_its_words() -> None:
    receipts = Receipts()

    _ServerLog(receipts).exception("of %s", "203.0.113.7", exc_info=KeyError("mina@example.com"))
    _ServerLog(receipts).exception("body", exc_info=ConnectionResetError())
    _ServerLog(receipts).warning("of %s", "203.0.113.7")

    assert receipts.kept == [Receipt(Failure.INTERNAL, detail="KeyError")]


HARMLESS = {0, 204, 400, 404, 405, 408, 413}
"""0 is a connection that was closed, because no request ever came of what it brought."""


@settings(deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 20), st.binary(max_size=20))
def test_a_delivery_spoilt_anywhere_is_never_our_fault(
    start: int, length: int, inserted: bytes
) -> None:
    """
    It starts from the bytes of a good one. None is answered 5xx, and none hangs.
    """
    whole = request()
    spoilt = whole[:start] + inserted + whole[start + length :]

    async def run() -> tuple[Answer, list[Receipt]]:
        limits = Limits(read_seconds=0.05, idle_seconds=0.05)
        async with receiving(limits=limits) as receiver:
            answer = await exchange(receiver.port, spoilt)
            return answer, receiver.receipts.kept

    answer, receipts = asyncio.run(asyncio.wait_for(run(), 10))

    assert answer.status in HARMLESS
    assert not [each for each in receipts if isinstance(each.verdict, Failure)]


@settings(deadline=None)
@given(st.binary(max_size=2_000))
def test_a_signed_body_of_any_bytes_is_never_our_fault(body: bytes) -> None:
    async def run() -> Answer:
        async with receiving() as receiver:
            return await post(receiver, body)

    assert asyncio.run(asyncio.wait_for(run(), 10)).status in {204, 400}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(user())), json_values)
def test_a_signed_user_with_one_member_spoilt_is_taken(name: str, value: object) -> None:
    async def run() -> Answer:
        async with receiving() as receiver:
            return await post(receiver, body_of("user.updated", user(**{name: value})))

    assert asyncio.run(asyncio.wait_for(run(), 10)).status == 204
