"""The environment of a gate, as the doctor sees it; and what only the network can tell."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from wicketgate.adapters.http_get import HttpAnswer
from wicketgate.core.keys import KeySet, UnusableKeysError
from wicketgate.doctor.environment import clock_skew, contradictions
from wicketgate.doctor.finding import Fault
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.settings import AuthzSettings, DatabaseSettings
from wicketgate.settings.locations import PublishableKey, publishable_key
from wicketgate.settings.values import InvalidValueError

_OF_A_GATE: Final = (
    *("CLERK_PUBLISHABLE_KEY", "CLERK_ISSUER", "CLERK_JWKS_URL"),
    *("CLERK_JWT_KEY", "CLERK_JWT_KEY_FILE"),
)
"""Without one of these nobody meant to start a gate here."""
_OF_A_DATABASE: Final = ("DATABASE_URL", "DATABASE_URL_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the settings are, or what is wrong with them.

    Attributes:
        variables: All variables.
        settings: Those of the gate; `None` if there are none, or they cannot be used.
        mistakes: A line for each that cannot be used.
    """

    variables: Mapping[str, str]
    settings: AuthzSettings | None
    mistakes: tuple[str, ...]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings of the gate, if there are any."""
        if not any(environ.get(name, "").strip() for name in _OF_A_GATE):
            return cls(variables=environ, settings=None, mistakes=())
        try:
            settings = AuthzSettings.from_environ(environ)
        except ConfigurationError as error:
            return cls(variables=environ, settings=None, mistakes=error.mistakes)
        return cls(variables=environ, settings=settings, mistakes=())

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further headers that carry the user's id."""
        return () if self.settings is None else self.settings.identity_aliases

    @property
    def key(self) -> PublishableKey | None:
        """The publishable key, if it can be read."""
        try:
            return publishable_key(self.variables.get("CLERK_PUBLISHABLE_KEY", "").strip())
        except InvalidValueError:
            return None


def environment_faults(environment: Environment) -> Iterator[Fault]:
    """Yield what is wrong with the settings themselves."""
    for mistake in environment.mistakes:
        name, _, complaint = mistake.partition(" ")
        yield Fault("settings", (name,), f"{name} {complaint}", advice="mend the variable")
    yield from contradictions(environment.variables, environment.key)


async def online_faults(
    environment: Environment,
    *,
    fetch: Callable[[str], Awaitable[HttpAnswer]],
    pending: Callable[[str, str], Awaitable[list[str]]],
    clock: Callable[[], float],
) -> list[Fault]:
    """Return what Clerk and the database tell.

    Args:
        environment: Where they are.
        fetch: Gets a URL.
        pending: Names the migrations that a database lacks; its URL, its schema.
        clock: POSIX seconds.
    """
    found = []
    settings = environment.settings
    if settings is not None and settings.jwks_url is not None:
        found += await _about_keys(settings, settings.jwks_url, fetch, clock)
    if any(environment.variables.get(name, "").strip() for name in _OF_A_DATABASE):
        found += await _about_database(environment.variables, pending)
    return found


async def _about_keys(
    settings: AuthzSettings,
    url: str,
    fetch: Callable[[str], Awaitable[HttpAnswer]],
    clock: Callable[[], float],
) -> list[Fault]:
    advice = "check CLERK_PUBLISHABLE_KEY or CLERK_JWKS_URL, and the way there"
    before = clock()
    try:
        answer = await fetch(url)
        KeySet.from_jwks(answer.body)
    except (DependencyError, UnusableKeysError) as error:
        return [Fault("keys-unreachable", ("CLERK_JWKS_URL",), str(error), advice=advice)]
    skew = settings.rules.skew_seconds
    return list(clock_skew(answer.headers, before=before, after=clock(), allowed=skew))


async def _about_database(
    environ: Mapping[str, str], pending: Callable[[str, str], Awaitable[list[str]]]
) -> list[Fault]:
    place = ("DATABASE_URL",)
    try:
        settings = DatabaseSettings.from_environ(environ)
        missing = await pending(settings.database_url, settings.database_schema)
    except (ConfigurationError, DependencyError) as error:
        advice = "check DATABASE_URL and WICKETGATE_DATABASE_SCHEMA, and the way there"
        return [Fault("database-unreachable", place, str(error), advice=advice)]
    if not missing:
        return []
    found = f"missing: {', '.join(missing)}"
    return [Fault("schema-behind", place, found, advice="wicketgate migrate")]
