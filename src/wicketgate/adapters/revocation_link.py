"""One connection to the revocations in Postgres, which tells what changes.

Between two statements the socket is watched by ourselves: a notification is passed on
in the turn of the loop in which it arrives, and an idle connection costs nothing.
(`AsyncConnection.notifies` would wake up ten times a second, and would not let
a statement through while it waits.) What arrives with the answer to a statement is
passed on by psycopg.

Source: PostgreSQL, "NOTIFY" (told between transactions, in the order of their commits).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, cast

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from wicketgate.core.revocation_table import Key, Kind, Revocation
from wicketgate.sql import query
from wicketgate.sql.connection import CONNECT_SECONDS, bounded, conninfo_of, limit_statements
from wicketgate.sql.faults import database_fault

CHANNEL: Final = "wicketgate_revocations"
APPLICATION: Final = "wicketgate revocations"
PAGE_ROWS: Final = 500
"""Read in about 2 ms, for which no Check is answered."""
PAGE_SECONDS: Final = 5.0
SLICE_NOTICES: Final = 100
"""Passed on in about 2 ms, like a page."""
QUIET_SECONDS: Final = 0.01
FLOOD_SECONDS: Final = 10.0
"""For a hundred thousand who are revoked by one transaction, and Checks in between."""
BEAT_SECONDS: Final = 1.5
"""An answer within 1 s; the rest is for giving the connection up."""
LONGEST_TRANSACTION: Final = timedelta(minutes=2)
"""A change is stamped when it is made and seen when it is committed: at most so much later."""

Row = tuple[Any, ...]


class RevocationLink:
    """The connection, for one task at a time."""

    def __init__(
        self, connection: AsyncConnection, *, schema: str, tell: Callable[[str], None]
    ) -> None:
        """Read from `connection`, which is in autocommit, and `tell` what it says."""
        self._connection = connection
        self._schema = schema
        self._tell = tell
        # What comes with the answer to a statement comes at once, however much it is.
        self._told: deque[str] = deque()
        connection.add_notify_handler(lambda notify: self._told.append(notify.payload))

    async def listen(self) -> None:
        """Have every change that is committed from now on told.

        Raises:
            DependencyError: Postgres refuses, or does not answer in time. So do all the
                other methods.
        """
        statement = sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL))
        await self._fetch(statement.as_bytes(), {}, seconds=PAGE_SECONDS)

    async def beat(self) -> datetime:
        """Return what time Postgres has; whatever was told before has then been heard."""
        ((moment,),) = await self._fetch(b"SELECT clock_timestamp()", {}, seconds=BEAT_SECONDS)
        return cast("datetime", moment)

    async def token_life(self) -> float:
        """Return for how long a token's revocation is kept, in seconds."""
        text = query("revocation_terms", self._schema)
        ((seconds,),) = await self._fetch(text, {}, seconds=PAGE_SECONDS)
        return float(seconds)

    async def revocations(self) -> AsyncIterator[Sequence[Revocation]]:
        """Yield all revocations that are not over, in pages, those that were lifted among them.

        It is no snapshot: a row that changes meanwhile is there as it was or as it
        became, and its change is told.
        """
        text = query("revocations_page", self._schema)
        last: Mapping[str, object] = {"kind": "", "id": ""}
        while rows := await self._page(text, last):
            yield [_revocation(row) for row in rows]
            last = {"kind": rows[-1][0], "id": rows[-1][1]}

    async def changes_since(self, moment: datetime) -> AsyncIterator[Sequence[Revocation]]:
        """Yield all rows that may have changed since Postgres had the time `moment`, in pages."""
        text = query("revocations_changed", self._schema)
        last: Mapping[str, object] = {
            "changed_at": moment - LONGEST_TRANSACTION,
            "kind": "",
            "id": "",
        }
        while rows := await self._page(text, last):
            yield [_revocation(row) for row in rows]
            last = {"changed_at": rows[-1][5], "kind": rows[-1][0], "id": rows[-1][1]}

    async def counting(self, keys: Sequence[Key]) -> Sequence[Revocation]:
        """Return the revocations with one of `keys` that count. Thousands are too many."""
        values = {"kinds": [kind.value for kind, _ in keys], "ids": [row_id for _, row_id in keys]}
        text = query("revocations_counting", self._schema)
        rows = await self._fetch(text, values, seconds=PAGE_SECONDS)
        return [_revocation(row) for row in rows]

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Pass on what is told, for so many seconds or until `wake` is set.

        In the midst of many it goes on for a while: the answer to the next statement would
        be behind all of them.

        Raises:
            DependencyError: the connection is lost.
        """
        loop = asyncio.get_running_loop()
        lost: asyncio.Future[None] = loop.create_future()
        has_come = False

        def read() -> None:
            nonlocal has_come
            if lost.done():
                return
            try:
                if self._read():
                    has_come = True
                    # TLS may hold back the rest of what it decrypted. In the next turn:
                    # Checks are answered between a hundred thousand, too.
                    loop.call_soon(read)
            except Exception as error:  # noqa: BLE001 - raised below
                # Now and not later: its number may be another connection's by then.
                loop.remove_reader(socket)
                lost.set_exception(error)

        woken = asyncio.create_task(wake.wait())
        ends: set[asyncio.Future[Any]] = {lost, woken}
        try:
            socket = self._connection.pgconn.socket
            loop.add_reader(socket, read)
            try:
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                ends_at = loop.time() + FLOOD_SECONDS
                while has_come and not lost.done() and loop.time() < ends_at:
                    has_come = False
                    await asyncio.wait({lost}, timeout=QUIET_SECONDS)
            finally:
                if lost.done():
                    # Looked at also when whoever waits is cancelled in the same turn.
                    lost.exception()
                else:
                    loop.remove_reader(socket)
                    lost.cancel()
            if not lost.cancelled():
                lost.result()
        except psycopg.Error as error:
            raise database_fault(error) from error
        finally:
            woken.cancel()

    def _read(self) -> bool:
        """Pass on what one reading of the socket brings; return whether that was anything."""
        pgconn = self._connection.pgconn
        pgconn.consume_input()
        has_come = False
        while notify := pgconn.notifies():
            has_come = True
            self._tell(notify.extra.decode("utf-8", "replace"))
        return has_come

    async def _pass_on(self) -> None:
        """Pass on what came with an answer; Checks are answered in between."""
        while self._told:
            for _ in range(min(SLICE_NOTICES, len(self._told))):
                self._tell(self._told.popleft())
            if self._told:
                await asyncio.sleep(0)

    async def _page(self, text: bytes, last: Mapping[str, object]) -> Sequence[Row]:
        values = {**last, "limit": PAGE_ROWS}
        return await self._fetch(text, values, seconds=PAGE_SECONDS)

    async def _fetch(
        self, text: bytes, values: Mapping[str, object], *, seconds: float
    ) -> Sequence[Row]:
        async def fetch() -> Sequence[Row]:
            cursor = await self._connection.execute(text, values, binary=True)
            return await cursor.fetchall() if cursor.description else ()

        try:
            rows = await bounded(fetch(), seconds=seconds)
        except psycopg.Error as error:
            raise database_fault(error) from error
        await self._pass_on()
        return rows


def _revocation(row: Row) -> Revocation:
    return Revocation(Kind(row[0]), row[1], row[2], row[3], row[4])


@asynccontextmanager
async def revocation_link(
    database_url: str, *, schema: str, tell: Callable[[str], None]
) -> AsyncIterator[RevocationLink]:
    """Keep a connection of its own open.

    Args:
        database_url: Where to; not through a pooler, or nothing is told.
        schema: Where the tables are.
        tell: Gets the text of each notification, at once; must not raise.

    Raises:
        ConfigurationError: `database_url` cannot be read.
        DependencyError: Postgres cannot be reached.
    """
    connection = await _connected(_conninfo(database_url))
    try:
        await _limit(connection)
        yield RevocationLink(connection, schema=schema, tell=tell)
    finally:
        await connection.close()


async def _connected(conninfo: str) -> AsyncConnection:
    async def connect() -> AsyncConnection:
        # A pooler gives the next statement to a server that knows nothing of a prepared one.
        return await AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)

    try:
        return await bounded(connect(), seconds=CONNECT_SECONDS + 1)
    except psycopg.Error as error:
        raise database_fault(error) from error


async def _limit(connection: AsyncConnection) -> None:
    try:
        await bounded(limit_statements(connection, seconds=PAGE_SECONDS), seconds=PAGE_SECONDS)
    except psycopg.Error as error:
        raise database_fault(error) from error


def _conninfo(database_url: str) -> str:
    conninfo = conninfo_of(database_url)
    named = {"application_name": APPLICATION, **conninfo_to_dict(database_url)}
    return make_conninfo(conninfo, application_name=named["application_name"])
