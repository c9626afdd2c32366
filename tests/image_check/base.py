"""A base for the image, of the packages of the Debian that this machine runs.

It stands in for ``python:3.13-slim`` where no registry can be reached: a Debian with a
Python, its ``venv``, and pip. Where the packages come from is read from apt's own sources.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
SOURCES: Final = Path("/etc/apt")
SPACE: Final = Path("/var/tmp")  # noqa: S108 - a directory is made in it
"""Not where temporary files usually are: that may be memory, or forbid devices."""
NEEDED: Final = ("buildah", "debootstrap", "unshare", "chroot", "setpriv")
ENOUGH_SECONDS: Final = 900


class Impossible(Exception):  # noqa: N818 - it is no error of ours
    """This machine cannot do it."""


def obstacles(*, needed_bytes: int) -> list[str]:
    """Return what this machine lacks."""
    lacks = [f"{name} is not installed" for name in NEEDED if shutil.which(name) is None]
    if platform.system() != "Linux":
        lacks.append("this is not Linux")
    elif os.geteuid() != 0:
        lacks.append("this is not root, who alone can make devices and change roots")
    if shutil.disk_usage(SPACE).free < needed_bytes:
        lacks.append(f"{SPACE} has less than {needed_bytes / 2**30:.0f} GiB free")
    return lacks


@contextmanager
def workplace() -> Iterator[Path]:
    """Keep a directory for as long as the context is open, then remove it.

    Not while anything is mounted below it: whoever removes a mounted directory removes what
    is in it, which may be this machine's.
    """
    directory = Path(mkdtemp(prefix="wicketgate-image-", dir=SPACE))
    try:
        yield directory
    finally:
        mounted = mounts_below(directory, Path("/proc/self/mounts").read_text("utf-8"))
        if mounted:
            sys.stderr.write(f"image-check: still mounted, so {directory} stays: {mounted}\n")
        else:
            shutil.rmtree(directory)


def mounts_below(directory: Path, mounts: str) -> list[str]:
    """Return where something is mounted in `directory`, as ``/proc/self/mounts`` lists it."""
    places = (line.split(" ")[1] for line in mounts.splitlines())
    return [place for place in places if Path(place).is_relative_to(directory)]


def base_system(directory: Path) -> Path:
    """Make a base in `directory`, and return it.

    Raises:
        Impossible: apt has no source for this Debian, or it cannot be reached.
    """
    release = platform.freedesktop_os_release()
    suite = release.get("VERSION_CODENAME", "")
    mirror = next(mirrors(read_sources(), suite), None)
    if mirror is None:
        msg = f"apt has no source for {suite or 'this system'}"
        raise Impossible(msg)
    done = subprocess.run(
        ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, directory, mirror),  # noqa: S607
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=ENOUGH_SECONDS,
    )
    if done.returncode:
        # Without the mirror, which may hold a password.
        last = (done.stdout.strip().splitlines() or ["nothing"])[-1].replace(mirror, "…")
        msg = f"debootstrap ended with status {done.returncode} and wrote: {last}"
        raise Impossible(msg)
    # The base that it stands in for calls it so.
    (directory / "usr" / "bin" / "python").symlink_to("python3")
    return directory


def read_sources() -> str:
    """Return apt's sources, in both of their notations."""
    places = [SOURCES / "sources.list", *sorted((SOURCES / "sources.list.d").glob("*"))]
    files = [each for each in places if each.suffix in {".list", ".sources"} and each.is_file()]
    return "\n\n".join(each.read_text("utf-8", "replace") for each in files)


def mirrors(sources: str, suite: str) -> Iterator[str]:
    """Yield the addresses that have packages of `suite`, in order.

    Source: sources.list(5), "one-line-style" and "deb822-style format".
    """
    for stanza in sources.split("\n\n"):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        for line in lines:
            words = [word for word in line.split() if not _is_option(word)]
            if words[:1] == ["deb"] and words[2:3] == [suite]:
                yield words[1]
        fields = dict(_fields(lines))
        if "deb" in fields.get("types", "").split() and suite in fields.get("suites", "").split():
            yield from fields.get("uris", "").split()


def _is_option(word: str) -> bool:
    return word.startswith("[") or word.endswith("]")


def _fields(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and " " not in name:
            yield name.lower(), value.strip()
