"""Spans as OTLP over HTTP: the only user of OpenTelemetry, and imported when it is used.

The SDK says what a span is and encodes it; its tracer, which heeds a dozen variables, one
of them to be silent, is not asked. What is sent, where and how long it may take is ours: no
thread, no proxy, no redirect, nothing from the environment.

Source: OTLP 1.5, "OTLP/HTTP" (binary protobuf; any 2xx is success); OpenTelemetry,
"Trace API".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import aiohttp
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from yarl import URL

from wicketgate import __version__
from wicketgate.core.trace_span import CheckTrace, Span
from wicketgate.errors import DependencyError

TIMEOUT_SECONDS: Final = 5.0
"""For one request. What comes meanwhile waits in the queue, which holds as much."""
_CONNECT_SECONDS: Final = 2.0
_HEADERS: Final = {"Content-Type": "application/x-protobuf"}
_UNSET: Final = Status(StatusCode.UNSET)

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
        self._resource = Resource(dict(resource))
        self._scope = InstrumentationScope("wicketgate", __version__)
        self._new_id = RandomIdGenerator().generate_span_id

    def __call__(self, traces: Sequence[CheckTrace]) -> bytes:
        """Return the body that tells about `traces`."""
        spans = [span for trace in traces for span in self._spans(trace)]
        return encode_spans(spans).SerializeToString()

    def _spans(self, trace: CheckTrace) -> Iterator[ReadableSpan]:
        request = _remote(trace)
        check = self._below(request)
        for span in trace.below:
            yield self._span(span, self._below(check), parent=check, kind=SpanKind.INTERNAL)
        yield self._span(trace.check, check, parent=request, kind=SpanKind.SERVER)

    def _below(self, parent: SpanContext) -> SpanContext:
        return SpanContext(
            parent.trace_id,
            self._new_id(),
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )

    def _span(
        self, told: Span, context: SpanContext, *, parent: SpanContext, kind: SpanKind
    ) -> ReadableSpan:
        return ReadableSpan(
            told.name,
            context,
            parent,
            self._resource,
            dict(told.attributes),
            kind=kind,
            status=Status(StatusCode.ERROR, told.error) if told.error else _UNSET,
            start_time=told.began,
            end_time=told.ended,
            instrumentation_scope=self._scope,
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


def _remote(trace: CheckTrace) -> SpanContext:
    context = trace.context
    return SpanContext(
        int(context.trace_id, 16),
        int(context.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(context.flags),
        trace_state=TraceState(list(trace.state)),
    )


def _cause(error: Exception) -> str:
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words
    return f"the collector gave no complete answer ({type(error).__name__})"
