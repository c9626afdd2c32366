"""Rounds in which the connection of a revocation feed breaks while somebody is revoked.

In each round a fault is made, revocations and their opposites are committed before,
during and after it, and once the feed says that it is current again, everybody is
asked about: whoever is revoked must be refused, and nobody else. Some of what is told is a lie.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from random import Random

import psycopg

from wicketgate.adapters.revocation_feed import FeedTiming, Link, RevocationFeed
from wicketgate.adapters.revocation_link import APPLICATION, CHANNEL, revocation_link
from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.reason import Reason
from wicketgate.core.revocation import RevocationSet
from wicketgate.core.revocation_table import Kind, Revocation
from wicketgate.local.postgres import EmbeddedPostgres

RECOVERY_SECONDS = 30.0
TOKEN_LIFE = 86_400.0


class Fault(StrEnum):
    """What happens to the connection."""

    NONE = "none"
    TERMINATE = "terminate"
    """Postgres ends it."""
    FREEZE = "freeze"
    """Its backend stops without a word, as when a machine vanishes."""
    RESTART = "restart"
    """Postgres stops in order, and starts again."""
    CRASH = "crash"
    """Postgres is killed, and recovers."""


class Observer:
    """Counts the connections of a feed."""

    def __init__(self) -> None:
        """Begin with none."""
        self.connections = 0
        self.errors: list[str] = []

    def current(self, *, rows: int, seconds: float) -> None:  # noqa: ARG002 - the seam's shape
        """Count one."""
        self.connections += 1

    def lost(self, error: str) -> None:
        """Keep why."""
        self.errors.append(error)

    def reloaded(self) -> None:
        """Do nothing."""

    def changed(self, row: Revocation) -> None:
        """Do nothing."""

    def malformed(self) -> None:
        """Do nothing."""

    def deaf(self, missed: int) -> None:
        """Keep that something was missed."""
        self.errors.append(f"missed {missed}")

    def hears(self) -> None:
        """Do nothing."""

    def trusted(self, *, is_trusted: bool) -> None:
        """Do nothing."""

    def kept(self, seconds: float, *, is_enough: bool) -> None:
        """Do nothing."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        while not is_so():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.005)


@dataclass
class Followed:
    """A feed that runs, and what it keeps."""

    feed: RevocationFeed
    revocations: RevocationSet
    observer: Observer

    def refuses(
        self, *, user: str = "user_x", session: str = "sess_x", issued_at: float = 0
    ) -> Reason | None:
        """Return why a token is refused, if it is."""
        claims = Claims(
            user_id=UserId(user),
            session_id=SessionId(session),
            issued_at=issued_at,
            not_before=issued_at,
            expires_at=issued_at + 60,
            document={},
        )
        return self.revocations.refuses(claims)

    async def is_current(self, moment: float) -> None:
        """Wait until nothing from before `moment`, in monotonic seconds, can be missing."""
        await until(lambda: time.monotonic() - self.feed.stale_seconds >= moment)


@asynccontextmanager
async def following(
    database_url: str,
    *,
    skew: float = 0.0,
    timing: FeedTiming | None = None,
    link: Callable[..., AbstractAsyncContextManager[Link]] = revocation_link,
) -> AsyncIterator[Followed]:
    """Run a feed whose clock is `skew` seconds ahead of that of Postgres."""
    revocations, observer = RevocationSet(), Observer()
    feed = RevocationFeed(
        revocations,
        lambda tell: link(database_url, schema="wicketgate", tell=tell),
        schema="wicketgate",
        token_life=TOKEN_LIFE,
        timing=timing or FeedTiming(beat_seconds=0.2),
        observer=observer,
        clock=lambda: time.time() + skew,
        timer=time.monotonic,
        jitter=Random(1).random,  # noqa: S311 - the same in every run
    )
    running = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(RECOVERY_SECONDS):
            await feed.loaded.wait()
        yield Followed(feed, revocations, observer)
    finally:
        running.cancel()
        await asyncio.wait({running})


