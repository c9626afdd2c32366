"""The admin address."""

import json
from collections.abc import Mapping

import pytest
from aiohttp.test_utils import TestClient, TestServer

from wicketgate.adapters.admin import State, admin_app, ready_if


async def get(path: str, states: Mapping[str, State]) -> tuple[int, str, str]:
    application = admin_app(components=lambda: states, exposition=lambda: b"a_metric 1\n")
    async with TestClient(TestServer(application)) as client, client.get(path) as response:
        return response.status, response.content_type, await response.text()


@pytest.mark.parametrize(
    ("keys", "policy", "status", "word"),
    [
        ("ready", "ready", 200, "ready"),
        ("not ready", "ready", 503, "not ready"),
        ("ready", "not ready", 503, "not ready"),
        ("ready", "degraded", 200, "degraded"),
        ("not ready", "degraded", 503, "not ready"),
    ],
)
async def test_the_worst_component_tells_how_the_whole_is(
    keys: str, policy: str, status: int, word: str
) -> None:
    """
    Degraded is for somebody to look at; taking the replica away would mend nothing.
    """
    found, _, body = await get("/readyz", {"keys": State(keys), "policy": State(policy)})

    assert (status, {"status": word, "components": {"keys": keys, "policy": policy}}) == (
        found,
        json.loads(body),
    )


@pytest.mark.parametrize(("is_ready", "state"), [(True, "ready"), (False, "not ready")])
def test_most_components_are_ready_or_not(is_ready: bool, state: str) -> None:  # noqa: FBT001
    assert state == ready_if(is_ready)


async def test_alive_does_not_depend_on_ready() -> None:
    status, _, _ = await get("/healthz", {"keys": State.NOT_READY})

    assert status == 200


async def test_metrics_are_in_prometheus_text_format() -> None:
    assert await get("/metrics", {}) == (200, "text/plain", "a_metric 1\n")


async def test_there_is_nothing_else() -> None:
    status, _, _ = await get("/", {})

    assert status == 404
