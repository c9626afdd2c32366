"""The feed: loads, follows, loses its connection, and never forgets while unsure."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from tokens import claims_of
from wicketgate.adapters.revocation_feed import FeedTiming, RevocationFeed
from wicketgate.core.reason import Reason
from wicketgate.core.revocation import RevocationSet
from wicketgate.core.revocation_lifts import MOST_WAITING
from wicketgate.core.revocation_table import Key, Kind, Revocation
from wicketgate.errors import DependencyError

START = 1_790_000_000.0
DAY = 86_400.0
Step = Callable[["FakeLink"], None]


def row(row_id: str = "user_1", kind: Kind = Kind.USER, *, is_lifted: bool = False) -> Revocation:
    return Revocation(kind, row_id, START, START + DAY, is_lifted)


def notice(change: Revocation, schema: str = "wicketgate") -> str:
    return json.dumps(
        {
            "schema": schema,
            "kind": change.kind,
            "id": change.id,
            "revoked_at": change.revoked_at,
            "expires_at": change.expires_at,
            "is_lifted": change.is_lifted,
        }
    )


@dataclass
class World:
    """A database, and a time that passes only while somebody waits.

    Attributes:
        steps: What happens in each wait of the feed, in order. Then the test goes on.
        rows: What the table holds, loaded in pages of one.
        during_load: What happens after the first page of a load.
        changes: What a look for changes finds.
        during_look: What happens between Postgres' reading of them and ours.
        during_question: The same, of a question about lifts.
        refusals: How many connections are refused yet.
        token_life: For how long a token's revocation is kept.
        now: Seconds since the start.
        slept: The waits between two connections.
        calls: What the links were asked.
        told: What the observer was told.
    """

    steps: list[Step] = field(default_factory=list)
    rows: list[Revocation] = field(default_factory=list)
    during_load: list[Step] = field(default_factory=list)
    changes: list[Revocation] = field(default_factory=list)
    during_look: list[Step] = field(default_factory=list)
    during_question: list[Step] = field(default_factory=list)
    refusals: int = 0
    token_life: float = DAY
    now: float = 0.0
    slept: list[float] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def connect(self, tell: Callable[[str], None]) -> AbstractAsyncContextManager["FakeLink"]:
        return self._connected(tell)

    @asynccontextmanager
    async def _connected(self, tell: Callable[[str], None]) -> AsyncIterator["FakeLink"]:
        if self.refusals:
            self.refusals -= 1
            msg = "Postgres failed: it is away"
            raise DependencyError(msg)
        yield FakeLink(self, tell)


@dataclass
class FakeLink:
    """A connection to a `World`."""

    world: World
    tell: Callable[[str], None]

    async def listen(self) -> None:
        self.world.calls.append("listen")

    async def beat(self) -> datetime:
        self.world.calls.append("beat")
        return datetime.fromtimestamp(START + self.world.now, UTC)

    async def token_life(self) -> float:
        return self.world.token_life

    async def revocations(self) -> AsyncIterator[Sequence[Revocation]]:
        self.world.calls.append("load")
        during = list(self.world.during_load)
        for each in self.world.rows:
            yield [each]
            while during:
                during.pop(0)(self)

    async def changes_since(self, moment: datetime) -> AsyncIterator[Sequence[Revocation]]:
        self.world.calls.append(f"changes since {moment.timestamp() - START:g}")
        found = list(self.world.changes)
        while self.world.during_look:
            self.world.during_look.pop(0)(self)
        yield found

    async def counting(self, keys: Sequence[Key]) -> Sequence[Revocation]:
        self.world.calls.append(f"which of {len(keys)} count")
        asked = {*keys}
        counting = [each for each in self.world.rows if each.key in asked and not each.is_lifted]
        while self.world.during_question:
            self.world.during_question.pop(0)(self)
        return counting

    async def wait(self, seconds: float, wake: asyncio.Event) -> None:
        await asyncio.sleep(0)
        if not self.world.steps:
            self.world.done.set()
            await asyncio.Event().wait()
        self.world.steps.pop(0)(self)
        if not wake.is_set():
            self.world.now += seconds


class FakeObserver:
    """Writes down what it is told."""

    def __init__(self, told: list[object]) -> None:
        self._told = told

    def current(self, *, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self._told.append(("current", rows))

    def lost(self, error: str) -> None:
        self._told.append(("lost", error))

    def reloaded(self) -> None:
        self._told.append("reloaded")

    def changed(self, row: Revocation) -> None:
        self._told.append(("lifted" if row.is_lifted else "changed", row.id))

    def malformed(self) -> None:
        self._told.append("malformed")

    def deaf(self, missed: int) -> None:
        self._told.append(("deaf", missed))

    def hears(self) -> None:
        self._told.append("hears")

    def trusted(self, *, is_trusted: bool) -> None:
        self._told.append(("trusted", is_trusted))

    def kept(self, seconds: float, *, is_enough: bool) -> None:
        self._told.append(("kept", seconds, is_enough))


@dataclass
class Followed:
    feed: RevocationFeed
    revocations: RevocationSet

    @property
    def ids(self) -> list[str]:
        table = self.revocations.table
        return sorted([*table.users, *table.sessions])


def made(world: World, *, jitter: float = 1.0, **timing: float) -> Followed:
    revocations = RevocationSet()
    feed = RevocationFeed(
        revocations,
        world.connect,
        schema="wicketgate",
        token_life=DAY,
        timing=replace(FeedTiming(), **timing),
        observer=FakeObserver(world.told),
        clock=lambda: START + world.now,
        timer=lambda: world.now,
        jitter=lambda: jitter,
        sleep=world.sleep,
    )
    return Followed(feed, revocations)


async def run(world: World, followed: Followed) -> None:
    """Run the feed until every step was taken, and everything after it was done."""
    running = asyncio.create_task(followed.feed.run())
    try:
        await asyncio.wait_for(world.done.wait(), 5)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def followed_in(world: World, *, jitter: float = 1.0, **timing: float) -> Followed:
    followed = made(world, jitter=jitter, **timing)
    await run(world, followed)
    return followed


def silence(_: FakeLink) -> None:
    """Nothing happens until the next beat."""


def loss(_: FakeLink) -> None:
    msg = "Postgres failed: it went away"
    raise DependencyError(msg)


def say(change: Revocation) -> Step:
    return lambda link: link.tell(notice(change))


def lift(change: Revocation) -> Step:
    """Take it out of the table, and tell."""

    def delete(link: FakeLink) -> None:
        link.world.rows = [each for each in link.world.rows if each.key != change.key]
        say(replace(change, is_lifted=True))(link)

    return delete


def mark_lifted(change: Revocation) -> Step:
    """Mark it as lifted in the table, and tell nobody."""

    def mark(link: FakeLink) -> None:
        lifted = replace(change, is_lifted=True)
        link.world.rows = [lifted if each.key == lifted.key else each for each in link.world.rows]
        link.world.changes = [lifted]

    return mark


def both(*steps: Step) -> Step:
    def take(link: FakeLink) -> None:
        for step in steps:
            step(link)

    return take


def later(seconds: float) -> Step:
    def pass_time(link: FakeLink) -> None:
        link.world.now += seconds

    return pass_time


async def test_it_listens_before_it_loads() -> None:
    world = World(rows=[row()])

    followed = await followed_in(world)

    assert world.calls == ["listen", "beat", "load"]
    assert followed.ids == ["user_1"]
    assert followed.feed.loaded.is_set()
    assert followed.feed.is_well
    assert ("current", 1) in world.told


async def test_before_anything_was_loaded_it_is_not_well() -> None:
    followed = made(World())

    assert not followed.feed.is_well
    assert not followed.feed.loaded.is_set()


@pytest.mark.parametrize(
    ("step", "ids"),
    [
        (say(row("user_1")), ["user_1"]),
        (say(row("sess_1", Kind.SESSION)), ["sess_1", "user_1"]),
        (lift(row("user_1")), []),
        (lift(row("user_2")), ["user_1"]),
    ],
)
async def test_what_is_told_takes_effect(step: Step, ids: list[str]) -> None:
    followed = await followed_in(World(rows=[row()], steps=[step]))

    assert ids == followed.ids


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_lift_that_the_table_knows_nothing_of_changes_nothing(kind: Kind) -> None:
    forged = say(row("id_1", kind, is_lifted=True))
    world = World(rows=[row("id_1", kind)], steps=[forged, silence, later(30), silence])
    followed = await followed_in(world)

    assert followed.ids == ["id_1"]
    assert followed.feed.is_well
    assert not [each for each in world.told if each[0] == "lifted"]  # type: ignore[index]


async def test_a_lift_is_asked_about_at_once() -> None:
    world = World(rows=[row()], steps=[lift(row())])
    followed = await followed_in(world)

    assert world.now == 0
    assert world.calls == ["listen", "beat", "load", "which of 1 count"]
    assert followed.ids == []
    assert world.told[-1] == ("lifted", "user_1")


async def test_of_one_who_is_not_revoked_nothing_is_asked() -> None:
    world = World(rows=[row()], steps=[say(row("user_2", is_lifted=True)), silence])
    await followed_in(world)

    assert world.calls == ["listen", "beat", "load", "beat"]


@pytest.mark.parametrize("later_words", [[], [say(row(is_lifted=True))]])
async def test_whoever_is_revoked_while_it_is_asked_whether_they_were_lifted_stays_so(
    later_words: list[Step],
) -> None:
    """
    Also when somebody lies once more after that.
    """

    def revoke(link: FakeLink) -> None:
        world.rows = [row()]
        say(row())(link)

    world = World(rows=[row()], during_question=[revoke, *later_words])
    world.steps = [lift(row()), silence]

    assert (await followed_in(world)).ids == ["user_1"]


async def test_whoever_is_lifted_while_it_is_asked_about_a_lie_is_asked_about_again() -> None:
    world = World(rows=[row()], steps=[say(row(is_lifted=True)), silence])
    world.during_question = [lift(row())]

    assert (await followed_in(world)).ids == []


async def test_a_revocation_that_is_a_lie_does_not_outlive_the_lift_before_it() -> None:
    world = World(rows=[row()], steps=[both(lift(row()), say(row()))])

    assert (await followed_in(world)).ids == []


@pytest.mark.parametrize("when", ["before", "during", "load"])
async def test_a_revocation_after_a_lift_is_as_strict_as_it_is_itself(when: str) -> None:
    """
    An hour too much, by mistake, lifted, and revoked again.
    """
    milder = replace(row(), revoked_at=START - 3600, expires_at=START + DAY - 3600)

    def revoke(link: FakeLink) -> None:
        world.rows = [milder]
        say(milder)(link)

    world = World(rows=[row()])
    if when == "before":
        world.steps = [both(lift(row()), revoke), silence]
    elif when == "during":
        world.during_question = [revoke]
        world.steps = [lift(row()), silence]
    else:
        world.during_load = [lift(row()), revoke]
    followed = await followed_in(world)

    expected = {"user_1": (milder.revoked_at, milder.expires_at)}
    assert expected == followed.revocations.table.users


async def test_a_flood_of_lifts_is_ten_questions_a_second_and_changes_nothing() -> None:
    flood = say(row(is_lifted=True))
    world = World(rows=[row()], steps=[flood] * 500)
    followed = await followed_in(world)
    questions = world.calls.count("which of 1 count")
    beats = world.calls.count("beat") - 1

    assert followed.ids == ["user_1"]
    assert beats == pytest.approx(world.now / 2, abs=1)
    assert beats < questions <= 10 * world.now + beats + 1
    assert followed.feed.is_well


async def test_more_lifts_than_are_kept_are_one_load_every_thirty_seconds() -> None:
    """
    And nobody passes for stale, as no revocation can be missing.
    """
    many = [row(f"user_{number}") for number in range(MOST_WAITING + 1)]

    def lift_all(link: FakeLink) -> None:
        world.rows = []
        for each in many:
            say(replace(each, is_lifted=True))(link)

    world = World(rows=many, steps=[later(10), lift_all, *[silence] * 12])
    followed = made(world, max_stale_seconds=5)
    seen: list[tuple[list[str], bool]] = []
    world.steps += [lambda _: seen.append((followed.ids, followed.feed.is_well))]
    world.steps += [silence] * 20
    await run(world, followed)

    assert seen == [([many[-1].id], True)]
    assert followed.ids == []
    assert world.calls.count("load") == 2
    assert not [each for each in world.told if each[:1] == ("deaf",)]  # type: ignore[index]


async def test_what_another_schema_tells_does_not() -> None:
    def say_elsewhere(link: FakeLink) -> None:
        link.tell(notice(row(), schema="other"))

    followed = await followed_in(World(steps=[say_elsewhere]))

    assert followed.ids == []
    assert followed.feed.is_well


@pytest.mark.parametrize(
    ("during_load", "ids"),
    [
        ([say(row("user_9"))], ["user_1", "user_2", "user_9"]),
        # Loaded as it was, and lifted while the rest was loaded.
        ([lift(row("user_1"))], ["user_2"]),
        ([say(row("user_9")), lift(row("user_9"))], ["user_1", "user_2"]),
        # Told already, and loaded as it became.
        ([say(row("user_2", is_lifted=True)), say(row("user_2"))], ["user_1", "user_2"]),
        # Not so.
        ([say(row("user_1", is_lifted=True))], ["user_1", "user_2"]),
    ],
)
async def test_what_is_told_during_a_load_is_not_lost_in_it(
    during_load: list[Step], ids: list[str]
) -> None:
    world = World(rows=[row("user_1"), row("user_2")], during_load=during_load)

    assert ids == (await followed_in(world)).ids


async def test_what_was_in_force_stays_so_and_is_followed_until_the_load_is_whole() -> None:
    world = World(rows=[row("user_1")], steps=[loss])
    followed = made(world)
    seen: list[list[str]] = []

    def look(_: FakeLink) -> None:
        seen.append(followed.ids)

    def next_connection(link: FakeLink) -> None:
        world.rows = [row("user_2"), row("user_3")]
        world.during_load = [say(row("user_9")), look]
        loss(link)

    world.steps = [next_connection]
    await run(world, followed)

    assert seen == [["user_1", "user_9"]]
    assert followed.ids == ["user_2", "user_3", "user_9"]


async def test_a_load_that_fails_changes_nothing() -> None:
    world = World(rows=[row("user_1")])
    followed = made(world)

    def next_connection(link: FakeLink) -> None:
        world.rows = [row("user_2")]

        def end(link: FakeLink) -> None:
            world.during_load = []
            world.rows = [row("user_3")]
            seen.append(followed.ids)
            loss(link)

        world.during_load = [end]
        loss(link)

    seen: list[list[str]] = []
    world.steps = [next_connection]
    await run(world, followed)

    assert seen == [["user_1"]]
    assert followed.ids == ["user_3"]


async def test_what_a_new_load_does_not_hold_counts_no_more() -> None:
    world = World(rows=[row("user_1")])

    def next_connection(link: FakeLink) -> None:
        world.rows = []
        loss(link)

    world.steps = [next_connection]

    assert (await followed_in(world)).ids == []


@pytest.mark.parametrize(
    ("jitter", "expected"),
    [
        (1.0, [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]),
        (0.0, [0.05, 0.1, 0.2, 0.4, 0.8, 1.25, 1.25]),
    ],
)
async def test_it_tries_again_soon_and_ever_less_often(
    jitter: float, expected: list[float]
) -> None:
    world = World(refusals=len(expected))

    await followed_in(world, jitter=jitter)

    assert expected == pytest.approx(world.slept)


async def test_a_connection_has_to_last_for_a_beat_before_the_next_is_tried_soon() -> None:
    world = World(refusals=2, steps=[loss, silence, loss])

    await followed_in(world)

    assert world.slept == pytest.approx([0.2, 0.4, 0.8, 0.2])


async def test_a_defect_is_a_loss_and_its_message_is_kept_back() -> None:
    def fail(_: FakeLink) -> None:
        msg = "user_secret"
        raise KeyError(msg)

    world = World(steps=[fail])
    await followed_in(world)

    assert ("lost", "unexpected KeyError") in world.told
    assert "user_secret" not in str(world.told)


async def test_it_is_asked_at_every_beat_and_looked_for_changes_every_thirty_seconds() -> None:
    world = World(steps=[silence] * 31)

    await followed_in(world)

    beats = ["beat"] * 15
    expected = ["listen", "beat", "load", *beats, "changes since 0", *beats, "changes since 30"]
    assert [*expected, "beat"] == world.calls


async def test_what_a_look_finds_takes_effect_and_nobody_having_told_is_noticed() -> None:
    world = World(changes=[row()], steps=[later(30), silence, silence])

    followed = await followed_in(world)

    assert followed.ids == ["user_1"]
    assert world.told[-2:] == [("changed", "user_1"), ("deaf", 1)]
    assert not followed.feed.is_well


async def test_a_lift_that_a_look_finds_takes_effect_and_was_missed() -> None:
    world = World(rows=[row()], steps=[both(later(30), mark_lifted(row())), silence, silence])

    followed = await followed_in(world)

    assert followed.ids == []
    assert world.told[-2:] == [("lifted", "user_1"), ("deaf", 1)]
    assert not followed.feed.is_well


@pytest.mark.parametrize("order", ["told, found", "found, told"])
async def test_a_lift_that_a_look_finds_and_that_is_told_was_not_missed(order: str) -> None:
    told = say(row(is_lifted=True))
    world = World(rows=[row()])
    if order == "told, found":
        world.during_look = [told]
        world.steps = [both(later(30), mark_lifted(row())), silence, silence]
    else:
        world.steps = [both(later(30), mark_lifted(row())), told, silence, silence]

    followed = await followed_in(world)

    assert followed.ids == []
    assert followed.feed.is_well


async def test_whoever_was_revoked_since_a_look_read_the_lift_stays_so() -> None:
    def revoke(link: FakeLink) -> None:
        world.rows = [row()]
        say(row())(link)

    world = World(rows=[row()], steps=[both(later(30), mark_lifted(row())), silence, silence])
    world.during_look = [revoke]
    followed = await followed_in(world)

    assert followed.ids == ["user_1"]
    assert followed.feed.is_well


async def test_who_is_deaf_hears_of_lifts_at_every_beat() -> None:
    world = World(changes=[row()], rows=[], steps=[later(30), silence])
    world.steps += [both(silence, lambda _: world.rows.append(row()), mark_lifted(row()))]

    followed = await followed_in(world)

    assert followed.ids == []
    assert not followed.feed.is_well


async def test_who_is_deaf_looks_at_every_beat_and_listens_anew() -> None:
    world = World(changes=[row()], steps=[later(30), silence, silence])

    await followed_in(world)

    assert world.calls[3:] == [
        *("beat", "changes since 0"),
        *("beat", "listen", "changes since 32"),
        *("beat", "listen", "changes since 34"),
    ]


async def test_who_hears_again_is_deaf_no_more() -> None:
    world = World(changes=[row()], steps=[later(30), silence, say(row("user_2")), silence])

    followed = await followed_in(world)

    assert followed.feed.is_well
    assert world.told[-2:] == ["hears", ("changed", "user_2")]
    assert world.calls[-1] == "beat"


@pytest.mark.parametrize(
    ("rows", "changes", "step"),
    [
        ([row()], [row()], silence),
        ([], [row(is_lifted=True)], silence),
        ([], [row()], say(row())),
        ([row()], [row()], say(row(is_lifted=True))),
        # Ended by our clock, which may be ahead.
        ([], [Revocation(Kind.USER, "user_1", START, START + 31)], silence),
    ],
)
async def test_what_was_told_or_matters_no_more_was_not_missed(
    rows: list[Revocation], changes: list[Revocation], step: Step
) -> None:
    world = World(rows=rows, changes=changes, steps=[later(30), step, silence])

    followed = await followed_in(world)

    assert followed.feed.is_well
    assert not [each for each in world.told if each[:1] == ("deaf",)]  # type: ignore[index]


async def test_what_a_new_connection_has_loaded_need_not_be_told() -> None:
    world = World(changes=[row()], steps=[later(30), loss, silence])

    followed = await followed_in(world)

    assert followed.feed.is_well


async def test_after_a_load_there_is_nothing_to_look_for_yet() -> None:
    def lose(link: FakeLink) -> None:
        world.now += 30
        loss(link)

    world = World(steps=[lose, silence])
    await followed_in(world)

    assert world.calls[3:] == ["listen", "beat", "load", "beat"]


async def test_what_cannot_be_read_is_answered_by_loading_all() -> None:
    world = World()

    def spoil(link: FakeLink) -> None:
        world.now += 30
        world.rows = [row()]
        link.tell("{}")

    world.steps = [spoil]
    followed = await followed_in(world)

    assert world.calls[3:] == ["beat", "listen", "beat", "load"]
    assert followed.ids == ["user_1"]
    assert world.told[-2:] == ["malformed", "reloaded"]
    assert followed.feed.is_well


async def test_noise_makes_it_load_all_every_thirty_seconds_at_most() -> None:
    def noise(link: FakeLink) -> None:
        link.tell("noise")

    world = World(changes=[row()], steps=[noise] * 29)
    followed = await followed_in(world)

    # But what changed lately takes effect at the next beat.
    assert world.calls.count("load") == 1 + 1
    assert followed.ids == ["user_1"]


@pytest.mark.parametrize(
    ("jitter", "beats", "loads"), [(1.0, 1349, 1), (1.0, 1351, 2), (0.0, 1799, 1), (0.0, 1801, 2)]
)
async def test_about_once_an_hour_it_loads_all_and_forgets_who_is_not_there(
    jitter: float, beats: int, loads: int
) -> None:
    def lie(link: FakeLink) -> None:
        link.tell(notice(row()))

    world = World(steps=[lie, *[silence] * (beats - 1)])
    followed = await followed_in(world, jitter=jitter)

    assert world.calls.count("load") == loads
    assert followed.ids == (["user_1"] if loads == 1 else [])


async def test_a_look_that_finds_less_than_is_known_has_the_table_asked() -> None:
    """
    Lifted and revoked anew, and nobody told of either.
    """

    def revoked_anew(_: FakeLink) -> None:
        world.rows = world.changes = [row()]

    before = replace(row(), revoked_at=START + 10 * DAY, expires_at=START + 11 * DAY)
    world = World(rows=[before], steps=[revoked_anew, *[silence] * 15])
    followed = await followed_in(world)

    assert followed.revocations.table.users == {"user_1": (START, START + DAY)}


async def test_while_in_doubt_it_is_not_current() -> None:
    world = World()
    world.steps = [silence, lambda link: link.tell("noise"), silence, silence]

    followed = await followed_in(world)

    assert followed.feed.stale_seconds == 6
    assert not followed.feed.is_well


@pytest.mark.parametrize(("seconds", "is_well"), [(5, True), (5.1, False)])
async def test_how_stale_it_is_counts_from_the_last_question_that_was_answered(
    seconds: float, *, is_well: bool
) -> None:
    world = World(steps=[silence])
    followed = await followed_in(world)

    fresh = followed.feed.stale_seconds
    world.now += seconds

    assert fresh == 0
    assert seconds == pytest.approx(followed.feed.stale_seconds)
    assert is_well == followed.feed.is_well


async def test_what_ended_is_dropped() -> None:
    world = World(rows=[Revocation(Kind.USER, "user_1", START, START + 60)])
    world.steps = [silence]
    followed = made(world)
    world.steps += [later(150)]

    await run(world, followed)

    assert followed.ids == []


@pytest.mark.parametrize("skew", [-5, 5])
async def test_a_clock_that_is_off_by_seconds_drops_nothing_that_still_matters(
    skew: float,
) -> None:
    """
    ``expires_at`` is ten minutes later than the end of the last token.
    """
    last_token_ends = START + 60
    world = World(rows=[Revocation(Kind.USER, "user_1", START, last_token_ends + 600)])
    world.steps = [later(60 + skew)]

    assert (await followed_in(world)).ids == ["user_1"]


# --- failing closed ----------------------------------------------------------


async def guarded(world: World, followed: Followed) -> None:
    """Let the guard look once."""
    guarding = asyncio.create_task(followed.feed.guard())
    await asyncio.sleep(0)
    guarding.cancel()
    await asyncio.wait({guarding})
    world.slept.clear()


async def test_without_a_limit_it_is_trusted_however_stale_it_is() -> None:
    world = World()
    followed = made(world)
    world.now += 10 * DAY
    await guarded(world, followed)

    assert followed.revocations.refuses(claims_of({})) is None


async def test_with_a_limit_nothing_is_trusted_before_it_was_loaded() -> None:
    world = World()
    followed = made(world, max_stale_seconds=60)
    await guarded(world, followed)

    before = followed.revocations.refuses(claims_of({}))
    await run(world, followed)

    assert before is Reason.REVOCATIONS_UNAVAILABLE
    assert followed.revocations.refuses(claims_of({})) is None
    assert world.told.count(("trusted", True)) == 1


@pytest.mark.parametrize(("stale", "reason"), [(60, None), (60.5, Reason.REVOCATIONS_UNAVAILABLE)])
async def test_with_a_limit_it_is_trusted_until_it_is_too_stale(
    stale: float, reason: Reason | None
) -> None:
    world = World(steps=[silence])
    followed = await followed_in(world, max_stale_seconds=60)
    world.now += stale
    await guarded(world, followed)

    assert reason is followed.revocations.refuses(claims_of({}))


async def test_it_is_trusted_again_as_soon_as_it_is_current() -> None:
    world = World(steps=[silence])
    followed = await followed_in(world, max_stale_seconds=60)
    world.now += 61
    await guarded(world, followed)
    closed = followed.revocations.is_trusted
    world.done.clear()
    await run(world, followed)

    assert not closed
    assert followed.revocations.is_trusted
    trust = [each for each in world.told if isinstance(each, tuple) and each[0] == "trusted"]
    assert trust == [("trusted", True), ("trusted", False), ("trusted", True)]


# --- how long revocations are kept -------------------------------------------


@pytest.mark.parametrize(("token_life", "is_well"), [(DAY, True), (DAY - 1, False)])
async def test_revocations_that_end_before_the_tokens_are_not_well(
    token_life: float, *, is_well: bool
) -> None:
    world = World(token_life=token_life)

    followed = await followed_in(world)

    assert is_well == followed.feed.is_well
    assert ("kept", token_life, is_well) in world.told


async def test_it_is_well_once_they_are_kept_for_longer() -> None:
    world = World(token_life=60)

    def migrate(_: FakeLink) -> None:
        world.now += 30
        world.token_life = DAY

    world.steps = [silence, migrate]
    followed = await followed_in(world)

    assert followed.feed.is_well
    kept = [each for each in world.told if isinstance(each, tuple) and each[0] == "kept"]
    assert kept == [("kept", 60, False), ("kept", DAY, True)]
