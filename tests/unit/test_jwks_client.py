"""The keys in force, by a clock that only the tests move."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from wicketgate.adapters.jwks import TICK_SECONDS, JwksClient, JwksTiming
from wicketgate.core.keys import KeySet
from wicketgate.errors import DependencyError, EnvironmentFaultError
from wicketgate.local.clerk_instance import ClerkInstance, jwk_of, new_key

START = 1_800_000_000.0
HOUR = 3_600.0
DAY = 24 * HOUR
KID = "ins_whatever"
DOWN = DependencyError("Clerk's keys could not be fetched from nowhere: it is down")


class VirtualTime:
    """Sleepers and a clock that `advance` moves; `jump` moves the wall clock only."""

    def __init__(self) -> None:
        self._slept = 0.0
        self._wall = START
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self._wall + self._slept

    def jump(self, seconds: float) -> None:
        self._wall += seconds

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._slept + seconds, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        end = self._slept + seconds
        await settle()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= end]:
            sleeper = min(due, key=lambda each: each[0])
            self._sleepers.remove(sleeper)
            self._slept = sleeper[0]
            if not sleeper[1].done():
                sleeper[1].set_result(None)
            await settle()
        self._slept = end


class Source:
    """Answers fetches with `answer`, after `gate` when there is one."""

    def __init__(self, answer: bytes | Exception, clock: Callable[[], float]) -> None:
        self.answer = answer
        self.calls: list[float] = []
        self.gate: asyncio.Event | None = None
        self._clock = clock

    async def fetch(self) -> bytes:
        self.calls.append(self._clock() - START)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Diary:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.changes: list[int] = []
        self.successes = 0
        self.failures: list[str] = []

    def keys_changed(self, keys: KeySet) -> None:
        self.changes.append(len(keys.keys))

    def refreshed(self) -> None:
        self.successes += 1

    def refresh_failed(self, error: str) -> None:
        self.failures.append(error)


class Shelf:
    """A store in memory, whose faults can be turned on."""

    def __init__(self, kept: tuple[bytes, float] | None = None) -> None:
        self.kept = kept
        self.fault: Exception | None = None
        self.saves = 0

    def load(self) -> tuple[bytes, float] | None:
        if self.fault is not None:
            raise self.fault
        return self.kept

    def save(self, document: bytes, fetched_at: float) -> None:
        self.saves += 1
        if self.fault is not None:
            raise self.fault
        self.kept = document, fetched_at


class World:
    """A client and everything around it."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.time = VirtualTime()
        self.source = Source(document, self.time.clock)
        self.diary = Diary()
        self.jitter = 0.5
        self.clients: list[JwksClient] = []

    def client(self, *, store: Shelf | None = None, wait_seconds: float = 5.0) -> JwksClient:
        client = JwksClient(
            self.source.fetch,
            timing=JwksTiming(wait_seconds=wait_seconds),
            clock=self.time.clock,
            jitter=lambda: self.jitter,
            observer=self.diary,
            store=store,
            sleep=self.time.sleep,
        )
        self.clients.append(client)
        return client

    async def started(self, *, store: Shelf | None = None) -> JwksClient:
        client = self.client(store=store)
        await client.start()
        await settle()
        return client


