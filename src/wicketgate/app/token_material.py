"""What ``wicketgate explain-token`` judges by: the keys, service tokens and revocations at hand.

The files are read, and nothing is written. Clerk and Postgres are asked only when told to.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wicketgate.adapters.jwks_file import KeyFile
from wicketgate.adapters.jwks_http import HttpFetch, open_session
from wicketgate.adapters.postgres_revocations import open_revocations
from wicketgate.adapters.text_file import read_text
from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.keys import KeySet, UnusableKeysError
from wicketgate.core.policy.reading import PolicyError
from wicketgate.core.revocation import Revocations
from wicketgate.core.revocation_table import Kind
from wicketgate.core.service_token import ServiceToken, ServiceTokens
from wicketgate.core.service_token_file import parse_service_tokens
from wicketgate.errors import ConfigurationError, DependencyError, EnvironmentFaultError
from wicketgate.settings import AuthzSettings

_ASK: Final = "ask Clerk for them with --fetch"
_AS_OF_COPY: Final = "a gate fetches when no key of its copy fits, and so does --fetch"


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys that were found.

    Attributes:
        keys: Empty when there are none.
        are_current: Whether a key that is not among them is taken not to exist.
        origin: Where they are from, in words.
        notes: What else there is to say, in sentences.
        hint: A sentence for when no key fits; empty for none.
    """

    keys: KeySet
    are_current: bool
    origin: str
    notes: tuple[str, ...] = ()
    hint: str = ""


async def find_keys(
    settings: AuthzSettings, *, fetch: bool, clock: Callable[[], float] = time.time
) -> FoundKeys:
    """Return the keys that a gate with these settings would verify with.

    Args:
        settings: Those of the gate.
        fetch: Ask Clerk; otherwise its copy on disk has to do.
        clock: POSIX seconds; how old the copy is does not depend on the moment asked about.

    Raises:
        ConfigurationError: `fetch`, where no key is ever fetched.
    """
    if settings.pem_keys is not None or settings.jwks_url is None:
        if fetch:
            msg = "--fetch: is of no use with CLERK_JWT_KEY, which is the key"
            raise ConfigurationError(msg)
        return FoundKeys(settings.pem_keys or KeySet(), are_current=True, origin="CLERK_JWT_KEY")
    if not fetch:
        return _kept(settings, settings.jwks_url, clock())
    try:
        return await _fetched(settings.jwks_url)
    except (DependencyError, UnusableKeysError) as error:
        kept = _kept(settings, settings.jwks_url, clock())
        note = f"the keys could not be brought up to date: {error}"
        return FoundKeys(kept.keys, are_current=False, origin=kept.origin, notes=(note,))


async def _fetched(url: str) -> FoundKeys:
    async with open_session() as session:
        document = await HttpFetch(url, session)()
    return FoundKeys(KeySet.from_jwks(document), are_current=True, origin=url)


def _kept(settings: AuthzSettings, url: str, now: float) -> FoundKeys:
    path = settings.jwks_cache_file
    if path is None:
        return _none("no copy of Clerk's keys is kept", _ASK)
    origin = f"the copy of Clerk's keys at {path}"
    try:
        found = KeyFile(path, url, clock=lambda: now).load()
        if found is None:
            return _none(origin, f"there is no copy of Clerk's keys at {path}; {_ASK}")
        document, fetched_at = found
        keys = KeySet.from_jwks(document)
    except (EnvironmentFaultError, UnusableKeysError) as error:
        return _none(origin, f"{error}; {_ASK}")
    when = datetime.fromtimestamp(fetched_at, UTC)
    origin = f"{origin}, of {when:%Y-%m-%dT%H:%M:%SZ}"
    if now - fetched_at > settings.jwks_max_stale_seconds:
        return _none(origin, f"that is older than WICKETGATE_JWKS_MAX_STALE_SECONDS; {_ASK}")
    return FoundKeys(keys, are_current=True, origin=origin, hint=_AS_OF_COPY)


def _none(origin: str, note: str) -> FoundKeys:
    return FoundKeys(KeySet(), are_current=False, origin=origin, notes=(note,))


def find_services(settings: AuthzSettings) -> ServiceTokens:
    """Return the service tokens in force.

    Raises:
        ConfigurationError: the tokens file cannot be used; no line holds a token.
    """
    return ServiceTokens(settings.service_tokens, _named(settings.service_tokens_file))


def _named(path: Path | None) -> tuple[ServiceToken, ...]:
    if path is None:
        return ()
    try:
        return parse_service_tokens(read_text(path))
    except PolicyError as error:
        lines = (f"{path}:{each.position}: {each.message}" for each in error.mistakes)
        raise ConfigurationError(*lines) from None


def require_database(settings: AuthzSettings) -> str:
    """Return where revocations are.

    Raises:
        ConfigurationError: the settings do not tell.
    """
    url = settings.revocations.database_url
    if url is None:
        msg = "--revocations: needs DATABASE_URL or WICKETGATE_REVOCATION_DATABASE_URL"
        raise ConfigurationError(msg)
    return url


async def find_revocations(settings: AuthzSettings, claims: Claims) -> Revocations:
    """Return what is in force, as Postgres has it, against the bearer of `claims`.

    Raises:
        ConfigurationError: the settings name no database for revocations, or its URL
            cannot be used.
        DependencyError: Postgres failed.
    """
    url = require_database(settings)
    users: dict[UserId, float] = {}
    sessions: set[SessionId] = set()
    async with open_revocations(url, schema=settings.database_schema) as table:
        user = await table.find(Kind.USER, claims.user_id)
        if user is not None and user.is_in_force:
            users[claims.user_id] = user.revoked_at.timestamp()
        if claims.session_id is not None:
            session = await table.find(Kind.SESSION, claims.session_id)
            if session is not None and session.is_in_force:
                sessions.add(claims.session_id)
    return Revocations(users, frozenset(sessions))
