"""A Postgres for the tests: one for the session, and a fresh database for each test.

``DATABASE_URL`` names one that is used instead; its role must be allowed to make
databases. A test gets a copy of a template that was migrated once.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus
from psycopg.rows import dict_row

from wicketgate.adapters.migrations import migrate
from wicketgate.local.postgres import EmbeddedPostgres

Row = dict[str, Any]

_FAST = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
"""Nobody needs these databases after a power cut."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory is made in it
_ENOUGH_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Database:
    """One database.

    Attributes:
        url: Where it is, for its owner.
    """

    url: str

    def rows(self, statement: str, *parameters: object) -> list[Row]:
        """Return what `statement` returns, a dictionary for each row; commits."""
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            # Not by its description, which a row without columns lacks as well.
            result = cursor.pgresult
            returns_rows = result is not None and result.status == ExecStatus.TUPLES_OK
            return cursor.fetchall() if returns_rows else []

    def row(self, statement: str, *parameters: object) -> Row:
        """Return the only row of `statement`."""
        (row,) = self.rows(statement, *parameters)
        return row

    def as_role(self, name: str) -> "Database":
        """Make a login that is a member of the role `name`, and return the database for it."""
        login = f"{name}_{uuid4().hex[:8]}"
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'example' IN ROLE {}").format(
            sql.Identifier(login), sql.Identifier(name)
        )
        self.rows(statement.as_string())
        return Database(make_conninfo(self.url, user=login, password="example"))


@dataclass(frozen=True, slots=True)
class Server:
    """A Postgres with a migrated template.

    Attributes:
        url: Where its first database is.
        template: The name of the migrated database.
    """

    url: str
    template: str

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[Database]:
        """Keep a fresh database, migrated unless another `template` is named."""
        name = f"test_{uuid4().hex}"
        admin = Database(self.url)
        source = self.template if template is None else template
        admin.rows(f"CREATE DATABASE {name} TEMPLATE {source}")
        try:
            yield Database(make_conninfo(self.url, dbname=name))
        finally:
            admin.rows(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server() -> Iterator[Server]:
    """Keep a Postgres running, or use the one that ``DATABASE_URL`` names."""
    # A loop of its own: it lives longer than the loop of any test.
    with asyncio.Runner() as runner:
        given = os.environ.get("DATABASE_URL")
        postgres = None if given else EmbeddedPostgres(parent=_fast_directory(), settings=_FAST)
        try:
            if postgres is not None:
                runner.run(postgres.__aenter__())
            url = given or (postgres.url if postgres else "")
            template = f"template_{uuid4().hex}"
            Database(url).rows(f"CREATE DATABASE {template}")
            try:
                runner.run(migrate(make_conninfo(url, dbname=template)))
                yield Server(url, template)
            finally:
                Database(url).rows(f"DROP DATABASE {template} WITH (FORCE)")
        finally:
            if postgres is not None:
                runner.run(postgres.__aexit__(None, None, None))


def _fast_directory() -> Path | None:
    """Return where files are kept in memory: to copy a database takes a tenth of the time."""
    with suppress(OSError):
        if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES:
            return _MEMORY
    return None
