"""A collector of traces: takes OTLP over HTTP, and remembers what it was told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SECONDS = 20.0


@dataclass(frozen=True)
class Told:
    """One span.

    Attributes:
        span: As it was sent.
        words: Its attributes.
        resource: Those of what it comes from.
    """

    span: Span
    words: Mapping[str, str]
    resource: Mapping[str, str]

    @property
    def trace_id(self) -> str:
        """The trace, in hexadecimal."""
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        """The span, in hexadecimal."""
        return self.span.span_id.hex()

    @property
    def parent_id(self) -> str:
        """What it belongs to, in hexadecimal."""
        return self.span.parent_span_id.hex()


@dataclass
class Collector:
    """Answers as it is told to.

    Attributes:
        status: The status of its answers.
        is_hanging: It does not answer before its end.
        url: Where it takes traces.
        requests: The headers of what came.
        told: The spans that came.
        ended: Nobody needs it any more.
    """

    status: int = 200
    is_hanging: bool = False
    url: str = ""
    requests: list[Mapping[str, str]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def named(self, name: str) -> list[Told]:
        """Return the spans of a name."""
        return [each for each in self.told if each.span.name == name]

    async def has(self, number: int, name: str = "wicketgate.check") -> list[Told]:
        """Wait for so many spans of a name, and return them."""
        async with asyncio.timeout(SECONDS):
            while len(self.named(name)) < number:  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.02)
        return self.named(name)

    async def take(self, request: web.Request) -> web.Response:
        """Take one request."""
        body = await request.read()
        self.requests.append({name.lower(): value for name, value in request.headers.items()})
        self.told += spans_in(body)
        if self.is_hanging:
            await self.ended.wait()
        where = {"location": self.url} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, headers=where)


def spans_in(body: bytes) -> list[Told]:
    """Return the spans that a request's body holds."""
    return [
        Told(span, _words(span.attributes), _words(each.resource.attributes))
        for each in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in each.scope_spans
        for span in scope.spans
    ]


def _words(attributes: object) -> Mapping[str, str]:
    return {each.key: each.value.string_value for each in attributes}  # type: ignore[attr-defined]


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Keep a collector for as long as the context lasts."""
    collecting = Collector()
    application = web.Application()
    application.router.add_post("/v1/traces", collecting.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port, *_ = runner.addresses[0]
        collecting.url = f"http://{host}:{port}/v1/traces"
        yield collecting
    finally:
        collecting.ended.set()
        await runner.cleanup()
