"""The README's table of stacks: which of them delivers ``clerk_user_id``, and which conflates.

Asked directly, without Envoy: with the header under its own name, and under the dashed one that
the gate removes. What the table says of Node, Go and aiohttp is asked of their examples.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from upstreams import (
    ALL,
    Command,
    NotInstalledError,
    Place,
    installed,
    listening,
    nginx,
)
from wicketgate.local.client import Client

pytestmark = pytest.mark.timeout(300)  # Go compiles its standard library the first time

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PROBE = TESTS / "header_probe.py"
OWN = "user_good"
DASHED = "user_dash"
NGINX = """
daemon off; pid nginx.pid; error_log stderr; events {}
http { access_log off; SWITCH
    server { listen 127.0.0.1:8081; default_type application/json;
        location / { return 200 '{"value": "$http_clerk_user_id"}'; } } }
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """A way to read the header.

    Attributes:
        name: As in the ids of tests.
        command: How it is served.
        delivers: Whether ``clerk_user_id`` arrives.
        conflates: Whether ``clerk-user-id`` is read in its place.
        row: A word of its line in the README's table.
    """

    name: str
    command: Command
    delivers: bool
    conflates: bool
    row: str


def probe(module: str, *arguments: str) -> Command:
    """Return how a program of ``make test-examples`` serves the probe."""

    def command(place: Place) -> list[str | Path]:
        bind = f"127.0.0.1:{place.port}"
        filled = (each.format(bind=bind, port=place.port) for each in arguments)
        return [installed("python"), "-m", module, *filled]

    return command


def example(name: str) -> Command:
    """Return how an example is served."""
    (found,) = [each for each in ALL if each.name == name]

    def command(place: Place) -> list[str | Path]:
        found.needs()
        return list(found.command(place))

    return command


def nginx_with(switch: str) -> Command:
    """Return how nginx tells its variable."""
    return lambda place: nginx(NGINX.replace("SWITCH", switch), place)


UVICORN = ("uvicorn", "--port", "{port}")
STACKS = (
    Stack("aiohttp", example("aiohttp"), delivers=True, conflates=False, row="aiohttp"),
    Stack("node", example("node"), delivers=True, conflates=False, row="Node"),
    Stack("go", example("go"), delivers=True, conflates=False, row="Go"),
    Stack(
        "wsgiref",
        lambda place: [sys.executable, PROBE, "wsgiref", str(place.port)],
        delivers=True,
        conflates=True,
        row="wsgiref",
    ),
    Stack(
        "uvicorn",
        probe(*UVICORN, "header_probe:asgi"),
        delivers=True,
        conflates=False,
        row="uvicorn",
    ),
    Stack(
        "hypercorn",
        probe("hypercorn", "--bind", "{bind}", "header_probe:asgi"),
        delivers=True,
        conflates=False,
        row="hypercorn",
    ),
    Stack(
        "starlette",
        probe(*UVICORN, "header_probe:starlette"),
        delivers=True,
        conflates=False,
        row="Starlette",
    ),
    Stack(
        "fastapi",
        probe(*UVICORN, "--factory", "header_probe:fastapi"),
        delivers=False,
        conflates=True,
        row="Header()",
    ),
    Stack(
        "gunicorn",
        probe("gunicorn", "--bind", "{bind}", "header_probe:wsgi"),
        delivers=False,
        conflates=True,
        row="gunicorn",
    ),
    Stack(
        "waitress",
        probe("waitress", "--listen", "{bind}", "header_probe:wsgi"),
        delivers=False,
        conflates=True,
        row="waitress",
    ),
    Stack(
        "werkzeug",
        probe("header_probe", "werkzeug", "{port}"),
        delivers=False,
        conflates=True,
        row="werkzeug",
    ),
    Stack(
        "django",
        probe(*UVICORN, "--factory", "header_probe:django_asgi"),
        delivers=False,
        conflates=True,
        row="Django",
    ),
    Stack("nginx", nginx_with(""), delivers=False, conflates=True, row="nginx"),
    Stack(
        "nginx, on",
        nginx_with("underscores_in_headers on;"),
        delivers=True,
        conflates=True,
        row="nginx",
    ),
)


async def read_by(stack: Stack, folder: Path) -> list[str | None]:
    """Return what a stack reads under either spelling."""
    name = stack.name.partition(",")[0]
    async with (
        listening(name, stack.command, folder, cwd=TESTS) as port,
        Client() as client,
    ):
        read = []
        for header in (("clerk_user_id", OWN), ("clerk-user-id", DASHED)):
            reply = await client.send(f"http://127.0.0.1:{port}/", headers=[header])
            document = json.loads(reply.body)
            read.append(document["value"] if "value" in document else document["user"])
    return [each or None for each in read]


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
async def test_a_stack_makes_of_the_two_spellings_what_the_readme_says(
    stack: Stack, tmp_path: Path
) -> None:
    try:
        read = await read_by(stack, tmp_path)
    except NotInstalledError as error:
        pytest.skip(str(error))

    assert read == [OWN if stack.delivers else None, DASHED if stack.conflates else None]


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_the_readme_says_what_was_seen(stack: Stack) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    _, _, table = readme.partition("| upstream | `clerk_user_id` arrives? |")
    lines = [line.split("|") for line in table.partition("\n\n")[0].splitlines()[2:]]
    (row,) = [cells for cells in lines if stack.row in cells[1]]

    # nginx delivers it on request only, and then the dashed one as well: not a "yes".
    assert row[2].strip().startswith("yes") == (stack.delivers and stack.row != "nginx")
