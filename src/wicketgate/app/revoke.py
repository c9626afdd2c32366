"""``wicketgate revoke`` and ``revocations``: what the command line asks of the table."""

from wicketgate.adapters.postgres_revocations import RevocationRow, open_revocations
from wicketgate.core.revocation_table import Kind
from wicketgate.settings import DatabaseSettings


async def revoke(
    settings: DatabaseSettings, kind: Kind, identity: str, *, reason: str, ahead_seconds: float
) -> RevocationRow:
    """Refuse the tokens of a user or a session from now on; return what is in force then.

    Args:
        settings: Where the table is.
        kind: Whether `identity` is of a user or of a session.
        identity: Whose tokens.
        reason: Why; for people.
        ahead_seconds: A user's tokens that are issued within so long are refused, too.

    Raises:
        ConfigurationError: the database's URL cannot be used.
        DependencyError: Postgres failed.
    """
    async with open_revocations(
        settings.database_url, schema=settings.database_schema
    ) as revocations:
        return await revocations.revoke(kind, identity, reason=reason, ahead_seconds=ahead_seconds)


async def lift(settings: DatabaseSettings, kind: Kind, identity: str) -> RevocationRow | None:
    """Let the tokens count again; return what was lifted, `None` if nothing was in force.

    Raises:
        ConfigurationError: as `revoke`.
        DependencyError: as `revoke`.
    """
    async with open_revocations(
        settings.database_url, schema=settings.database_schema
    ) as revocations:
        return await revocations.lift(kind, identity)


async def listed(settings: DatabaseSettings, *, is_all: bool) -> list[RevocationRow]:
    """Return what is in force, last changed first.

    Args:
        settings: Where the table is.
        is_all: Also return what is not in force any more, as far as it is kept.

    Raises:
        ConfigurationError: as `revoke`.
        DependencyError: as `revoke`.
    """
    async with open_revocations(
        settings.database_url, schema=settings.database_schema
    ) as revocations:
        return await revocations.rows(is_all=is_all)
