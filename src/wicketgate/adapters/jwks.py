"""The keys in force: fetched in the background, kept, and let go of in time.

The rules:

* A request waits for Clerk only when its token needs newer keys, and then
  `JwksTiming.wait_seconds` at most; the fetch goes on without it.
* There is one fetch at a time, and everybody shares it.
* Tokens force one fetch per cooldown, however many they are and however the
  fetch ends: counting successes only would turn an outage and a stream of
  forged tokens into a fetch per request. The background refresh neither waits
  for the cooldown nor starts it, so a new key is fetched on its first use.
* A document without a usable key is a failure. Failures change no key.
* Keys that could not be confirmed for too long are dropped, because a stolen
  key is revoked by leaving it out of the document.

Source: RFC 7517 section 5; Clerk, "Session tokens" (rotation may keep a ``kid``).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from wicketgate.core.keys import KeySet, UnusableKeysError
from wicketgate.errors import DependencyError, EnvironmentFaultError

Fetch = Callable[[], Awaitable[bytes]]
"""Gets the document within seconds, or raises `DependencyError` with one line."""

TICK_SECONDS: Final = 5.0
"""How soon a stale set, a jump of the clock or a wake from suspension is noticed."""

_MAX_DOUBLINGS: Final = 16
"""Beyond any sensible limit, and far from overflowing a float."""


class KeyStore(Protocol):
    """Keeps the last good document across restarts."""

    def load(self) -> tuple[bytes, float] | None:
        """Return the document and when it was fetched, POSIX seconds; may block."""

    def save(self, document: bytes, fetched_at: float) -> None:
        """Keep `document`; may block."""


class Observer(Protocol):
    """Is told what happens to the keys. Its methods return at once and do not raise."""

    def keys_changed(self, keys: KeySet) -> None:
        """The keys in force are other ones now; an empty set means none."""

    def refreshed(self) -> None:
        """A fetch succeeded, whether or not the keys changed."""

    def refresh_failed(self, error: str) -> None:
        """A fetch failed, or the kept copy cannot be used; `error` is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksTiming:
    """How often, how long, how old. All in seconds.

    Attributes:
        refresh_seconds: Between two background refreshes, give or take a tenth.
        cooldown_seconds: Between two fetches that tokens force.
        max_stale_seconds: The age at which unconfirmed keys are dropped.
        wait_seconds: The longest that a request waits for a fetch. Envoy waits
            200 ms for the whole answer unless told otherwise.
        retry_first_seconds: Until the first retry after a failure; doubles.
        retry_limit_seconds: Where the doubling ends.
    """

    refresh_seconds: float = 300.0
    cooldown_seconds: float = 30.0
    max_stale_seconds: float = 86_400.0
    wait_seconds: float = 0.2
    retry_first_seconds: float = 1.0
    retry_limit_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksStatus:
    """How the keys are, for a person or a probe.

    Attributes:
        usable: There are keys in force.
        age_seconds: Since the last success; `None` before the first.
        last_success: When Clerk last confirmed the keys, POSIX seconds, whether
            to this process or to the one that kept the copy.
        consecutive_failures: Attempts that failed since then.
        last_error: Why the latest attempt failed; `None` when it did not.
    """

    usable: bool
    age_seconds: float | None
    last_success: float | None
    consecutive_failures: int
    last_error: str | None


