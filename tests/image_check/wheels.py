"""That all requirements have wheels for what the image is built for.

The index is asked for names and hashes; nothing is downloaded to be kept, nothing built.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from image_check.image import Broken

PLATFORMS: Final = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
"""Debian 12's C library or a later one."""
FILES: Final = ("runtime", "otel")


def wheels(top: Path, directory: Path) -> Iterator[str]:
    """Yield a line for each platform.

    Raises:
        Broken: a requirement has no wheel.
    """
    base = re.search(
        r"^ARG BASE=python:([0-9.]+)", (top / "deploy" / "Dockerfile").read_text(), re.MULTILINE
    )
    if base is None:
        msg = "deploy/Dockerfile names no Python"
        raise Broken(msg)
    for platform in PLATFORMS:
        for name in FILES:
            done = subprocess.run(
                (
                    *(Path(sys.executable).with_name("uv"), "pip", "install", "--dry-run"),
                    *("--target", directory / "nothing", "--python-version", base[1]),
                    *("--python-platform", platform, "--only-binary", ":all:"),
                    *("--require-hashes", "--requirements", top / "requirements" / f"{name}.txt"),
                ),
                check=False,
                capture_output=True,
                text=True,
                timeout=300,
            )
            if done.returncode:
                msg = f"requirements/{name}.txt cannot be installed for {platform}:\n{done.stderr}"
                raise Broken(msg)
        yield f"Python {base[1]} on {platform.partition('-')[0]}: every requirement has a wheel"
