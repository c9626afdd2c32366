"""The settings of ``wicketgate migrate``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from wicketgate.settings import groups, values
from wicketgate.settings.reader import EnvironReader


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """The settings of ``wicketgate migrate``. Its `repr` holds no secret.

    Attributes:
        database_url: Postgres, as libpq reads it.
        database_schema: The schema of all our tables.
        token_life_seconds: The longest life of a token; `None` leaves what the
            database has, which is a day if nobody said anything.
    """

    database_url: str = field(repr=False)
    database_schema: str
    token_life_seconds: float | None

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
        settings = cls(
            database_url=groups.database_url(reader),
            database_schema=reader.defaulted("WICKETGATE_DATABASE_SCHEMA", values.schema),
            token_life_seconds=reader.optional(
                "WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS", groups.token_lifetime
            ),
        )
        reader.settle()
        return settings
