"""What operators see of the connections of the ``wire`` transport."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from wicketgate.grpc.frames import ErrorCode
from wicketgate.grpc.protocol import LOST

CODES: Final = (
    *(code.name.lower() for code in ErrorCode if code is not ErrorCode.NO_ERROR),
    LOST,
)
"""How a connection can end that ends badly."""


class ConnectionTelemetry:
    """Counts connections, and how those ended that ended badly.

    Attributes:
        number: How many are open.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the metrics, in `registry`."""
        self.number = 0
        self._open = Gauge(
            "wicketgate_connections", "Connections that are open.", registry=registry
        )
        self._faults = Counter(
            "wicketgate_connection_faults",
            "Connections that were ended for what the peer did, by HTTP/2 error code;"
            " lost: it gave no sign of life.",
            ("code",),
            registry=registry,
        )
        for code in CODES:
            self._faults.labels(code)

    def opened(self) -> None:
        """Count one more."""
        self.number += 1
        self._open.inc()

    def closed(self, fault: str) -> None:
        """Count one less.

        Args:
            fault: An error code's name, or ``lost``; empty when the connection ended well.
        """
        self.number -= 1
        self._open.dec()
        if fault:
            self._faults.labels(fault).inc()
