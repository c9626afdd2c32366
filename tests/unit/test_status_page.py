"""The status page over HTTP: what is served, to whom, and how it ends."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from wicketgate.adapters.admin import admin_app
from wicketgate.adapters.status_page import Watcher, add_status_page
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import Access, Place
from wicketgate.status import ASSETS

TOKEN = "a-status-token-of-more-than-32-characters"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
DATA = ("/status.json", "/status/events")
SHELL = tuple(asset.path for asset in ASSETS)


@dataclass
class FakeWatcher:
    """Has the messages that it is given, and never ends by itself."""

    messages: list[bytes]
    is_slow: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> bytes:
        await asyncio.sleep(0)
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def until_over(self) -> None:
        await self.over.wait()


@dataclass
class FakeFeed:
    """Has one watcher at a time."""

    watcher: FakeWatcher = field(default_factory=lambda: FakeWatcher([b"data: {}\n\n"]))
    is_full: bool = False
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def snapshot(self) -> str:
        return '{"at":1}'

    @contextmanager
    def watching(self) -> Iterator[Watcher | None]:
        try:
            yield None if self.is_full else self.watcher
        finally:
            self.left.set()

    def close(self) -> None:
        self.watcher.over.set()


@asynccontextmanager
async def serving(
    place: Place = Place.LOOPBACK, *tokens: str, feed: FakeFeed | None = None
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    application = admin_app(components=dict, exposition=lambda: b"")
    add_status_page(application, Access(place, ServiceTokens(tokens)), feed or FakeFeed())
    async with TestClient(TestServer(application)) as client:
        yield client


# --- what is served ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/status.css", "text/css"),
        ("/status.js", "text/javascript"),
        ("/status/words.js", "text/javascript"),
        ("/status.svg", "image/svg+xml"),
        ("/status.json", "application/json"),
        ("/status/events", "text/event-stream"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_answer_is_locked_down(path: str, content_type: str, method: str) -> None:
    async with serving() as client, client.request(method, path) as response:
        headers = response.headers
        policy = headers["content-security-policy"].split("; ")

    assert response.status == 200
    assert headers["content-type"] == f"{content_type}; charset=utf-8"
    assert policy[0] == "default-src 'none'"
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} < set(policy)
    assert all(
        word in {"'self'", "'none'", "'script'"} for part in policy for word in part.split()[1:]
    )
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "set-cookie" not in headers
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_the_page_has_no_inline_code_and_asks_nobody_else(asset: Any) -> None:  # noqa: ANN401
    text = asset.read().decode()

    assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:|<script>|<style", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
    names = set(re.findall(r"https?://[^/\"')\s]+", text))
    assert names <= {"http://www.w3.org"}


def test_every_module_that_is_asked_for_is_served_and_no_other() -> None:
    text = {asset.path: asset.read().decode() for asset in ASSETS}
    wanted, found = ["/status.js"], set[str]()
    while wanted:
        path = wanted.pop()
        found.add(path)
        imported = {urljoin(path, each) for each in re.findall(r'from "(.+?)"', text[path])}
        wanted += sorted(imported - found)

    assert {path for path in text if path.endswith(".js")} == found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"),
    [
        *((front, back) for front in ("ink", "soft", "link") for back in ("sheet", "ground")),
        *(("soft", "line"), ("soft", "new"), ("good", "sheet"), ("bad", "sheet")),
        *((front, f"{front}-ground") for front in ("good", "bad", "doubt")),
    ],
)
def test_text_can_be_read_on_what_is_behind_it(scheme: str, front: str, back: str) -> None:
    """
    WCAG 2.2, 1.4.3: 4.5 to 1 at least.
    """
    css = next(asset.read().decode() for asset in ASSETS if asset.name == "page.css")
    palettes = re.findall(r":root \{(.+?)\}", css, re.DOTALL)
    colours = dict(
        re.findall(r"--([a-z-]+): #([0-9a-f]+);", palettes[("light", "dark").index(scheme)])
    )
    lighter, darker = sorted((luminance(colours[each]) for each in (front, back)), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Return the relative luminance, as WCAG defines it."""
    pairs = [each * 2 for each in colour] if len(colour) == 3 else re.findall("..", colour)
    shares = [int(each, 16) / 255 for each in pairs]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_the_document_is_the_snapshot() -> None:
    async with serving() as client, client.get("/status.json") as response:
        assert await response.json() == {"at": 1}


@pytest.mark.parametrize("path", ["/status", "/status/", "/status/events/", "/page.js", "/x"])
async def test_there_is_nothing_else(path: str) -> None:
    async with serving() as client, client.get(path) as response:
        assert response.status == 404


@pytest.mark.parametrize("path", [*SHELL, *DATA])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_it_can_only_be_read(path: str, method: str) -> None:
    async with serving() as client, client.request(method, path) as response:
        assert response.status == 405
        assert set(response.headers["allow"].split(",")) == {"GET", "HEAD"}


