"""Who listens for revocations as a gate does, and keeps what was told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from database import Database

CHANNEL = "wicketgate_revocations"


@dataclass(frozen=True, slots=True)
class Listener:
    """Hears what is committed.

    Attributes:
        connection: In autocommit, listening.
    """

    connection: psycopg.Connection

    def told(self) -> list[dict[str, Any]]:
        """Return everything that was told since the last time, oldest first.

        Nothing is waited for: whoever asks tells something itself, and what was
        committed before that is told before that.
        """
        self.connection.execute("SELECT pg_notify(%s, 'that is all')", [CHANNEL])
        told: list[dict[str, Any]] = []
        for notify in self.connection.notifies(timeout=10):
            if notify.payload == "that is all":
                return told
            told.append(json.loads(notify.payload))
        raise TimeoutError


@contextmanager
def listening(database: Database) -> Iterator[Listener]:
    """Listen on `database`."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        yield Listener(connection)
