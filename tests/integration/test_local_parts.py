"""The parts of the local stack, each alone, and then together."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiohttp import ClientSession, ServerDisconnectedError

from transports import TRANSPORT
from wicketgate.core.keys import KeySet
from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.child import ChildProcess
from wicketgate.local.clerk import BACKEND_PATH, PUBLIC_PATH, SECRET_KEY, ClerkDouble, Mode
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import NO_ANSWER, Client, Reply, bearer
from wicketgate.local.command import where_the_page_is
from wicketgate.local.envoy_config import EnvoyOptions
from wicketgate.local.policy_file import shipped_policy
from wicketgate.local.ports import LOOPBACK, held_port, held_ports
from wicketgate.local.stack import ORIGIN, LocalStack
from wicketgate.local.table import Observed, Outcome, Table
from wicketgate.local.tour import run_tour
from wicketgate.local.tour_rows import AS_ANONYMOUS, AS_USER
from wicketgate.local.upstream import EchoUpstream

# -- ports


def test_held_ports_are_different() -> None:
    with held_ports(50) as ports:
        assert len(set(ports)) == 50


def listen(port: int, *, as_servers_do: bool = True) -> socket.socket:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        if as_servers_do:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen()
        stack.pop_all()
    return listening


def test_a_held_port_is_for_the_program_that_is_told_it() -> None:
    with held_ports(1) as (port,):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port))
        for _ in range(2):
            with listen(port), socket.create_connection((LOOPBACK, port)):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports cannot be held")
def test_a_held_port_is_nobody_else_s_until_it_is_given_back() -> None:
    with held_ports(1) as (port,), pytest.raises(OSError, match="in use"):
        listen(port, as_servers_do=False)

    listen(port, as_servers_do=False).close()


def test_a_port_that_is_wanted_is_held_if_it_is_free() -> None:
    with held_ports(1) as (free,):
        pass

    with held_port(free) as port:
        assert port == free
        with listen(port), socket.create_connection((LOOPBACK, port)):
            pass


def test_a_port_that_somebody_listens_on_is_not_held() -> None:
    with held_ports(1) as (taken,), listen(taken), held_port(taken) as port:
        assert port not in {taken, 0}
        listen(port).close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports cannot be held")
def test_a_port_is_held_for_one_only() -> None:
    with held_ports(1) as (free,):
        pass

    with held_port(free) as first, held_port(free) as second:
        assert first == free
        assert second != free


def test_where_no_port_is_wanted_any_is_held() -> None:
    with held_port(0) as port:
        assert port > 0


# -- the upstream


async def test_the_upstream_answers_with_the_request_to_the_letter() -> None:
    """
    Repeated lines stay apart and in order, and no path is resolved or decoded.
    """
    async with EchoUpstream() as upstream, Client() as client:
        reply = await client.send(
            f"http://{upstream.address}/a/../b%2f;c//?q=%20",
            method="DELETE",
            headers=[("X-One", "1"), ("clerk_user_id", "a"), ("CLERK_user_id", "b")],
        )

    document = json.loads(reply.body)
    lines = [tuple(line) for line in document["headers"]]
    assert document["method"] == "DELETE"
    assert document["path"] == "/a/../b%2f;c//?q=%20"
    wanted = {"x-one", "clerk_user_id"}
    assert [line for line in lines if line[0] in wanted] == [
        ("x-one", "1"),
        ("clerk_user_id", "a"),
        ("clerk_user_id", "b"),
    ]


async def test_the_client_s_answer_is_a_status_even_when_there_is_none(nobody: int) -> None:
    async with Client() as client:
        assert await client.send(f"http://127.0.0.1:{nobody}/") == Reply(NO_ANSWER)


async def test_the_upstream_remembers_until_it_is_asked() -> None:
    async with EchoUpstream() as upstream, Client() as client:
        for path in ("/first", "/second"):
            await client.send(f"http://{upstream.address}{path}", headers=[("x-a", path)])
        taken = upstream.take()

        assert [seen.path for seen in taken] == ["/first", "/second"]
        assert taken[1].values("x-a") == ["/second"]
        assert not upstream.take()


# -- the Clerk double


async def test_clerk_publishes_its_keys_to_anyone() -> None:
    async with ClerkDouble() as clerk, Client() as client:
        reply = await client.send(clerk.jwks_url)

        assert reply.status == 200
        assert KeySet.from_jwks(reply.body).candidates(clerk.instance.kid)
        # Not "application/json; charset=utf-8": Clerk's own SDK compares.
        assert ("content-type", "application/json") in reply.headers
        assert clerk.fetches == {PUBLIC_PATH: 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([bearer(SECRET_KEY)], 200),
        ([bearer(SECRET_KEY + "0")], 401),
        ([("authorization", SECRET_KEY)], 401),
        ([], 401),
    ],
)
async def test_clerk_s_backend_wants_a_secret_key(
    headers: list[tuple[str, str]], status: int
) -> None:
    async with ClerkDouble() as clerk, Client() as client:
        reply = await client.send(f"{clerk.url}{BACKEND_PATH}", headers=headers)

        assert status == reply.status
        assert clerk.fetches == {BACKEND_PATH: 1}
        assert ("content-type", "application/json") in reply.headers
        if status == 401:
            (error,) = json.loads(reply.body)["errors"]
            assert error["code"] == "clerk_key_invalid"


async def test_clerk_can_be_made_to_fail() -> None:
    async with ClerkDouble() as clerk, Client() as client, ClientSession() as session:
        clerk.mode = Mode.ERROR
        assert (await client.send(clerk.jwks_url)).status == 500
        clerk.mode = Mode.DOWN
        assert await client.send(clerk.jwks_url) == Reply(NO_ANSWER)
        with pytest.raises((ServerDisconnectedError, ConnectionResetError)):
            await session.get(clerk.jwks_url)
        clerk.mode, clerk.slow_seconds = Mode.SLOW, 0.2
        started = time.monotonic()
        assert (await client.send(clerk.jwks_url)).status == 200
        assert time.monotonic() - started >= 0.2
        clerk.mode = Mode.OK
        assert (await client.send(clerk.jwks_url)).status == 200


async def test_clerk_publishes_the_new_key_after_a_rotation() -> None:
    async with ClerkDouble() as clerk, Client() as client:
        before = KeySet.from_jwks((await client.send(clerk.jwks_url)).body)
        clerk.instance.rotate(kid="ins_new")
        after = KeySet.from_jwks((await client.send(clerk.jwks_url)).body)

    assert after.candidates("ins_new")
    assert not set(before.keys) & set(after.keys)


# -- child processes


def child(directory: Path, program: str) -> ChildProcess:
    return ChildProcess("child", (sys.executable, "-c", program), directory=directory)


async def never() -> bool:
    return False


def says(process: ChildProcess, word: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return word in process.stdout

    return ask


async def test_a_child_that_ends_early_is_reported_with_what_it_wrote(tmp_path: Path) -> None:
    process = child(tmp_path, "import sys; print('one'); sys.exit('the port is taken')")
    await process.start()

    with pytest.raises(
        EnvironmentFaultError, match=r"(?s)child ended with status 1.*port is taken"
    ):
        await process.wait_until(never, seconds=10, what="ready")


async def test_a_child_that_is_not_ready_in_time_is_reported(tmp_path: Path) -> None:
    process = child(tmp_path, "import time; time.sleep(60)")
    await process.start()

    with pytest.raises(EnvironmentFaultError, match=r"was not ready within 0.2 s.*\n\(it wrote"):
        await process.wait_until(never, seconds=0.2, what="ready")

    await process.stop()
    assert not process.is_running


async def test_a_program_that_is_not_there_is_reported(tmp_path: Path) -> None:
    process = ChildProcess("ghost", (tmp_path / "ghost",), directory=tmp_path)

    with pytest.raises(EnvironmentFaultError, match=r"ghost cannot be run from .*No such file"):
        await process.start()

    await process.stop()


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = child(
        tmp_path,
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(60)",
    )
    await process.start()
    await process.wait_until(says(process, "deaf"), seconds=10, what="deaf")

    await process.stop(seconds=0.2)

    assert not process.is_running
    assert process.pid is None


# -- the table


def outcome(*, status: int = 200) -> Outcome:
    return Outcome(
        title="a user",
        observed=Observed(status=status, upstream=AS_USER),
        expected=Observed(status=200, upstream=AS_USER),
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_table_is_right_only_when_every_row_is() -> None:
    right, wrong, empty = (Table(io.StringIO(), {}) for _ in range(3))
    right.show(outcome())
    wrong.show(outcome())
    wrong.show(outcome(status=503))

    assert right.finish()
    assert not wrong.finish()
    assert not empty.finish()


def test_a_wrong_row_shows_what_was_expected() -> None:
    out = io.StringIO()
    Table(out, {}).show(outcome(status=503))

    observed, expected = out.getvalue().splitlines()
    assert re.match(r"NO +a user +503 \(Envoy\) +user_2xLk", observed)
    assert re.match(r" +expected: +200 +user_2xLk", expected)


@pytest.mark.parametrize(
    ("out", "environment", "is_coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_without_objection(
    out: io.StringIO, environment: dict[str, str], *, is_coloured: bool
) -> None:
    Table(out, environment).show(outcome())

    assert is_coloured == ("\x1b[" in out.getvalue())


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (AS_ANONYMOUS, AS_USER),
        (None, AS_USER),
        (AS_USER, None),
        ((("clerk-user-id", "user_impostor"), *AS_USER), AS_USER),
        ((AS_USER[0], *AS_USER), AS_USER),
    ],
)
def test_what_the_upstream_saw_is_compared_line_by_line(
    observed: tuple[tuple[str, str], ...] | None, expected: tuple[tuple[str, str], ...] | None
) -> None:
    compared = Outcome(
        title="",
        observed=Observed(status=200, upstream=observed),
        expected=Observed(status=200, upstream=expected),
    )

    assert not compared.is_as_expected


# -- the stack


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.05)


@pytest.mark.envoy
async def test_the_tour_notices_an_envoy_that_fails_open() -> None:
    """
    The twin of the test above: exactly the rows about a crashed gate come out wrong.
    """
    out = io.StringIO()

    options = EnvoyOptions(failure_mode_allow=True)
    async with LocalStack(transport=TRANSPORT, policy=shipped_policy(), options=options) as stack:
        assert not await run_tour(stack, Table(out, {}))

    wrong = [line for line in out.getvalue().splitlines() if line.startswith("NO")]
    assert len(wrong) == 2
    assert all("the gate has crashed" in line for line in wrong)


@pytest.mark.envoy
async def test_the_access_log_names_the_user_and_never_the_query() -> None:
    async with LocalStack(transport=TRANSPORT) as stack, Client() as client:
        token = stack.clerk.instance.mint(now=time.time())
        await client.send(f"{stack.edge}/me?token=in-the-query", headers=[bearer(token)])
        await client.send(f"{stack.edge}/me?token=in-the-query")

        async def is_written() -> bool:
            return len(stack.envoy.access_log) == 2

        await until(is_written)
        let_in, refused = stack.envoy.access_log

    assert "in-the-query" not in json.dumps([let_in, refused])
    assert (let_in["path"], let_in["user_id"], let_in["reason"]) == ("/me", USER, "allowed")
    assert (refused["user_id"], refused["reason"]) == (None, "no_credential")
    assert let_in["rule"] == refused["rule"] == "public:user"
    assert let_in["decision_id"] != refused["decision_id"]
    assert let_in["ext_authz_duration"] is not None
    assert refused["ext_authz_us"] is not None


@pytest.mark.envoy
async def test_browsers_can_ask_and_can_read_a_refusal() -> None:
    preflight = [("access-control-request-method", "POST")]

    async with LocalStack(transport=TRANSPORT) as stack, Client() as client:
        url = f"{stack.edge}/me"
        ours, theirs = ("origin", ORIGIN), ("origin", "https://evil.example")
        allowed = await client.send(url, method="OPTIONS", headers=[ours, *preflight])
        foreign = await client.send(url, method="OPTIONS", headers=[theirs, *preflight])
        refused = await client.send(url, headers=[ours])

    assert allowed.status == 200
    assert dict(allowed.headers)["access-control-allow-origin"] == ORIGIN
    assert "authorization" in dict(allowed.headers)["access-control-allow-headers"]
    assert foreign.status == 401
    assert "access-control-allow-origin" not in dict(foreign.headers)
    assert refused.status == 401
    assert dict(refused.headers)["access-control-allow-origin"] == ORIGIN


@pytest.mark.envoy
async def test_the_gate_cannot_set_a_header_that_envoy_does_not_grant_it() -> None:
    """
    An alias that envoy.yaml does not list is a fault, not an extra header.
    """
    async with (
        LocalStack(
            transport=TRANSPORT, environment={"WICKETGATE_IDENTITY_ALIASES": "x-unlisted"}
        ) as stack,
        Client() as client,
    ):
        token = stack.clerk.instance.mint(now=time.time())
        reply = await client.send(f"{stack.edge}/me", headers=[bearer(token)])

        assert reply.status == 500
        assert not stack.upstream.take()


@pytest.mark.envoy
async def test_the_stack_runs_over_a_unix_socket_and_a_restarted_gate_is_found(
    tmp_path: Path,
) -> None:
    address = f"unix:{tmp_path / 'authz.sock'}"

    async with (
        LocalStack(
            transport=TRANSPORT, environment={"WICKETGATE_AUTHZ_ADDRESS": address}
        ) as stack,
        Client() as client,
    ):
        before = await client.send(f"{stack.edge}/public")
        await stack.gate.stop()
        without = await client.send(f"{stack.edge}/public")
        await stack.start_gate()

        async def is_back() -> bool:
            return (await client.send(f"{stack.edge}/public")).status == 200

        await until(is_back)

        assert (before.status, without.status) == (200, 503)


@pytest.mark.envoy
async def test_a_gate_that_does_not_start_is_reported_and_leaves_nothing_behind() -> None:
    stack = LocalStack(transport=TRANSPORT, environment={"CLERK_PUBLISHABLE_KEY": "nonsense"})

    with pytest.raises(
        EnvironmentFaultError, match=r"(?s)wicketgate ended.*CLERK_PUBLISHABLE_KEY"
    ):
        await stack.__aenter__()

    assert not stack.gate.is_running
    async with Client() as client:
        assert await client.send(stack.clerk.jwks_url) == Reply(NO_ANSWER)


def local_command(directory: Path, *arguments: str, **environment: str) -> ChildProcess:
    command = (sys.executable, "-m", "wicketgate", "local", *arguments)
    everything = {**os.environ, **environment}
    return ChildProcess("local", command, directory=directory, environment=everything)


@pytest.mark.envoy
async def test_the_command_prints_what_to_paste_and_ctrl_c_stops_everything(
    tmp_path: Path,
) -> None:
    """
    With the transport that it was told; the other is the tour's.
    """
    process = local_command(tmp_path, "--transport", "grpcio")
    await process.start()
    try:
        await process.wait_until(says(process, "Ctrl-C"), seconds=40, what="running")
        token = re.findall(r"^TOKEN=(\S+)$", process.stdout, re.MULTILINE)[0]
        url = re.findall(r"curl -si (\S+)/me", process.stdout)[0]
        metrics = re.findall(r"Metrics: (\S+)$", process.stdout, re.MULTILINE)[0]
        async with Client() as client:
            assert b"wicketgate_connections" not in (await client.send(metrics)).body
            reply = await client.send(f"{url}/me", headers=[bearer(token)])
            assert ["clerk_user_id", USER] in json.loads(reply.body)["headers"]

            await process.interrupt(signal.SIGINT)

            assert await client.send(f"{url}/me") == Reply(NO_ANSWER)
    finally:
        await process.stop()
    assert "starting wicketgate authz with the transport grpcio" in process.stdout
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("gate_admin", "said"),
    [
        (
            "http://127.0.0.1:9464",
            "the status page: http://127.0.0.1:9464/ while `wicketgate local` runs",
        ),
        (
            "http://127.0.0.1:40359",
            "the status page: `wicketgate local` says where, because port 9464 was taken",
        ),
    ],
)
def test_the_tour_ends_with_the_status_page_and_sends_nobody_to_another_program(
    gate_admin: str, said: str
) -> None:
    assert where_the_page_is(gate_admin, "wicketgate local") == said


async def test_a_transport_that_is_none_is_refused(tmp_path: Path) -> None:
    process = local_command(tmp_path, "--transport", "http")
    await process.start()

    assert await process.wait(seconds=20) == 2
    assert "'http' (choose from" in process.stderr


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory into which Postgres gets, too, which is nobody's when we are root."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def contents(directory: Path) -> list[Path]:
    return list(directory.iterdir())


@pytest.mark.envoy
async def test_the_command_can_be_ended_while_it_is_starting(
    tmp_path: Path, temporary: Path
) -> None:
    """
    What had been started by then is stopped, and its files are removed.
    """
    process = local_command(tmp_path, TMPDIR=str(temporary))
    await process.start()
    try:
        await process.wait_until(says(process, "starting Envoy"), seconds=40, what="starting")
        assert contents(temporary)

        await process.interrupt(signal.SIGTERM)

        assert not contents(temporary)
    finally:
        await process.stop()
    assert process.returncode == 0
