"""What operators see: one JSON line per decision, and bounded metrics.

Every line and label is made from an allowlist of fields, so there is nothing
to redact. Labels are values of enums, and names that the operator gave to rules and
service tokens: never a path, a user or a ``kid``.
"""

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol, TextIO, cast

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from wicketgate import __version__
from wicketgate.core.record import DecisionLog, Record, fields_of
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.tally import DecisionTally
from wicketgate.core.verdict import Deny, Verdict
from wicketgate.metrics.decisions import Decisions
from wicketgate.metrics.exposition import exposition_of
from wicketgate.metrics.families import Reading, Readings

MAX_LINE: Final = 4000
"""Characters. A pipe takes 4,096 whole (POSIX ``PIPE_BUF``; longer lines are lost), and
the event, the level and the time come to less than the rest."""


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

    def __init__(self, log: structlog.typing.FilteringBoundLogger, *, transport: str = "") -> None:
        """Make what says which version runs, and how it is.

        Args:
            log: For lines.
            transport: The implementation of gRPC; empty for a process without one.
        """
        # Otherwise each counter has a series beside it that says since when; of the whole program.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library's own omission
        self.log = log
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge(
            "wicketgate_build_info",
            "Always 1.",
            ("version", "python", "transport"),
            registry=self.registry,
        ).labels(__version__, platform.python_version(), transport).set(1)

    def watch(self, name: str, meaning: str, read: Callable[[], float | None]) -> None:
        """Export a gauge whose value is read at each scrape; `None` leaves it out."""
        self.registry.register(Reading(GaugeMetricFamily, name, meaning, read))

    def watch_count(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Export a counter that is kept elsewhere and read at each scrape."""
        self.registry.register(Reading(CounterMetricFamily, name, meaning, read))

    def watch_labelled(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        """Export a gauge for each key of what is read at each scrape: its labels' values."""
        self.registry.register(Readings(name, meaning, labels, read))

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return exposition_of(self.registry)


class Telemetry(Instruments):
    """Keeps decisions and key refreshes: as metrics, and in the log."""

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        *,
        decisions: LineStream,
        decision_log: DecisionLog = DecisionLog.ALL,
        clock: Callable[[], float] = time.time,
        transport: str = "",
    ) -> None:
        """Make the metrics; they belong to this object's own registry.

        Args:
            log: For everything but decisions.
            decisions: Takes the lines of decisions; which of them is `decision_log`'s
                business, and not that of a level.
            decision_log: Which decisions are logged. Those that the operator must act
                on, because the configuration or the gate is at fault, always are.
            clock: POSIX seconds.
            transport: The implementation of gRPC.
        """
        super().__init__(log, transport=transport)
        self._decisions = decisions
        self._logs_all = decision_log is DecisionLog.ALL
        self._logs_denied = decision_log is DecisionLog.DENIED
        self._clock = clock
        self._tally = DecisionTally()
        self.registry.register(Decisions(self._tally))
        self._replays_left_out = self._counter(
            "wicketgate_replays_left_out",
            "Decisions logged without what a replay needs, because the line was too long.",
        )
        self._refreshes = self._counter(
            "wicketgate_jwks_refreshes", "Attempts to fetch the keys.", "outcome"
        )
        for outcome in ("ok", "failed"):
            self._refreshes.labels(outcome)

    @property
    def tally(self) -> DecisionTally:
        """What was decided; to be read only."""
        return self._tally

    def follow(self, *, rules: Iterable[str], tokens: Iterable[str]) -> None:
        """Count under these names of rules and service tokens from now on, and no others."""
        self._tally.follow(rules=rules, tokens=tokens)

    def count(self, verdict: Verdict, seconds: float) -> bool:
        """Count a decision that took so long, and tell whether it is to be logged."""
        self._tally.count(verdict, seconds)
        if isinstance(verdict.caller, ServiceToken):
            self._tally.used(verdict.caller.name, self._clock())
        return self._is_logged(verdict)

    def record(self, record: Record) -> None:
        """Log a decision, as the log would write it, in half of its time."""
        fields = self._fields(record)
        moment = datetime.fromtimestamp(self._clock(), UTC)
        line = {
            **fields,
            "event": "decision",
            "level": "info",
            "timestamp": moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        self._decisions.write(_encode(line) + "\n")
        self._decisions.flush()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _fields(self, record: Record) -> dict[str, object]:
        fields = fields_of(record)
        if record.replay is None:
            return fields
        whole = fields | {"replay": record.replay.document()}
        length = len(_encode(whole))
        if length <= MAX_LINE:
            return whole
        # Better the decision without what a replay needs than neither.
        self._replays_left_out.inc()
        return fields | {"replay_left_out": length}

    def refreshed(self) -> None:
        """Count a successful fetch of the keys."""
        self._refreshes.labels("ok").inc()

    def refresh_failed(self, error: str) -> None:
        """Count and log a failed fetch of the keys."""
        self._refreshes.labels("failed").inc()
        self.log.warning("keys not refreshed", error=error)

    def _is_logged(self, verdict: Verdict) -> bool:
        if self._logs_all:
            return True
        if not isinstance(verdict, Deny):
            return False
        return self._logs_denied or bool(verdict.detail)
