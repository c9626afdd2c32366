"""The comparison of Clerk's users with the mirror, and what people see of it."""

import io
import json
import tracemalloc
from collections.abc import Mapping, Sequence

import pytest

from wicketgate.core.claims import UserId
from wicketgate.core.comparison import Cursor, Effect, Page, Progress
from wicketgate.core.event import Milliseconds, UserProfile
from wicketgate.errors import DependencyError
from wicketgate.local.clerk_users import numbered_id
from wicketgate.sync import Reconciliation
from wicketgate.sync_report import SHOWN, BarReport, LineReport

NOW = 1_800_000_000.0


def user_id(number: int) -> UserId:
    return UserId(numbered_id("user_", number))


def profile(number: int, *, updated_at: int = 1) -> UserProfile:
    return UserProfile(
        clerk_user_id=user_id(number), first_name=f"N{number}", clerk_updated_at=updated_at
    )


class FakeDirectory:
    """Lists `everybody`, two at a time; knows `hidden` users by name only."""

    def __init__(self, *everybody: UserProfile, page_size: int = 2) -> None:
        self.everybody = list(everybody)
        self.hidden: list[UserProfile] = []
        self.asked: list[UserId] = []
        self.pages: list[int] = []
        self.faults: dict[int, Exception] = {}
        self.page_size = page_size

    async def count(self) -> int:
        return len(self.everybody)

    async def page(self, cursor: Cursor | None) -> Page:
        begin = cursor.position if cursor else 0
        self.pages.append(begin)
        if begin in self.faults:
            raise self.faults.pop(begin)
        found = self.everybody[begin : begin + self.page_size]
        end = begin + len(found)
        following = Cursor(found[-1].clerk_user_id, end) if found else None
        return Page(found, unusable=0, position=end, cursor=following)

    async def users(self, ids: Sequence[UserId]) -> Mapping[UserId, UserProfile | None]:
        self.asked += ids
        known = {each.clerk_user_id: each for each in (*self.everybody, *self.hidden)}
        return {each: known.get(each) for each in ids}


