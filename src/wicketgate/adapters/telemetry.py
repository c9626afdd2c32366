"""What operators see: one JSON line per decision, and bounded metrics.

Every line and label is made from an allowlist of fields, so there is nothing
to redact. Labels are values of enums: never a path, a user or a ``kid``.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TextIO, cast

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wicketgate import __version__
from wicketgate.core.record import DecisionLog, Record

BUCKETS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""Seconds. From a cached token (tens of µs) to past Envoy's timeout (0.5 s)."""


class LineStream(Protocol):
    """The part of a text file that a log needs."""

    def write(self, line: str, /) -> int:
        """Write one line."""

    def flush(self) -> None:
        """Make sure that it is written."""


_encode: Final = json.JSONEncoder(default=repr, separators=(",", ":")).encode


def _encoded(event: Mapping[str, object], **_: object) -> str:
    """Return a log line; ``json.dumps`` would make an encoder for each."""
    return _encode(event)


def make_log(stream: LineStream, *, level: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes one JSON object a line to `stream`."""
    log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(cast("TextIO", stream)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_encoded),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return log


class Instruments:
    """The log and the metrics that every process has; the registry is this object's own."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        """Make what says which version runs, and how it is."""
        self.log = log
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge("wicketgate_build_info", "Always 1.", ("version",), registry=self.registry).labels(
            __version__
        ).set(1)

    def watch(self, name: str, meaning: str, read: Callable[[], float | None]) -> None:
        """Export a gauge whose value is read at each scrape; `None` leaves it out."""
        self.registry.register(_Reading(GaugeMetricFamily, name, meaning, read))

    def watch_count(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Export a counter that is kept elsewhere and read at each scrape."""
        self.registry.register(_Reading(CounterMetricFamily, name, meaning, read))

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class Telemetry(Instruments):
    """Keeps decisions and key refreshes: as metrics, and in the log."""

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        *,
        decisions: structlog.typing.FilteringBoundLogger,
        decision_log: DecisionLog = DecisionLog.ALL,
    ) -> None:
        """Make the metrics; they belong to this object's own registry.

        Args:
            log: For everything but decisions.
            decisions: For decisions; which of them is `decision_log`'s business, and
                not that of a level.
            decision_log: Which decisions are logged. Those that the operator must act
                on, because the configuration or the gate is at fault, always are.
        """
        super().__init__(log)
        self._decisions = decisions
        self._decision_log = decision_log
        self._checks = Counter(
            "wicketgate_checks",
            "Decisions.",
            ("verdict", "reason", "principal"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "wicketgate_check_seconds",
            "Time from reading a Check to its answer.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._refreshes = Counter(
            "wicketgate_jwks_refreshes",
            "Attempts to fetch the keys.",
            ("outcome",),
            registry=self.registry,
        )
        for outcome in ("ok", "failed"):
            self._refreshes.labels(outcome)

    def record(self, record: Record) -> None:
        """Keep one decision."""
        self._checks.labels(record.verdict, record.reason, record.principal).inc()
        self._seconds.observe(record.seconds)
        if not self._is_logged(record):
            return
        optional = {"request_id": record.request_id, "rule": record.rule}
        if record.detail:
            optional["detail"] = record.detail
        self._decisions.info(
            "decision",
            decision_id=record.decision_id,
            verdict=record.verdict,
            reason=record.reason,
            principal=record.principal,
            milliseconds=round(record.seconds * 1000, 3),
            **{name: value for name, value in optional.items() if value},
        )

    def refreshed(self) -> None:
        """Count a successful fetch of the keys."""
        self._refreshes.labels("ok").inc()

    def refresh_failed(self, error: str) -> None:
        """Count and log a failed fetch of the keys."""
        self._refreshes.labels("failed").inc()
        self.log.warning("keys not refreshed", error=error)

    def _is_logged(self, record: Record) -> bool:
        if record.detail:
            return True
        if self._decision_log is DecisionLog.DENIED:
            return record.verdict == "deny"
        return self._decision_log is DecisionLog.ALL


class _Reading(Collector):
    def __init__(
        self,
        family: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        meaning: str,
        read: Callable[[], float | None],
    ) -> None:
        self._family = family
        self._name = name
        self._meaning = meaning
        self._read = read

    def collect(self) -> list[Metric]:
        value = self._read()
        return [] if value is None else [self._family(self._name, self._meaning, value)]
