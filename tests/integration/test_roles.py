"""Each process may do what it does, and nothing else."""

import psycopg
import pytest
from psycopg import errors

from database import Database
from wicketgate.adapters.migrations import migrate, pending
from wicketgate.adapters.postgres import open_store
from wicketgate.adapters.postgres_sync import open_mirror
from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Effect, Progress
from wicketgate.core.delivery import Delivery, MessageId, Outcome
from wicketgate.core.event import Event, UserDeleted, UserProfile, UserUpserted
from wicketgate.sql import Migration, migrations, roles_script

PROFILE = UserProfile(clerk_user_id=UserId("user_1"), clerk_updated_at=1)
TABLES = (
    "users",
    "organizations",
    "organization_memberships",
    "webhook_deliveries",
    "dead_letters",
    "sync_runs",
    "sync_seen",
    "revocations",
    "revocation_terms",
    "schema_migrations",
)
ROLES = ("webhooks", "sync", "gate", "operator", "reader")
MAY_DELETE = {
    "webhooks": {"webhook_deliveries", "dead_letters", "revocations"},
    "sync": {"sync_runs", "sync_seen"},
    "gate": set(),
    "operator": set(),
    "reader": set(),
}
OF_REVOCATIONS = {"revocations", "revocation_terms", "schema_migrations"}
MAY_READ = {
    "webhooks": set(TABLES) - {"sync_runs", "sync_seen"},
    "sync": {"users", "sync_runs", "sync_seen", *OF_REVOCATIONS},
    "gate": OF_REVOCATIONS,
    "operator": OF_REVOCATIONS,
    "reader": {"users", "organizations", "organization_memberships"},
}


@pytest.fixture
def guarded(database: Database) -> Database:
    """A database with the roles, made twice over."""
    for _ in range(2):
        run_script(database)
    return database


def run_script(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(roles_script("wicketgate").encode())


def is_allowed(database: Database, statement: str) -> bool:
    try:
        database.rows(statement)
    except errors.InsufficientPrivilege:
        return False
    return True


@pytest.mark.parametrize("role", ROLES)
def test_the_roles_read_and_delete_what_is_theirs(guarded: Database, role: str) -> None:
    login = guarded.as_role(f"wicketgate_{role}")

    readable = {name for name in TABLES if is_allowed(login, f"TABLE wicketgate.{name}")}
    deletable = {
        name
        for name in TABLES
        if is_allowed(login, f"DELETE FROM wicketgate.{name}")  # noqa: S608 - ours
    }

    assert readable == MAY_READ[role]
    assert deletable == MAY_DELETE[role]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE wicketgate.mine ()",
        "DROP TABLE wicketgate.users",
        "TRUNCATE wicketgate.users",
        "ALTER TABLE wicketgate.users ADD COLUMN mine int",
        "UPDATE wicketgate.schema_migrations SET name = ''",
        "UPDATE wicketgate.revocation_terms SET token_life = '1 s'",
        "DROP FUNCTION wicketgate.tell_revocation CASCADE",
    ],
)
def test_nobody_but_the_migrator_touches_the_tables_themselves(
    guarded: Database, role: str, statement: str
) -> None:
    assert not is_allowed(guarded.as_role(f"wicketgate_{role}"), statement)


async def test_the_receiver_s_role_is_enough_for_the_receiver(guarded: Database) -> None:
    login = guarded.as_role("wicketgate_webhooks")

    async with open_store(login.url) as store:
        upserted = Delivery(MessageId("msg_1"), Event("user.created", 1, UserUpserted(PROFILE)))
        deleted = UserDeleted(PROFILE.clerk_user_id)

        assert await store.is_ready()
        assert await store.apply(upserted) is Outcome.APPLIED
        assert (
            await store.apply(Delivery(MessageId("msg_2"), Event("user.deleted", 2, deleted)))
            is Outcome.APPLIED
        )
        assert await store.prune(older_than_days=0) == 2