@dataclass
class Book:
    """Who is revoked, by what was committed."""

    random: Random
    revoked: dict[tuple[Kind, str], float] = field(default_factory=dict)
    known: list[tuple[Kind, str]] = field(default_factory=list)

    def change(self, connection: psycopg.Connection) -> None:
        """Commit one change: somebody new, somebody again, somebody lifted, or a lie."""
        roll = self.random.random()
        if roll < 0.5 or not self.known:
            kind = self.random.choice(list(Kind))
            self.known.append((kind, f"{kind}_{len(self.known)}"))
            self._revoke(connection, *self.known[-1])
        elif roll < 0.7:
            self._revoke(connection, *self.random.choice(self.known))
        elif roll < 0.9:
            self._lift(connection, *self.random.choice(self.known))
        else:
            self._lie(connection, *self.random.choice(self.known))

    def check(self, followed: Followed) -> list[str]:
        """Return a complaint for everybody who is treated wrongly."""
        complaints = []
        for kind, row_id in self.known:
            revoked_at = self.revoked.get((kind, row_id))
            if kind is Kind.SESSION:
                refused = followed.refuses(session=row_id, issued_at=time.time())
                expected = None if revoked_at is None else Reason.SESSION_REVOKED
                complaints += [] if refused is expected else [f"{row_id}: {refused}"]
                continue
            # A token of the second of the revocation, and one of a sign-in in the next.
            old, new = int(revoked_at or time.time()), int(revoked_at or time.time()) + 1
            expected = None if revoked_at is None else Reason.USER_REVOKED
            if followed.refuses(user=row_id, issued_at=old) is not expected:
                complaints.append(f"{row_id}: an old token is not {expected}")
            if followed.refuses(user=row_id, issued_at=new) is not None:
                complaints.append(f"{row_id}: a new sign-in is refused")
        return complaints

    def _revoke(self, connection: psycopg.Connection, kind: Kind, row_id: str) -> None:
        moment = time.time() + self.random.uniform(-30, 0)
        connection.execute(
            "SELECT wicketgate.revoke(%s, %s, to_timestamp(%s), 'test', 'operator')",
            (kind.value, row_id, moment),
        )
        ((stored,),) = connection.execute(
            "SELECT extract(epoch FROM revoked_at)::float8 FROM wicketgate.revocations "
            "WHERE kind = %s AND id = %s",
            (kind.value, row_id),
        ).fetchall()
        self.revoked[kind, row_id] = stored

    def _lift(self, connection: psycopg.Connection, kind: Kind, row_id: str) -> None:
        connection.execute(
            "UPDATE wicketgate.revocations SET lifted_at = now() "
            "WHERE kind = %s AND id = %s AND lifted_at IS NULL",
            (kind.value, row_id),
        )
        self.revoked.pop((kind, row_id), None)

    def _lie(self, connection: psycopg.Connection, kind: Kind, row_id: str) -> None:
        """Say that somebody was lifted, revoked or not."""
        notice = {
            "schema": "wicketgate",
            "kind": kind.value,
            "id": row_id,
            "revoked_at": 0,
            "expires_at": 0,
            "is_lifted": True,
        }
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, json.dumps(notice)))


async def play(
    postgres: EmbeddedPostgres, feeds: Sequence[Followed], book: Book, fault: Fault
) -> list[str]:
    """Play one round; return what was wrong after it, with any of the feeds."""
    change = partial(_changes, postgres.url, book)
    await asyncio.to_thread(change, book.random.randrange(3))
    frozen = await asyncio.to_thread(_break, postgres.url, fault)
    if fault is Fault.RESTART:
        await postgres.stop()
    elif fault is Fault.CRASH:
        await postgres.kill()
    if fault in {Fault.RESTART, Fault.CRASH}:
        await postgres.start()
    try:
        await asyncio.to_thread(change, 1 + book.random.randrange(4))
        committed_at = time.monotonic()
        for followed in feeds:
            await followed.is_current(committed_at)
    finally:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return [complaint for followed in feeds for complaint in book.check(followed)]


def _changes(database_url: str, book: Book, number: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(number):
            book.change(connection)


def _break(database_url: str, fault: Fault) -> list[int]:
    """Break the connections of feeds; return the backends that have to be woken later."""
    if fault not in {Fault.TERMINATE, Fault.FREEZE}:
        return []
    with psycopg.connect(database_url, autocommit=True) as connection:
        pids = [
            pid
            for (pid,) in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (APPLICATION,)
            )
        ]
        for pid in pids:
            if fault is Fault.FREEZE:
                os.kill(pid, signal.SIGSTOP)
            else:
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return pids if fault is Fault.FREEZE else []
