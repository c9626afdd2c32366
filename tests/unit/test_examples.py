"""The examples that are not run everywhere: at least they are programs, and are told of."""

import subprocess
from pathlib import Path

import pytest

from upstreams import ALL, EXAMPLES, UPSTREAMS, NotInstalledError, node, on_path

ROOT = EXAMPLES.parent
PYTHON = sorted(EXAMPLES.rglob("*.py"))
JAVASCRIPT = sorted(path for path in EXAMPLES.rglob("*.mjs") if "node_modules" not in path.parts)
GO = sorted(EXAMPLES.rglob("*.go"))
MANUAL = (EXAMPLES / "README.md").read_text("utf-8")


def named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("file", PYTHON, ids=named)
def test_python_is_python(file: Path) -> None:
    compile(file.read_text("utf-8"), file, "exec", dont_inherit=True)


@pytest.mark.parametrize("file", JAVASCRIPT, ids=named)
def test_javascript_is_javascript(file: Path) -> None:
    try:
        program = node()
    except NotInstalledError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [program, "--check", file], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", GO, ids=named)
def test_go_is_go_and_formatted(file: Path) -> None:
    try:
        program = on_path("gofmt")
    except NotInstalledError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [program, "-l", file], capture_output=True, text=True, check=False, timeout=30
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


UPSTREAM_FILES = sorted(
    path.relative_to(UPSTREAMS).as_posix()
    for path in UPSTREAMS.rglob("*")
    if path.suffix in {".py", ".mjs", ".go", ".conf"}
)


@pytest.mark.parametrize("file", UPSTREAM_FILES)
def test_every_upstream_is_in_the_manual(file: str) -> None:
    assert f"upstreams/{file}" in MANUAL


def test_every_upstream_is_one_that_is_run() -> None:
    """
    The names of the tests begin with those of the files.
    """
    run = {each.name.partition("-")[0] for each in ALL}

    assert run == {
        file.replace("/", "_").replace(".", "_").partition("_")[0] for file in UPSTREAM_FILES
    }


def test_the_lock_is_of_what_is_asked_for() -> None:
    """
    `make lock` makes it.
    """
    asked = {
        line
        for line in (ROOT / "requirements" / "examples.in").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    }
    lock = (ROOT / "requirements" / "examples.txt").read_text("utf-8")
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}

    assert asked <= locked
    assert "--hash=sha256:" in lock


def test_nothing_of_the_examples_is_needed_to_develop() -> None:
    dev = (ROOT / "requirements" / "dev.txt").read_text("utf-8")

    assert not [name for name in ("django==", "fastapi==", "flask==") if f"\n{name}" in dev]
