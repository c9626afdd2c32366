"""Give each process a login of its own in Postgres, with the rights that it needs.

Runs after `wicketgate migrate`, as the owner of the database, and may run again: a
password that was changed in its file is changed in Postgres. Logins and passwords are
those of the URLs that the processes themselves are given.
"""
# ruff: noqa: INP001 - run as a file, and part of no package

import os
import subprocess
from pathlib import Path

from psycopg import Connection, connect, sql
from psycopg.conninfo import conninfo_to_dict

ROLES = ("gate", "webhooks", "sync", "operator")
"""What `wicketgate migrate --roles` calls them, behind the name of the schema."""
SCHEMA = os.environ.get("WICKETGATE_DATABASE_SCHEMA") or "wicketgate"
OWNER = Path(os.environ["DATABASE_URL_FILE"])


def url_of(role: str) -> str:
    """Return the URL that the process in this role connects with."""
    return OWNER.with_name(f"database-{role}").read_text("utf-8").strip()


def give_login(connection: Connection, role: str) -> str:
    """Let the login of a URL in, as a member of `role` and nothing else; return its name."""
    wanted = conninfo_to_dict(url_of(role))
    name, password = str(wanted["user"]), str(wanted["password"])
    # Hashed here, so that no log of statements can hold it.
    secret = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(secret.decode())
        )
    )
    group = sql.Identifier(f"{SCHEMA}_{role}")
    connection.execute(sql.SQL("GRANT {} TO {}").format(group, sql.Identifier(name)))
    return name


def main() -> None:
    """Make the roles, then the logins, and let nobody else connect: all of it or nothing."""
    script = subprocess.run(
        ("wicketgate", "migrate", "--roles"),  # noqa: S607 - the image's own
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    with connect(OWNER.read_text("utf-8").strip()) as connection:
        connection.execute(script)
        database = sql.Identifier(connection.info.dbname)
        # Whoever can connect can notify, and a notice locks a user out until it is looked up.
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
        for role in ROLES:
            name = give_login(connection, role)
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    database, sql.Identifier(name)
                )
            )
            print(f"{name} is {SCHEMA}_{role}", flush=True)  # noqa: T201 - it talks to a person


if __name__ == "__main__":
    main()
