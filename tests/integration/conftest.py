"""Fixtures for the tests whose gates read the real clock, and for those that need Postgres."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from conformance.table import World
from database import Database, Server, running_server
from wicketgate.adapters.postgres import PostgresStore, open_store


@pytest.fixture
def world(world: World) -> World:
    """The world as it is now: by the end of the run, the session's own is a minute old."""
    return replace(world, now=time.time())


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One Postgres for the whole run."""
    with running_server() as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A fresh, migrated database."""
    with server.database() as database:
        yield database


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    """A store on the fresh database."""
    async with open_store(database.url) as store:
        yield store
