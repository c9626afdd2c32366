"""Files that change in all the ways in which files are changed.

Where `HEARD` is used, nothing is looked at in time: the news has to arrive.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from watchfiles import Change

from wicketgate.adapters.file_watch import FileWatch, News

HEARD = 600.0
LOOKED = 0.1


def write(path: Path, text: str) -> None:
    path.write_text(text)


def link(path: Path, target: Path | str) -> None:
    """Make a link, or move it, in one step."""
    beside = path.with_name(f"{path.name}~")
    beside.symlink_to(target)
    beside.rename(path)


class Following:
    """Counts the changes that a watch tells of."""

    def __init__(self, watch: FileWatch) -> None:
        self._watch = watch
        self._heard: asyncio.Queue[None] = asyncio.Queue()

    async def run(self) -> None:
        async for _ in self._watch.changes():
            self._heard.put_nowait(None)

    async def hear(self) -> None:
        """Wait for one change."""
        await asyncio.wait_for(self._heard.get(), 20)

    async def until_watching(self, path: Path) -> None:
        """Change `path` until that is heard: nothing tells when watching has begun."""
        for number in count():
            write(path, f"{number}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.get(), 0.2)
                break
        write(path, "old")
        await self.hear()

    @property
    def is_quiet(self) -> bool:
        return self._heard.empty()


@asynccontextmanager
async def following(watch: FileWatch) -> AsyncIterator[Following]:
    follower = Following(watch)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "policy.yaml"
    path.parent.mkdir()
    write(path, "old")
    return path


def write_in_place(path: Path) -> None:
    path.write_text("new")


def rename_over(path: Path, text: str = "new") -> None:
    beside = path.with_name(f"{path.name}~")
    beside.write_text(text)
    beside.rename(path)


def delete(path: Path) -> None:
    path.unlink()


def delete_and_write(path: Path) -> None:
    path.unlink()
    path.write_text("new")


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("change", [write_in_place, rename_over, delete, delete_and_write, empty])
async def test_a_change_is_heard(change: Callable[[Path], None], path: Path) -> None:
    async with following(FileWatch([path], look_seconds=HEARD)) as follower:
        await follower.until_watching(path)

        change(path)
        await follower.hear()


async def test_a_file_that_appears_is_heard(path: Path) -> None:
    other = path.with_name("tokens.yaml")
    async with following(FileWatch([path, other], look_seconds=HEARD)) as follower:
        await follower.until_watching(path)

        write_in_place(other)
        await follower.hear()


async def test_each_of_several_files_is_heard_wherever_it_is(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "run" / "token"
    other.parent.mkdir()
    other.write_text("old")
    async with following(FileWatch([path, other], look_seconds=HEARD)) as follower:
        await follower.until_watching(path)

        write_in_place(other)
        await follower.hear()
        write_in_place(path)
        await follower.hear()


def kubernetes_volume(folder: Path, text: str) -> Path:
    """Make what a kubelet makes of a ConfigMap, and return the file as a pod sees it."""
    folder.mkdir()
    kubernetes_swap(folder, "..2026_1", text)
    (folder / "policy.yaml").symlink_to("..data/policy.yaml")
    return folder / "policy.yaml"


def kubernetes_swap(folder: Path, name: str, text: str) -> None:
    """Make a new version, and swap it in as a kubelet does."""
    (folder / name).mkdir()
    (folder / name / "policy.yaml").write_text(text)
    link(folder / "..data", name)


async def test_a_volume_of_kubernetes_is_swapped_and_swapped_again(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    path = kubernetes_volume(folder, "old")
    beside = folder / "beside"
    beside.write_text("")
    async with following(FileWatch([path, beside], look_seconds=HEARD)) as follower:
        await follower.until_watching(beside)

        kubernetes_swap(folder, "..2026_2", "new")
        await follower.hear()
        shutil.rmtree(folder / "..2026_1")
        kubernetes_swap(folder, "..2026_3", "newer")
        await follower.hear()

    assert path.read_text() == "newer"


async def test_a_link_is_followed_to_where_it_leads_and_to_where_it_is_moved(
    path: Path, tmp_path: Path
) -> None:
    places = [tmp_path / "first" / "a", tmp_path / "second" / "b"]
    for place in places:
        place.parent.mkdir()
        place.write_text(place.name)
    alias = path.with_name("alias")
    link(alias, places[0])
    async with following(FileWatch([alias], look_seconds=HEARD)) as follower:
        await follower.until_watching(places[0])

        link(alias, places[1])
        await follower.hear()
        await follower.until_watching(places[1])


async def test_the_same_contents_are_no_news(path: Path) -> None:
    async with following(FileWatch([path], look_seconds=LOOKED)) as follower:
        await follower.until_watching(path)
        write(path, "old")
        rename_over(path, "old")
        write(path.with_name("another"), "new")
        # Time for several looks; were this too short, the test would only see less.
        await asyncio.sleep(5 * LOOKED)

        assert follower.is_quiet
        write_in_place(path)
        await follower.hear()
        assert follower.is_quiet


async def test_a_change_before_the_watching_began_is_found(path: Path) -> None:
    """
    Whoever reads the file does so after the watch was made, and before it runs.
    """
    watch = FileWatch([path], look_seconds=LOOKED)
    write_in_place(path)

    async with following(watch) as follower:
        await follower.hear()


async def test_a_directory_may_vanish_and_come_back(path: Path) -> None:
    async with following(FileWatch([path], look_seconds=LOOKED)) as follower:
        await follower.until_watching(path)

        shutil.rmtree(path.parent)
        await follower.hear()
        path.parent.mkdir()
        write(path, "old")
        await follower.hear()
        write_in_place(path)
        await follower.hear()


async def test_a_directory_may_be_another_one_of_the_same_name(path: Path) -> None:
    async with following(FileWatch([path], look_seconds=LOOKED)) as follower:
        await follower.until_watching(path)

        path.parent.rename(path.parent.with_name("before"))
        path.parent.mkdir()
        write(path, "old")
        # Until the old directory is no longer the one that is watched.
        await asyncio.sleep(5 * LOOKED)
        write_in_place(path)
        await follower.hear()


async def test_a_directory_may_appear_that_never_was(tmp_path: Path) -> None:
    path = tmp_path / "later" / "policy.yaml"
    async with following(FileWatch([path], look_seconds=LOOKED)) as follower:
        path.parent.mkdir()
        write_in_place(path)
        await follower.hear()


@pytest.mark.parametrize("error", [OSError("no space left"), RuntimeError("unwatchable")])
async def test_what_cannot_be_watched_is_looked_at(error: Exception, path: Path) -> None:
    async def fails(_: frozenset[Path], __: float) -> News:
        for nothing in list[set[tuple[Change, str]]]():
            yield nothing
        raise error

    watch = FileWatch([path], look_seconds=LOOKED, news=fails)
    async with following(watch) as follower:
        write_in_place(path)
        await follower.hear()
        delete(path)
        await follower.hear()


async def test_a_path_that_leads_nowhere_hides_no_other(path: Path) -> None:
    nowhere = path.with_name("x" * 5000)
    async with following(FileWatch([nowhere, path], look_seconds=LOOKED)) as follower:
        write_in_place(path)
        await follower.hear()


async def test_a_link_to_itself_may_become_a_file(path: Path) -> None:
    alias = path.with_name("alias")
    link(alias, alias)
    async with following(FileWatch([alias], look_seconds=LOOKED)) as follower:
        rename_over(alias)
        await follower.hear()


def test_what_is_in_a_pipe_is_left_to_whoever_it_is_for() -> None:
    """
    ``SERVICE_AUTH_TOKEN_FILE=<(vault read ...)`` names one.
    """
    reader, writer = os.pipe()
    try:
        os.write(writer, b"secret")
        FileWatch([Path(f"/dev/fd/{reader}")])

        assert os.read(reader, 100) == b"secret"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/fd", "x" * 5000, "a\ud800"])
def test_what_is_no_file_is_nothing(path: str) -> None:
    FileWatch([Path(path)])


async def test_no_files_never_change() -> None:
    assert [change async for change in FileWatch([]).changes()] == []