class FakeMirror:
    """A table in memory; `None` is a tombstone."""

    def __init__(self, *rows: UserProfile) -> None:
        self.rows: dict[UserId, UserProfile | None] = {row.clerk_user_id: row for row in rows}
        self.old = set(self.rows)
        self.seen: set[UserId] = set()
        self.progress: Progress | None = None
        self.event_ats: list[Milliseconds] = []

    async def begin(self, *, restart: bool) -> Progress:
        if restart or self.progress is None:
            self.progress, self.seen = Progress(), set()
        return self.progress

    async def save(
        self, profiles: Sequence[UserProfile], *, event_at: Milliseconds, progress: Progress
    ) -> Mapping[UserId, Effect]:
        self.progress = progress
        self.event_ats.append(event_at)
        return {each.clerk_user_id: self._save(each) for each in profiles}

    def _save(self, new: UserProfile) -> Effect:
        key = new.clerk_user_id
        self.seen.add(key)
        if key not in self.rows:
            self.rows[key] = new
            return Effect.CREATED
        row = self.rows[key]
        if row is None:
            return Effect.BURIED
        if row.clerk_updated_at >= new.clerk_updated_at:
            return Effect.UNCHANGED
        self.rows[key] = new
        return Effect.UPDATED

    async def count_live(self) -> int:
        return len(self._live())

    async def count_unseen(self) -> int:
        return len(self._live() - self.seen)

    async def unseen(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        return sorted(each for each in self._live() - self.seen if each > (after or ""))[:limit]

    async def bury(self, ids: Sequence[UserId], *, event_at: Milliseconds) -> None:
        self.event_ats.append(event_at)
        self.rows |= dict.fromkeys(ids)

    async def finish(self) -> None:
        self.progress = None

    def _live(self) -> set[UserId]:
        return {each for each in self.old if self.rows[each] is not None}


class Diary:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.changes: list[tuple[UserId, Effect]] = []
        self.listed: list[tuple[int, int]] = []
        self.asked: list[tuple[int, int]] = []
        self.tally: Mapping[str, int] = {}

    def listing(self, *, position: int, total: int) -> None:
        self.listed.append((position, total))

    def asking(self, *, done: int, total: int) -> None:
        self.asked.append((done, total))

    def changed(self, user_id: UserId, effect: Effect) -> None:
        self.changes.append((user_id, effect))

    def finished(self, tally: Mapping[str, int]) -> None:
        self.tally = dict(tally)


def run_of(
    directory: FakeDirectory,
    mirror: FakeMirror,
    *,
    diary: Diary | None = None,
    max_percent: float = 10.0,
) -> Reconciliation:
    return Reconciliation(
        directory,
        mirror,
        clock=lambda: NOW,
        observer=diary or Diary(),
        max_deletes_percent=max_percent,
    )


def crowd(count: int, *, first: int = 0) -> list[UserProfile]:
    return [profile(number) for number in range(first, first + count)]


async def test_the_mirror_becomes_what_clerk_lists() -> None:
    mirror = FakeMirror(profile(0), profile(1), profile(2, updated_at=9))
    directory = FakeDirectory(
        profile(0), profile(1, updated_at=2), profile(2, updated_at=5), profile(3)
    )
    diary = Diary()

    tally = await run_of(directory, mirror, diary=diary).run()

    assert mirror.rows[user_id(1)] == profile(1, updated_at=2)
    assert mirror.rows[user_id(2)] == profile(2, updated_at=9)
    assert mirror.rows[user_id(3)] == profile(3)
    assert dict(tally) == {"created": 1, "updated": 1, "unchanged": 2, "unusable": 0}
    assert diary.changes == [(user_id(1), Effect.UPDATED), (user_id(3), Effect.CREATED)]
    assert diary.tally == dict(tally)
    assert diary.listed == [(2, 4), (4, 4), (4, 4)]
    assert mirror.progress is None


async def test_a_page_counts_as_said_when_it_was_asked_for() -> None:
    """
    An event that Clerk made while the page was on its way is newer than the page.
    """
    times = iter((10.0, 20.0, 30.0))
    mirror = FakeMirror()
    comparison = Reconciliation(
        FakeDirectory(*crowd(3)), mirror, clock=lambda: next(times), observer=Diary()
    )

    await comparison.run()

    assert mirror.event_ats == [10_000, 20_000, 30_000]


async def test_only_who_clerk_does_not_know_becomes_a_tombstone() -> None:
    """
    Not being listed is not being gone: one is asked about by name.
    """
    mirror = FakeMirror(*crowd(30))
    directory = FakeDirectory(*crowd(28))
    directory.hidden = [profile(28, updated_at=7)]
    diary = Diary()

    await run_of(directory, mirror, diary=diary).run()

    assert directory.asked == [user_id(28), user_id(29)]
    assert mirror.rows[user_id(28)] == profile(28, updated_at=7)
    assert mirror.rows[user_id(29)] is None
    assert diary.changes == [(user_id(28), Effect.UPDATED), (user_id(29), Effect.DELETED)]
    assert diary.asked == [(2, 2)]


async def test_a_row_that_came_after_the_run_began_is_not_asked_about() -> None:
    mirror = FakeMirror(*crowd(3))
    mirror.rows[user_id(9)] = profile(9)
    directory = FakeDirectory(*crowd(3))

    await run_of(directory, mirror).run()

    assert directory.asked == []
    assert mirror.rows[user_id(9)] == profile(9)


async def test_a_tombstone_stays_although_clerk_lists_the_user() -> None:
    mirror = FakeMirror(profile(0))
    mirror.rows[user_id(0)] = None

    tally = await run_of(FakeDirectory(profile(0, updated_at=5)), mirror).run()

    assert mirror.rows == {user_id(0): None}
    assert tally["buried"] == 1


@pytest.mark.parametrize(
    ("rows", "gone", "max_percent", "is_allowed"),
    [
        (100, 10, 10.0, True),
        (100, 11, 10.0, False),
        (9, 1, 10.0, False),
        (9, 1, 12.0, True),
        (100, 1, 0.0, False),
        (400, 390, 99.0, True),
        (400, 400, 99.0, False),
        (5, 5, 100.0, True),
    ],
)
async def test_too_many_deletions_are_refused(
    rows: int, gone: int, max_percent: float, *, is_allowed: bool
) -> None:
    mirror = FakeMirror(*crowd(rows))
    somebody_else = crowd(1, first=5_000)
    directory = FakeDirectory(*crowd(rows - gone), *somebody_else, page_size=500)
    comparison = run_of(directory, mirror, max_percent=max_percent)

    if is_allowed:
        assert (await comparison.run())["deleted"] == gone
        assert list(mirror.rows.values()).count(None) == gone
        return
    with pytest.raises(DependencyError, match=r"nobody was deleted.*--max-deletes 100"):
        await comparison.run()
    assert None not in mirror.rows.values()


async def test_it_stops_asking_once_too_many_are_gone() -> None:
    """
    A wrong secret key must not cost a question for each of a million rows.
    """
    mirror = FakeMirror(*crowd(3_000))
    directory = FakeDirectory(*crowd(5, first=9_000))

    with pytest.raises(DependencyError, match=r"no longer knows 400 or more of 3000"):
        await run_of(directory, mirror).run()

    assert len(directory.asked) <= 400


async def test_an_empty_list_deletes_nobody() -> None:
    mirror = FakeMirror(*crowd(4))

    with pytest.raises(DependencyError, match=r"no users at all, and 4 live rows.*nobody was"):
        await run_of(FakeDirectory(), mirror, max_percent=99.0).run()

    assert None not in mirror.rows.values()


async def test_an_empty_list_deletes_everybody_when_it_is_said_that_it_may() -> None:
    mirror = FakeMirror(*crowd(4))

    await run_of(FakeDirectory(), mirror, max_percent=100.0).run()

    assert set(mirror.rows.values()) == {None}


async def test_an_empty_list_and_an_empty_mirror_are_the_same() -> None:
    assert dict(await run_of(FakeDirectory(), FakeMirror()).run()) == {"unusable": 0}


async def test_a_run_that_was_cut_short_goes_on_where_it_was() -> None:
    directory, mirror = FakeDirectory(*crowd(6)), FakeMirror(*crowd(60))
    directory.hidden = crowd(60)
    directory.faults = {4: DependencyError("Clerk's users could not be read")}
    with pytest.raises(DependencyError):
        await run_of(directory, mirror).run()

    await run_of(directory, mirror).run()

    assert directory.pages == [0, 2, 4, 4, 6]
    assert directory.asked == [user_id(number) for number in range(6, 60)]


async def test_a_restart_begins_at_the_beginning() -> None:
    directory, mirror = FakeDirectory(*crowd(4)), FakeMirror()
    directory.faults = {2: DependencyError("Clerk's users could not be read")}
    with pytest.raises(DependencyError):
        await run_of(directory, mirror).run()

    await run_of(directory, mirror).run(restart=True)

    assert directory.pages == [0, 2, 0, 2, 4]


async def test_a_run_that_was_refused_goes_on_without_listing_again() -> None:
    directory, mirror = FakeDirectory(*crowd(4)), FakeMirror(*crowd(10))
    with pytest.raises(DependencyError):
        await run_of(directory, mirror).run()
    listed = list(directory.pages)

    tally = await run_of(directory, mirror, max_percent=100.0).run()

    assert listed == directory.pages
    assert tally["deleted"] == 6


class Generated(FakeDirectory):
    """Makes its users up, 500 at a time, and keeps none."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    async def count(self) -> int:
        return self._count

    async def page(self, cursor: Cursor | None) -> Page:
        begin = cursor.position if cursor else 0
        end = min(begin + 500, self._count)
        found = crowd(end - begin, first=begin)
        return Page(found, 0, end, Cursor(found[-1].clerk_user_id, end) if found else None)


class Forgetful(FakeMirror):
    """Keeps no rows: memory must then be that of the comparison alone."""

    def _save(self, new: UserProfile) -> Effect:
        del new
        return Effect.CREATED

    async def save(
        self, profiles: Sequence[UserProfile], *, event_at: Milliseconds, progress: Progress
    ) -> Mapping[UserId, Effect]:
        effects = await super().save(profiles, event_at=event_at, progress=progress)
        self.event_ats.clear()
        return effects


async def peak_kib(count: int) -> float:
    report = LineReport(io.StringIO(), timer=lambda: 0.0, is_dry=False)
    comparison = Reconciliation(Generated(count), Forgetful(), clock=lambda: NOW, observer=report)
    tracemalloc.start()
    try:
        assert (await comparison.run())["created"] == count
        return tracemalloc.get_traced_memory()[1] / 1024
    finally:
        tracemalloc.stop()


async def test_memory_does_not_grow_with_the_number_of_users() -> None:
    """
    A hundred thousand take what a thousand take, within a page's worth.
    """
    await peak_kib(1_000)  # whatever is imported and cached on the way

    few, many = await peak_kib(1_000), await peak_kib(100_000)

    assert many < few + 256


# -- what people see


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


def test_the_bar_is_drawn_and_wiped_before_the_sum() -> None:
    bar, out = io.StringIO(), io.StringIO()
    report = BarReport(bar, out, timer=Clock(), is_dry=False)

    report.listing(position=50_000, total=100_000)
    report.asking(done=1, total=2)
    report.finished({"created": 1_234, "unchanged": 98_766, "buried": 2, "unusable": 0})

    assert "comparing [##############..............] 50,000 of 100,000" in bar.getvalue()
    assert "asking about the missing [##############..............] 1 of 2" in bar.getvalue()
    assert bar.getvalue().endswith("\r\x1b[K")
    first, second = out.getvalue().splitlines()
    assert first == "1,234 created, 0 updated, 98,766 unchanged, 0 deleted"
    assert second == "2 listed by Clerk and deleted here before: left as they are"


def test_the_bar_is_not_drawn_more_often_than_anybody_looks() -> None:
    bar = io.StringIO()
    report = BarReport(bar, io.StringIO(), timer=lambda: 1.0, is_dry=False)

    for position in range(0, 1_001, 10):
        report.listing(position=position, total=1_000)

    assert bar.getvalue().count("comparing") == 2
    assert "1,000 of 1,000" in bar.getvalue()


def test_an_empty_list_draws_a_full_bar() -> None:
    bar = io.StringIO()

    BarReport(bar, io.StringIO(), timer=Clock(), is_dry=False).listing(position=0, total=0)

    assert "0 of 0" in bar.getvalue()


@pytest.mark.parametrize(
    ("effect", "is_dry", "said"),
    [
        (Effect.DELETED, False, f"deleted: {user_id(1)}\n"),
        (Effect.CREATED, False, ""),
        (Effect.CREATED, True, f"would be created: {user_id(1)}\n"),
        (Effect.DELETED, True, f"would be deleted: {user_id(1)}\n"),
    ],
)
def test_a_person_reads_which_rows_change_where_it_matters(
    effect: Effect, said: str, *, is_dry: bool
) -> None:
    out = io.StringIO()

    BarReport(io.StringIO(), out, timer=Clock(), is_dry=is_dry).changed(user_id(1), effect)

    assert out.getvalue() == said


def test_a_person_is_not_shown_thousands_of_rows() -> None:
    out = io.StringIO()
    report = BarReport(io.StringIO(), out, timer=Clock(), is_dry=True)

    for number in range(1_000):
        report.changed(user_id(number), Effect.CREATED)
    report.finished({"created": 1_000})

    lines = out.getvalue().splitlines()
    assert len(lines) == SHOWN + 2
    assert "--json names them all" in lines[-2]
    assert lines[-1].startswith("nothing was written; it would be: 1,000 created")


def test_a_program_reads_one_object_a_line() -> None:
    out = io.StringIO()
    report = LineReport(out, timer=Clock(), is_dry=True)

    report.listing(position=500, total=1_000)
    report.changed(user_id(1), Effect.UPDATED)
    report.asking(done=3, total=3)
    report.finished({"updated": 1})
    report.close()

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["listing", "change", "asking", "finished"]
    assert lines[0] == {"event": "listing", "dry_run": True, "done": 500, "total": 1_000}
    assert lines[1]["clerk_user_id"] == user_id(1)
    assert lines[3]["updated"] == 1
    assert lines[3]["deleted"] == 0


def test_a_program_is_told_of_progress_once_a_second_and_at_the_end() -> None:
    out = io.StringIO()
    report = LineReport(out, timer=lambda: 1.0, is_dry=False)

    for position in range(0, 1_001, 10):
        report.listing(position=position, total=1_000)
    report.changed(user_id(1), Effect.CREATED)

    done = [json.loads(line)["done"] for line in out.getvalue().splitlines()]
    assert done == [0, 1_000]
