"""``wicketgate webhooks``: built, started, drained."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TextIO

import structlog

from wicketgate import __version__
from wicketgate.adapters.admin import State, ready_if
from wicketgate.adapters.file_watch import FileWatch
from wicketgate.adapters.library_log import capture_library_logs
from wicketgate.adapters.log_stream import LossyStream
from wicketgate.adapters.postgres import open_store
from wicketgate.adapters.receiver import Receiver
from wicketgate.adapters.reload_telemetry import ReloadTelemetry
from wicketgate.adapters.telemetry import Instruments, make_log
from wicketgate.adapters.webhook_telemetry import WebhookTelemetry
from wicketgate.app.components import watch_components
from wicketgate.app.listeners import admin_listener
from wicketgate.app.receiver import ReceiverServer, receiver_of, verifiers_of
from wicketgate.app.status import access_of, status_feed
from wicketgate.app.tasks import running
from wicketgate.app.upkeep import Readiness, repeating
from wicketgate.app.webhooks_status import BothRecorders, WebhooksStatus
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import Access
from wicketgate.lifecycle import Health, Stopping, drain
from wicketgate.reload import Reloader
from wicketgate.settings import Process, WebhooksSettings, files_of

STORE_SECONDS: Final = 4.0
"""For one delivery: the store says what went wrong before the receiver gives up on it."""
READINESS_SECONDS: Final = 2.0
"""Between two looks at the store."""
PRUNE_SECONDS: Final = 3_600.0
"""Between two clearings of what is kept for days."""


async def run_webhooks(
    environ: Mapping[str, str], *, log_stream: TextIO, is_interactive: bool = False
) -> None:
    """Take deliveries until SIGTERM or SIGINT, then drain.

    Postgres need not be there: without it deliveries are answered 503, and Svix
    sends them again.

    Args:
        environ: The environment, for the settings now and at each reload.
        log_stream: Where log lines go.
        is_interactive: SIGHUP means that the terminal closed, and stops.

    Raises:
        ConfigurationError: the settings, or the database's URL, cannot be used.
        EnvironmentFaultError: an address cannot be listened on.
    """
    watch = FileWatch(files_of(environ, Process.WEBHOOKS))
    settings = WebhooksSettings.from_environ(environ)
    stream = LossyStream(log_stream.fileno())
    instruments = Instruments(make_log(stream, level=settings.log_level))
    instruments.watch_count(
        "wicketgate_log_lines_dropped",
        "Log lines lost because their reader did not keep up.",
        lambda: float(stream.dropped),
    )
    log = instruments.log
    capture_library_logs(log)
    stopping = Stopping()
    health = Health()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_store(
                settings.database_url,
                schema=settings.database_schema,
                pool_size=settings.pool_size,
                timeout_seconds=STORE_SECONDS,
            )
        )
        readiness = Readiness(store.is_ready, log)
        prune = partial(store.prune, older_than_days=settings.retention_days)
        await stack.enter_async_context(
            repeating("readiness", readiness.look, READINESS_SECONDS, log)
        )
        await stack.enter_async_context(repeating("pruning", prune, PRUNE_SECONDS, log))
        telemetry = WebhookTelemetry(log, instruments.registry)
        instruments.watch(
            "wicketgate_webhook_last_delivery_timestamp_seconds",
            "When the last authentic delivery was answered 2xx, in POSIX seconds.",
            lambda: telemetry.last_delivery,
        )
        components = {
            "store": lambda: ready_if(readiness.is_ready),
            "accepting": lambda: ready_if(health.is_open),
            "secrets": lambda: State.READY if following.is_current else State.DEGRADED,
        }
        status = WebhooksStatus(
            components=components,
            is_draining=stopping.requested.is_set,
            clock=time.time,
            timer=time.monotonic,
        )
        access = access_of(settings.admin_address, settings.status_tokens)
        receiver = receiver_of(settings, store, BothRecorders(telemetry, status.receipts))
        following: Reloader[WebhooksSettings] = Reloader(
            _loader(watch, environ),
            partial(_put_in_force, receiver, access, log, settings.database_url),
            ReloadTelemetry(
                log,
                instruments.registry,
                reloads="wicketgate_secret_reloads",
                failures="wicketgate_secret_reload_failures",
            ),
        )
        stopping.listen(
            asyncio.get_running_loop(), hangup=None if is_interactive else following.request
        )
        await stack.enter_async_context(running(following.run(watch.changes())))
        watch_components(instruments, components)
        feed = await stack.enter_async_context(status_feed(status, log))
        admin = await stack.enter_async_context(
            admin_listener(
                settings.admin_address,
                setting="WICKETGATE_WEBHOOKS_ADMIN_ADDRESS",
                components=components,
                exposition=instruments.exposition,
                access=access,
                feed=feed,
            )
        )
        server = ReceiverServer(receiver)
        webhooks = await server.start(settings)
        await health.attach(server)
        status.facts |= {
            "deliveries": webhooks,
            "path": settings.path,
            "organizations": "yes" if settings.organizations else "no",
        }
        log.info(
            "listening",
            version=__version__,
            webhooks=webhooks,
            path=settings.path,
            admin=admin,
            secrets=len(settings.signing_secrets),
            organizations=settings.organizations,
        )
        await stopping.requested.wait()
        log.info("draining", seconds=settings.drain_seconds)
        await drain(
            server,
            health,
            stopping,
            drain_seconds=settings.drain_seconds,
            grace_seconds=settings.grace_seconds,
        )
        log.info("stopped")


def _loader(watch: FileWatch, environ: Mapping[str, str]) -> Callable[[], WebhooksSettings]:
    def load() -> WebhooksSettings:
        watch.mark()
        return WebhooksSettings.from_environ(environ)

    return load


def _put_in_force(
    receiver: Receiver,
    access: Access,
    log: structlog.typing.FilteringBoundLogger,
    database_url: str,
    settings: WebhooksSettings,
) -> None:
    receiver.verifiers = verifiers_of(settings)
    access.tokens = ServiceTokens(settings.status_tokens)
    log.info("reloaded", secrets=len(settings.signing_secrets))
    if settings.database_url != database_url:
        log.warning("DATABASE_URL changed and is not followed: restart to use the new one")
