"""The settings of ``wicketgate webhooks``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from wicketgate.settings import groups, locations, values
from wicketgate.settings.locations import Address
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.values import LogLevel, count_between, list_of, word_of

_TEN_YEARS_OF_DAYS = 3_650


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksSettings:
    """The settings of ``wicketgate webhooks``. Its `repr` holds no secret.

    Attributes:
        signing_secrets: One for each endpoint in Clerk's dashboard, each valid.
        instance_id: When set, events of other Clerk instances are ignored.
        database_url: Postgres, as libpq reads it.
        database_schema: The schema of all our tables.
        pool_size: How many connections to Postgres are held at most.
        webhooks_address: Where Clerk's deliveries arrive.
        admin_address: Where the status page, metrics and health are served.
        status_tokens: What opens the status page, each valid and different.
        path: The one path that takes deliveries.
        organizations: Keep organisations and memberships, too.
        retention_days: How long it is remembered which deliveries there were.
        drain_seconds: How long to keep serving after SIGTERM.
        grace_seconds: How long deliveries in flight may take after that.
        log_level: From which level on lines are logged.
    """

    signing_secrets: tuple[str, ...] = field(repr=False)
    instance_id: str | None
    database_url: str = field(repr=False)
    database_schema: str
    pool_size: int
    webhooks_address: Address
    admin_address: Address
    status_tokens: tuple[str, ...] = field(repr=False)
    path: str
    organizations: bool
    retention_days: int
    drain_seconds: float
    grace_seconds: float
    log_level: LogLevel

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
        secrets = reader.required(
            "CLERK_WEBHOOK_SIGNING_SECRET",
            list_of(values.signing_secret),
            "expected the signing secret of the endpoint in Clerk's dashboard",
        )
        settings = cls(
            signing_secrets=secrets or (),
            instance_id=reader.optional("CLERK_INSTANCE_ID", values.instance_id),
            database_url=groups.database_url(reader),
            database_schema=reader.defaulted("WICKETGATE_DATABASE_SCHEMA", values.schema),
            pool_size=reader.defaulted("WICKETGATE_DATABASE_POOL_SIZE", count_between(1, 1_000)),
            webhooks_address=reader.defaulted("WICKETGATE_WEBHOOKS_ADDRESS", locations.address),
            admin_address=reader.defaulted("WICKETGATE_WEBHOOKS_ADMIN_ADDRESS", locations.address),
            status_tokens=groups.status_tokens(reader),
            path=reader.defaulted("WICKETGATE_WEBHOOKS_PATH", locations.url_path),
            organizations=reader.flag("WICKETGATE_SYNC_ORGANIZATIONS"),
            retention_days=reader.defaulted(
                "WICKETGATE_DELIVERY_RETENTION_DAYS", count_between(1, _TEN_YEARS_OF_DAYS)
            ),
            drain_seconds=reader.seconds("WICKETGATE_DRAIN_SECONDS", 0, groups.HOUR),
            grace_seconds=reader.seconds("WICKETGATE_GRACE_SECONDS", 0, groups.HOUR),
            log_level=reader.defaulted("WICKETGATE_LOG_LEVEL", word_of(LogLevel)),
        )
        reader.settle()
        return settings
