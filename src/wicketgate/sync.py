"""Make the mirror of Clerk's users true, without waiting for webhooks.

Delivery of webhooks is not guaranteed, so now and then everything is compared:
every user that Clerk lists goes through the same guard as an event does, and
whoever is in the mirror and was not listed is asked about by name. Only Clerk's
own word that there is no such user makes a tombstone; an empty or a short list
never does.

Pages go by: what is remembered of them is kept by the mirror, so memory does not
grow with the number of users, and a run that was cut short is continued.

Source: Clerk Backend API, ``GET /v1/users`` and ``GET /v1/users/{user_id}``.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor, Effect, Page, Progress
from wicketgate.core.event import Milliseconds, UserProfile
from wicketgate.errors import DependencyError

BATCH: Final = 100
"""Users that are asked about by name between two looks at the mirror."""
MAX_DELETES_PERCENT: Final = 10.0
"""Beyond this a wrong secret key is likelier than so many users gone unnoticed."""

_EVERYTHING: Final = 100.0


class UserDirectory(Protocol):
    """Clerk. Every method raises `DependencyError` when there is no good answer."""

    async def count(self) -> int:
        """Return how many users there are."""

    async def page(self, cursor: Cursor | None) -> Page:
        """Return the page that begins at `cursor`."""

    async def users(self, ids: Sequence[UserId]) -> Mapping[UserId, UserProfile | None]:
        """Ask about each by name; `None` is Clerk's own word that there is none."""


class UserMirror(Protocol):
    """The table of users, and the run that compares it.

    One that only tells what it would do is a mirror as well: that is a dry run.
    """

    async def begin(self, *, restart: bool) -> Progress:
        """Begin a run, or go on with one that was cut short unless `restart`.

        Raises:
            EnvironmentFaultError: another run is under way.
        """

    async def save(
        self, profiles: Sequence[UserProfile], *, event_at: Milliseconds, progress: Progress
    ) -> Mapping[UserId, Effect]:
        """Upsert through the guard, mark as seen and keep `progress`: all, or nothing.

        Returns:
            What became of each; who cannot be kept is left out.
        """

    async def count_live(self) -> int:
        """Return how many live rows were there before the run."""

    async def count_unseen(self) -> int:
        """Return how many of them the run has not seen."""

    async def unseen(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        """Return the first of them, by id, beyond `after`."""

    async def bury(self, ids: Sequence[UserId], *, event_at: Milliseconds) -> None:
        """Make tombstones of them."""

    async def finish(self) -> None:
        """End the run: the next one begins at the beginning."""


class SyncObserver(Protocol):
    """Hears what happens."""

    def listing(self, *, position: int, total: int) -> None:
        """`position` of about `total` users were read."""

    def asking(self, *, done: int, total: int) -> None:
        """`done` of `total` users, who were not listed, were asked about."""

    def changed(self, user_id: UserId, effect: Effect) -> None:
        """A row changed, or would in a dry run."""

    def finished(self, tally: Mapping[str, int]) -> None:
        """It is over; how often each effect was seen, and ``unusable``."""


class Reconciliation:
    """One run."""

    def __init__(
        self,
        directory: UserDirectory,
        mirror: UserMirror,
        *,
        clock: Callable[[], float],
        observer: SyncObserver,
        max_deletes_percent: float = MAX_DELETES_PERCENT,
    ) -> None:
        """Compare `directory` with `mirror`.

        Args:
            directory: Clerk.
            mirror: The table.
            clock: POSIX seconds. What Clerk says counts as said when it was asked.
            observer: Told of everything.
            max_deletes_percent: How much of the mirror may become tombstones.
        """
        self._directory = directory
        self._mirror = mirror
        self._clock = clock
        self._observer = observer
        self._max_percent = max_deletes_percent
        self._tally: Counter[str] = Counter()

    async def run(self, *, restart: bool = False) -> Mapping[str, int]:
        """Do it; return how often each effect was seen in this process.

        Args:
            restart: Begin at the beginning, also when a run was cut short.

        Raises:
            DependencyError: Clerk or Postgres failed, or so many users would go
                that it is likelier that something is wrong. The next run goes on.
        """
        progress = await self._mirror.begin(restart=restart)
        total = await self._directory.count()
        listed = total if progress.is_listed else await self._list(progress.cursor, total)
        await self._remove(is_empty=not (total and listed))
        await self._mirror.finish()
        self._observer.finished(self._tally)
        return self._tally

    async def _list(self, cursor: Cursor | None, total: int) -> int:
        while True:
            asked_at = self._now()
            page = await self._directory.page(cursor)
            cursor = page.cursor
            progress = Progress(cursor, is_listed=cursor is None)
            saved = await self._save(page.profiles, asked_at, progress)
            self._tally["unusable"] += page.unusable + len(page.profiles) - saved
            self._observer.listing(position=page.position, total=max(total, page.position))
            if cursor is None:
                return page.position

    async def _save(
        self, profiles: Sequence[UserProfile], asked_at: Milliseconds, progress: Progress
    ) -> int:
        effects = await self._mirror.save(profiles, event_at=asked_at, progress=progress)
        for user_id, effect in effects.items():
            self._note(user_id, effect)
        return len(effects)

    async def _remove(self, *, is_empty: bool) -> None:
        unseen = await self._mirror.count_unseen()
        if not unseen:
            return
        live = await self._mirror.count_live()
        allowed = int(live * self._max_percent / 100)
        if is_empty and self._max_percent < _EVERYTHING:
            raise DependencyError(_NOBODY.format(live=live))
        # Nobody is buried before it is certain that not too many would be. With so
        # many unseen that it is open, the missing are remembered: `allowed` at most.
        missing: list[UserId] = []
        after: UserId | None = None
        done = 0
        while batch := await self._mirror.unseen(after=after, limit=BATCH):
            after = batch[-1]
            asked_at = self._now()
            answers = await self._directory.users(batch)
            found = [profile for profile in answers.values() if profile is not None]
            missing += [user_id for user_id in batch if answers[user_id] is None]
            if len(missing) > allowed:
                raise DependencyError(self._too_many(len(missing), live))
            if found:
                await self._save(found, asked_at, Progress(is_listed=True))
            if unseen <= allowed:
                await self._bury(missing)
                missing = []
            done += len(batch)
            self._observer.asking(done=done, total=max(unseen, done))
        await self._bury(missing)

    async def _bury(self, ids: Sequence[UserId]) -> None:
        if not ids:
            return
        await self._mirror.bury(ids, event_at=self._now())
        for user_id in ids:
            self._note(user_id, Effect.DELETED)

    def _too_many(self, missing: int, live: int) -> str:
        return _TOO_MANY.format(missing=missing, live=live, percent=f"{self._max_percent:g}")

    def _note(self, user_id: UserId, effect: Effect) -> None:
        self._tally[effect] += 1
        if effect not in _QUIET:
            self._observer.changed(user_id, effect)

    def _now(self) -> Milliseconds:
        return int(self._clock() * 1000)


_QUIET: Final = (Effect.UNCHANGED, Effect.BURIED)

_GO_ON: Final = (
    "nobody was deleted. Check that CLERK_SECRET_KEY and DATABASE_URL belong to the same Clerk "
    "instance; if they do, run again with --max-deletes 100"
)
_NOBODY: Final = "Clerk lists no users at all, and {live} live rows are here: " + _GO_ON
_TOO_MANY: Final = (
    "Clerk no longer knows {missing} or more of {live} users, which is above --max-deletes "
    "{percent} (percent): " + _GO_ON
)
