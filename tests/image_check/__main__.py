"""Proves what deploy/Dockerfile promises, on this machine: ``python -m image_check``.

No registry of images is asked and no daemon is needed: buildah builds deploy/Dockerfile, as it
is, on a base made here of Debian's packages. That base has Debian's Python in place of 3.13; the
requirement files are the same for every Python from 3.11 on, and that they have wheels for 3.13
is asked of the package index.

Ends with 0 when everything holds or when this machine lacks what it takes, and says which.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from image_check.base import Impossible, base_system, obstacles, workplace
from image_check.builder import Builder
from image_check.contents import CONTENTS
from image_check.image import Broken
from image_check.program import PROGRAM
from image_check.wheels import wheels
from wicketgate import __version__
from wicketgate.errors import EnvironmentFaultError

TOP = Path(__file__).parents[2]
NEEDED_BYTES = 4 * 2**30
"""A base, two layers on it, and a container, none of which share blocks."""

Say = Callable[[str], None]


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m image_check")
    parser.add_argument("--requirements", choices=("runtime", "otel"), default="runtime")
    parser.add_argument("--rootfs", type=Path, help="a base to use instead of making one")
    options = parser.parse_args()
    started = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"image-check: {time.monotonic() - started:5.1f} s  {line}\n")
        sys.stdout.flush()

    missing = obstacles(needed_bytes=NEEDED_BYTES)
    if missing:
        say(f"skipped: {'; '.join(missing)}")
        return 0
    try:
        with workplace() as directory:
            run(directory, options.requirements, options.rootfs, say)
    except Impossible as error:
        say(f"skipped: {error}")
        return 0
    except (Broken, EnvironmentFaultError) as error:
        say(f"failed: {error}")
        return 1
    say("passed")
    return 0


def run(directory: Path, requirements: str, rootfs: Path | None, say: Say) -> None:
    """Build and look; all that is written is in `directory`.

    Raises:
        Impossible: this machine cannot do it.
        Broken: the image is not what it should be.
    """
    for line in wheels(TOP, directory):
        say(line)
    if rootfs is None:
        say("making a base of Debian's packages (a minute or two)")
    base = rootfs or base_system(directory / "base")
    with Builder(directory) as builder:
        builder.adopt(base)
        say(f"building deploy/Dockerfile with requirements/{requirements}.txt")
        image = builder.build(TOP, requirements=requirements, revision="image-check")
        say(f"built {image.size()}")
        for look in CONTENTS:
            say(look(image, requirements, __version__))
        for use in PROGRAM:
            say(asyncio.run(use(image, requirements)))


if __name__ == "__main__":
    raise SystemExit(main())
