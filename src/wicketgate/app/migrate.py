"""``wicketgate migrate``: what the command line asks of the database's tables."""

from typing import Final

from wicketgate.adapters import migrations
from wicketgate.errors import ConfigurationError
from wicketgate.settings import MigrateSettings
from wicketgate.sql import roles_script

_TOKEN_LIFE: Final = "revocations last for tokens of {seconds:.12g} s"


async def migrate(settings: MigrateSettings) -> list[str]:
    """Make what is missing, and return its names, oldest first.

    A token's life that the settings tell is the last of them, unless it is the one that
    revocations last for already.

    Raises:
        ConfigurationError: the database is newer than this version.
        DependencyError: Postgres failed.
    """
    url, schema, seconds = _parts(settings)
    names = await migrations.migrate(url, schema=schema)
    if seconds is not None and await migrations.keep_token_life(
        url, seconds=seconds, schema=schema
    ):
        names.append(_TOKEN_LIFE.format(seconds=seconds))
    return names


async def pending(settings: MigrateSettings) -> list[str]:
    """Return the names of what is missing, and change nothing.

    Raises:
        ConfigurationError: the database is newer than this version.
        DependencyError: Postgres failed.
    """
    url, schema, seconds = _parts(settings)
    names = await migrations.pending(url, schema=schema)
    # As long as steps are missing, there may be nowhere to look for it.
    if seconds is not None and (
        names or not await migrations.has_token_life(url, seconds=seconds, schema=schema)
    ):
        names.append(_TOKEN_LIFE.format(seconds=seconds))
    return names


def roles(settings: MigrateSettings) -> str:
    """Return the SQL script that makes a role for each process.

    Raises:
        ConfigurationError: the schema's name leaves no room for those of the roles.
    """
    try:
        return roles_script(settings.database_schema)
    except ValueError as error:
        msg = f"WICKETGATE_DATABASE_SCHEMA leaves no room for names of roles: {error}"
        raise ConfigurationError(msg) from None


def _parts(settings: MigrateSettings) -> tuple[str, str, float | None]:
    return settings.database_url, settings.database_schema, settings.token_life_seconds