async def settle() -> None:
    """Let every task run until it waits for time or for a gate."""
    for _ in range(8):
        await asyncio.sleep(0)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for the thread that saves, and until the loop knows that it is done."""
    for _ in range(5_000):
        if holds():
            await asyncio.sleep(0.01)
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never came to hold")


@pytest.fixture(scope="module")
def old() -> bytes:
    return ClerkInstance(instance_id=KID).jwks()


@pytest.fixture(scope="module")
def new() -> bytes:
    return ClerkInstance(instance_id=KID).jwks()


@pytest.fixture
async def world(old: bytes) -> AsyncIterator[World]:
    world = World(old)
    yield world
    for client in world.clients:
        await client.close()


async def test_the_first_fetch_puts_keys_in_force(world: World) -> None:
    """The snapshot is empty until then, and the observer hears of the first keys."""
    client = world.client()
    assert client.snapshot == KeySet()

    await client.start()
    await settle()

    assert KeySet.from_jwks(world.document) == client.snapshot
    assert world.diary.changes == [1]
    assert world.diary.successes == 1


async def test_start_does_not_wait_for_the_source(world: World) -> None:
    """A gate starts while Clerk hangs, without keys."""
    world.source.gate = asyncio.Event()

    client = await world.started()

    assert world.source.calls == [0.0]
    assert not client.snapshot


async def test_equal_keys_stay_the_same_object(world: World) -> None:
    """Caches go by identity: a refresh that changes nothing must not empty them."""
    client = await world.started()
    before = client.snapshot

    await world.time.advance(301)

    assert len(world.source.calls) == 2
    assert client.snapshot is before
    assert world.diary.changes == [1]


async def test_other_keys_replace_the_snapshot(world: World, new: bytes) -> None:
    """The same ``kid`` with another key is a change."""
    client = await world.started()
    world.source.answer = new

    await world.time.advance(301)

    assert client.snapshot == KeySet.from_jwks(new)
    assert world.diary.changes == [1, 1]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"ins_whatever"}]}',
        b"<html>Sign in to the wireless network</html>",
        DOWN,
        RuntimeError("a defect in the fetch"),
    ],
    ids=repr,
)
async def test_no_failure_replaces_good_keys(world: World, answer: bytes | Exception) -> None:
    """Whatever comes instead of keys, the last good ones stay, and the loop goes on."""
    client = await world.started()
    before = client.snapshot
    world.source.answer = answer

    await world.time.advance(301)

    assert client.snapshot is before
    assert world.diary.changes == [1]
    assert len(world.diary.failures) >= 1

    world.source.answer = world.document
    await world.time.advance(30)

    assert client.status().consecutive_failures == 0
    assert client.status().last_error is None


async def test_an_unexpected_error_is_named_and_not_quoted(world: World) -> None:
    """The message of a defect could hold anything; its type cannot."""
    world.source.answer = RuntimeError("sk_test_secret")
    client = await world.started()

    assert client.status().last_error == "Clerk's keys could not be had: unexpected RuntimeError"
    assert "sk_test_secret" not in str(world.diary.failures)


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 270.0), (0.5, 300.0), (1.0, 330.0)])
async def test_background_refresh_is_jittered_by_a_tenth(
    world: World, jitter: float, delay: float
) -> None:
    """Gates that were started together drift apart."""
    world.jitter = jitter
    await world.started()

    await world.time.advance(delay - 0.1)
    assert world.source.calls == [0.0]

    await world.time.advance(0.2)
    assert world.source.calls == pytest.approx([0.0, delay])


@pytest.mark.parametrize(("jitter", "share"), [(1.0, 1.0), (0.0, 0.5)])
async def test_retries_back_off_to_a_limit(world: World, jitter: float, share: float) -> None:
    """1, 2, 4, 8, 16, 30, 30 seconds, and as little as half of each."""
    world.jitter = jitter
    world.source.answer = DOWN
    await world.started()

    await world.time.advance(91 * share + 0.1)

    expected = [0, 1, 3, 7, 15, 31, 61, 91]
    assert world.source.calls == pytest.approx([share * at for at in expected])


async def test_a_thousand_waiters_share_one_fetch(world: World) -> None:
    """Single flight."""
    client = world.client()
    world.source.gate = asyncio.Event()

    waiters = [asyncio.create_task(client.refresh(f"kid-{n}")) for n in range(1_000)]
    await settle()
    world.source.gate.set()

    assert await asyncio.gather(*waiters) == [True] * 1_000
    assert len(world.source.calls) == 1


@pytest.mark.parametrize(("answer", "is_current"), [(None, True), (DOWN, False)])
async def test_every_attempt_starts_the_cooldown(
    world: World, answer: Exception | None, *, is_current: bool
) -> None:
    """A failed fetch spends the cooldown like a good one: no fetch per forged token."""
    client = world.client()
    world.source.answer = answer or world.document

    assert await client.refresh(KID) is is_current
    await world.time.advance(29.9)
    assert [await client.refresh(KID) for _ in range(100)] == [is_current] * 100
    assert len(world.source.calls) == 1

    await world.time.advance(0.1)
    assert await client.refresh(KID) is is_current
    assert len(world.source.calls) == 2


async def test_the_background_refresh_does_not_spend_the_cooldown(
    world: World, new: bytes
) -> None:
    """A key that appears just after a refresh is fetched on its first use."""
    client = await world.started()
    world.source.answer = new

    assert await client.refresh(KID) is True

    assert client.snapshot == KeySet.from_jwks(new)


async def test_a_background_fetch_in_flight_is_shared(world: World) -> None:
    """Nothing is fetched twice at a time, and sharing costs no cooldown."""
    world.source.gate = asyncio.Event()
    client = await world.started()

    waiter = asyncio.create_task(client.refresh(KID))
    await settle()
    assert len(world.source.calls) == 1
    world.source.gate.set()

    assert await waiter is True
    assert len(world.source.calls) == 1
    assert await client.refresh(KID) is True
    assert len(world.source.calls) == 2


async def test_a_failure_in_the_background_makes_the_keys_doubtful(world: World) -> None:
    """Within the cooldown the latest attempt counts, whoever made it."""
    client = await world.started()
    await world.time.advance(290)
    assert await client.refresh(KID) is True
    world.source.answer = DOWN

    await world.time.advance(10.5)

    assert len(world.source.calls) == 3
    assert await client.refresh(KID) is False
    assert len(world.source.calls) == 3


async def test_a_slow_fetch_is_not_waited_for_and_not_lost(world: World) -> None:
    """The waiter gives up, the fetch lands."""
    world.source.gate = asyncio.Event()
    client = world.client(wait_seconds=0)

    assert await client.refresh(KID) is False
    assert await client.refresh(KID) is False
    world.source.gate.set()
    await settle()

    assert client.snapshot
    assert await client.refresh(KID) is True
    assert len(world.source.calls) == 1


async def test_a_cancelled_waiter_leaves_the_fetch_alone(world: World) -> None:
    """Envoy gives up on one request; the others still want the key."""
    world.source.gate = asyncio.Event()
    client = world.client()
    gone = asyncio.create_task(client.refresh(KID))
    stays = asyncio.create_task(client.refresh(KID))
    await settle()

    gone.cancel()
    await settle()
    world.source.gate.set()

    assert await stays is True
    assert gone.cancelled()


async def test_an_observer_that_raises_does_not_reach_the_request(world: World) -> None:
    """`refresh` raises nothing, even when a promise to it is broken."""

    def broken(keys: KeySet) -> None:
        raise RuntimeError(str(keys))

    world.diary.keys_changed = broken  # type: ignore[method-assign]
    client = world.client()

    assert await client.refresh(KID) is False
    assert await client.refresh(KID) is True


async def test_close_ends_a_hanging_fetch_and_every_later_one(world: World) -> None:
    """A closed client fetches nothing and says so; closing twice is harmless."""
    world.source.gate = asyncio.Event()
    client = await world.started()
    waiter = asyncio.create_task(client.refresh(KID))
    await settle()

    await client.close()
    await client.close()

    assert await waiter is False
    assert await client.refresh(KID) is False
    await world.time.advance(DAY)
    assert len(world.source.calls) == 1


async def test_close_without_start_is_harmless(world: World) -> None:
    """A gate that fails to bind its port closes what it never started."""
    await world.client().close()
    assert world.source.calls == []


async def test_keys_outlive_an_outage_of_23_hours_and_not_of_25(world: World) -> None:
    """Availability first, up to the bound; then nobody's signature counts."""
    client = await world.started()
    before = client.snapshot
    world.source.answer = DOWN

    await world.time.advance(23 * HOUR)
    assert client.snapshot is before
    assert await client.refresh(KID) is False

    await world.time.advance(2 * HOUR)
    assert not client.snapshot
    assert world.diary.changes == [1, 0]
    assert client.status().usable is False

    world.source.answer = world.document
    await world.time.advance(30)
    assert client.snapshot == before
    assert world.diary.changes == [1, 0, 1]


