"""The revocations in force: loaded, followed, and never forgotten while unsure.

The rules:

* Listen first, then load: what is committed in between is told, and applied to what
  was loaded in the order in which it was told.
* What was in force stays in force until the new table is whole, and goes on
  following what is told meanwhile.
* A connection that is silent is asked every two seconds, because a server that
  vanished does not say so. One that was lost is opened anew, soon at first.
* That somebody is revoked is believed at once. That somebody no longer is, the table is
  asked about first: every login of the database can speak on the channel.
* Every thirty seconds the latest changes are read as well. If they hold what nobody
  told, we are deaf (a pooler is in between, say): then they are read at every beat.
* About once an hour everything is loaded anew. That ends what no look at changes can
  find: rows deleted untold, and lies about who is revoked.
* The table is as of the moment of the last question that was answered. How long
  ago that is, is how stale it is; from `max_stale_seconds` on no user is let in.

Source: PostgreSQL, "LISTEN" (how to start without missing anything).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from wicketgate.core.revocation import RevocationSet
from wicketgate.core.revocation_lifts import Lifts
from wicketgate.core.revocation_notice import MalformedNoticeError, parse_notice
from wicketgate.core.revocation_table import Key, Kind, Revocation, RevocationTable
from wicketgate.errors import ConfigurationError, DependencyError

GUARD_SECONDS: Final = 0.25
"""How soon it is noticed that the table has become too stale."""
_MAX_DOUBLINGS: Final = 16


class Link(Protocol):
    """One connection. Its methods raise `DependencyError` once it is of no use."""

    async def listen(self) -> None:
        """Have every change that is committed from now on told."""

    async def beat(self) -> datetime:
        """Return the database's time, once all that was told before has been heard."""

    async def token_life(self) -> float:
        """Return for how long a token's revocation is kept, in seconds."""

    def revocations(self) -> AsyncIterator[Sequence[Revocation]]:
        """Yield all that are not over; what was lifted may be among them."""

    def changes_since(self, moment: datetime) -> AsyncIterator[Sequence[Revocation]]:
        """Yield all that may have changed since the database's time `moment`."""

    async def counting(self, keys: Sequence[Key]) -> Sequence[Revocation]:
        """Return those with one of `keys` that count."""

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        """Pass on what is told, for so many seconds or until `wake` is set."""


Connect = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Link]]
"""Opens a connection that tells the text of each notice to whom it was given."""


