"""buildah, with everything that it keeps in one directory."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from image_check.image import Broken, Image

BASE: Final = "localhost/python:3.13-slim"
"""What ``FROM python:3.13-slim`` finds here, before any registry."""
IMAGE: Final = "localhost/wicketgate:image-check"
BUILD_SECONDS: Final = 1200
TAIL_LINES: Final = 25

FORWARDED: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout")
"""Of pip's settings on this machine, those that hold anywhere."""


class Builder:
    """Builds, and leaves nothing behind."""

    def __init__(self, directory: Path) -> None:
        """Keep everything in `directory`."""
        self._directory = directory
        self._command = (
            "buildah",
            *("--root", str(directory / "store")),
            *("--runroot", str(directory / "run")),
            *("--storage-driver", "vfs"),
        )
        self._container = ""

    def __enter__(self) -> Self:
        """Do nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what is mounted."""
        if self._container:
            self._run("umount", self._container)
        self._run("rm", "--all")

    def adopt(self, root: Path) -> None:
        """Make the files in `root` the base."""
        container = self._run("from", "scratch").strip()
        self._run("add", "--quiet", container, str(root))
        self._run("commit", "--quiet", "--rm", container, BASE)

    def build(self, top: Path, *, requirements: str, revision: str) -> Image:
        """Build the Dockerfile of the checkout at `top`, and return the image."""
        settings = pip_settings()
        options = self._secrets(settings)
        self._run(
            "build",
            *("--isolation", "chroot", "--pull-never", "--format", "docker"),
            *("--build-arg", f"REQUIREMENTS={requirements}"),
            *("--build-arg", f"REVISION={revision}"),
            *options,
            *("--file", str(top / "deploy" / "Dockerfile")),
            *("--tag", IMAGE, str(top)),
        )
        self._container = self._run("from", "--pull-never", IMAGE).strip()
        description = self._run("inspect", "--type", "image", IMAGE)
        return Image(
            root=Path(self._run("mount", self._container).strip()),
            config=json.loads(description)["Docker"]["config"],
            bytes=self._size(IMAGE),
            base_bytes=self._size(BASE),
            description=description,
            index=tuple(value for name, value in settings.items() if name.endswith("index-url")),
        )

    def _secrets(self, settings: dict[str, str]) -> list[str]:
        """Return the options that let the build, and no layer, have pip's settings."""
        options = []
        lines = [
            "[global]",
            *(f"{name} = {settings[name]}" for name in FORWARDED if name in settings),
        ]
        if (authorities := settings.get("cert")) and Path(authorities).is_file():
            lines.append("cert = /run/secrets/ca.pem")
            options += ["--secret", f"id=ca.pem,src={authorities}"]
        file = self._directory / "pip.conf"
        file.write_text("\n".join([*lines, ""]))
        file.chmod(0o600)
        return [*options, "--secret", f"id=pip.conf,src={file}"]

    def _size(self, name: str) -> int:
        listed = json.loads(self._run("images", "--json", name))
        units = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}
        number, unit = re.fullmatch(r"([0-9.]+) ?([KMG]?B)", listed[0]["size"]).groups()  # type: ignore[union-attr]
        return int(float(number) * units[unit])

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            (*self._command, *words),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
        if done.returncode:
            said = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-TAIL_LINES:])
            msg = f"buildah {words[0]} ended with status {done.returncode}; it wrote:\n{said}"
            raise Broken(msg)
        return done.stdout


def pip_settings() -> dict[str, str]:
    """Return the settings of pip on this machine; those of the environment count."""
    pip = shutil.which("pip") or ""
    command = (pip, "config", "list") if pip else (sys.executable, "-m", "pip", "config", "list")
    listed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = value.strip("'\"")
    for name, value in os.environ.items():
        if name in {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_TRUSTED_HOST"}:
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found