async def test_the_bound_is_noticed_while_merely_waiting(world: World) -> None:
    """At exactly the bound the keys are good; a tick later they are gone, fetch or no fetch."""
    client = await world.started()
    world.source.answer = DOWN
    world.time.jump(DAY - TICK_SECONDS)

    await world.time.advance(TICK_SECONDS)
    assert client.snapshot

    await world.time.advance(TICK_SECONDS)
    assert not client.snapshot
    assert len(world.source.calls) == 2, "and asks again at once"


async def test_a_clock_that_leaps_ahead_costs_one_fetch(world: World) -> None:
    """A machine wakes after two days: the keys go, and come back as soon as Clerk answers."""
    client = await world.started()
    world.time.jump(2 * DAY)

    await world.time.advance(TICK_SECONDS)

    assert world.diary.changes == [1, 0, 1]
    assert client.snapshot


async def test_a_clock_set_back_prolongs_nothing(world: World) -> None:
    """Neither the cooldown, nor the refresh, nor the life of unconfirmed keys."""
    client = await world.started()
    await client.refresh(KID)
    world.time.jump(-365 * DAY)
    assert client.status().age_seconds == 0

    assert await client.refresh(KID) is True
    assert len(world.source.calls) == 3
    await world.time.advance(301)
    assert len(world.source.calls) == 4

    world.source.answer = DOWN
    world.time.jump(-365 * DAY)
    await world.time.advance(25 * HOUR)
    assert not client.snapshot


async def test_a_kept_copy_serves_while_the_source_is_down(world: World) -> None:
    """Its age goes on counting from when it was fetched, not from the start."""
    world.source.answer = DOWN
    client = await world.started(store=Shelf((world.document, START - 20 * HOUR)))

    assert client.snapshot == KeySet.from_jwks(world.document)
    assert world.diary.changes == [1]
    assert client.status().age_seconds == 20 * HOUR

    await world.time.advance(3 * HOUR)
    assert client.snapshot
    await world.time.advance(2 * HOUR)
    assert not client.snapshot


