"""``wicketgate migrate``: what the command line asks of the database's tables."""

from wicketgate.adapters import migrations
from wicketgate.errors import ConfigurationError
from wicketgate.settings import DatabaseSettings
from wicketgate.sql import roles_script


async def migrate(settings: DatabaseSettings) -> list[str]:
    """Make what is missing, and return its names, oldest first.

    Raises:
        ConfigurationError: the database is newer than this version.
        DependencyError: Postgres failed.
    """
    return await migrations.migrate(settings.database_url, schema=settings.database_schema)


async def pending(settings: DatabaseSettings) -> list[str]:
    """Return the names of what is missing, and change nothing.

    Raises:
        ConfigurationError: the database is newer than this version.
        DependencyError: Postgres failed.
    """
    return await migrations.pending(settings.database_url, schema=settings.database_schema)


def roles(settings: DatabaseSettings) -> str:
    """Return the SQL script that makes a role for each process.

    Raises:
        ConfigurationError: the schema's name leaves no room for those of the roles.
    """
    try:
        return roles_script(settings.database_schema)
    except ValueError as error:
        msg = f"WICKETGATE_DATABASE_SCHEMA leaves no room for names of roles: {error}"
        raise ConfigurationError(msg) from None
