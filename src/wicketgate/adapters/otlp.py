"""Spans as OTLP over HTTP: the only user of OpenTelemetry, and imported when it is used.

The SDK makes the spans and their encoding. What is sent, where and how long it may take
is ours: no thread, no proxy, no redirect, nothing from the environment.

Source: OTLP 1.5, "OTLP/HTTP" (binary protobuf; any 2xx is success); OpenTelemetry,
"Trace API".
"""

from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from yarl import URL

from wicketgate import __version__
from wicketgate.core.trace_span import CheckTrace, Span
from wicketgate.errors import DependencyError

TIMEOUT_SECONDS: Final = 5.0
"""For one request. What comes meanwhile waits in the queue, which holds as much."""
_CONNECT_SECONDS: Final = 2.0
_HEADERS: Final = {"Content-Type": "application/x-protobuf"}
_FEW: Final = 128
_LIMITS: Final = SpanLimits(
    # Each of them: what is left out is read from the environment.
    max_attributes=_FEW,
    max_events=_FEW,
    max_links=_FEW,
    max_span_attributes=_FEW,
    max_event_attributes=_FEW,
    max_link_attributes=_FEW,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)

_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    # The first that fits; aiohttp's kinds overlap.
    (aiohttp.ClientConnectorDNSError, "the collector's name does not resolve"),
    (aiohttp.ClientConnectorCertificateError, "the collector's certificate is not trusted"),
    (aiohttp.ClientSSLError, "TLS with the collector failed"),
    (TimeoutError, "the collector did not answer in time"),
    (aiohttp.ClientConnectorError, "no connection to the collector"),
)


class SpanEncoder:
    """Makes the body of a request of spans."""

    def __init__(self, resource: Mapping[str, str]) -> None:
        """Encode spans of what `resource` describes."""
        self._finished = _Finished()
        provider = TracerProvider(
            # Whether it is sampled was decided by whoever began the trace.
            sampler=ALWAYS_ON,
            resource=Resource(dict(resource)),
            shutdown_on_exit=False,
            span_limits=_LIMITS,
        )
        provider.add_span_processor(self._finished)
        self._tracer = provider.get_tracer("wicketgate", __version__)

    def __call__(self, traces: Sequence[CheckTrace]) -> bytes:
        """Return the body that tells about `traces`."""
        for trace in traces:
            check = self._begin(trace.check, NonRecordingSpan(_remote(trace)), is_request=True)
            for span in trace.below:
                _end(self._begin(span, check, is_request=False), span)
            _end(check, trace.check)
        return encode_spans(self._finished.take()).SerializeToString()

    def _begin(self, span: Span, parent: SdkSpan, *, is_request: bool) -> SdkSpan:
        return self._tracer.start_span(
            span.name,
            context=set_span_in_context(parent),
            kind=SpanKind.SERVER if is_request else SpanKind.INTERNAL,
            attributes=dict(span.attributes),
            start_time=span.began,
        )


class OtlpSender:
    """Sends bodies to a collector, one request each.

    Attributes:
        headers: What every request carries.
    """

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Send to `url` through `session`, which stays the caller's to close."""
        self.headers = headers
        self._url = URL(url)
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)

    async def __call__(self, body: bytes) -> None:
        """Have the collector take `body`.

        Raises:
            DependencyError: it did not. No other exception escapes but a cancellation.
        """
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={**self.headers, **_HEADERS},
                timeout=self._timeout,
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                status = response.status
        except Exception as error:
            # aiohttp's messages name the URL, and may quote the collector.
            raise DependencyError(_cause(error)) from error
        if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 section 15.3
            msg = f"the collector answered {status}"
            raise DependencyError(msg)


class _Finished(SpanProcessor):
    """Keeps spans that have ended until somebody takes them."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        spans, self._spans = self._spans, []
        return spans


def _remote(trace: CheckTrace) -> SpanContext:
    context = trace.context
    return SpanContext(
        int(context.trace_id, 16),
        int(context.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState(list(trace.state)),
    )


def _end(span: SdkSpan, told: Span) -> None:
    if told.error:
        span.set_status(Status(StatusCode.ERROR, told.error))
    span.end(told.ended)


def _cause(error: Exception) -> str:
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return f"the collector gave no complete answer ({type(error).__name__})"
