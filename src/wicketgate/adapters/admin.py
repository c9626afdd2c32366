"""The admin address: liveness, readiness and metrics over plain HTTP.

Bound to loopback unless the operator says otherwise. Nothing here reveals more
than counts and states.
"""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Components = Callable[[], Mapping[str, bool]]
"""Returns each component's name and whether it is ready."""


def admin_app(*, components: Components, exposition: Callable[[], bytes]) -> web.Application:
    """Return the application that serves ``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        components: Read at every ``/readyz``; one that is not ready makes it 503.
        exposition: The metrics, in Prometheus' text format.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        states = components()
        is_ready = all(states.values())
        document = {
            "status": "ready" if is_ready else "not ready",
            "components": {name: "ready" if up else "not ready" for name, up in states.items()},
        }
        return web.json_response(document, status=200 if is_ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"content-type": METRICS_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application
