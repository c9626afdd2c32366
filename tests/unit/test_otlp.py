"""Spans as OTLP: what a collector reads, and what it cannot do to a gate."""

import asyncio
import re
import subprocess
import sys

import pytest
from aiohttp import ClientSession
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collectors import Collector, Told, collector, spans_in
from tokens import USER_RULE
from wicketgate.adapters.otlp import OtlpSender, SpanEncoder
from wicketgate.core.reason import Reason
from wicketgate.core.trace_context import TraceContext
from wicketgate.core.trace_span import CheckTrace, Wait, Waited, trace_of
from wicketgate.core.verdict import Deny
from wicketgate.errors import DependencyError

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
NOW = 1_790_000_000_000_000_000


def trace(reason: Reason = Reason.TOKEN_EXPIRED, *waits: Wait, flags: int = 1) -> CheckTrace:
    return trace_of(
        Deny(reason, USER_RULE),
        TraceContext(trace_id=TRACE, parent_id=PARENT, flags=flags),
        state=(("b", "2"), ("a@x", "1")),
        decision_id="d-1",
        seconds=0.25,
        waits=waits,
        now=NOW,
    )


def encoded(*traces: CheckTrace) -> list[Told]:
    return spans_in(SpanEncoder({"service.name": "edge"})(traces))


def test_a_check_is_the_server_s_span_of_the_request_s_own_trace() -> None:
    (told,) = encoded(trace())

    assert (told.trace_id, told.parent_id) == (TRACE, PARENT)
    assert re.fullmatch("[0-9a-f]{16}", told.span_id)
    assert told.span_id not in {PARENT, "0" * 16}
    assert told.span.kind == Span.SPAN_KIND_SERVER
    assert told.span.trace_state == "b=2,a@x=1"
    assert told.span.name == "wicketgate.check"
    assert (told.span.start_time_unix_nano, told.span.end_time_unix_nano) == (
        NOW - 250_000_000,
        NOW,
    )
    assert told.words == {
        "wicketgate.verdict": "deny",
        "wicketgate.reason": "token_expired",
        "wicketgate.principal": "none",
        "wicketgate.rule": "public:user",
        "wicketgate.decision_id": "d-1",
    }
    assert told.resource == {"service.name": "edge"}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.TOKEN_EXPIRED, (Status.STATUS_CODE_UNSET, "")),
        (Reason.INTERNAL_ERROR, (Status.STATUS_CODE_ERROR, "internal_error")),
    ],
)
def test_only_our_own_failures_are_errors(reason: Reason, expected: tuple[int, str]) -> None:
    (told,) = encoded(trace(reason))

    assert (told.span.status.code, told.span.status.message) == expected


def test_a_wait_belongs_to_its_check() -> None:
    spans = encoded(trace(Reason.KEY_UNKNOWN, Wait(Waited.JWKS, 0.125, 0.25)), trace())
    first, other = (each for each in spans if each.span.name == "wicketgate.check")
    (wait,) = (each for each in spans if each.span.name == "jwks.refresh")

    assert (wait.trace_id, wait.parent_id) == (TRACE, first.span_id)
    assert wait.span.kind == Span.SPAN_KIND_INTERNAL
    assert wait.words == {}
    assert wait.span.start_time_unix_nano == NOW - 125_000_000
    assert len({first.span_id, other.span_id, wait.span_id}) == 3


def test_every_batch_is_told_once() -> None:
    encode = SpanEncoder({"service.name": "edge"})

    assert [len(spans_in(encode([trace()] * number))) for number in (3, 0, 1)] == [3, 0, 1]


HOSTILE = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
    "OTEL_PYTHON_METER_PROVIDER": "rubbish",
    "OTEL_PYTHON_TRACER_PROVIDER": "rubbish",
    "OTEL_PYTHON_ID_GENERATOR": "rubbish",
    "OTEL_PROPAGATORS": "rubbish",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "0",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "0",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "rubbish",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "rubbish",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "rubbish",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "rubbish",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "rubbish",
    "OTEL_RESOURCE_ATTRIBUTES": "rubbish",
    "OTEL_SERVICE_NAME": "other",
    "OTEL_EXPORTER_OTLP_HEADERS": "rubbish",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "rubbish",
}


def test_of_opentelemetry_s_variables_none_changes_a_span() -> None:
    """
    They are read when its modules are loaded, hence a process of its own.
    """
    program = (
        "import sys; from unit.test_otlp import SpanEncoder, trace; "
        "sys.stdout.buffer.write(SpanEncoder({'service.name': 'edge'})([trace()]))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**HOSTILE, "PYTHONPATH": "tests"},
        check=True,
        capture_output=True,
    )

    (told,) = spans_in(ran.stdout)
    (expected,) = encoded(trace())
    assert (told.words, told.resource) == (expected.words, expected.resource)
    assert ran.stderr == b""


# --- sending -------------------------------------------------------------------


async def fault_of(collecting: Collector, url: str = "") -> str:
    """Send once, and return what is said to have gone wrong."""
    async with ClientSession(trust_env=False) as session:
        try:
            headers = {"api-key": "hunter2"}
            await OtlpSender(url or collecting.url, session, headers, timeout_seconds=1.0)(b"")
        except DependencyError as error:
            return str(error)
    return ""


async def test_a_body_is_sent_as_it_is_with_the_operator_s_headers() -> None:
    body = SpanEncoder({"service.name": "edge"})([trace()])
    async with collector() as collecting, ClientSession(trust_env=False) as session:
        send = OtlpSender(collecting.url, session, {"api-key": "hunter2"})
        await send(body)
        send.headers = {"api-key": "hunter3"}
        await send(body)

    assert [each.trace_id for each in collecting.told] == [TRACE, TRACE]
    assert [each["api-key"] for each in collecting.requests] == ["hunter2", "hunter3"]
    assert {each["content-type"] for each in collecting.requests} == {"application/x-protobuf"}


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_success_is_one(status: int) -> None:
    async with collector() as collecting:
        collecting.status = status

        assert await fault_of(collecting) == ""


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
async def test_any_other_status_is_a_failure_and_no_redirect_is_followed(status: int) -> None:
    async with collector() as collecting:
        collecting.status = status

        assert await fault_of(collecting) == f"the collector answered {status}"

    assert len(collecting.requests) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "http://collector.invalid/v1/traces?key=hunter2",
            "the collector's name does not resolve",
        ),
        ("http://127.0.0.1:9/v1/traces?key=hunter2", "no connection to the collector"),
        ("https://127.0.0.1:{port}/v1/traces?key=hunter2", "TLS with the collector failed"),
        (
            "http://127.0.0.1:{port}/v1/traces?key=hunter2&hang",
            "the collector did not answer in time",
        ),
        (
            "http://127.0.0.1:{broken}/v1/traces?key=hunter2",
            "the collector gave no complete answer (ServerDisconnectedError)",
        ),
    ],
)
async def test_a_collector_that_does_not_answer_is_a_failure_that_quotes_nothing(
    url: str, expected: str
) -> None:
    def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    broken = await asyncio.start_server(leave, "127.0.0.1", 0)
    async with collector() as collecting, broken:
        collecting.is_hanging = "hang" in url
        ports = {
            "port": collecting.url.split(":")[2].split("/")[0],
            "broken": broken.sockets[0].getsockname()[1],
        }

        assert expected == await fault_of(collecting, url.format_map(ports))
