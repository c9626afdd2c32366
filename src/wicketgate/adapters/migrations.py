"""The tables, made and brought up to date.

Each step is a transaction that begins by taking a lock and looking again, so any
number of replicas may try at once, with a pooler between them and Postgres or
without. A step that was applied is never applied again and never changed.
"""

from collections.abc import Sequence
from typing import Final

from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from wicketgate.errors import ConfigurationError
from wicketgate.sql import DEFAULT_SCHEMA, Migration, in_schema, migrations, query
from wicketgate.sql.connection import checked_schema, connected

STATEMENT_SECONDS: Final = 600.0
"""An index on a million users takes seconds; nobody waits longer than this."""
LOCK_SECONDS: Final = 30
"""Whoever waits for a table makes everybody after it wait: better to fail and be run again."""

_HISTORY: Final = SQL("""
    CREATE TABLE IF NOT EXISTS {} (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
""")


async def migrate(
    database_url: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    steps: Sequence[Migration] | None = None,
) -> list[str]:
    """Apply whatever was not applied yet.

    Args:
        database_url: Where to, as a role that may make tables.
        schema: Where the tables go; made when it is not there.
        steps: Every step there is, oldest first; by default those that are shipped.

    Returns:
        The names of the steps that were applied by this call.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used, or the
            database has steps that are not ours. Nothing was changed.
        DependencyError: Postgres failed. The steps before the failure are applied.
    """
    checked_schema(schema)
    steps = migrations() if steps is None else steps
    done = []
    async with connected(database_url, statement_seconds=STATEMENT_SECONDS) as connection:
        while (name := await _next(connection, schema, steps)) is not None:
            done.append(name)
    return done


async def pending(
    database_url: str,
    *,
    schema: str = DEFAULT_SCHEMA,
    steps: Sequence[Migration] | None = None,
) -> list[str]:
    """Return the names of the steps that `migrate` would apply, and apply none.

    Raises:
        ConfigurationError: as `migrate`.
        DependencyError: as `migrate`.
    """
    checked_schema(schema)
    steps = migrations() if steps is None else steps
    async with connected(database_url, statement_seconds=STATEMENT_SECONDS) as connection:
        return [step.name for step in await _missing(connection, schema, steps)]


async def keep_token_life(
    database_url: str, *, seconds: float, schema: str = DEFAULT_SCHEMA
) -> bool:
    """Have revocations last as long as tokens that live for `seconds`.

    Those that are there last longer when tokens do; none is cut short.

    Args:
        database_url: Where to, as a role that may make tables.
        seconds: The longest life of a token that any gate accepts.
        schema: Where the tables are, up to date.

    Returns:
        Whether that is a change.

    Raises:
        ConfigurationError: `database_url` or `schema` cannot be used.
        DependencyError: Postgres failed, and nothing was changed.
    """
    checked_schema(schema)
    values = {"seconds": seconds}
    async with (
        connected(
            database_url, statement_seconds=STATEMENT_SECONDS, lock_seconds=LOCK_SECONDS
        ) as connection,
        connection.transaction(),
    ):
        # Whoever revokes meanwhile has read the old life, or waits for the new one.
        await connection.execute(query("lock_revocations", schema))
        cursor = await connection.execute(query("set_token_life", schema), values)
        if cursor.rowcount:
            await connection.execute(query("prolong_revocations", schema))
        return bool(cursor.rowcount)


async def has_token_life(
    database_url: str, *, seconds: float, schema: str = DEFAULT_SCHEMA
) -> bool:
    """Return whether `keep_token_life` would change nothing.

    Raises:
        ConfigurationError: as `keep_token_life`.
        DependencyError: as `keep_token_life`.
    """
    checked_schema(schema)
    async with connected(database_url, statement_seconds=STATEMENT_SECONDS) as connection:
        cursor = await connection.execute(query("has_token_life", schema), {"seconds": seconds})
        return bool(cursor.rowcount)


async def _next(
    connection: AsyncConnection, schema: str, steps: Sequence[Migration]
) -> str | None:
    """Apply the oldest step that is missing and return its name."""
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"]
        )
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{schema}:migrate"]
        )
        missing = await _missing(connection, schema, steps)
        if not missing:
            return None
        step = missing[0]
        await _prepare(connection, schema)
        await connection.execute(in_schema(step.text, schema))
        await connection.execute(
            SQL("INSERT INTO {} (version, name, checksum) VALUES (%s, %s, %s)").format(
                _history(schema)
            ),
            [step.version, step.name, step.checksum],
        )
        return step.name


async def _prepare(connection: AsyncConnection, schema: str) -> None:
    # Asked first: IF NOT EXISTS wants the right to make one even when it exists.
    cursor = await connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])
    if not cursor.rowcount:
        await connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
    await connection.execute(_HISTORY.format(_history(schema)))


async def _missing(
    connection: AsyncConnection, schema: str, steps: Sequence[Migration]
) -> list[Migration]:
    known = {step.version: step for step in steps}
    applied = set()
    for version, name, checksum in await _applied(connection, schema):
        step = known.get(version)
        if step is None:
            msg = (
                f"the schema {schema} has {name}, which this wicketgate does not know: "
                "install the version that applied it, or a newer one"
            )
            raise ConfigurationError(msg)
        if step.checksum != checksum:
            msg = (
                f"{name} was applied to the schema {schema} with another text than this "
                "wicketgate has: install wicketgate anew, and write changes as a new step"
            )
            raise ConfigurationError(msg)
        applied.add(version)
    return [step for step in steps if step.version not in applied]


async def _applied(connection: AsyncConnection, schema: str) -> list[tuple[int, str, str]]:
    exists = await connection.execute(
        "SELECT FROM pg_tables WHERE schemaname = %s AND tablename = 'schema_migrations'", [schema]
    )
    if not exists.rowcount:
        return []
    cursor = await connection.execute(
        SQL("SELECT version, name, checksum FROM {} ORDER BY version DESC").format(
            _history(schema)
        )
    )
    return await cursor.fetchall()


def _history(schema: str) -> Identifier:
    return Identifier(schema, "schema_migrations")
