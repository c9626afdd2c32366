"""The logins that deploy/kubernetes/logins.sql makes can do their work, and nothing before."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from database import Database, Server, running_server
from deploy_manifests import KUBERNETES
from wicketgate.adapters.migrations import migrate, pending
from wicketgate.adapters.postgres import open_store
from wicketgate.cli import main
from wicketgate.sql import roles_script

PROCESSES = ("migrator", "webhooks", "sync", "gate")


@dataclass(frozen=True)
class Prepared:
    """A database in which an administrator, who is no superuser, has run the script twice."""

    admin: Database
    remarks: Sequence[str] = field(default_factory=list)

    def login(self, process: str) -> Database:
        """Return the database for a process' login."""
        url = make_conninfo(self.admin.url, user=f"wicketgate_{process}_login", password="example")
        return Database(url)

    def run(self, script: str) -> list[str]:
        """Run a script as the administrator, and return what Postgres remarked."""
        remarks: list[str] = []
        with psycopg.connect(self.admin.url, autocommit=True) as connection:
            connection.add_notice_handler(lambda each: remarks.append(str(each.message_primary)))
            connection.execute(script.encode())
        return remarks


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for this file."""
    with running_server() as server:
        yield server


@pytest.fixture
def prepared(server: Server) -> Iterator[Prepared]:
    superuser = Database(server.url)
    names = [f"wicketgate_{each}{end}" for each in PROCESSES for end in ("_login", "")]
    there = {row["rolname"] for row in superuser.rows("SELECT rolname FROM pg_roles")}
    if there & set(names):
        pytest.skip("this server has the roles already: a fresh one is needed")
    boss, name = f"boss_{uuid4().hex[:8]}", f"app_{uuid4().hex[:8]}"
    superuser.rows(f"CREATE ROLE {boss} LOGIN CREATEROLE PASSWORD 'example'")
    superuser.rows(f"CREATE DATABASE {name} OWNER {boss}")
    admin = Database(make_conninfo(server.url, dbname=name, user=boss, password="example"))
    found = Prepared(admin)
    try:
        remarks = found.run((KUBERNETES / "logins.sql").read_text())
        found.run((KUBERNETES / "logins.sql").read_text())
        found = replace(found, remarks=remarks)
        for process in PROCESSES:
            login = sql.Identifier(f"wicketgate_{process}_login")
            admin.rows(sql.SQL("ALTER ROLE {} PASSWORD 'example'").format(login).as_string())
        yield found
    finally:
        superuser.rows(f"DROP DATABASE {name} WITH (FORCE)")
        every = [*names, "wicketgate_operator", "wicketgate_reader", boss]
        superuser.rows(f"DROP ROLE IF EXISTS {', '.join(every)}")


def test_the_tables_are_made_and_belong_to_the_role(prepared: Prepared) -> None:
    """Not to the login: another can take its place."""
    url = prepared.login("migrator").url

    assert asyncio.run(migrate(url))
    assert asyncio.run(pending(url)) == []
    owners = prepared.admin.rows(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'wicketgate'"
    )
    assert owners == [{"tableowner": "wicketgate_migrator"}]


def test_rights_come_with_the_script_of_roles_and_not_before(prepared: Prepared) -> None:
    """An administrator who is no superuser may run it, too, as often as they like."""
    asyncio.run(migrate(prepared.login("migrator").url))

    async def is_receiver_ready() -> bool:
        async with open_store(prepared.login("webhooks").url) as store:
            return await store.is_ready()

    assert not asyncio.run(is_receiver_ready())
    with pytest.raises(errors.InsufficientPrivilege):
        prepared.login("gate").rows("TABLE wicketgate.revocations")

    for _ in range(2):
        prepared.run(roles_script("wicketgate"))

    assert asyncio.run(is_receiver_ready())
    assert prepared.login("gate").rows("TABLE wicketgate.revocations") == []
    assert prepared.login("sync").rows("SELECT id FROM wicketgate.users") == []


@pytest.mark.parametrize("process", PROCESSES)
def test_no_login_may_make_a_schema(prepared: Prepared, process: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        prepared.login(process).rows("CREATE SCHEMA mine")


def test_whoever_runs_the_script_is_not_told_what_they_would_have_to_ask_about(
    prepared: Prepared,
) -> None:
    """psql prints every notice, and the first run has none."""
    assert prepared.remarks == []


def test_somebody_can_be_locked_out_from_within_a_receiver(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/deploy.md has it: with the login of the webhooks, and no role of an operator."""
    asyncio.run(migrate(prepared.login("migrator").url))
    at = conninfo_to_dict(prepared.login("webhooks").url)
    url = f"postgresql://{at['user']}:{at['password']}@{at['host']}:{at['port']}/{at['dbname']}"
    monkeypatch.setenv("DATABASE_URL", url)
    order = ["revoke", "user", "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0", "--reason", "INC-42"]

    assert main(order) == 1
    prepared.run(roles_script("wicketgate"))
    assert main(order) == 0

    assert capsys.readouterr().out.startswith("revoked: user_2xLk9QmVb3TnR8sWfYh1JdZpAc0; ")
