"""What operators see of first sight: counters, and a line when its state changes."""

from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from wicketgate.core.first_sight import Sighting

_MAX_REASONS: Final = 100
"""They are names of Postgres' conditions; should they ever be more, the rest is silence."""


class FirstSightTelemetry:
    """Counts users whom the gate did not know, by what came of it."""

    def __init__(
        self, log: structlog.typing.FilteringBoundLogger, registry: CollectorRegistry
    ) -> None:
        """Make the metrics, in `registry`."""
        self._log = log
        self._sightings = Counter(
            "wicketgate_first_sight",
            "Users whom the gate did not know, by what came of it.",
            ("outcome",),
            registry=registry,
        )
        for sighting in Sighting:
            self._sightings.labels(sighting)
        self._refusals: set[str] = set()

    def sighted(self, sighting: Sighting) -> None:
        """Count one."""
        self._sightings.labels(sighting).inc()

    def refused(self, why: str) -> None:
        """Log that a row cannot be had; once for each reason, however often it happens."""
        if why not in self._refusals and len(self._refusals) < _MAX_REASONS:
            self._refusals.add(why)
            self._log.warning("row not made", error=why)

    def failed(self, why: str) -> None:
        """Log that no row can be had."""
        self._log.warning("first sight fails", error=why)

    def recovered(self) -> None:
        """Log that rows can be had again."""
        self._log.info("first sight works again")
