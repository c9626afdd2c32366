"""Traces that are told: so many and no more, and never at the cost of an answer."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from conformance.table import World, bearer
from gates import FakeKeys, answer, check_request, make_gate
from tokens import USER_RULE, claims_of
from wicketgate.adapters.telemetry import make_log
from wicketgate.adapters.traces import BATCH, PER_SECOND, QUEUE_LIMIT, Traces
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.trace_span import CheckTrace, Wait, Waited
from wicketgate.core.verdict import Allow, Deny, User, Verdict
from wicketgate.errors import DependencyError

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=x"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
NOW = 1_790_000_000_000_000_000
ADMITTED = Allow(User(claims_of({})), USER_RULE)
EXPIRED = Deny(Reason.TOKEN_EXPIRED, USER_RULE)


@dataclass
class Scene:
    """Traces, the collector that they are told to, and the clock that a test turns.

    Attributes:
        sent: What the collector took, a list for each request.
        fault: What it raises in place of taking.
        is_open: Whether it answers at all.
    """

    seconds: float = 1000.0
    sent: list[list[CheckTrace]] = field(default_factory=list)
    fault: Exception | None = None
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    tried: int = 0
    stream: io.StringIO = field(default_factory=io.StringIO)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.is_open.set()
        self._batches: list[list[CheckTrace]] = []
        self.traces = Traces(
            self._encode,
            self._send,
            log=make_log(self.stream, level="info"),
            registry=self.registry,
            clock=lambda: NOW,
            timer=lambda: self.seconds,
            pause_seconds=0.001,
            flush_seconds=0.05,
        )

    def check(
        self,
        headers: dict[str, str],
        verdict: Verdict = ADMITTED,
        *waits: Wait,
        number: int = 1,
    ) -> None:
        """Decide some requests."""
        asked = HttpRequest(headers=headers)
        for _ in range(number):
            self.traces.checked(verdict, asked, decision_id="d-1", seconds=0.25, waits=waits)

    def counts(self) -> list[float | None]:
        """Return how many spans were exported and dropped."""
        return [self.count_of(outcome) for outcome in ("exported", "dropped")]

    def count_of(self, outcome: str) -> float | None:
        """Return how many spans had an outcome."""
        return self.registry.get_sample_value("wicketgate_trace_spans_total", {"outcome": outcome})

    def has_dropped(self, number: int) -> bool:
        """Tell whether so many spans were dropped."""
        return self.counts()[1] == number

    def lines(self) -> list[tuple[str, str, str | None]]:
        """Return what was logged."""
        documents = map(json.loads, self.stream.getvalue().splitlines())
        return [(each["level"], each["event"], each.get("error")) for each in documents]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(10):
            while not is_so():  # noqa: ASYNC110 - nobody would set an event
                await asyncio.sleep(0.001)

    def _encode(self, traces: Sequence[CheckTrace]) -> bytes:
        self._batches.append(list(traces))
        return b"encoded"

    async def _send(self, body: bytes) -> None:
        assert body == b"encoded"
        self.tried += 1
        await self.is_open.wait()
        if self.fault is not None:
            raise self.fault
        self.sent.append(self._batches[-1])


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    it = Scene()
    it.traces.start()
    try:
        yield it
    finally:
        await it.traces.close()


async def test_a_check_of_a_sampled_trace_is_told() -> None:
    async with scene() as it:
        it.check(SAMPLED)
        await it.until(lambda: bool(it.sent))

    ((told,),) = it.sent
    assert (told.context.trace_id, told.context.parent_id) == (TRACE, PARENT)
    assert told.state == (("vendor", "x"),)
    assert (told.check.began, told.check.ended) == (NOW - 250_000_000, NOW)
    assert it.counts() == [1, 0]
    assert it.lines() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        UNSAMPLED,
        {"tracestate": "vendor=x"},
        {"traceparent": "rubbish"},
        {"traceparent": f"{SAMPLED['traceparent']},{SAMPLED['traceparent']}"},
        # Of Envoy's other ways to say it, none counts.
        {"x-b3-traceid": TRACE, "x-b3-spanid": PARENT, "x-b3-sampled": "1"},
    ],
)
async def test_no_trace_is_begun_here(headers: dict[str, str]) -> None:
    async with scene() as it:
        it.check(headers)

    assert it.sent == []
    assert it.counts() == [0, 0]


async def test_what_is_told_at_once_is_told_together() -> None:
    async with scene() as it:
        it.check(SAMPLED, number=BATCH + 1)
        await it.until(lambda: len(it.sent) == 2)

    assert [len(batch) for batch in it.sent] == [BATCH, 1]


async def test_waits_count_as_spans() -> None:
    async with scene() as it:
        it.check(SAMPLED, EXPIRED, Wait(Waited.JWKS, 0.1, 0.2))
        await it.until(lambda: bool(it.sent))

    assert it.counts() == [2, 0]


async def test_a_flood_of_sampled_requests_is_told_in_part_and_is_no_fault_of_the_collector() -> (
    None
):
    """
    Anybody can write that a trace is sampled.
    """
    it = Scene()

    it.check(SAMPLED, number=10_000)
    before = it.count_of("limited")
    it.seconds += 0.1
    it.check(SAMPLED, number=10_000)

    assert before == 10_000 - PER_SECOND
    assert it.count_of("limited") == 20_000 - PER_SECOND - PER_SECOND // 10
    assert it.counts() == [0, 0]


async def test_the_queue_for_a_collector_that_hangs_is_bounded() -> None:
    async with scene() as it:
        it.is_open.clear()
        it.check(SAMPLED)
        await it.until(lambda: it.tried == 1)
        for _ in range(10):
            it.seconds += 1
            it.check(SAMPLED, number=PER_SECOND)

        assert it.counts() == [0, 10 * PER_SECOND - QUEUE_LIMIT]


async def test_what_a_collector_does_not_take_is_dropped_and_said_once() -> None:
    async with scene() as it:
        it.fault = DependencyError("the collector answered 503")
        for number in (1, 2, 3):
            it.check(SAMPLED)
            await it.until(partial(it.has_dropped, number))
        it.fault = None
        it.check(SAMPLED)
        await it.until(lambda: bool(it.sent))

    assert it.counts() == [1, 3]
    assert it.lines() == [
        ("warning", "traces not exported", "the collector answered 503"),
        ("info", "traces exported again", None),
    ]


async def test_whatever_else_is_raised_is_named_and_not_quoted() -> None:
    async with scene() as it:
        it.fault = RuntimeError("https://otlp.example.com/?key=hunter2")
        it.check(SAMPLED)
        await it.until(partial(it.has_dropped, 1))

    assert it.lines() == [("warning", "traces not exported", "unexpected RuntimeError")]


async def test_at_the_end_what_is_left_is_told() -> None:
    it = Scene()
    it.check(SAMPLED, number=BATCH + 1)
    it.traces.start()

    await it.traces.close()

    assert [len(batch) for batch in it.sent] == [BATCH, 1]
    assert it.counts() == [BATCH + 1, 0]


async def test_at_the_end_a_collector_that_hangs_is_not_waited_for() -> None:
    it = Scene()
    it.is_open.clear()
    it.check(SAMPLED, number=BATCH + 1)
    it.traces.start()

    await asyncio.wait_for(it.traces.close(), 10)

    assert it.sent == []
    assert it.counts() == [0, BATCH + 1]


async def test_at_the_end_a_collector_that_fails_is_tried_once_more() -> None:
    it = Scene()
    it.fault = DependencyError("the collector answered 503")
    it.check(SAMPLED, number=2 * BATCH)
    it.traces.start()

    await it.traces.close()

    assert it.tried == 1
    assert it.counts() == [0, 2 * BATCH]


# --- the gate ------------------------------------------------------------------


@dataclass
class Told:
    """Whoever is told about decisions."""

    told: list[tuple[Verdict, HttpRequest, str, tuple[Wait, ...]]] = field(default_factory=list)
    fault: Exception | None = None

    def checked(
        self,
        verdict: Verdict,
        request: HttpRequest,
        *,
        decision_id: str,
        seconds: float,
        waits: tuple[Wait, ...],
    ) -> None:
        assert seconds > 0
        self.told.append((verdict, request, decision_id, waits))
        if self.fault is not None:
            raise self.fault


async def test_a_gate_tells_about_every_request_that_it_could_read(world: World) -> None:
    gate, told = make_gate(world), Told()
    gate.traces = told

    response = await answer(gate, check_request(SAMPLED))
    await answer(gate, b"\xff")

    ((verdict, asked, decision_id, waits),) = told.told
    assert verdict.rule is not None
    assert isinstance(verdict, Deny)
    assert asked.headers["traceparent"] == SAMPLED["traceparent"]
    assert response.denied_response is not None
    headers = {
        each.header.key: each.header.value
        for each in response.denied_response.headers
        if each.header
    }
    assert headers["x-wicketgate-decision"] == decision_id
    assert waits == ()


async def test_a_fetch_of_keys_is_a_wait(world: World) -> None:
    told = Told()
    gate = make_gate(world, keys=FakeKeys(KeySet(), arriving=world.keys()))
    gate.traces = told

    await answer(gate, check_request(bearer()(world)))

    ((verdict, _, _, (wait,)),) = told.told
    assert isinstance(verdict, Allow)
    assert wait.what is Waited.JWKS
    assert 0 < wait.began < wait.ended


async def test_the_answer_stands_whatever_comes_of_the_trace(world: World) -> None:
    told = Told(fault=RuntimeError("no"))
    gate = make_gate(world)
    gate.traces = told

    response = await answer(gate, check_request(bearer()(world)))

    assert response.ok_response is not None
    assert len(told.told) == 1
