"""``wicketgate authz``: built, started, drained."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from random import random
from typing import TextIO

from wicketgate import __version__
from wicketgate.adapters.admin import State, ready_if
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.file_watch import FileWatch
from wicketgate.adapters.library_log import capture_library_logs
from wicketgate.adapters.log_stream import LossyStream
from wicketgate.adapters.pem_keys import PemKeys
from wicketgate.adapters.reload_telemetry import ReloadTelemetry
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.app.authz_status import AuthzStatus, GateParts
from wicketgate.app.components import watch_components
from wicketgate.app.first_sight import first_sight
from wicketgate.app.in_force import PolicyInForce
from wicketgate.app.keys import key_source, watch_keys
from wicketgate.app.listeners import admin_listener
from wicketgate.app.revocations import FollowedRevocations, follow_revocations
from wicketgate.app.rulebook import LoadedRules, load_rules, rules_from, rules_of_tokens
from wicketgate.app.status import access_of, status_feed
from wicketgate.app.tasks import running
from wicketgate.app.traces import follow_traces
from wicketgate.app.transport import connection_telemetry, transport_of
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.record import DecisionDetail
from wicketgate.core.replay_record import Sampling, sampling
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import Access
from wicketgate.core.token import TokenVerifier
from wicketgate.gate import Gate, KeySource
from wicketgate.lifecycle import Health, Stopping, drain
from wicketgate.reload import Reloader
from wicketgate.settings import AuthzSettings, Process, files_of


async def run_authz(
    environ: Mapping[str, str], *, log_stream: TextIO, is_interactive: bool = False
) -> None:
    """Serve Checks until SIGTERM or SIGINT, then drain.

    Args:
        environ: The environment, for the settings now and at each reload.
        log_stream: Where log lines go.
        is_interactive: SIGHUP means that the terminal closed, and stops.

    Raises:
        ConfigurationError: the settings, or a file that they name, cannot be used.
        EnvironmentFaultError: an address cannot be listened on.
    """
    watch = FileWatch(files_of(environ, Process.AUTHZ))
    settings = AuthzSettings.from_environ(environ)
    verifier = TokenVerifier(rules_of_tokens(settings), cache_limit=settings.token_cache_size)
    # From the same reading: a file may be a pipe, which gives its secret once.
    loaded = rules_from(settings, verifier)
    stream = LossyStream(log_stream.fileno())
    telemetry = Telemetry(
        make_log(stream, level=settings.log_level),
        decisions=stream,
        decision_log=settings.decision_log,
        transport=settings.transport,
    )
    policy = PolicyInForce(telemetry, loaded, clock=time.time)
    capture_library_logs(telemetry.log)
    telemetry.watch_count(
        "wicketgate_log_lines_dropped",
        "Log lines lost because their reader did not keep up.",
        lambda: float(stream.dropped),
    )
    stopping = Stopping()
    health = Health()
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(key_source(settings, telemetry, health))
        watch_keys(telemetry, verifier, keys)
        gate = Gate(
            rulebook=loaded.rulebook,
            keys=keys,
            responses=_responses(settings),
            recorder=telemetry,
            clock=time.time,
            timer=time.perf_counter,
            decision_ids=decision_ids(secrets.token_hex(4)),
            replays=_replays(settings),
        )
        gate.users = users = await stack.enter_async_context(first_sight(settings, telemetry))
        health.report("keys", is_ready=bool(keys.snapshot))
        revocations = await stack.enter_async_context(
            follow_revocations(settings, gate, health, telemetry)
        )
        traces = await stack.enter_async_context(follow_traces(settings.traces, telemetry))
        gate.traces = None if traces is None else traces.traces
        connections = connection_telemetry(settings, telemetry)
        server = transport_of(settings, gate, connections)
        components = {
            "keys": lambda: ready_if(keys.snapshot),
            "accepting": lambda: ready_if(health.is_open),
            "policy": lambda: State.READY if following.is_current else State.DEGRADED,
        }
        if users is not None:
            components["first sight"] = lambda: State.DEGRADED if users.is_failing else State.READY
        if revocations is not None:
            components["revocations"] = lambda: revocations.state
        watch_components(telemetry, components)
        parts = GateParts(
            tally=telemetry.tally,
            keys=keys,
            verifier=verifier,
            is_current=lambda: following.is_current,
            revocations=revocations,
            connections=lambda: None if connections is None else connections.number,
            components=components,
            is_draining=stopping.requested.is_set,
            type_base=settings.problem_type_base,
        )
        status = AuthzStatus(parts, loaded, clock=time.time, timer=time.monotonic)
        access = access_of(settings.admin_address, settings.status_tokens)
        gate.denials = status.denials
        told = [policy.put, status.put]
        if traces is not None:
            told.append(lambda loaded: traces.reload(loaded.settings.traces))
        following: Reloader[LoadedRules] = Reloader(
            _loader(watch, environ, verifier),
            partial(_put_in_force, gate, keys, revocations, told, access, telemetry),
            ReloadTelemetry(
                telemetry.log,
                telemetry.registry,
                reloads="wicketgate_policy_reloads",
                failures="wicketgate_policy_reload_failures",
            ),
        )
        stopping.listen(
            asyncio.get_running_loop(), hangup=None if is_interactive else following.request
        )
        await stack.enter_async_context(running(following.run(watch.changes())))
        feed = await stack.enter_async_context(status_feed(status, telemetry.log))
        admin = await stack.enter_async_context(
            admin_listener(
                settings.admin_address,
                setting="WICKETGATE_ADMIN_ADDRESS",
                components=components,
                exposition=telemetry.exposition,
                access=access,
                feed=feed,
            )
        )
        checks = await server.start()
        parts.facts |= {
            "checks": checks,
            "transport": settings.transport,
            "tls": "yes" if settings.tls is not None else "no",
            "issuers": ", ".join(sorted(settings.rules.issuers)),
        }
        await health.attach(server)
        telemetry.log.info(
            "listening",
            version=__version__,
            checks=checks,
            transport=settings.transport,
            admin=admin,
            tls=settings.tls is not None,
            issuers=sorted(settings.rules.issuers),
            rules=loaded.rules,
            service_tokens=loaded.tokens,
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


def _put_in_force(
    gate: Gate,
    keys: KeySource,
    revocations: FollowedRevocations | None,
    told: Iterable[Callable[[LoadedRules], None]],
    access: Access,
    telemetry: Telemetry,
    loaded: LoadedRules,
) -> None:
    gate.rulebook = loaded.rulebook
    for tell in told:
        tell(loaded)
    access.tokens = ServiceTokens(loaded.settings.status_tokens)
    if revocations is not None:
        revocations.reload(loaded.settings)
    pem_keys = loaded.settings.pem_keys
    # Another set would empty the cache of verified tokens; an equal one need not.
    if isinstance(keys, PemKeys) and pem_keys is not None and pem_keys != keys.snapshot:
        keys.snapshot = pem_keys
    telemetry.log.info("reloaded", rules=loaded.rules, service_tokens=loaded.tokens)


def _responses(settings: AuthzSettings) -> Responses:
    identity = IdentityHeaders(
        aliases=settings.identity_aliases,
        forward_service_token=settings.forward_service_token,
    )
    return Responses(
        identity,
        error_response=settings.error_response,
        type_base=settings.problem_type_base,
    )


def _loader(
    watch: FileWatch, environ: Mapping[str, str], verifier: TokenVerifier
) -> Callable[[], LoadedRules]:
    def load() -> LoadedRules:
        watch.mark()
        return load_rules(environ, verifier)

    return load


def _replays(settings: AuthzSettings) -> Sampling | None:
    if settings.decision_detail is not DecisionDetail.REPLAY:
        return None
    return sampling(settings.replay_share, random)


def decision_ids(process: str) -> Iterator[str]:
    """Yield ids that are unique to this process, which is named by `process`."""
    return (f"{process}-{number:x}" for number in count(1))
