"""The Python client of ``examples/``: it shows the service token to one origin only."""

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web

from conformance.table import SERVICES, USERS, World
from meshes import mesh
from processes import environ
from upstreams import EXAMPLES
from wicketgate.local.ports import LOOPBACK, port_of

TOKEN = "a-service-token-that-is-long-enough-0123"
OTHER = "another-service-token-of-the-same-length"
AUDIO = b"OggS" * 50_000


def load() -> ModuleType:
    """Import the file that users copy."""
    spec = spec_from_file_location(
        "service_client", EXAMPLES / "service_client" / "service_client.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load()

Answer = Callable[[], web.Response]


@dataclass
class Server:
    """Keeps the credentials that it was shown, and answers by path."""

    port: int = 0
    shown: list[tuple[str, str | None]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def answer(self, request: web.BaseRequest) -> web.Response:
        path = request.raw_path
        self.shown.append((path, request.headers.get("authorization")))
        return self.answers.get(path, lambda: web.Response(body=AUDIO))()


@pytest.fixture
async def servers() -> AsyncIterator[tuple[Server, Server]]:
    """The mesh's internal door, and a stranger."""
    async with AsyncExitStack() as stack:
        started = (Server(), Server())
        for server in started:
            runner = web.ServerRunner(web.Server(server.answer, access_log=None))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, LOOPBACK, 0).start()
            server.port = port_of(runner.addresses[0])
        yield started


def redirect(location: str, status: int = 302) -> Answer:
    return lambda: web.Response(status=status, headers={"location": location})


def get(
    base: str, path: str = "/audio", variables: Mapping[str, str] | None = None
) -> Awaitable[bytes]:
    """Get it in a thread, as the manual says to do under asyncio."""

    def read() -> bytes:
        client = example.ServiceClient(base, environ=variables or {"SERVICE_AUTH_TOKEN": TOKEN})
        with client.get(path) as answer:
            return bytes(answer.read())

    return asyncio.to_thread(read)


async def test_the_token_comes_from_the_environment(servers: tuple[Server, Server]) -> None:
    home, _ = servers

    assert await get(home.origin, "/audio/42?part=1") == AUDIO
    assert home.shown == [("/audio/42?part=1", f"Bearer {TOKEN}")]


async def test_the_token_comes_from_a_file_and_follows_it(
    servers: tuple[Server, Server], tmp_path: Path
) -> None:
    home, _ = servers
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    client = example.ServiceClient(
        home.origin + "/", environ={"SERVICE_AUTH_TOKEN_FILE": str(file)}
    )

    def read() -> None:
        client.get("/audio").close()

    await asyncio.to_thread(read)
    file.write_text(OTHER)
    await asyncio.to_thread(read)

    assert [shown for _, shown in home.shown] == [f"Bearer {TOKEN}", f"Bearer {OTHER}"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_leaves_the_token_behind(
    status: int, servers: tuple[Server, Server]
) -> None:
    """
    Such as to a signed address of an object store, which refuses a second credential anyway.
    """
    home, stranger = servers
    home.answers["/audio"] = redirect(f"{stranger.origin}/stored?signature=x", status)

    assert await get(home.origin) == AUDIO
    assert home.shown == [("/audio", f"Bearer {TOKEN}")]
    assert stranger.shown == [("/stored?signature=x", None)]


async def test_another_port_is_another_host_and_so_is_another_name(
    servers: tuple[Server, Server],
) -> None:
    home, _ = servers
    home.answers["/audio"] = redirect(f"http://localhost:{home.port}/stored")
    await get(home.origin)

    assert home.shown == [("/audio", f"Bearer {TOKEN}"), ("/stored", None)]


@pytest.mark.parametrize("location", ["/stored", "stored", "//{authority}/stored"])
async def test_a_redirect_within_the_origin_keeps_the_token(
    location: str, servers: tuple[Server, Server]
) -> None:
    home, _ = servers
    home.answers["/audio"] = redirect(location.format(authority=f"{LOOPBACK}:{home.port}"))
    await get(home.origin)

    assert home.shown == [("/audio", f"Bearer {TOKEN}"), ("/stored", f"Bearer {TOKEN}")]


async def test_another_host_does_not_choose_what_is_asked_for_with_the_token(
    servers: tuple[Server, Server],
) -> None:
    home, stranger = servers
    home.answers["/audio"] = redirect(f"{stranger.origin}/there")
    stranger.answers["/there"] = redirect(f"{home.origin}/another-audio")
    with pytest.raises(example.ServiceCallError) as caught:
        await get(home.origin)

    assert caught.value.status == 302
    assert stranger.shown == [("/there", None)]
    assert home.shown == [("/audio", f"Bearer {TOKEN}")]


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/hostname", "data:,x", "http://127.0.0.1:99999/"]
)
async def test_a_redirect_that_leads_nowhere_good_is_refused(
    location: str, servers: tuple[Server, Server]
) -> None:
    home, _ = servers
    home.answers["/audio"] = redirect(location)
    with pytest.raises(example.ServiceCallError) as caught:
        await get(home.origin)

    assert caught.value.status == 302


def test_a_redirect_from_https_to_http_is_refused() -> None:
    # A server with a certificate would say no more.
    redirects = example._Redirects(("https", "mesh.internal", 443))  # noqa: SLF001
    request = example.Request("https://mesh.internal/audio")

    assert redirects.redirect_request(request, None, 302, "", {}, "http://mesh.internal/x") is None
    assert redirects.redirect_request(request, None, 302, "", {}, "https://mesh.internal/x")


async def test_a_proxy_of_the_environment_is_not_shown_the_token(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, proxy = servers
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.origin)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    await get(home.origin)

    assert proxy.shown == []
    assert home.shown == [("/audio", f"Bearer {TOKEN}")]


@pytest.mark.parametrize("path", ["@{stranger}/x", "audio", "", ".{stranger}/", "{stranger}/x"])
async def test_a_path_cannot_change_the_host(path: str, servers: tuple[Server, Server]) -> None:
    home, stranger = servers
    asked = path.format(stranger=f"{LOOPBACK}:{stranger.port}")
    with pytest.raises(ValueError, match="begins with a slash"):
        await get(home.origin, asked)

    assert (home.shown, stranger.shown) == ([], [])


async def test_a_path_that_looks_like_a_host_is_a_path(servers: tuple[Server, Server]) -> None:
    home, stranger = servers
    await get(home.origin, f"//{LOOPBACK}:{stranger.port}/x")

    assert len(home.shown) == 1
    assert stranger.shown == []


@pytest.mark.parametrize(
    "base",
    [
        *("mesh.internal:8001", "ftp://mesh.internal", "http://", "http://mesh.internal/audio"),
        *("http://name:word@mesh.internal", "http://mesh.internal?x", "http://mesh.internal#x"),
    ],
)
def test_a_base_that_is_no_origin_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        example.ServiceClient(base, environ={"SERVICE_AUTH_TOKEN": TOKEN})


UNUSABLE = {
    "none": {},
    "empty": {"SERVICE_AUTH_TOKEN": ""},
    "short": {"SERVICE_AUTH_TOKEN": TOKEN[:31]},
    "several": {"SERVICE_AUTH_TOKEN": f"{TOKEN},{OTHER}"},
    "a space": {"SERVICE_AUTH_TOKEN": f"{TOKEN} {OTHER}"},
    "a line break": {"SERVICE_AUTH_TOKEN": f"{TOKEN}\r\nx-header: 1"},
    "not ASCII": {"SERVICE_AUTH_TOKEN": f"{TOKEN}é"},
    "two places": {"SERVICE_AUTH_TOKEN": TOKEN, "SERVICE_AUTH_TOKEN_FILE": "/nonexistent/token"},
    "no file": {"SERVICE_AUTH_TOKEN_FILE": "/nonexistent/token"},
}


@pytest.mark.parametrize("variables", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_token_that_cannot_be_used_is_refused_at_the_start(variables: dict[str, str]) -> None:
    with pytest.raises(example.ServiceTokenError) as caught:
        example.ServiceClient("http://mesh.internal:8001", environ=variables)

    said = "".join(traceback.format_exception(caught.value))
    assert "SERVICE_AUTH_TOKEN" in said
    assert TOKEN[:31] not in said


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_the_token_is_in_no_log_no_error_and_no_repr(
    servers: tuple[Server, Server],
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    nobody: int,
) -> None:
    home, _ = servers
    home.answers["/refused"] = lambda: web.Response(status=403, text=f"Bearer {TOKEN}")
    said = [repr(example.ServiceClient(home.origin, environ={"SERVICE_AUTH_TOKEN": TOKEN}))]
    for base, path in (
        (home.origin, "/audio"),
        (home.origin, "/refused"),
        (f"http://{LOOPBACK}:{nobody}", "/audio"),
    ):
        try:
            await get(base, path)
        except (OSError, example.ServiceCallError) as error:
            said += [repr(error), "".join(traceback.format_exception(error))]
    printed = capfd.readouterr()

    assert len(said) == 5
    assert TOKEN not in "".join([*said, everything_logged.text, printed.out, printed.err])


async def test_a_refusal_says_what_the_gate_said(servers: tuple[Server, Server]) -> None:
    home, _ = servers
    problem = {"reason": "service_not_admitted", "decision_id": "5f1c-2b", "status": 403}
    home.answers["/audio"] = lambda: web.Response(
        status=403, text=json.dumps(problem), content_type="application/problem+json"
    )
    with pytest.raises(example.ServiceCallError) as caught:
        await get(home.origin)

    error = caught.value
    assert (error.status, error.reason, error.decision_id) == (
        *(403, "service_not_admitted", "5f1c-2b"),
    )


@pytest.mark.parametrize("body", ["", "{", "[]", "null"])
async def test_a_refusal_that_is_no_problem_document_has_no_reason(
    body: str, servers: tuple[Server, Server]
) -> None:
    home, _ = servers
    home.answers["/audio"] = lambda: web.Response(
        status=502, text=body, content_type="application/problem+json"
    )
    with pytest.raises(example.ServiceCallError) as caught:
        await get(home.origin)

    assert (caught.value.status, caught.value.reason) == (502, "")


@pytest.mark.envoy
async def test_it_is_let_in_at_the_internal_door_and_not_at_the_public_one(world: World) -> None:
    settings = environ(world, SERVICE_AUTH_TOKEN=TOKEN)
    async with mesh(settings) as running:
        body: Any = json.loads(await get(running.internal, SERVICES.path))
        with pytest.raises(example.ServiceCallError) as caught:
            await get(running.edge, USERS.path)

    assert ["wicketgate-principal", "service:static"] in body["headers"]
    assert TOKEN not in json.dumps(body)
    assert (caught.value.status, caught.value.reason) == (401, "token_malformed")
