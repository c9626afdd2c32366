"""One HTTP answer: what is taken, and what is refused in one line."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from wicketgate.adapters.http_get import http_get
from wicketgate.errors import DependencyError


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Serves something good, something that is gone, and a way to elsewhere."""

    async def good(_: web.Request) -> web.Response:
        return web.Response(text="good", headers={"Age": "7"})

    async def moved(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/good"}, text="secret words")

    app = web.Application()
    app.router.add_get("/good", good)
    app.router.add_get("/moved", moved)
    async with TestServer(app) as running:
        yield str(running.make_url("")).rstrip("/")


async def test_an_answer_has_its_body_and_its_headers_in_lower_case(server: str) -> None:
    answer = await http_get(f"{server}/good")

    assert answer.body == b"good"
    assert answer.headers["age"] == "7"
    assert "date" in answer.headers


@pytest.mark.parametrize(
    ("path", "complaint"), [("/moved", "status 302 instead of 200"), ("/gone", "status 404")]
)
async def test_another_status_is_refused_and_no_redirect_followed(
    server: str, path: str, complaint: str
) -> None:
    with pytest.raises(DependencyError, match=complaint) as caught:
        await http_get(server + path)

    assert "secret" not in str(caught.value)


async def test_more_than_the_limit_is_refused(server: str) -> None:
    assert (await http_get(f"{server}/good", limit_bytes=4)).body == b"good"

    with pytest.raises(DependencyError, match="more than 3 bytes"):
        await http_get(f"{server}/good", limit_bytes=3)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1:1/", "no answer from 127.0.0.1:1: no connection"),
        ("http://user:hunter2@127.0.0.1:1/", "no answer from 127.0.0.1:1: no connection"),
        ("http://:x/", "the URL is not valid"),
        ("ftp://127.0.0.1/", "the URL is not valid"),
    ],
)
async def test_what_cannot_be_asked_is_told_in_one_line(url: str, complaint: str) -> None:
    with pytest.raises(DependencyError, match=complaint) as caught:
        await http_get(url)

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
