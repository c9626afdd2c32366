"""Users who are met: looked up once, hardly waited for, and let in whatever comes of it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO

import pytest
from prometheus_client import CollectorRegistry

from wicketgate.adapters.first_sight import PAUSE_SECONDS, FirstSight
from wicketgate.adapters.first_sight_telemetry import FirstSightTelemetry
from wicketgate.adapters.telemetry import make_log
from wicketgate.core.claims import UserId
from wicketgate.core.first_sight import KnownUsers, Sighting, UserRow
from wicketgate.errors import DependencyError

ADA, MINA, JO = UserId("user_ada"), UserId("user_mina"), UserId("user_jo")
SHORT = 0.01
"""Seconds until a request has waited enough, where that is what happens."""
LONG = 30.0
"""Seconds, where it is not."""


@dataclass
class Rows:
    """A users' table that answers when it is let, and as it is told.

    Attributes:
        behaviour: The row of a user, why it cannot be had, or what to raise.
        asked: Who was looked up.
    """

    behaviour: Mapping[UserId, UserRow | str | Exception] = field(default_factory=dict)
    asked: list[UserId] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    async def find_or_make(self, user_id: UserId) -> UserRow | str:
        self.asked.append(user_id)
        await self.is_open.wait()
        told = self.behaviour.get(user_id, UserRow(f"id of {user_id}", is_new=True))
        if isinstance(told, Exception):
            raise told
        return told


@dataclass
class Heard:
    """An observer that remembers."""

    sightings: Counter[Sighting] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def sighted(self, sighting: Sighting) -> None:
        self.sightings[sighting] += 1

    def refused(self, why: str) -> None:
        self.told.append(f"refused: {why}")

    def failed(self, why: str) -> None:
        self.told.append(f"failed: {why}")

    def recovered(self) -> None:
        self.told.append("recovered")


@dataclass
class Scene:
    """What a test looks at, and the clock that it turns."""

    rows: Rows
    heard: Heard
    looking: FirstSight
    seconds: list[float]

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def meet(self, user_id: UserId) -> None:
        """Meet a user as a request does that can wait."""
        waiting = self.looking.meet(user_id)
        if waiting is not None:
            await waiting()


@asynccontextmanager
async def scene(
    *,
    wait_seconds: float = LONG,
    max_under_way: int = 10,
    is_open: bool = True,
    keeps_ids: bool = True,
    **behaviour: UserRow | str | Exception,
) -> AsyncIterator[Scene]:
    """Keep a first sight whose table does what `behaviour` says; names without ``user_``."""
    told = {UserId(f"user_{name}"): what for name, what in behaviour.items()}
    rows, heard, seconds = Rows(told), Heard(), [1000.0]
    if is_open:
        rows.is_open.set()
    looking = FirstSight(
        rows,
        KnownUsers(keeps_ids=keeps_ids),
        heard,
        timer=lambda: seconds[0],
        wait_seconds=wait_seconds,
        max_under_way=max_under_way,
    )
    try:
        yield Scene(rows, heard, looking, seconds)
    finally:
        await looking.close()


async def test_a_request_that_can_wait_knows_the_row() -> None:
    async with scene() as it:
        await it.meet(ADA)

        assert it.looking.local_id(ADA) == f"id of {ADA}"
        assert it.heard.sightings == {Sighting.INSERTED: 1}


async def test_a_request_that_cannot_wait_goes_on_and_the_row_comes_all_the_same() -> None:
    async with scene(wait_seconds=0) as it:
        assert it.looking.meet(ADA) is None
        assert it.looking.local_id(ADA) == ""
        await it.settle()

        assert it.looking.local_id(ADA) == f"id of {ADA}"
        assert it.heard.sightings == {Sighting.INSERTED: 1}


async def test_who_is_known_is_not_looked_up_again() -> None:
    async with scene(ada=UserRow("7a1c"), mina=UserRow("8b2d", is_buried=True)) as it:
        for user_id in (ADA, MINA):
            await it.meet(user_id)

        assert [it.looking.meet(ADA), it.looking.meet(MINA)] == [None, None]
        assert it.rows.asked == [ADA, MINA]
        assert it.looking.known == 2
        assert it.heard.sightings == {Sighting.KNOWN: 1, Sighting.TOMBSTONE: 1}


async def test_a_tombstone_has_no_id() -> None:
    async with scene(ada=UserRow("7a1c", is_buried=True)) as it:
        await it.meet(ADA)

        assert it.looking.local_id(ADA) == ""


async def test_requests_of_one_user_share_a_look_up() -> None:
    async with scene(is_open=False) as it:
        requests = [asyncio.create_task(it.meet(ADA)) for _ in range(20)]
        await it.settle()
        it.rows.is_open.set()
        await asyncio.gather(*requests)

        assert it.rows.asked == [ADA]
        assert it.heard.sightings == {Sighting.INSERTED: 1}


async def test_a_request_waits_for_a_moment_and_the_look_up_goes_on() -> None:
    async with scene(wait_seconds=SHORT, is_open=False) as it:
        await it.meet(ADA)
        assert it.heard.sightings == {Sighting.LATE: 1}

        it.rows.is_open.set()
        await it.settle()

        assert it.looking.local_id(ADA) == f"id of {ADA}"
        assert it.heard.sightings == {Sighting.LATE: 1, Sighting.INSERTED: 1}


@pytest.mark.parametrize(("passed", "waits"), [(LONG - 1, True), (LONG, False), (LONG + 1, False)])
async def test_the_moment_is_counted_from_the_first_of_the_user_s_requests(
    passed: float, *, waits: bool
) -> None:
    """
    A Postgres that hangs costs each user one wait, and not one for each request.
    """
    async with scene(is_open=False) as it:
        assert it.looking.meet(ADA) is not None
        it.seconds[0] += passed

        assert waits == (it.looking.meet(ADA) is not None)
        assert it.heard.sightings[Sighting.LATE] == (0 if waits else 1)


async def test_a_request_that_is_broken_off_leaves_the_look_up_alone() -> None:
    async with scene(is_open=False) as it:
        request = asyncio.create_task(it.meet(ADA))
        await it.settle()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        it.rows.is_open.set()
        await it.settle()

        assert it.looking.local_id(ADA) == f"id of {ADA}"


@pytest.mark.parametrize("limit", [1, 3])
async def test_no_more_are_looked_up_at_a_time_than_agreed(limit: int) -> None:
    async with scene(max_under_way=limit, is_open=False) as it:
        users = [UserId(f"user_{number}") for number in range(limit + 2)]
        waiting = [it.looking.meet(user_id) for user_id in users]
        await it.settle()

        assert [each is not None for each in waiting] == [True] * limit + [False] * 2
        assert it.rows.asked == users[:limit]
        assert it.heard.sightings == {Sighting.SKIPPED: 2}


async def test_there_is_room_again_when_one_is_done() -> None:
    async with scene(max_under_way=1) as it:
        for user_id in (ADA, MINA, JO):
            await it.meet(user_id)

        assert it.rows.asked == [ADA, MINA, JO]
        assert it.heard.sightings == {Sighting.INSERTED: 3}


DOWN = DependencyError("Postgres failed: it is down")


async def test_after_a_failure_nobody_is_looked_up_for_a_while() -> None:
    async with scene(ada=DOWN) as it:
        await it.meet(ADA)

        assert it.looking.is_failing
        assert it.heard.told == ["failed: Postgres failed: it is down"]
        assert [it.looking.meet(MINA), it.looking.meet(ADA)] == [None, None]
        assert it.rows.asked == [ADA]
        assert it.heard.sightings == {Sighting.FAILED: 1, Sighting.SKIPPED: 2}


@pytest.mark.parametrize(
    ("passed", "is_tried"), [(PAUSE_SECONDS - 0.1, False), (PAUSE_SECONDS, True)]
)
async def test_the_while_is_a_second(passed: float, *, is_tried: bool) -> None:
    async with scene(ada=DOWN) as it:
        await it.meet(ADA)
        it.seconds[0] += passed

        assert is_tried == (it.looking.meet(MINA) is not None)


async def test_one_tries_for_all_and_when_it_succeeds_all_may() -> None:
    async with scene(ada=DOWN) as it:
        await it.meet(ADA)
        it.seconds[0] += PAUSE_SECONDS
        it.rows.is_open.clear()

        probe = it.looking.meet(MINA)
        assert probe is not None
        assert it.looking.meet(JO) is None
        it.rows.is_open.set()
        await probe()
        await it.meet(JO)

        assert it.rows.asked == [ADA, MINA, JO]
        assert not it.looking.is_failing
        assert it.heard.told == ["failed: Postgres failed: it is down", "recovered"]


async def test_one_that_fails_again_is_not_news_and_the_while_begins_again() -> None:
    async with scene(ada=DOWN, mina=DOWN) as it:
        await it.meet(ADA)
        it.seconds[0] += PAUSE_SECONDS
        await it.meet(MINA)

        assert it.looking.meet(JO) is None
        assert it.heard.told == ["failed: Postgres failed: it is down"]


async def test_a_row_that_cannot_be_had_says_nothing_about_the_next() -> None:
    async with scene(ada="Postgres refuses it: CheckViolation (23514)") as it:
        await it.meet(ADA)
        await it.meet(MINA)

        assert ADA not in [user for user in (ADA, MINA) if it.looking.local_id(user)]
        assert it.looking.local_id(MINA)
        assert not it.looking.is_failing
        assert it.heard.sightings == {Sighting.FAILED: 1, Sighting.INSERTED: 1}
        assert it.heard.told == ["refused: Postgres refuses it: CheckViolation (23514)"]


async def test_a_defect_lets_the_request_go_on_and_quotes_nothing() -> None:
    async with scene(ada=RuntimeError("a-value-that-must-not-be-seen")) as it:
        await it.meet(ADA)

        assert it.heard.told == ["failed: RuntimeError"]


async def test_what_is_under_way_ends_with_it() -> None:
    async with scene(is_open=False) as it:
        requests = [asyncio.create_task(it.meet(user)) for user in (ADA, MINA)]
        it.looking.meet(JO)  # its task has not made a step yet
        await asyncio.sleep(0)
        await it.looking.close()
        await asyncio.gather(*requests)

        assert it.looking.known == 0


# --- what operators see ------------------------------------------------------

Tell = Callable[[FirstSightTelemetry], None]


def lines_of(*tell: Tell) -> list[dict[str, object]]:
    stream = StringIO()
    telemetry = FirstSightTelemetry(make_log(stream, level="info"), CollectorRegistry())
    for each in tell:
        each(telemetry)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_outcome_is_counted_from_the_start() -> None:
    registry = CollectorRegistry()
    telemetry = FirstSightTelemetry(make_log(StringIO(), level="info"), registry)

    telemetry.sighted(Sighting.LATE)

    counted = {
        each: registry.get_sample_value("wicketgate_first_sight_total", {"outcome": each})
        for each in Sighting
    }
    assert counted == {each: float(each is Sighting.LATE) for each in Sighting}


def test_a_failure_and_its_end_are_a_line_each() -> None:
    lines = lines_of(
        lambda telemetry: telemetry.failed("it is down"), lambda telemetry: telemetry.recovered()
    )

    assert [(line["event"], line["level"], line.get("error")) for line in lines] == [
        ("first sight fails", "warning", "it is down"),
        ("first sight works again", "info", None),
    ]


def test_a_reason_why_a_row_cannot_be_had_is_told_once() -> None:
    lines = lines_of(*[lambda telemetry: telemetry.refused("A")] * 3, lambda t: t.refused("B"))

    assert [(line["event"], line["error"]) for line in lines] == [
        ("row not made", "A"),
        ("row not made", "B"),
    ]


def test_reasons_without_end_do_not_fill_the_log() -> None:
    def told(number: int) -> Tell:
        return lambda telemetry: telemetry.refused(str(number))

    assert len(lines_of(*map(told, range(1000)))) == 100
