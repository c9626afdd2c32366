"""The metrics of decisions: a tally, as Prometheus reads it."""

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from wicketgate.core.tally import BUCKETS, DecisionTally
from wicketgate.metrics.families import filled


class Decisions(Collector):
    """Exports a tally; counters of the library's own would cost more than to decide does."""

    def __init__(self, tally: DecisionTally) -> None:
        """Export `tally`."""
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        tally = self._tally
        yield filled(
            CounterMetricFamily(
                "wicketgate_checks", "Decisions.", labels=("verdict", "reason", "principal")
            ),
            tally.by_kind().items(),
        )
        yield filled(
            CounterMetricFamily("wicketgate_denials", "Decisions to deny.", labels=("reason",)),
            (((reason,), number) for reason, number in tally.by_reason().items()),
        )
        yield filled(
            CounterMetricFamily(
                "wicketgate_rule_checks",
                "Decisions, by the rule that decided.",
                labels=("rule", "verdict"),
            ),
            tally.by_rule().items(),
        )
        yield filled(
            CounterMetricFamily(
                "wicketgate_shadow_checks",
                "What shadow rules would have said.",
                labels=("rule", "verdict"),
            ),
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
        yield filled(
            CounterMetricFamily(
                "wicketgate_service_token_checks",
                "Requests with a service token that is known, whatever was decided.",
                labels=("name",),
            ),
            (((name,), number) for name, (number, _) in tokens.items()),
        )
        yield filled(
            GaugeMetricFamily(
                "wicketgate_service_token_last_used_seconds",
                "When a service token of this name was last shown, in POSIX seconds.",
                labels=("name",),
            ),
            (((name,), last) for name, (_, last) in tokens.items() if last is not None),
        )
