"""What operators see of webhooks: one JSON line per request, and bounded metrics.

A line is made from a receipt, which holds nothing of the body and nothing about
the sender. Labels are values of enums or known types of events.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from wicketgate.core.delivery import Outcome
from wicketgate.core.receipt import Failure, Receipt, Refusal
from wicketgate.core.webhook import Rejection

SECONDS_BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
"""Seconds. From a commit on a fast disk to where Svix gives up (15 s)."""
LAG_BUCKETS: Final = (
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 1_800.0, 7_200.0, 36_000.0, 100_000.0),
)
"""Seconds. From a delivery at once to the last of Svix' retries, after 27.6 hours."""


class WebhookTelemetry:
    """Keeps what became of requests to the receiver: as metrics, and in the log.

    Attributes:
        last_delivery: When the last authentic delivery was answered 2xx, in POSIX
            seconds; `None` before the first of this process.
    """

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the metrics, in `registry`; `clock` returns POSIX seconds."""
        self.log = log
        self.last_delivery: float | None = None
        self._clock = clock
        self._deliveries = Counter(
            "wicketgate_webhook_deliveries",
            "Authentic deliveries that were answered 2xx.",
            ("type", "outcome"),
            registry=registry,
        )
        self._rejections = Counter(
            "wicketgate_webhook_rejections",
            "Requests that were no authentic delivery.",
            ("reason",),
            registry=registry,
        )
        self._failures = Counter(
            "wicketgate_webhook_failures",
            "Deliveries that were answered 503, for Svix to try again.",
            ("reason",),
            registry=registry,
        )
        for reason in (*Refusal, *Rejection):
            self._rejections.labels(reason)
        for failure in Failure:
            self._failures.labels(failure)
        self._dead_letters = Counter(
            "wicketgate_webhook_dead_letters",
            "Authentic deliveries that can never be applied, and were put aside.",
            registry=registry,
        )
        self._seconds = Histogram(
            "wicketgate_webhook_seconds",
            "Time from the headers of an authentic delivery to its answer.",
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._lag = Histogram(
            "wicketgate_webhook_lag_seconds",
            "Time from an event at Clerk to the commit that applied it.",
            buckets=LAG_BUCKETS,
            registry=registry,
        )

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Keep one request."""
        verdict = receipt.verdict
        level = self.log.info
        if isinstance(verdict, Outcome):
            self._deliveries.labels(receipt.type, verdict).inc()
            self._seconds.observe(seconds)
            self.last_delivery = self._clock()
            if verdict is Outcome.DEAD:
                self._dead_letters.inc()
        elif isinstance(verdict, Failure):
            self._failures.labels(verdict).inc()
            level = self.log.error if verdict is Failure.INTERNAL else self.log.warning
        else:
            self._rejections.labels(verdict).inc()
        if lag_seconds is not None:
            self._lag.observe(lag_seconds)
        optional = {
            "message_id": receipt.message_id,
            "type": receipt.type,
            "why": receipt.why,
            "detail": receipt.detail,
        }
        level(
            "delivery",
            verdict=verdict,
            status=receipt.status,
            milliseconds=round(seconds * 1000, 3),
            **{name: value for name, value in optional.items() if value},
        )
