"""A real Postgres, run from the wheel that carries its binaries.

Root becomes ``nobody`` for as long as Postgres runs, for Postgres will not be run
by root, and everything is in one directory that goes with it. Commits are durable,
as they are in production.
"""

import asyncio
import os
import pwd
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.child import TAIL_LINES, ChildProcess
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.postgres_binaries import copy_installation, find_postgres, is_open_to_all

START_SECONDS: Final = 20.0
"""A cold start takes about one; a loaded machine gets time."""
USER: Final = "postgres"

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


class EmbeddedPostgres:
    """One Postgres on loopback, with a password of its own.

    Attributes:
        port: Its TCP port, the same after every `start`.
        directory: Everything that it writes.
    """

    port: int
    directory: Path

    def __init__(
        self,
        binaries: Path | None = None,
        *,
        parent: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to run Postgres.

        Args:
            binaries: The directory of its programs; by default see `find_postgres`.
            parent: Where its directory is made; by default where temporary files are.
            settings: Of its configuration, to add or replace.
        """
        self._binaries = binaries
        self._parent = parent
        self._settings = settings or {}
        self._password = secrets.token_hex(16)
        self._temporary: TemporaryDirectory[str] | None = None
        self._child: ChildProcess | None = None
        self._held = ExitStack()

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
        self._temporary = TemporaryDirectory(prefix="wicketgate-postgres-", dir=self._parent)
        self.directory = Path(self._temporary.name)
        (self.port,) = self._held.enter_context(held_ports(1))
        uid, gid = _unprivileged()
        binaries = self._binaries or find_postgres()
        if os.geteuid() == _ROOT:
            os.chown(self.directory, uid, gid)
            if not is_open_to_all(binaries):
                binaries = await asyncio.to_thread(
                    copy_installation, binaries, self.directory / "copy"
                )
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
            self._held.close()
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
