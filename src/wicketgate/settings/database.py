"""Where the tables are: all that ``wicketgate revoke`` and ``revocations`` need to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from wicketgate.settings import groups, values
from wicketgate.settings.reader import EnvironReader


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the tables are. Its `repr` holds no secret.

    Attributes:
        database_url: Postgres, as libpq reads it.
        database_schema: The schema of all our tables.
    """

    database_url: str = field(repr=False)
    database_schema: str

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
        )
        reader.settle()
        return settings
