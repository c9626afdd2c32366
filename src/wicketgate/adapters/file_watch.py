"""Notices that files changed, however they were changed.

Editors write in place or rename over; Kubernetes mounts a directory in which
``..data`` is a symbolic link that is swapped. So directories are watched, and what
counts is whether the contents differ from those seen before.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, suppress
from hashlib import file_digest
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

DEBOUNCE_MILLISECONDS: Final = 200
"""Several files of one change arrive together."""
LOOK_SECONDS: Final = 5.0
"""Between two looks without any news: network file systems send none."""

News = AsyncGenerator[set[tuple[Change, str]], None]
"""What changed, and nothing whenever for some time nothing did."""


def news_of(directories: frozenset[Path], seconds: float) -> News:
    """Return the news of `directories`, without what is below them.

    Raises:
        OSError: or RuntimeError, on the way: they cannot be watched.
    """
    return awatch(
        *directories,
        watch_filter=None,
        debounce=DEBOUNCE_MILLISECONDS,
        step=DEBOUNCE_MILLISECONDS // 4,
        rust_timeout=int(seconds * 1000),
        yield_on_timeout=True,
        recursive=False,
    )


class FileWatch:
    """The contents of some files, and when they become different."""

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        look_seconds: float = LOOK_SECONDS,
        news: Callable[[frozenset[Path], float], News] = news_of,
    ) -> None:
        """Remember the contents as they are now, before anybody else reads them.

        Args:
            paths: Files; they may vanish and come back. What is no file, such as a
                pipe, is left alone: it can be read only once, and not by us.
            look_seconds: How often to look when nothing is heard.
            news: Tells that something happened in directories.
        """
        self._files = tuple(paths)
        self._look_seconds = look_seconds
        self._news = news
        self._seen = _contents(self._files)

    def mark(self) -> None:
        """Remember the contents as they are now; call it before reading them.

        What changes while they are read then differs from what was remembered, and
        is noticed at the next look.
        """
        self._seen = _contents(self._files)

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever the contents are not those that were remembered; see `mark`.

        Never ends, unless there are no files, and never raises: a directory that
        cannot be watched is looked at.
        """
        if not self._files:
            return
        async with aclosing(self._looks()) as looks:
            async for _ in looks:
                if await self._is_different():
                    yield

    async def _looks(self) -> AsyncGenerator[None, None]:
        """Yield whenever something may be different, and every so often in any case."""
        while True:
            try:
                directories = _directories(self._files)
                async with aclosing(self._news(directories, self._look_seconds)) as news:
                    async for changed in news:
                        yield
                        # Without news the directory may be another one of the same name.
                        if not changed or directories != _directories(self._files):
                            break
            # A directory vanished just now, or cannot be watched or found: looking has to do.
            except (OSError, RuntimeError):
                await asyncio.sleep(self._look_seconds)
                yield

    async def _is_different(self) -> bool:
        found = await asyncio.to_thread(_contents, self._files)
        is_different = found != self._seen
        self._seen = found
        return is_different


def _directories(files: Iterable[Path]) -> frozenset[Path]:
    """Return where a change shows: where a file is, and where a link to elsewhere leads."""
    found = set()
    for file in files:
        found.add(file.parent)
        # In a Kubernetes volume the links stay inside, and swapping one shows there.
        with suppress(OSError, RuntimeError):
            target = file.resolve().parent
            if not target.is_relative_to(file.parent.resolve()):
                found.add(target)
    return frozenset(place for place in found if place.is_dir())


def _contents(files: tuple[Path, ...]) -> tuple[bytes | None, ...]:
    return tuple(map(_digest, files))


def _digest(file: Path) -> bytes | None:
    with suppress(OSError):
        if file.is_file():
            with file.open("rb") as opened:
                return file_digest(opened, "sha256").digest()
    return None