@pytest.mark.parametrize("dry_run", [True, False])
async def test_the_sync_s_role_is_enough_for_the_sync(guarded: Database, *, dry_run: bool) -> None:
    guarded.rows("INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_0')")
    login = guarded.as_role("wicketgate_sync")

    async with open_mirror(login.url, dry_run=dry_run) as mirror:
        await mirror.begin(restart=True)
        effects = await mirror.save([PROFILE], event_at=1, progress=Progress(is_listed=True))
        assert effects == {PROFILE.clerk_user_id: Effect.CREATED}
        unseen = await mirror.unseen(after=None, limit=10)
        assert unseen == ["user_0"]
        await mirror.bury(unseen, event_at=2)
        await mirror.finish()


def test_the_gate_s_role_reads_revocations_and_adds_users_by_their_id(guarded: Database) -> None:
    """
    An id alone, and nothing else of a user is read or written.
    """
    login = guarded.as_role("wicketgate_gate")

    met = login.row(
        "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')"
        " ON CONFLICT (clerk_user_id) DO NOTHING RETURNING id, deleted_at"
    )

    assert met["deleted_at"] is None
    assert is_allowed(login, "LISTEN wicketgate_revocations")
    for statement in (
        "INSERT INTO wicketgate.users (clerk_user_id, username) VALUES ('user_2', 'mine')",
        "UPDATE wicketgate.users SET clerk_user_id = 'user_2'",
        "SELECT primary_email FROM wicketgate.users",
        "SELECT wicketgate.revoke('user', 'user_1', now(), 'mine', 'operator')",
        "UPDATE wicketgate.revocations SET lifted_at = now()",
        "INSERT INTO wicketgate.revocations DEFAULT VALUES",
    ):
        assert not is_allowed(login, statement)


def test_the_operator_s_role_revokes_and_touches_no_user(guarded: Database) -> None:
    login = guarded.as_role("wicketgate_operator")

    login.rows("SELECT wicketgate.revoke('user', 'user_1', now(), 'mine', 'operator')")
    login.rows("UPDATE wicketgate.revocations SET lifted_at = now()")

    assert not is_allowed(login, "UPDATE wicketgate.users SET banned = true")
    assert not is_allowed(login, "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1')")


def test_a_business_table_of_a_reader_references_users(guarded: Database) -> None:
    """
    The reader reads and references; it cannot write.
    """
    user_id = guarded.row(
        "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('user_1') RETURNING id"
    )["id"]
    login = guarded.as_role("wicketgate_reader")
    guarded.rows("GRANT CREATE ON SCHEMA public TO PUBLIC")

    login.rows(
        "CREATE TABLE public.meetings (id int PRIMARY KEY,"
        " owner uuid NOT NULL REFERENCES wicketgate.users (id))"
    )
    login.rows("INSERT INTO public.meetings VALUES (1, %s)", user_id)

    assert not is_allowed(login, "UPDATE wicketgate.users SET username = 'mine'")
    assert not is_allowed(login, "INSERT INTO wicketgate.users (clerk_user_id) VALUES ('x')")


async def test_the_migrator_takes_over_and_goes_on(guarded: Database) -> None:
    """
    Whoever made the tables, later steps are the migrator's; it may make no other schema.
    """
    login = guarded.as_role("wicketgate_migrator")
    text = (
        "ALTER TABLE {schema}.users ADD COLUMN extra int;"
        " ALTER FUNCTION {schema}.tell_revocation() COST 2"
    )
    step = Migration(9999, "9999_next", text)

    assert await pending(login.url) == []
    assert await migrate(login.url, steps=[*migrations(), step]) == ["9999_next"]
    assert not is_allowed(login, "CREATE SCHEMA other")
    run_script(guarded)


def test_names_that_postgres_would_cut_off_are_refused() -> None:
    with pytest.raises(ValueError, match="longer than a role's name"):
        roles_script("a" * 60)
