"""The settings of ``wicketgate authz``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Self

from wicketgate.core.answer import TYPE_BASE
from wicketgate.core.claims import TokenRules
from wicketgate.core.credential import CookieRules
from wicketgate.core.keys import KeySet
from wicketgate.core.record import DecisionDetail, DecisionLog
from wicketgate.settings import groups, locations, values
from wicketgate.settings.first_sight import FirstSightSettings, first_sight
from wicketgate.settings.groups import TlsFiles
from wicketgate.settings.locations import Address
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.revocations import RevocationSettings, revocations
from wicketgate.settings.traces import TraceSettings, traces
from wicketgate.settings.values import LogLevel, count_between, list_of, word_of


class Transport(StrEnum):
    """The implementation of gRPC that answers Envoy."""

    WIRE = "wire"
    """Our own HTTP/2."""
    GRPCIO = "grpcio"
    """The reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzSettings:
    """The settings of ``wicketgate authz``. Its `repr` holds no secret.

    Attributes:
        rules: Which session tokens are acceptable.
        jwks_url: Where keys are fetched; `None` exactly when `pem_keys` is set.
        pem_keys: The keys of a networkless gate.
        service_tokens: Service tokens in force, each valid and different.
        cookies: How session cookies are read; `None` ignores them.
        identity_aliases: Further headers for the user id, in lower case.
        forward_service_token: Leave a service's ``Authorization`` in place.
        error_response: Say 503 through ``error_response``.
        problem_type_base: What the types of problem documents begin with.
        authz_address: Where Envoy asks.
        admin_address: Where the status page, metrics and health are served.
        status_tokens: What opens the status page, each valid and different.
        tls: The files for TLS; `None` serves in the clear.
        transport: The implementation of gRPC.
        drain_seconds: How long to keep serving after SIGTERM.
        grace_seconds: How long calls in flight may take after that.
        jwks_cache_file: Where the last good keys are kept; `None` for nowhere.
        jwks_refresh_seconds: The time between two fetches of the keys.
        jwks_cooldown_seconds: The least time between two forced fetches.
        jwks_max_stale_seconds: How long keys count that cannot be refreshed.
        jwks_wait_seconds: How long a request waits for a key.
        token_cache_size: Verified tokens that are remembered; 0 for none.
        log_level: From which level on lines are logged.
        decision_log: Which decisions get a log line.
        decision_detail: What such a line holds.
        replay_share: The share of them that can be replayed, 0 to 1.
        policy_file: The policy; `None` leaves it to the routes.
        service_tokens_file: Named service tokens; `None` for none.
        database_url: Postgres, as libpq reads it; `None` does without.
        database_schema: The schema of all our tables.
        first_sight: What becomes of users whom the gate has not seen before.
        revocations: Where it is known who was revoked.
        traces: Where traces are told; `None` for nowhere.
    """

    rules: TokenRules
    jwks_url: str | None
    pem_keys: KeySet | None = field(repr=False)
    service_tokens: tuple[str, ...] = field(repr=False)
    cookies: CookieRules | None
    identity_aliases: tuple[str, ...]
    forward_service_token: bool
    error_response: bool
    problem_type_base: str
    authz_address: Address
    admin_address: Address
    status_tokens: tuple[str, ...] = field(repr=False)
    tls: TlsFiles | None
    transport: Transport
    drain_seconds: float
    grace_seconds: float
    jwks_cache_file: Path | None
    jwks_refresh_seconds: float
    jwks_cooldown_seconds: float
    jwks_max_stale_seconds: float
    jwks_wait_seconds: float
    token_cache_size: int
    log_level: LogLevel
    decision_log: DecisionLog
    decision_detail: DecisionDetail
    replay_share: float
    policy_file: Path | None
    service_tokens_file: Path | None
    database_url: str | None = field(repr=False)
    database_schema: str
    first_sight: FirstSightSettings
    revocations: RevocationSettings
    traces: TraceSettings | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as unset.

        Args:
            environ: The environment, such as ``os.environ``.

        Raises:
            ConfigurationError: one line for every mistake. No other exception
                escapes, and no line holds a secret.
        """
        reader = EnvironReader(environ)
        instance = groups.instance(reader)
        parties = reader.optional("CLERK_AUTHORIZED_PARTIES", list_of(locations.origin)) or ()
        tokens = reader.optional("SERVICE_AUTH_TOKEN", list_of(values.service_token)) or ()
        aliases = reader.optional("WICKETGATE_IDENTITY_ALIASES", list_of(values.header_alias))
        rules = groups.rules(reader, instance.issuers, frozenset(parties))
        refresh_seconds, max_stale_seconds = groups.key_ages(reader)
        database_url = reader.optional("DATABASE_URL", locations.database_url)
        settings = partial(
            cls,
            jwks_url=instance.jwks_url,
            pem_keys=instance.pem_keys,
            service_tokens=tokens,
            cookies=groups.cookies(reader, instance.key, frozenset(parties)),
            identity_aliases=aliases or (),
            forward_service_token=reader.flag("WICKETGATE_FORWARD_SERVICE_TOKEN"),
            error_response=reader.flag("WICKETGATE_ERROR_RESPONSE"),
            problem_type_base=reader.optional("WICKETGATE_PROBLEM_TYPE_BASE", locations.type_base)
            or TYPE_BASE,
            authz_address=reader.defaulted("WICKETGATE_AUTHZ_ADDRESS", locations.address),
            admin_address=reader.defaulted("WICKETGATE_ADMIN_ADDRESS", locations.address),
            status_tokens=groups.status_tokens(reader),
            tls=groups.tls(reader),
            transport=reader.defaulted("WICKETGATE_TRANSPORT", word_of(Transport)),
            drain_seconds=reader.seconds("WICKETGATE_DRAIN_SECONDS", 0, groups.HOUR),
            grace_seconds=reader.seconds("WICKETGATE_GRACE_SECONDS", 0, groups.HOUR),
            jwks_cache_file=groups.cache_file(reader),
            jwks_refresh_seconds=refresh_seconds,
            jwks_cooldown_seconds=reader.seconds(
                "WICKETGATE_JWKS_COOLDOWN_SECONDS", 1, groups.HOUR
            ),
            jwks_max_stale_seconds=max_stale_seconds,
            jwks_wait_seconds=reader.seconds("WICKETGATE_JWKS_WAIT_SECONDS", 0, 10),
            token_cache_size=reader.defaulted(
                "WICKETGATE_TOKEN_CACHE_SIZE", count_between(0, 1_000_000)
            ),
            log_level=reader.defaulted("WICKETGATE_LOG_LEVEL", word_of(LogLevel)),
            decision_log=reader.defaulted("WICKETGATE_DECISION_LOG", word_of(DecisionLog)),
            decision_detail=reader.defaulted(
                "WICKETGATE_DECISION_DETAIL", word_of(DecisionDetail)
            ),
            replay_share=reader.defaulted("WICKETGATE_REPLAY_SHARE", values.share),
            policy_file=reader.optional("WICKETGATE_POLICY_FILE", values.path),
            service_tokens_file=reader.optional("WICKETGATE_SERVICE_TOKENS_FILE", values.path),
            database_url=database_url,
            database_schema=reader.defaulted("WICKETGATE_DATABASE_SCHEMA", values.schema),
            first_sight=first_sight(reader, aliases or ()),
            revocations=revocations(reader, database_url),
            traces=traces(reader),
        )
        # Rules refuse to be built from what a mistake left empty: settle first.
        reader.settle()
        return settings(rules=rules())
