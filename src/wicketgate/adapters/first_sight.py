"""The first sight of a user: a row is looked up once, and requests hardly wait for it.

A row is a convenience of upstreams and no condition of being let in. So a request waits
for it for a moment at most, and goes on without; and a database that has just failed is
left alone for a while, by all but one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from wicketgate.core.claims import UserId
from wicketgate.core.first_sight import KnownUsers, Sighting, UserRow
from wicketgate.errors import DependencyError

WAIT_SECONDS: Final = 0.05
"""A tenth of what Envoy gives a Check in envoy.yaml; a look-up takes a few ms."""
PAUSE_SECONDS: Final = 1.0
"""After a failure."""
MAX_UNDER_WAY: Final = 1_000
"""Look-ups at a time; a quarter of a second's worth on a small Postgres."""


class UserRows(Protocol):
    """The users' table."""

    async def find_or_make(self, user_id: UserId) -> UserRow | str:
        """Return the row, or why this one cannot be had.

        Raises:
            DependencyError: none can be had.
        """


class Observer(Protocol):
    """Whoever hears what came of it."""

    def sighted(self, sighting: Sighting) -> None:
        """Count one user whom the gate did not know."""

    def refused(self, why: str) -> None:
        """Hear that a row cannot be had; others can."""

    def failed(self, why: str) -> None:
        """Hear that no row can be had."""

    def recovered(self) -> None:
        """Hear that rows can be had again."""


@dataclass(frozen=True, slots=True)
class _LookUp:
    """A user who is being looked up, and until when requests wait for it."""

    task: asyncio.Task[None]
    patient_until: float


class FirstSight:
    """Looks up users whom the gate does not know."""

    def __init__(
        self,
        rows: UserRows,
        known: KnownUsers,
        observer: Observer,
        *,
        timer: Callable[[], float],
        wait_seconds: float = WAIT_SECONDS,
        max_under_way: int = MAX_UNDER_WAY,
    ) -> None:
        """Begin with nobody.

        Args:
            rows: The users' table.
            known: Who is known, in the end.
            observer: Hears what came of it.
            timer: Monotonic seconds.
            wait_seconds: How long requests wait for a look-up, from its beginning; 0
                for not at all.
            max_under_way: How many users are looked up at the same time.
        """
        self._rows = rows
        self._known = known
        self._observer = observer
        self._timer = timer
        self._wait_seconds = wait_seconds
        self._max_under_way = max_under_way
        self._under_way: dict[UserId, _LookUp] = {}
        self._paused_until = float("-inf")
        self.is_failing = False

    @property
    def known(self) -> int:
        """How many users are known."""
        return len(self._known)

    def meet(self, user_id: UserId) -> Callable[[], Awaitable[None]] | None:
        """See to it that the user, who was let in, has a row.

        Returns:
            What waits for the row, as long as that is reasonable, and never raises;
            `None` when there is nothing to wait for.
        """
        if user_id in self._known:
            return None
        look_up = self._under_way.get(user_id) or self._begin(user_id)
        if look_up is None or not self._wait_seconds:
            return None
        seconds = look_up.patient_until - self._timer()
        if seconds > 0:
            return partial(self._wait, look_up.task, seconds)
        self._observer.sighted(Sighting.LATE)
        return None

    def local_id(self, user_id: UserId) -> str:
        """Return the id to tell upstreams; empty when it is not known, or not to be told."""
        return self._known.id_of(user_id)

    async def close(self) -> None:
        """Drop what is under way."""
        tasks = [look_up.task for look_up in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, user_id: UserId) -> _LookUp | None:
        now = self._timer()
        if now < self._paused_until or len(self._under_way) >= self._max_under_way:
            self._observer.sighted(Sighting.SKIPPED)
            return None
        if self.is_failing:
            # This one tries for all.
            self._paused_until = now + PAUSE_SECONDS
        task = asyncio.create_task(self._look_up(user_id))
        look_up = _LookUp(task, now + self._wait_seconds)
        self._under_way[user_id] = look_up
        # A task that is cancelled before its first step would not get to do it itself.
        task.add_done_callback(lambda _: self._under_way.pop(user_id, None))
        return look_up

    async def _wait(self, task: asyncio.Task[None], seconds: float) -> None:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            self._observer.sighted(Sighting.LATE)

    async def _look_up(self, user_id: UserId) -> None:
        try:
            row = await self._rows.find_or_make(user_id)
        except Exception as error:  # noqa: BLE001 - whatever it was, the request goes on
            self._fail(str(error) if isinstance(error, DependencyError) else type(error).__name__)
            return
        if self.is_failing:
            self.is_failing = False
            self._paused_until = float("-inf")
            self._observer.recovered()
        if isinstance(row, str):
            self._observer.sighted(Sighting.FAILED)
            self._observer.refused(row)
            return
        self._known.add(user_id, row)
        self._observer.sighted(row.sighting)

    def _fail(self, why: str) -> None:
        self._observer.sighted(Sighting.FAILED)
        self._paused_until = self._timer() + PAUSE_SECONDS
        if not self.is_failing:
            self.is_failing = True
            self._observer.failed(why)
