"""What operators see: one JSON line per decision, and bounded metrics.

Every line and label is made from an allowlist of fields, so there is nothing
to redact. Labels are values of enums, and names that the operator gave to rules and
service tokens: never a path, a user or a ``kid``.
"""

import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from wicketgate import __version__
from wicketgate.core.record import DecisionLog, Record, fields_of
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.tally import BUCKETS, DecisionTally
from wicketgate.core.verdict import Deny, Verdict

MAX_LINE: Final = 4000
"""Characters. A pipe takes 4,096 whole (POSIX ``PIPE_BUF``; longer lines are lost), and
the event, the level and the time come to less than the rest."""
_number: Callable[[float], str] = floatToGoString
_HELP: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_VALUE: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


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
        self.registry.register(_Reading(GaugeMetricFamily, name, meaning, read))

    def watch_count(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Export a counter that is kept elsewhere and read at each scrape."""
        self.registry.register(_Reading(CounterMetricFamily, name, meaning, read))

    def watch_labelled(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        """Export a gauge for each key of what is read at each scrape: its labels' values."""
        self.registry.register(_Readings(name, meaning, labels, read))

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
        self.registry.register(_Decisions(self._tally))
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


class _Decisions(Collector):
    """Exports a tally; counters of the library's own would cost more than to decide does."""

    def __init__(self, tally: DecisionTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        tally = self._tally
        yield _counters(
            "wicketgate_checks",
            "Decisions.",
            ("verdict", "reason", "principal"),
            tally.by_kind().items(),
        )
        yield _counters(
            "wicketgate_denials",
            "Decisions to deny.",
            ("reason",),
            (((reason,), number) for reason, number in tally.by_reason().items()),
        )
        yield _counters(
            "wicketgate_rule_checks",
            "Decisions, by the rule that decided.",
            ("rule", "verdict"),
            tally.by_rule().items(),
        )
        yield _counters(
            "wicketgate_shadow_checks",
            "What shadow rules would have said.",
            ("rule", "verdict"),
            tally.by_shadow().items(),
        )
        yield from self._tokens()
        bounds = (*map(floatToGoString, BUCKETS), "+Inf")
        yield HistogramMetricFamily(
            "wicketgate_check_seconds",
            "Time from reading a Check to its answer.",
            buckets=list(zip(bounds, map(float, tally.durations()), strict=True)),
            sum_value=tally.seconds,
        )

    def _tokens(self) -> Iterator[Metric]:
        tokens = self._tally.by_token()
        yield _counters(
            "wicketgate_service_token_checks",
            "Requests with a service token that is known, whatever was decided.",
            ("name",),
            (((name,), number) for name, (number, _) in tokens.items()),
        )
        yield _gauges(
            "wicketgate_service_token_last_used_seconds",
            "When a service token of this name was last shown, in POSIX seconds.",
            ("name",),
            (((name,), last) for name, (_, last) in tokens.items() if last is not None),
        )


def _counters(
    name: str, meaning: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for key, number in samples:
        family.add_metric(key, number)
    return family


def _gauges(
    name: str, meaning: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, number in samples:
        family.add_metric(key, number)
    return family


class _Readings(Collector):
    def __init__(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._read = read

    def collect(self) -> list[Metric]:
        return [_gauges(self._name, self._meaning, self._labels, self._read().items())]


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


def exposition_of(registry: CollectorRegistry) -> bytes:
    """Return what `registry` collects, in Prometheus' text format and half of the library's time.

    While a scrape is answered, no Check is. The library asks of each name, in each sample,
    whether it is one; ours are constants, of counters, gauges and histograms.
    """
    lines: list[str] = []
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines.append(f"# HELP {name} {family.documentation.translate(_HELP)}\n")
        lines.append(f"# TYPE {name} {family.type}\n")
        lines += map(_line, family.samples)
    return "".join(lines).encode()


def _line(sample: Sample) -> str:
    if not sample.labels:
        return f"{sample.name} {_number(sample.value)}\n"
    pairs = [f'{name}="{_escaped(text)}"' for name, text in sorted(sample.labels.items())]
    return f"{sample.name}{{{','.join(pairs)}}} {_number(sample.value)}\n"


def _escaped(text: str) -> str:
    # Hardly any text has something to escape, and to look is cheaper than to translate.
    return text.translate(_VALUE) if "\\" in text or '"' in text or "\n" in text else text
