"""`wicketgate explain-token --revocations`, as an operator runs it, on a real Postgres."""

import asyncio
import json
import time
from urllib.parse import urlencode

from psycopg.conninfo import conninfo_to_dict

from database import Database
from processes import spawn, surroundings
from tokens import ISSUER, clerk
from wicketgate.adapters.postgres_revocations import open_revocations
from wicketgate.app.token_material import find_revocations
from wicketgate.core.claims import Claims
from wicketgate.core.revocation_table import Kind
from wicketgate.core.token import TokenVerifier
from wicketgate.local.clerk_instance import SESSION, USER
from wicketgate.settings import AuthzSettings

NOWHERE = "postgresql://wicketgate:hunter2@127.0.0.1:1/users"


def variables(url: str) -> dict[str, str]:
    return {
        "CLERK_ISSUER": ISSUER,
        "CLERK_JWT_KEY": clerk().public_pem,
        "DATABASE_URL": url,
    }


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


async def run(url: str, *arguments: str) -> tuple[int, str, str]:
    """Return how the command ended, what it said, and what it complained about."""
    process = await spawn(
        {**surroundings(), **variables(url)}, "explain-token", "--revocations", *arguments
    )
    said, complained = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, said.decode(), complained.decode()


async def test_a_revoked_session_is_told_by_the_command(database: Database) -> None:
    async with open_revocations(database.url) as table:
        await table.revoke(Kind.SESSION, SESSION, reason="lost", ahead_seconds=0)

    status, said, _ = await run(url_of(database), "--json", clerk().mint(now=time.time()))

    found = json.loads(said)
    assert status == 1
    assert (found["reason"], found["failed"]) == ("session_revoked", "revocation")


async def test_what_is_in_force_refuses_and_what_is_not_does_not(database: Database) -> None:
    settings = AuthzSettings.from_environ(variables(url_of(database)))
    now = time.time()
    token, later = clerk().mint(now=now - 20), clerk().mint(now=now + 20)
    verifier = TokenVerifier(settings.rules)
    assert settings.pem_keys is not None
    old = verifier.verify(token, keys=settings.pem_keys, now=now)
    new = verifier.verify(later, keys=settings.pem_keys, now=now + 20)
    assert isinstance(old, Claims)
    assert isinstance(new, Claims)
    told = []

    async with open_revocations(database.url) as table:
        told.append((await find_revocations(settings, old)).refuses(old))
        await table.revoke(Kind.USER, USER, reason="lost", ahead_seconds=0)
        told.append((await find_revocations(settings, old)).refuses(old))
        told.append((await find_revocations(settings, new)).refuses(new))
        await table.lift(Kind.USER, USER)
        told.append((await find_revocations(settings, old)).refuses(old))

    assert told == [None, "user_revoked", None, None]


async def test_a_database_that_is_away_is_no_answer() -> None:
    status, said, complained = await run(NOWHERE, clerk().mint(now=time.time()))

    assert (status, said) == (1, "")
    assert complained.startswith("wicketgate: ")
    assert "hunter2" not in complained
    assert "Traceback" not in complained
