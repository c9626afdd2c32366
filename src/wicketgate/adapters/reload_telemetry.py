"""What operators see of reloads: a line each, and two counters."""

import structlog
from prometheus_client import CollectorRegistry, Counter


class ReloadTelemetry:
    """Counts reloads."""

    def __init__(
        self,
        log: structlog.typing.FilteringBoundLogger,
        registry: CollectorRegistry,
        *,
        reloads: str,
        failures: str,
    ) -> None:
        """Make the metrics, in `registry`.

        Args:
            log: For what went wrong.
            registry: Where the metrics are kept.
            reloads: The name of the counter of successes.
            failures: The name of the counter of failures.
        """
        self.log = log
        self._reloads = Counter(reloads, "Reloads that were put in force.", registry=registry)
        self._failures = Counter(
            failures,
            "Reloads that changed nothing, because something was wrong.",
            registry=registry,
        )

    def reloaded(self) -> None:
        """Count a success."""
        self._reloads.inc()

    def reload_failed(self) -> None:
        """Count a failure."""
        self._failures.inc()
