"""Unary gRPC on top of HTTP/2: one message each way, and a status."""

from urllib.parse import unquote

import pytest
from grpc_health.v1 import health_pb2
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.grpc.head import Head
from wicketgate.grpc.service import Health, method_for
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
    percent_encoded,
    seconds_of,
)

GRPC = b"application/grpc"


def head(**fields: bytes) -> Head:
    """Return the head of a call."""
    return Head(**{"method": b"POST", "path": b"/a.B/C", "content_type": GRPC, **fields})  # type: ignore[arg-type] # bytes all


def decoded(block: bytes) -> dict[str, str]:
    """Return a header block as hpack reads it."""
    return {str(name): str(value) for name, value in Decoder().decode(block)}


@pytest.mark.parametrize(
    ("method", "kind", "status"),
    [
        (b"POST", GRPC, 200),
        (b"POST", GRPC + b"+proto", 200),
        (b"POST", GRPC + b"; charset=utf-8", 200),
        (b"POST", GRPC + b"-web", 415),
        (b"POST", b"application/json", 415),
        (b"POST", b"", 415),
        (b"GET", GRPC, 405),
        (b"post", GRPC, 405),
    ],
)
def test_what_is_no_grpc_gets_http_s_own_status(method: bytes, kind: bytes, status: int) -> None:
    assert status == http_status(head(method=method, content_type=kind))
    if status != 200:
        assert decoded(http_error(status))[":status"] == str(status)


def refusal(body: bytes, *, encoding: bytes = b"", limit: int = 100) -> Status | None:
    """Return the status that a body is refused with."""
    try:
        message_in(head(encoding=encoding), body, limit=limit)
    except RefusedError as refused:
        return refused.status
    return None


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (framed(b""), b"", None),
        (framed(b"x" * 100), b"", None),
        (framed(b"x" * 100), b"gzip", None),
        (framed(b"x" * 101), b"", Status.RESOURCE_EXHAUSTED),
        (b"\0\xff\xff\xff\xff", b"", Status.RESOURCE_EXHAUSTED),
        (b"", b"", Status.UNIMPLEMENTED),
        (framed(b"x") + framed(b"y"), b"", Status.UNIMPLEMENTED),
        (framed(b"x") + b"\0", b"", Status.UNIMPLEMENTED),
        (b"\0\0\0\0", b"", Status.INTERNAL),
        (framed(b"xy")[:-1], b"", Status.INTERNAL),
        (b"\1" + framed(b"x")[1:], b"gzip", Status.UNIMPLEMENTED),
        (b"\1" + framed(b"x")[1:], b"identity", Status.INTERNAL),
        (b"\1" + framed(b"x")[1:], b"", Status.INTERNAL),
        (b"\2" + framed(b"x")[1:], b"gzip", Status.INTERNAL),
    ],
)
def test_one_message_and_no_other(body: bytes, encoding: bytes, status: Status | None) -> None:
    """
    gRPC's status codes: another number of messages is UNIMPLEMENTED, broken framing INTERNAL.
    """
    assert status == refusal(body, encoding=encoding)


@given(st.binary(max_size=50))
def test_what_was_framed_is_the_message(message: bytes) -> None:
    assert message_in(head(), framed(message), limit=50) == message


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"4m", 0.004),
        (b"5u", 5e-6),
        (b"6n", 6e-9),
        (b"0n", 0.0),
        (b"99999999H", 99_999_999 * 3600.0),
        (b"", None),
        (b"1", None),
        (b"S", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b"123456789S", None),
        (b"1s", None),
        (b"1S ", None),
    ],
)
def test_a_timeout(timeout: bytes, seconds: float | None) -> None:
    assert seconds_of(timeout) == (None if seconds is None else pytest.approx(seconds))


def test_an_answer_is_read_by_hpack() -> None:
    assert decoded(RESPONSE_HEADERS) == {":status": "200", "content-type": "application/grpc"}
    assert decoded(OK_TRAILERS) == {"grpc-status": "0"}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize(
    "message", ["", "no", "größer", "a%b\n", "x" * 126, "y" * 127, "z" * 9_000]
)
def test_an_error_is_read_by_hpack(status: Status, message: str) -> None:
    fields = decoded(error_headers(status, message))

    assert fields[":status"] == "200"
    assert fields["content-type"] == "application/grpc"
    assert fields["grpc-status"] == str(int(status))
    assert unquote(fields["grpc-message"]) == message
    assert (fields.get("grpc-accept-encoding") == "identity") == (status is Status.UNIMPLEMENTED)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_messages_are_percent_encoded(message: str) -> None:
    coded = percent_encoded(message)

    assert all(0x20 <= octet <= 0x7E for octet in coded)
    assert unquote(coded.decode("ascii")) == message


def test_a_lone_surrogate_is_no_reason_to_fail() -> None:
    assert percent_encoded("\ud800") == b"?"


# -------------------------------------------------------------------------- methods


def health(service: str) -> health_pb2.HealthCheckRequest:
    """Return a request."""
    return health_pb2.HealthCheckRequest(service=service)


def test_health_says_what_it_was_told() -> None:
    known = Health(frozenset({"a.B"}))
    states = []
    for is_serving in (False, True):
        known.is_serving = is_serving
        for service in ("", "a.B"):
            raw = known.check(health(service).SerializeToString())
            states.append(health_pb2.HealthCheckResponse.FromString(raw).status)

    down, up = health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING
    assert states == [down, down, up, up]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (health("other").SerializeToString(), Status.NOT_FOUND),
        (b"\x0a\x02\xff\xff", Status.INTERNAL),
        (b"\xff", Status.INTERNAL),
    ],
)
def test_health_of_something_else(raw: bytes, status: Status) -> None:
    with pytest.raises(RefusedError) as refused:
        Health(frozenset({"a.B"})).check(raw)

    assert refused.value.status is status


def test_a_method_that_there_is_not() -> None:
    known = {b"/a.B/C": bytes}

    assert method_for(known, b"/a.B/C") is bytes
    for path in (b"/a.B/c", b"a.B/C", b"/a.B/C/", b"/grpc.health.v1.Health/Watch"):
        with pytest.raises(RefusedError) as refused:
            method_for(known, path)
        assert refused.value.status is Status.UNIMPLEMENTED
