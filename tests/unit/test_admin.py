"""The admin address."""

from collections.abc import Mapping

import pytest
from aiohttp.test_utils import TestClient, TestServer

from wicketgate.adapters.admin import admin_app


async def get(path: str, states: Mapping[str, bool]) -> tuple[int, str, str]:
    application = admin_app(components=lambda: states, exposition=lambda: b"a_metric 1\n")
    async with TestClient(TestServer(application)) as client, client.get(path) as response:
        return response.status, response.content_type, await response.text()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"keys": True, "accepting": True}, 200),
        ({"keys": False, "accepting": True}, 503),
        ({"keys": True, "accepting": False}, 503),
    ],
)
async def test_ready_means_every_component_is(states: Mapping[str, bool], expected: int) -> None:
    status, _, body = await get("/readyz", states)

    assert expected == status
    assert all(name in body for name in states)


async def test_alive_does_not_depend_on_ready() -> None:
    status, _, _ = await get("/healthz", {"keys": False})

    assert status == 200


async def test_metrics_are_in_prometheus_text_format() -> None:
    assert await get("/metrics", {}) == (200, "text/plain", "a_metric 1\n")


async def test_there_is_nothing_else() -> None:
    status, _, _ = await get("/", {})

    assert status == 404
