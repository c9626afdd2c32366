"""A program that is started here and is gone when we are done with it.

It is known by its process id and by nothing else, and leads a session of its
own: Ctrl-C in the terminal reaches us, and we decide in which order to stop.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from wicketgate.errors import EnvironmentFaultError

TAIL_LINES: Final = 15
POLL_SECONDS: Final = 0.05
STOP_SECONDS: Final = 5.0
"""Longer than an orderly stop takes here, short enough to wait for."""


class ChildProcess:
    """One running program, its output kept in two files."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to run `command`.

        Args:
            name: What people call it.
            command: The program and its arguments.
            directory: Where its output goes.
            environment: All of its environment; `None` passes ours on.
        """
        self.name = name
        self._command = command
        self._environment = environment
        self._stdout = directory / f"{name}.stdout"
        self._stderr = directory / f"{name}.stderr"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """The status it ended with; `None` before that."""
        return self._process.returncode if self._process else None

    @property
    def stdout(self) -> str:
        """What it has written to its standard output."""
        return _read(self._stdout)

    @property
    def stderr(self) -> str:
        """What it has written to its standard error."""
        return _read(self._stderr)

    @property
    def tail(self) -> str:
        """The last lines that it has written, complaints last."""
        lines = [*self.stdout.splitlines(), *self.stderr.splitlines()]
        return "\n".join(lines[-TAIL_LINES:]) or "(it wrote nothing)"

    async def start(self) -> None:
        """Run it.

        Raises:
            EnvironmentFaultError: the machine will not run the program.
        """
        # Appending, because Envoy opens /dev/stdout a second time for its access log.
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                msg = f"{self.name} cannot be run from {self._command[0]}: {error.strerror}"
                raise EnvironmentFaultError(msg) from None

    async def wait_until(
        self, is_ready: Callable[[], Awaitable[bool]], *, seconds: float, what: str
    ) -> None:
        """Ask again and again until it is ready.

        Args:
            is_ready: Asks once.
            seconds: How long to go on.
            what: What is waited for; for the complaint.

        Raises:
            EnvironmentFaultError: it ended or did not become ready in time. The
                message ends with the tail of its output.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.is_running:
                    if await is_ready():
                        return
                    await asyncio.sleep(POLL_SECONDS)
        if self._process is not None and not self.is_running:
            fate = f"ended with status {self._process.returncode}"
        else:
            fate = f"was not {what} within {seconds:g} s"
        msg = f"{self.name} {fate}; it wrote:\n{self.tail}"
        raise EnvironmentFaultError(msg)

    async def wait(self, *, seconds: float) -> int:
        """Wait until it ends by itself; return its status.

        Raises:
            EnvironmentFaultError: it was not started, or goes on after `seconds`; then
                it is stopped.
        """
        if self._process is not None:
            try:
                with suppress(TimeoutError):
                    return await asyncio.wait_for(self._process.wait(), seconds)
            finally:
                await self.stop()
        msg = f"{self.name} did not end within {seconds:g} s; it wrote:\n{self.tail}"
        raise EnvironmentFaultError(msg)

    async def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """End it: SIGTERM, and SIGKILL after `seconds`. Harmless when it is not running."""
        process = self._process
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        finally:
            # Also when the wait was cut short from outside: it must not outlive us.
            if process.returncode is None:
                await self.kill()

    async def interrupt(self, number: signal.Signals) -> None:
        """Send it a signal and wait until it ends, as long as `stop` would."""
        if self._process is not None:
            self._process.send_signal(number)
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)

    async def kill(self) -> None:
        """End it without warning, as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text("utf-8", "replace")
    return ""
