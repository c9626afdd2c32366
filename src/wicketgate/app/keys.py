"""Clerk's keys: fetched and kept current, or from a PEM, and what metrics say of them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import random

from wicketgate.adapters.jwks import JwksClient, JwksTiming
from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.adapters.jwks_http import HttpFetch, open_session
from wicketgate.adapters.pem_keys import PemKeys
from wicketgate.adapters.telemetry import Telemetry
from wicketgate.core.token import TokenVerifier
from wicketgate.errors import InternalError
from wicketgate.gate import KeySource
from wicketgate.lifecycle import Health, KeyObserver
from wicketgate.settings import AuthzSettings


@asynccontextmanager
async def key_source(
    settings: AuthzSettings, telemetry: Telemetry, health: Health
) -> AsyncIterator[KeySource]:
    """Have Clerk's keys for as long as the context lasts."""
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
        telemetry.watch(
            "wicketgate_jwks_last_success_timestamp_seconds",
            "When the keys were last fetched, in POSIX seconds.",
            lambda: client.status().last_success,
        )
        telemetry.watch(
            "wicketgate_jwks_max_stale_seconds",
            "The age beyond which keys count no more.",
            lambda: settings.jwks_max_stale_seconds,
        )
        await client.start()
        try:
            yield client
        finally:
            await client.close()


def watch_keys(telemetry: Telemetry, verifier: TokenVerifier, keys: KeySource) -> None:
    """Export how many keys there are, and how often a token was known already."""
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
    telemetry.watch_count(
        "wicketgate_token_cache_misses",
        "Tokens that had to be looked at anew.",
        lambda: float(verifier.cache_misses),
    )
    telemetry.watch(
        "wicketgate_token_cache_entries",
        "Tokens that are remembered.",
        lambda: float(verifier.remembered),
    )
