"""Our text format says what the library's says."""

import io
import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from wicketgate.adapters.telemetry import Instruments, make_log
from wicketgate.metrics.exposition import exposition_of


@pytest.fixture
def registry() -> CollectorRegistry:
    """That of a process, in which the library makes no series of its own."""
    return Instruments(make_log(io.StringIO(), level="info")).registry


def lines_of(exposition: bytes) -> list[bytes]:
    """Return its lines, without what changes while it is read."""
    return [line for line in exposition.splitlines() if not line.startswith(b"process_")]


@pytest.mark.parametrize(
    "text",
    ["", "plain", 'a "quote"', "back\\slash", "two\nlines", "\\n", 'all\\"\n"', "ü€😀", "{a=b},"],
)
def test_a_label_is_escaped_as_the_library_does(text: str, registry: CollectorRegistry) -> None:
    Gauge("one", f"About {text}.", ("z", "a"), registry=registry).labels(text, "plain").set(1)

    assert lines_of(exposition_of(registry)) == lines_of(generate_latest(registry))


@pytest.mark.parametrize(
    "number", [0, 1, -1, 0.1, 1e6, 123456789, 1e21, 5e-324, math.inf, -math.inf, math.nan]
)
def test_a_number_is_written_as_the_library_does(
    number: float, registry: CollectorRegistry
) -> None:
    Gauge("one", "About one.", registry=registry).set(number)

    assert lines_of(exposition_of(registry)) == lines_of(generate_latest(registry))


def test_each_kind_that_we_export_is_written_as_the_library_does(
    registry: CollectorRegistry,
) -> None:
    Counter("plain", "Counted.", registry=registry).inc()
    labelled = Counter("labelled", "Counted.", ("b", "a"), registry=registry)
    labelled.labels("1", "2").inc(2)
    labelled.labels("3", "4").inc(0.5)
    Histogram("seconds", "Measured.", ("kind",), registry=registry).labels("x").observe(0.3)

    assert lines_of(exposition_of(registry)) == lines_of(generate_latest(registry))
