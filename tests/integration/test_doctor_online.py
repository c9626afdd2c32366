"""`wicketgate doctor --online`: a database and a Clerk that are really asked."""

import asyncio
import json
from urllib.parse import urlencode

from psycopg.conninfo import conninfo_to_dict

from database import Database
from processes import spawn, surroundings
from wicketgate.local.clerk import ClerkDouble, Mode
from wicketgate.sql import roles_script


def url_of(database: Database) -> str:
    """Return where the database is as a URL, which settings want."""
    return "postgresql://?" + urlencode(conninfo_to_dict(database.url))


async def doctor(**variables: str) -> tuple[int, list[str]]:
    """Run the command; return its exit status and the kinds that it found."""
    process = await spawn({**surroundings(), **variables}, "doctor", "--online", "--json")
    said, complained = await asyncio.wait_for(process.communicate(), 30)
    assert complained == b""
    return process.returncode or 0, [each["id"] for each in json.loads(said)["findings"]]


async def test_tables_that_are_up_to_date_are_no_finding(database: Database) -> None:
    assert await doctor(DATABASE_URL=url_of(database)) == (0, [])


async def test_a_schema_without_tables_is_behind(database: Database) -> None:
    found = await doctor(DATABASE_URL=url_of(database), WICKETGATE_DATABASE_SCHEMA="other")

    assert found == (1, ["schema-behind"])


async def test_the_role_of_a_gate_is_enough_to_look(database: Database) -> None:
    database.rows(roles_script("wicketgate"))
    gate = database.as_role("wicketgate_gate")

    assert await doctor(DATABASE_URL=url_of(gate)) == (0, [])


async def test_a_clerk_that_serves_keys_and_has_the_same_time_is_no_finding() -> None:
    async with ClerkDouble() as clerk:
        found = await doctor(CLERK_ISSUER="https://clerk.test", CLERK_JWKS_URL=clerk.jwks_url)

    assert found == (0, [])


async def test_a_clerk_that_fails_is_found() -> None:
    async with ClerkDouble() as clerk:
        clerk.mode = Mode.ERROR
        found = await doctor(CLERK_ISSUER="https://clerk.test", CLERK_JWKS_URL=clerk.jwks_url)

    assert found == (1, ["keys-unreachable"])
