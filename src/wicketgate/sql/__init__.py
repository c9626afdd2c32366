"""All SQL, in files, and how it is read.

A statement names every table with its schema, and the schema is put in when the
file is read: no ``search_path`` is set, because a pooler between us and Postgres
may give the next statement another session.

Source: PgBouncer, "Features", on what does not survive transaction pooling.
"""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from psycopg.sql import Identifier

DEFAULT_SCHEMA: Final = "wicketgate"

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""What Postgres takes without quotes: 63 bytes at most, and no capitals to get lost."""
_MIGRATION: Final = re.compile(r"(?P<name>(?P<version>[0-9]{4})_[a-z0-9_]+)\.sql")
_ROLES: Final = ("migrator", "webhooks", "sync", "gate", "operator", "reader")
_LONGEST_ROLE: Final = 63
"""Postgres cuts longer names off without a word, and two roles could become one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        version: Its number; each is one more than the last.
        name: Its file's name without the suffix.
        text: What it does.
    """

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return sha256(self.text.encode("utf-8")).hexdigest()


def is_schema_name(name: str) -> bool:
    """Return whether a schema of this name can be kept."""
    return _SCHEMA.fullmatch(name) is not None


def in_schema(text: str, schema: str) -> bytes:
    """Return `text` with ``{schema}`` filled in.

    Raises:
        ValueError: `schema` is no name of a schema; see `is_schema_name`.
    """
    if not is_schema_name(schema):
        msg = f"{schema!r} is not a schema name"
        raise ValueError(msg)
    return text.replace("{schema}", Identifier(schema).as_string()).encode("utf-8")


@cache
def query(name: str, schema: str, *, is_dry_run: bool = False) -> bytes:
    """Return the statement in ``queries/<name>.sql``.

    Args:
        name: The file's name; several, joined by ``+``, are one statement.
        schema: Where the tables are.
        is_dry_run: Whether what a run has seen is in a table of the session
            (``{seen}``), for the tables of the schema are not to be written.
    """
    text = "\n".join(_read(f"queries/{part}.sql") for part in name.split("+"))
    seen = "pg_temp.sync_seen" if is_dry_run else "{schema}.sync_seen"
    return in_schema(text.replace("{seen}", seen), schema)


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration that this version knows, oldest first."""
    found = sorted(each.name for each in files(__name__).joinpath("migrations").iterdir())
    return tuple(
        Migration(int(match["version"]), match["name"], _read(f"migrations/{name}"))
        for name in found
        if (match := _MIGRATION.fullmatch(name))
    )


def roles_script(schema: str) -> str:
    """Return the script that gives each process a role of its own.

    Args:
        schema: Where the tables are; the names of the roles begin with it.

    Raises:
        ValueError: a role's name would be longer than Postgres keeps.
    """
    text = in_schema(_read("roles.sql"), schema).decode("utf-8")
    for role in _ROLES:
        name = f"{schema}_{role}"
        if len(name) > _LONGEST_ROLE:
            msg = f"{name} is longer than a role's name can be"
            raise ValueError(msg)
        text = text.replace(f"{{{role}}}", Identifier(name).as_string())
    return text


def _read(path: str) -> str:
    return files(__name__).joinpath(path).read_text("utf-8")
