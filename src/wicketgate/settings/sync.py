"""The settings of ``wicketgate sync``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from wicketgate.settings import groups, locations, values
from wicketgate.settings.reader import EnvironReader


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """The settings of ``wicketgate sync``. Its `repr` holds no secret.

    Attributes:
        secret_key: Clerk's key to the Backend API.
        api_url: Where the Backend API is, without a slash at the end.
        instance_id: The Clerk instance that the users are of, `None` when not told.
        database_url: Postgres, as libpq reads it.
        database_schema: The schema of all our tables.
    """

    secret_key: str = field(repr=False)
    api_url: str
    instance_id: str | None
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
        secret_key = reader.required(
            "CLERK_SECRET_KEY",
            values.secret_key,
            "expected the secret key from Clerk's dashboard",
        )
        settings = cls(
            secret_key=secret_key or "",
            api_url=reader.defaulted("CLERK_API_URL", locations.api_url),
            instance_id=reader.optional("CLERK_INSTANCE_ID", values.instance_id),
            database_url=groups.database_url(reader),
            database_schema=reader.defaulted("WICKETGATE_DATABASE_SCHEMA", values.schema),
        )
        reader.settle()
        return settings
