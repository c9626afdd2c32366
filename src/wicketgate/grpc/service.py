"""Which methods there are, and what they answer: bytes in, bytes out.

Source: gRPC health checking protocol; Envoy ``grpc_health_check``.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from grpc_health.v1 import health_pb2

from wicketgate.grpc.unary import RefusedError, Status

Method = Callable[[bytes], bytes | Awaitable[bytes]]
"""Takes a serialised request and returns the serialised answer. Raises `RefusedError`."""

HEALTH_CHECK: Final = b"/grpc.health.v1.Health/Check"

_SERVING: Final = health_pb2.HealthCheckResponse(
    status=health_pb2.HealthCheckResponse.SERVING
).SerializeToString()
_NOT_SERVING: Final = health_pb2.HealthCheckResponse(
    status=health_pb2.HealthCheckResponse.NOT_SERVING
).SerializeToString()


class Health:
    """``grpc.health.v1.Health/Check``; Watch is not offered."""

    def __init__(self, services: frozenset[str]) -> None:
        """Answer for these services, and for the server as a whole."""
        self.is_serving = False
        self._services = services | {""}

    def check(self, raw: bytes) -> bytes:
        """Answer a ``HealthCheckRequest``.

        Raises:
            RefusedError: there is no such service, or it is no such request.
        """
        try:
            service = health_pb2.HealthCheckRequest.FromString(raw).service
        except Exception:  # noqa: BLE001 - protobuf's own, whatever its implementation
            raise RefusedError(Status.INTERNAL, "expected a HealthCheckRequest") from None
        if service not in self._services:
            raise RefusedError(Status.NOT_FOUND, "unknown service")
        return _SERVING if self.is_serving else _NOT_SERVING


def method_for(methods: Mapping[bytes, Method], path: bytes) -> Method:
    """Return the method at a path.

    Raises:
        RefusedError: there is none.
    """
    method = methods.get(path)
    if method is None:
        raise RefusedError(Status.UNIMPLEMENTED, "unknown method")
    return method