class Observer(Protocol):
    """Is told how the feed is. Its methods return at once and do not raise."""

    def current(self, *, rows: int, seconds: float) -> None:
        """All was loaded, over a connection that is new, within so many seconds."""

    def lost(self, error: str) -> None:
        """The connection failed, or there is none to be had."""

    def reloaded(self) -> None:
        """All was loaded once more."""

    def changed(self, row: Revocation) -> None:
        """A row changed."""

    def malformed(self) -> None:
        """Something else was said on the channel."""

    def deaf(self, missed: int) -> None:
        """So many changes were found that nobody told."""

    def hears(self) -> None:
        """A change was told after all."""

    def trusted(self, *, is_trusted: bool) -> None:
        """Users are let in again, or no longer."""

    def kept(self, seconds: float, *, is_enough: bool) -> None:
        """A revocation is kept for tokens that live so long; told when it changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTiming:
    """How often and how long. All in seconds.

    Attributes:
        beat_seconds: Between two questions to a connection that is silent.
        lift_seconds: At least between two questions about lifts, beats aside.
        poll_seconds: Between two looks for what was not told, and at least between
            two loads over one connection.
        reload_seconds: The longest time between two loads over one connection.
        retry_seconds: The longest wait before the first new connection; doubles.
        retry_limit_seconds: Where the doubling ends.
        stale_seconds: From which on the feed counts as degraded.
        max_stale_seconds: From which on no user is let in; `None` for never.
    """

    beat_seconds: float = 2.0
    lift_seconds: float = 0.1
    poll_seconds: float = 30.0
    reload_seconds: float = 3600.0
    retry_seconds: float = 0.2
    retry_limit_seconds: float = 5.0
    stale_seconds: float = 5.0
    max_stale_seconds: float | None = None


class RevocationFeed:
    """Keeps a `RevocationSet` current.

    Attributes:
        loaded: Set once everything was loaded for the first time.
    """

    def __init__(  # noqa: PLR0913 - one for each thing of the world that it touches
        self,
        revocations: RevocationSet,
        connect: Connect,
        *,
        schema: str,
        token_life: float,
        timing: FeedTiming,
        observer: Observer,
        clock: Callable[[], float],
        timer: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make a feed that does nothing until it runs.

        Args:
            revocations: What is kept current; this is its only owner.
            connect: Opens a connection.
            schema: Whose notices count.
            token_life: How long an accepted token may live, in seconds.
            timing: How often and how long.
            observer: Is told how it goes.
            clock: POSIX seconds.
            timer: Monotonic seconds.
            jitter: Random from 0 to 1.
            sleep: Waits for so many seconds.
        """
        self.loaded = asyncio.Event()
        self._set = revocations
        self._connect = connect
        self._schema = schema
        self._token_life = token_life
        self._timing = timing
        self._observer = observer
        self._clock = clock
        self._timer = timer
        self._jitter = jitter
        self._sleep = sleep
        self._current_at = self._loaded_at = self._polled_at = timer()
        self._beat_at = self._lifts_at = self._current_at
        self._polled_to: datetime | None = None
        self._reload_after = timing.reload_seconds
        self._failures = 0
        self._journal: list[Revocation] | None = None
        self._is_doubtful = False
        self._is_deaf = False
        self._unheard: set[Key] = set()
        self._lifts = Lifts()
        self._lift_told = asyncio.Event()
        self._kept: float | None = None
        # What is not known at all is as stale as can be.
        revocations.is_trusted = timing.max_stale_seconds is None

    @property
    def stale_seconds(self) -> float:
        """For how long the table may have missed something; since the start, if not loaded."""
        return max(0.0, self._timer() - self._current_at)

    @property
    def is_well(self) -> bool:
        """Whether the table is as good as it can be."""
        is_enough = self._kept is None or self._kept >= self._token_life
        is_current = self.loaded.is_set() and self.stale_seconds <= self._timing.stale_seconds
        return is_current and is_enough and not self._is_deaf

    async def run(self) -> None:
        """Follow, over one connection after the other, until cancelled."""
        while True:
            try:
                async with self._connect(self._hear) as link:
                    await self._follow(link)
            except (DependencyError, ConfigurationError) as error:
                self._observer.lost(str(error))
            except Exception as error:  # noqa: BLE001 - the next connection may do
                # Only the type: the message of an unexpected error could quote a row.
                self._observer.lost(f"unexpected {type(error).__name__}")
            await self._sleep(self._delay())
            self._failures += 1

    async def guard(self) -> None:
        """Let no user in while the table is too stale, until cancelled."""
        while True:
            self._judge()
            await self._sleep(GUARD_SECONDS)

    async def _follow(self, link: Link) -> None:
        started = self._timer()
        await self._load(link)
        rows = sum(map(self._set.table.count, Kind))
        self._observer.current(rows=rows, seconds=self._timer() - started)
        self._beat_at = self._timer() + self._timing.beat_seconds
        while True:
            await self._listen(link)
            if self._lifts and self._timer() >= self._lifts_at:
                await self._ask(link)
            if self._timer() >= self._beat_at:
                await self._beat(link)
                self._beat_at = self._timer() + self._timing.beat_seconds
                # Not before: who fails right after a load must not come back at once.
                self._failures = 0

    async def _listen(self, link: Link) -> None:
        """Until it is time for something else. A lift is something else, but not in a flood."""
        self._lift_told.clear()
        until = min(self._beat_at, self._lifts_at) if self._lifts else self._beat_at
        await link.wait(max(0.0, until - self._timer()), self._lift_told)

    async def _beat(self, link: Link) -> None:
        asked_at = self._timer()
        moment = await link.beat()
        if self._unheard:
            # Nobody told in a whole beat what the last poll has found.
            self._observer.deaf(len(self._unheard))
            self._is_deaf = True
            self._unheard.clear()
        poll_seconds = self._timing.poll_seconds
        loaded_for = asked_at - self._loaded_at
        wants_load = self._is_doubtful or self._lifts.is_overrun
        if loaded_for >= (poll_seconds if wants_load else self._reload_after):
            await self._load(link)
            self._observer.reloaded()
        elif self._is_doubtful or self._is_deaf or asked_at - self._polled_at >= poll_seconds:
            await self._poll(link, moment)
        if self._lifts:
            await self._ask(link)
        self._set.table.expire(self._clock())
        self._confirm(asked_at)

    async def _ask(self, link: Link) -> None:
        """Have what was said to be lifted as the database has it."""
        self._lifts_at = self._timer() + self._timing.lift_seconds
        if not (keys := self._lifts.ask(self._set.table)):
            return
        counting = {row.key: row for row in await link.counting(keys)}
        for key, is_told in self._lifts.answered():
            if key in counting:
                # Revoked anew, maybe, and less strictly than before the lift.
                self._set.table.replace(counting[key])
                continue
            kind, row_id = key
            self._apply(Revocation(kind, row_id, 0.0, 0.0, is_lifted=True))
            if not is_told:
                self._unheard.add(key)

    async def _load(self, link: Link) -> None:
        asked_at = self._timer()
        self._lifts.clear()
        self._journal = []
        try:
            await link.listen()
            moment = await link.beat()
            fresh = RevocationTable()
            async for page in link.revocations():
                for row in page:
                    fresh.apply(row)
            self._note_kept(await link.token_life())
            for row in self._journal:
                fresh.apply(row)
        finally:
            self._journal = None
        self._set.table = fresh
        self._is_doubtful = False
        self._unheard.clear()
        self._loaded_at = self._polled_at = asked_at
        self._polled_to = moment
        # Not all gates at the same time, although they may have connected together.
        self._reload_after = self._timing.reload_seconds * (1 - self._jitter() / 4)
        self.loaded.set()
        if self._lifts:
            await self._ask(link)
        self._confirm(asked_at)

    async def _poll(self, link: Link, moment: datetime) -> None:
        asked_at = self._timer()
        if self._is_deaf:
            # Whoever took our place in the session may have sent its listeners away.
            await link.listen()
        async for page in link.changes_since(self._polled_to or moment):
            now = self._clock()
            for row in page:
                if row.expires_at <= now:
                    continue
                if self._set.table.is_stricter_than(row):
                    # Lifted and revoked anew, untold: the table is asked like about a lift.
                    self._lifts.add(row.key, is_told=False)
                if self._set.table.agrees_with(row):
                    continue
                if row.is_lifted:
                    # Since it was read, the next revocation may have been told.
                    self._lifts.add(row.key, is_told=False)
                    continue
                self._apply(row)
                self._unheard.add(row.key)
        self._note_kept(await link.token_life())
        self._polled_at, self._polled_to = asked_at, moment

    def _hear(self, text: str) -> None:
        try:
            row = parse_notice(text, schema=self._schema)
        except MalformedNoticeError:
            # What it should have said is unknown: only the table can tell.
            self._observer.malformed()
            self._is_doubtful = True
            return
        if row is None:
            return
        if self._is_deaf:
            self._is_deaf = False
            self._observer.hears()
        self._unheard.discard(row.key)
        if row.is_lifted:
            if not self._lifts:
                self._lift_told.set()
            self._lifts.add(row.key, is_told=True)
            return
        self._lifts.overtake(row.key)
        self._apply(row)

    def _apply(self, row: Revocation) -> None:
        if self._journal is not None:
            self._journal.append(row)
        self._set.table.apply(row)
        self._observer.changed(row)

    def _confirm(self, asked_at: float) -> None:
        """Note that all that was told before `asked_at` is in the table."""
        if not self._is_doubtful:
            self._current_at = asked_at
        self._judge()

    def _judge(self) -> None:
        limit = self._timing.max_stale_seconds
        if limit is None:
            return
        is_trusted = self.loaded.is_set() and self.stale_seconds <= limit
        if is_trusted is not self._set.is_trusted:
            self._set.is_trusted = is_trusted
            self._observer.trusted(is_trusted=is_trusted)

    def _note_kept(self, seconds: float) -> None:
        if seconds != self._kept:
            self._kept = seconds
            self._observer.kept(seconds, is_enough=seconds >= self._token_life)

    def _delay(self) -> float:
        doublings = min(self._failures, _MAX_DOUBLINGS)
        longest = min(
            self._timing.retry_seconds * 2.0**doublings, self._timing.retry_limit_seconds
        )
        return longest * (0.25 + 0.75 * self._jitter())
