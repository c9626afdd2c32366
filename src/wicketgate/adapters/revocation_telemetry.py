"""What operators see of the revocation feed: a line for each change of state, and metrics."""

from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from wicketgate.core.revocation_table import Kind, Revocation

CHANGES: Final = ("revoked", "lifted")


class RevocationTelemetry:
    """Counts what the feed does, and logs when its state is another one."""

    def __init__(
        self, log: structlog.typing.FilteringBoundLogger, registry: CollectorRegistry
    ) -> None:
        """Make the metrics, in `registry`."""
        self._log = log
        self._changes = Counter(
            "wicketgate_revocation_changes",
            "Changes of revocations that took effect here, loads not counted.",
            ("kind", "change"),
            registry=registry,
        )
        for kind in Kind:
            for change in CHANGES:
                self._changes.labels(kind, change)
        self._connections = _counter(
            registry,
            "wicketgate_revocation_connections",
            "Connections over which all revocations were loaded.",
        )
        self._reloads = _counter(
            registry,
            "wicketgate_revocation_reloads",
            "Loads over a connection that was open already.",
        )
        self._malformed = _counter(
            registry,
            "wicketgate_revocation_malformed_notices",
            "Notices that could not be read; a load answers them.",
        )
        self._missed = _counter(
            registry,
            "wicketgate_revocation_missed_notices",
            "Changes that were found and that nobody had told.",
        )
        self._is_lost = False
        self._is_deaf = False

    def current(self, *, rows: int, seconds: float) -> None:
        """Count a connection; say that the revocations are known."""
        self._connections.inc()
        self._is_lost = False
        self._log.info("revocations current", rows=rows, seconds=round(seconds, 3))

    def lost(self, error: str) -> None:
        """Say that the connection is lost, once until it is back."""
        if not self._is_lost:
            self._log.warning("revocations not followed", error=error)
        self._is_lost = True

    def reloaded(self) -> None:
        """Count a load."""
        self._reloads.inc()

    def changed(self, row: Revocation) -> None:
        """Count a change."""
        self._changes.labels(row.kind, CHANGES[row.is_lifted]).inc()

    def malformed(self) -> None:
        """Count a notice that could not be read."""
        self._malformed.inc()

    def deaf(self, missed: int) -> None:
        """Count what was not told; say so once until something is."""
        self._missed.inc(missed)
        if not self._is_deaf:
            self._log.warning(
                "revocations not told",
                missed=missed,
                error="Postgres tells this connection nothing, and is asked instead: a pooler "
                "may be in between; WICKETGATE_REVOCATION_DATABASE_URL must lead to Postgres",
            )
        self._is_deaf = True

    def hears(self) -> None:
        """Say that changes are told after all."""
        self._is_deaf = False
        self._log.info("revocations told again")

    def trusted(self, *, is_trusted: bool) -> None:
        """Say whether users are let in."""
        if is_trusted:
            self._log.info("users admitted again")
        else:
            self._log.error(
                "users refused", error="it has been unknown for too long who was revoked"
            )

    def kept(self, seconds: float, *, is_enough: bool) -> None:
        """Say when revocations are forgotten before the tokens that they are about end."""
        if not is_enough:
            self._log.error(
                "revocations end too soon",
                token_life_seconds=seconds,
                error="a revocation is kept for less time than this gate lets a token live: run "
                "wicketgate migrate with the same WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS",
            )


def _counter(registry: CollectorRegistry, name: str, meaning: str) -> Counter:
    return Counter(name, meaning, registry=registry)
