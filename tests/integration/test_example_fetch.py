"""The front end's fetch of ``examples/``: its own tests, under Node, and the real gate."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conformance.table import USERS, World
from meshes import mesh
from processes import environ, surroundings
from upstreams import EXAMPLES, NotInstalledError, node, node_modules
from wicketgate.local.clerk_instance import USER

FRONTEND = EXAMPLES / "frontend"
SECONDS = 50.0
TALK = """
const { makeClerkFetch } = await import(process.env.CLERK_FETCH);
const tokens = JSON.parse(process.env.TOKENS);
const getToken = async () => tokens.shift();
const { data, status } = await makeClerkFetch({ baseUrl: process.env.EDGE, getToken })("PATH");
console.log(JSON.stringify({ data, status, left: tokens.length }));
"""


@pytest.fixture(scope="module")
def program() -> Path:
    """Node."""
    try:
        return node()
    except NotInstalledError as error:
        pytest.skip(str(error))


def modules_here() -> list[str]:
    """Return the modules that Node can load: TypeScript itself from 22.18 on."""
    return [
        "clerk-fetch.mjs",
        *(["clerk-fetch.ts"] if os.environ.get("WICKETGATE_EXAMPLES") else []),
    ]


each_module = pytest.mark.parametrize("module", modules_here())


@each_module
def test_its_own_tests_pass(module: str, program: Path) -> None:
    done = subprocess.run(
        [program, "--test", FRONTEND / "clerk-fetch.test.mjs"],
        env={**surroundings(), "CLERK_FETCH": f"./{module}", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("ages", "status", "left"),
    [((0,), 200, 0), ((600, 0), 200, 0), ((600, 660, 0), 401, 1)],
    ids=["good", "expired, then good", "expired twice"],
)
@pytest.mark.envoy
@each_module
async def test_it_understands_the_gate(
    module: str, ages: tuple[int, ...], status: int, left: int, world: World, program: Path
) -> None:
    tokens = [world.clerk.mint(now=time.time() - age) for age in ages]
    async with mesh(environ(world)) as running:
        process = await asyncio.create_subprocess_exec(
            *(program, "--input-type=module", "-e", TALK.replace("PATH", USERS.path)),
            env={
                **surroundings(),
                "CLERK_FETCH": (FRONTEND / module).as_uri(),
                "EDGE": running.edge,
                "TOKENS": json.dumps(tokens),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    answer = json.loads(said)

    assert (answer["status"], answer["left"]) == (status, left)
    if status == 200:
        assert ["clerk_user_id", USER] in answer["data"]["headers"]
    else:
        assert answer["data"]["reason"] == "token_expired"


def typescript() -> list[str | Path]:
    """Return how the compiler is called, which ``make test-examples`` installs."""
    try:
        return [node(), node_modules() / "typescript" / "bin" / "tsc"]
    except NotInstalledError:
        pytest.skip("typescript is installed by make test-examples")


def compiled(source: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Compile `source`, strictly; return how that went, and what became of it."""
    (folder / "frontend").mkdir()
    (folder / "frontend" / "clerk-fetch.ts").write_text(source, "utf-8")
    shutil.copy(EXAMPLES / "tsconfig.json", folder)
    done = subprocess.run(
        [*typescript(), "-p", folder, "--outDir", folder / "out"],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done, folder / "out" / "clerk-fetch.js"


def test_the_javascript_is_what_the_typescript_says(tmp_path: Path) -> None:
    """
    `make example-js` makes it anew.
    """
    done, made = compiled((FRONTEND / "clerk-fetch.ts").read_text("utf-8"), tmp_path)

    assert done.returncode == 0, done.stdout
    assert made.read_text("utf-8") == (FRONTEND / "clerk-fetch.mjs").read_text("utf-8")


def test_a_wrong_type_would_be_found(tmp_path: Path) -> None:
    spoilt = (FRONTEND / "clerk-fetch.ts").read_text("utf-8") + "\nexport const x: string = 1;\n"
    done, _ = compiled(spoilt, tmp_path)

    assert done.returncode != 0
    assert "TS2322" in done.stdout