@pytest.mark.parametrize(
    ("age", "is_used"),
    [(-30.0, True), (0.0, True), (DAY, True), (DAY + 1, False)],
)
async def test_a_kept_copy_counts_up_to_the_bound(
    world: World, age: float, *, is_used: bool
) -> None:
    """A copy from a few seconds ahead is of now; one that is too old is no copy."""
    world.source.answer = DOWN

    client = await world.started(store=Shelf((world.document, START - age)))

    assert bool(client.snapshot) is is_used


@pytest.mark.parametrize(
    ("kept", "fault"),
    [
        ((b'{"keys":[]}', START), None),
        (None, EnvironmentFaultError("the copy is damaged")),
        (None, ZeroDivisionError("a defect in the store")),
    ],
    ids=["unusable", "fault", "defect"],
)
async def test_a_bad_copy_is_told_and_passed_over(
    world: World, kept: tuple[bytes, float] | None, fault: Exception | None
) -> None:
    """The gate starts without it."""
    shelf = Shelf(kept)
    shelf.fault = fault
    world.source.gate = asyncio.Event()

    client = await world.started(store=shelf)

    assert not client.snapshot
    assert len(world.diary.failures) == 1
    assert len(world.source.calls) == 1


async def test_no_copy_is_nothing_to_tell(world: World) -> None:
    """The first start of all is no failure."""
    await world.started(store=Shelf())
    assert world.diary.failures == []


async def test_every_success_is_kept_with_its_time(world: World) -> None:
    """Unchanged keys too: it is their age that a restart goes by."""
    shelf = Shelf()
    await world.started(store=shelf)
    await until(lambda: shelf.kept == (world.document, START))

    await world.time.advance(301)

    await until(lambda: shelf.kept == (world.document, START + 300))


async def test_a_store_that_fails_is_told_once_until_it_works_again(world: World) -> None:
    """A full disk neither stops the keys nor fills the log."""
    shelf = Shelf()
    client = await world.started(store=shelf)
    await until(lambda: shelf.saves == 1)
    shelf.fault = EnvironmentFaultError("the disk is full")

    await world.time.advance(300)
    await until(lambda: shelf.saves == 2)
    await world.time.advance(300)
    await until(lambda: shelf.saves == 3)
    await settle()
    assert world.diary.failures == ["the disk is full"]
    assert client.status().last_error is None
    assert world.diary.successes == 3

    shelf.fault = None
    await world.time.advance(300)
    await until(lambda: shelf.saves == 4)
    shelf.fault = EnvironmentFaultError("the disk is full again")
    await world.time.advance(300)
    await until(lambda: len(world.diary.failures) == 2)


async def test_failed_fetches_are_not_kept(world: World) -> None:
    """The last good copy stays the last good copy."""
    shelf = Shelf((world.document, START - HOUR))
    world.source.answer = b'{"keys":[]}'

    client = await world.started(store=shelf)
    await client.close()

    assert shelf.saves == 0


async def test_close_finishes_the_copy(world: World) -> None:
    """A gate that is stopped right after a rotation starts with the new keys."""
    shelf = Shelf()
    client = world.client(store=shelf)
    await client.refresh(KID)

    await client.close()

    assert shelf.kept == (world.document, START)


async def test_status_before_during_and_after_an_outage(world: World) -> None:
    """A person can tell what is wrong, and since when."""
    client = world.client()
    before = client.status()
    assert (before.usable, before.age_seconds, before.last_success) == (False, None, None)

    await client.start()
    await settle()
    world.source.answer = DOWN
    await world.time.advance(301.1)
    during = client.status()
    assert during.usable is True
    assert during.age_seconds == pytest.approx(301.1)
    assert during.last_success == START
    assert during.consecutive_failures == 2
    assert during.last_error == str(DOWN)

    world.source.answer = b"{}"
    await world.time.advance(2)
    assert client.status().last_error == (
        "Clerk's keys cannot be used: the document has no list of keys; check the JWKS URL"
    )

    world.source.answer = world.document
    await world.time.advance(30)
    after = client.status()
    assert (after.consecutive_failures, after.last_error) == (0, None)


async def test_two_keys_are_both_in_force(world: World) -> None:
    """While Clerk rotates, it publishes the old key and the new one."""
    keys = [jwk_of(new_key(), "ins_a"), jwk_of(new_key(), "ins_b")]
    world.source.answer = json.dumps({"keys": keys}).encode()

    client = await world.started()

    assert len(client.snapshot.candidates("ins_a")) == 1
    assert len(client.snapshot.candidates("ins_b")) == 1
    assert world.diary.changes == [2]
