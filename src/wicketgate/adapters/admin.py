"""The admin address: liveness, readiness and metrics over plain HTTP.

Bound to loopback unless the operator says otherwise. Nothing here reveals more
than counts and states.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from aiohttp import web

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class State(StrEnum):
    """How a component is."""

    READY = "ready"
    DEGRADED = "degraded"
    """It does its work with what it had before; somebody has to look."""
    NOT_READY = "not ready"


Components = Callable[[], Mapping[str, State]]
"""Returns each component's name and state."""


def ready_if(is_ready: object) -> State:
    """Return the state of a component that is ready or not."""
    return State.READY if is_ready else State.NOT_READY


def admin_app(*, components: Components, exposition: Callable[[], bytes]) -> web.Application:
    """Return the application that serves ``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        components: Read at every ``/readyz``; one that is not ready makes it 503. One
            that is degraded does not: its replicas are no better.
        exposition: The metrics, in Prometheus' text format.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        states = components()
        worst = max(states.values(), key=list(State).index, default=State.READY)
        document = {"status": worst, "components": dict(states)}
        return web.json_response(document, status=503 if worst is State.NOT_READY else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"content-type": METRICS_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application
