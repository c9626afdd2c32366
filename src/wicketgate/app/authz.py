"""``wicketgate authz``: built, started, drained."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from random import random
from typing import TextIO

from wicketgate import __version__
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.grpcio_server import GrpcServer, TlsIdentity
from wicketgate.adapters.jwks import JwksClient, JwksTiming
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.adapters.jwks_http import HttpFetch, open_session
from wicketgate.adapters.library_log import capture_library_logs
from wicketgate.adapters.log_stream import LossyStream
from wicketgate.adapters.pem_keys import PemKeys
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.app.listeners import admin_listener
from wicketgate.core.decision import Judge
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy import RoutePolicy
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.errors import InternalError
from wicketgate.gate import Gate, KeySource
from wicketgate.lifecycle import Health, KeyObserver, Stopping, drain
from wicketgate.settings import AuthzSettings


async def run_authz(settings: AuthzSettings, *, log_stream: TextIO) -> None:
    """Serve Checks until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigurationError: a file named by the settings cannot be used.
        EnvironmentFaultError: an address cannot be listened on.
    """
    stream = LossyStream(log_stream.fileno())
    telemetry = Telemetry(
        make_log(stream, level=settings.log_level),
        decisions=make_log(stream, level="info"),
        decision_log=settings.decision_log,
    )
    capture_library_logs(telemetry.log)
    telemetry.watch_count(
        "wicketgate_log_lines_dropped",
        "Log lines lost because their reader did not keep up.",
        lambda: float(stream.dropped),
    )
    stopping = Stopping()
    stopping.listen(asyncio.get_running_loop())
    health = Health()
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(_keys(settings, telemetry, health))
        verifier = TokenVerifier(settings.rules, cache_limit=settings.token_cache_size)
        _watch(telemetry, verifier, keys)
        gate = Gate(
            judge=Judge(
                verifier=verifier,
                service_tokens=ServiceTokens(settings.service_tokens),
                cookies=settings.cookies,
            ),
            policy=RoutePolicy(),
            keys=keys,
            responses=_responses(settings),
            recorder=telemetry,
            clock=time.time,
            timer=time.perf_counter,
            decision_ids=decision_ids(secrets.token_hex(4)),
        )
        server = GrpcServer(gate, address=str(settings.authz_address), tls=_tls(settings))
        components = {"keys": lambda: bool(keys.snapshot), "accepting": lambda: health.is_open}
        admin = await stack.enter_async_context(
            admin_listener(
                settings.admin_address,
                setting="WICKETGATE_ADMIN_ADDRESS",
                components=components,
                exposition=telemetry.exposition,
            )
        )
        checks = await server.start()
        await health.attach(server, serving=bool(keys.snapshot))
        telemetry.log.info(
            "listening",
            version=__version__,
            checks=checks,
            admin=admin,
            tls=settings.tls is not None,
            issuers=sorted(settings.rules.issuers),
        )
        await stopping.requested.wait()
        telemetry.log.info("draining", seconds=settings.drain_seconds)
        await drain(
            server,
            health,
            stopping,
            drain_seconds=settings.drain_seconds,
            grace_seconds=settings.grace_seconds,
        )
        telemetry.log.info("stopped")


@asynccontextmanager
async def _keys(
    settings: AuthzSettings, telemetry: Telemetry, health: Health
) -> AsyncIterator[KeySource]:
    if settings.pem_keys is not None:
        yield PemKeys(settings.pem_keys)
        return
    if settings.jwks_url is None:
        msg = "settings hold neither a JWKS URL nor a PEM"
        raise InternalError(msg)
    cache = settings.jwks_cache_file
    async with open_session() as session:
        client = JwksClient(
            HttpFetch(settings.jwks_url, session),
            timing=JwksTiming(
                refresh_seconds=settings.jwks_refresh_seconds,
                cooldown_seconds=settings.jwks_cooldown_seconds,
                max_stale_seconds=settings.jwks_max_stale_seconds,
                wait_seconds=settings.jwks_wait_seconds,
            ),
            clock=time.time,
            jitter=random,
            store=KeyFile(cache, settings.jwks_url) if cache else None,
            observer=KeyObserver(telemetry, health),
        )
        telemetry.watch(
            "wicketgate_jwks_age_seconds",
            "Seconds since the keys were last fetched.",
            lambda: client.status().age_seconds,
        )
        await client.start()
        try:
            yield client
        finally:
            await client.close()


def _watch(telemetry: Telemetry, verifier: TokenVerifier, keys: KeySource) -> None:
    telemetry.watch(
        "wicketgate_keys_usable",
        "Keys that tokens are verified with.",
        lambda: float(len(keys.snapshot.keys)),
    )
    telemetry.watch_count(
        "wicketgate_token_cache_hits",
        "Tokens whose signature was already known to hold.",
        lambda: float(verifier.cache_hits),
    )


def _responses(settings: AuthzSettings) -> Responses:
    identity = IdentityHeaders(
        aliases=settings.identity_aliases,
        forward_service_token=settings.forward_service_token,
    )
    return Responses(identity, error_response=settings.error_response)


def _tls(settings: AuthzSettings) -> TlsIdentity | None:
    if settings.tls is None:
        return None
    return TlsIdentity(
        certificate=settings.tls.cert_file,
        key=settings.tls.key_file,
        client_ca=settings.tls.client_ca_file,
        allowed_sans=settings.tls.allowed_sans,
    )


def decision_ids(process: str) -> Iterator[str]:
    """Yield ids that are unique to this process, which is named by `process`."""
    return (f"{process}-{number:x}" for number in count(1))