class JwksClient:
    """Keeps the keys of one Clerk instance current.

    Attributes:
        snapshot: The keys in force, empty while there are none. The same object
            until they change: caches of verified tokens go by its identity.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        timing: JwksTiming,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        observer: Observer,
        store: KeyStore | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make a client that does nothing before `start` or `refresh`.

        Args:
            fetch: Gets the document.
            timing: How often, how long, how old.
            clock: POSIX seconds.
            jitter: A number from 0 to 1, a new one each time.
            observer: Is told what happens.
            store: Keeps the last good document.
            sleep: Sleeps that many seconds.
        """
        self.snapshot = KeySet()
        self._fetch = fetch
        self._timing = timing
        self._clock = clock
        self._jitter = jitter
        self._observer = observer
        self._store = store
        self._sleep = sleep
        self._fetched_at: float | None = None
        self._forced_at: float | None = None
        self._failures = 0
        self._last_error: str | None = None
        self._is_current = False
        self._is_closed = False
        self._has_store_fault = False
        self._background: asyncio.Task[None] | None = None
        self._flight: asyncio.Task[bool] | None = None
        self._saving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the kept copy, if it is good, and refresh from now on.

        Never waits for Clerk: the first fetch begins when the caller next waits
        for anything.
        """
        await self._recall()
        self._background = asyncio.create_task(self._refresh_forever())

    async def close(self) -> None:
        """Stop fetching, and finish writing the copy if that has begun."""
        self._is_closed = True
        tasks = [task for task in (self._background, self._flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._saving is not None:
            # A thread cannot be cancelled, and this one only writes a small file.
            await asyncio.wait({self._saving})

    async def refresh(self, kid: str) -> bool:  # noqa: ARG002 - a JWKS is only fetched whole
        """Bring the keys up to date for a token that they cannot judge.

        Args:
            kid: The key that the token names. Unverified.

        Returns:
            Whether the keys are known to be current: true when the latest attempt
            succeeded, and either is the one that was waited for or was made within
            the cooldown; false when it failed or is still running. Nothing is
            raised, and a caller that is cancelled leaves the fetch alone.
        """
        if self._is_closed:
            return False
        if self._flight is None or self._flight.done():
            if self._is_cooling_down():
                return self._is_current
            self._forced_at = self._clock()
        flight = self._join_or_begin()
        # Unlike `wait_for`, this cancels nothing: neither at its end nor with its caller.
        await asyncio.wait({flight}, timeout=self._timing.wait_seconds)
        return (
            flight.done()
            and not flight.cancelled()
            and flight.exception() is None
            and (flight.result())
        )

    def status(self) -> JwksStatus:
        """Return how the keys are now."""
        fetched_at = self._fetched_at
        return JwksStatus(
            usable=bool(self.snapshot),
            age_seconds=None if fetched_at is None else max(0.0, self._clock() - fetched_at),
            last_success=fetched_at,
            consecutive_failures=self._failures,
            last_error=self._last_error,
        )

    def _is_cooling_down(self) -> bool:
        if self._forced_at is None:
            return False
        # Negative when the clock was set back: better one fetch more than hours of none.
        return 0 <= self._clock() - self._forced_at < self._timing.cooldown_seconds

    def _join_or_begin(self) -> asyncio.Task[bool]:
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._attempt())
        return self._flight

    async def _attempt(self) -> bool:
        try:
            document = await self._fetch()
            keys = KeySet.from_jwks(document)
        except Exception as error:  # noqa: BLE001 - the good keys outlive whatever it was
            self._failures += 1
            self._last_error = _line(error)
            self._is_current = False
            self._observer.refresh_failed(self._last_error)
            return False
        self._failures = 0
        self._last_error = None
        self._is_current = True
        self._fetched_at = self._clock()
        self._put_in_force(keys)
        self._observer.refreshed()
        self._keep(document, self._fetched_at)
        return True

    def _put_in_force(self, keys: KeySet) -> None:
        if keys != self.snapshot:
            self.snapshot = keys
            self._observer.keys_changed(keys)

    async def _refresh_forever(self) -> None:
        while True:
            await asyncio.wait({self._join_or_begin()})
            await self._pause(self._delay())

    def _delay(self) -> float:
        if self._failures == 0:
            return self._timing.refresh_seconds * (0.9 + 0.2 * self._jitter())
        doublings = min(self._failures - 1, _MAX_DOUBLINGS)
        backoff = self._timing.retry_first_seconds * 2.0**doublings
        return min(backoff, self._timing.retry_limit_seconds) * (0.5 + 0.5 * self._jitter())

    async def _pause(self, seconds: float) -> None:
        # Counted in what was slept, not by the wall clock, which may jump either way.
        while seconds > 0:
            step = min(seconds, TICK_SECONDS)
            await self._sleep(step)
            seconds -= step
            if self._drop_if_stale():
                return

    def _drop_if_stale(self) -> bool:
        if self._fetched_at is None or not self.snapshot:
            return False
        now = self._clock()
        # A clock that was set back would otherwise keep the keys for longer than allowed.
        self._fetched_at = min(self._fetched_at, now)
        if now - self._fetched_at <= self._timing.max_stale_seconds:
            return False
        self._is_current = False
        self._put_in_force(KeySet())
        return True

    async def _recall(self) -> None:
        if self._store is None:
            return
        try:
            kept = await asyncio.to_thread(self._store.load)
            if kept is None:
                return
            document, fetched_at = kept
            keys = KeySet.from_jwks(document)
        except Exception as error:  # noqa: BLE001 - a gate without a copy is a gate all the same
            self._observer.refresh_failed(_line(error))
            return
        now = self._clock()
        if now - fetched_at <= self._timing.max_stale_seconds:
            self._fetched_at = min(fetched_at, now)
            self._put_in_force(keys)

    def _keep(self, document: bytes, fetched_at: float) -> None:
        is_saving = self._saving is not None and not self._saving.done()
        if self._store is not None and not is_saving:
            self._saving = asyncio.create_task(self._save(self._store, document, fetched_at))

    async def _save(self, store: KeyStore, document: bytes, fetched_at: float) -> None:
        try:
            # In a thread: an fsync may take longer than Envoy waits for a Check.
            await asyncio.to_thread(store.save, document, fetched_at)
        except Exception as error:  # noqa: BLE001 - the keys are in force, kept or not
            if not self._has_store_fault:
                self._observer.refresh_failed(_line(error))
            self._has_store_fault = True
        else:
            self._has_store_fault = False


def _line(error: Exception) -> str:
    match error:
        case DependencyError() | EnvironmentFaultError():
            return str(error)
        case UnusableKeysError():
            return f"Clerk's keys cannot be used: {error}; check the JWKS URL"
        case _:
            # Only the type: the message of an unexpected error could quote anything.
            return f"Clerk's keys could not be had: unexpected {type(error).__name__}"