# --- to whom -----------------------------------------------------------------------


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (KNOWN, 200),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        (KNOWN | {"Host": "status.example.com"}, 200),
        (KNOWN | {"Sec-Fetch-Site": "cross-site"}, 403),
        (KNOWN | {"Origin": "https://evil.example"}, 403),
    ],
)
async def test_with_a_token_the_data_is_for_whoever_has_it(
    path: str, headers: Mapping[str, str], status: int
) -> None:
    async with (
        serving(Place.NETWORK, TOKEN) as client,
        client.get(path, headers=headers) as response,
    ):
        assert response.status == status
        assert ("www-authenticate" in response.headers) is (status == 401)


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9464"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
async def test_without_one_it_is_for_pages_of_our_own(
    path: str, headers: Mapping[str, str], status: int
) -> None:
    async with serving() as client, client.get(path, headers=headers) as response:
        assert response.status == status


@pytest.mark.parametrize(
    ("name", "values", "status"),
    [
        ("Sec-Fetch-Site", ("none", "cross-site"), 403),
        ("Origin", ("http://localhost", "https://evil.example"), 403),
        ("Authorization", (KNOWN["Authorization"], "Bearer other"), 401),
        ("Authorization", ("Bearer other", KNOWN["Authorization"]), 401),
    ],
)
async def test_a_header_that_comes_twice_opens_nothing(
    name: str, values: tuple[str, ...], status: int
) -> None:
    headers = [("Host", "localhost"), *((name, value) for value in values)]
    if name != "Authorization":
        headers += list(KNOWN.items())
    async with (
        serving(Place.NETWORK, TOKEN) as client,
        client.get("/status.json", headers=CIMultiDict(headers)) as response,
    ):
        assert response.status == status


@pytest.mark.parametrize("path", SHELL)
async def test_the_page_that_asks_for_the_token_needs_none(path: str) -> None:
    async with serving(Place.NETWORK, TOKEN) as client, client.get(path) as response:
        assert response.status == 200


@pytest.mark.parametrize("path", [*SHELL, *DATA])
async def test_where_it_is_off_the_answer_says_what_to_set(path: str) -> None:
    async with serving(Place.NETWORK) as client, client.get(path) as response:
        assert response.status == 403
        assert response.content_type == "text/plain"
        assert "WICKETGATE_STATUS_TOKEN" in await response.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("tokens", [(), (TOKEN,)])
async def test_what_machines_ask_for_is_as_it_was(path: str, tokens: tuple[str, ...]) -> None:
    headers = {"Host": "gate.example.com", "Sec-Fetch-Site": "cross-site"}
    async with (
        serving(Place.NETWORK, *tokens) as client,
        client.get(path, headers=headers) as response,
    ):
        assert response.status == 200


# --- the stream --------------------------------------------------------------------


async def test_messages_are_passed_on_as_they_come() -> None:
    feed = FakeFeed(FakeWatcher([b"data: 1\n\n", b"data: 2\n\n"]))
    async with serving(feed=feed) as client, client.get("/status/events") as response:
        assert await response.content.readexactly(18) == b"data: 1\n\ndata: 2\n\n"


async def test_a_head_begins_no_stream() -> None:
    feed = FakeFeed()
    async with serving(feed=feed) as client, client.head("/status/events") as response:
        assert response.status == 200

    assert not feed.left.is_set()


async def test_when_too_many_watch_that_is_said() -> None:
    feed = FakeFeed(is_full=True)
    async with serving(feed=feed) as client, client.get("/status/events") as response:
        assert response.status == 503
        assert response.headers["retry-after"] == "10"
        assert "watching already" in await response.text()


async def test_a_stream_ends_with_its_reader() -> None:
    feed = FakeFeed(FakeWatcher([b"data: 1\n\n"] * 1_000_000))
    async with serving(feed=feed) as client:
        response = await client.get("/status/events")
        response.close()

        await asyncio.wait_for(feed.left.wait(), 10)


async def test_a_stream_that_is_over_ends_whole() -> None:
    feed = FakeFeed()
    async with serving(feed=feed) as client, client.get("/status/events") as response:
        await response.content.readexactly(10)
        feed.close()

        assert await asyncio.wait_for(response.content.read(), 10) == b""


async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    """
    It is told far more than buffers take, so that a write waits; nobody waits for that.
    """
    watcher = FakeWatcher([b"x" * 1_000_000] * 100)
    feed = FakeFeed(watcher)
    async with serving(feed=feed) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port, limit=1_024)
        writer.write(b"GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.readuntil(b"xxx")
            while watcher.messages:
                length = len(watcher.messages)
                await asyncio.sleep(0.05)
                if length == len(watcher.messages):
                    break
            watcher.is_slow = True
            watcher.over.set()
            await feed.left.wait()
            rest = await reader.read()
        writer.close()

    assert watcher.messages
    assert not rest.endswith(b"0\r\n\r\n"), "what is cut off has no end"


async def test_shutting_down_waits_for_no_stream() -> None:
    feed = FakeFeed()
    application = admin_app(components=dict, exposition=lambda: b"")
    add_status_page(application, Access(Place.LOOPBACK, ServiceTokens()), feed)
    # Such as a test of a whole process could not wait for.
    runner = web.AppRunner(application, shutdown_timeout=60.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(b"GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"data: {}")

    await asyncio.wait_for(runner.cleanup(), 10)

    writer.close()
