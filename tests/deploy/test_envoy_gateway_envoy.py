"""What Envoy Gateway's own translator makes of the manifests, on a real Envoy with a real gate.

``translated/envoy-gateway.json`` is its answer, recorded; no control plane runs here. Envoy is the
one that the tests have; Envoy Gateway would start 1.39.
"""

import copy
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from conformance.table import World
from deploy.attacks import arriving, is_delivery, unasked, with_token
from deploy.edges import FORGED, IMPOSTOR, SPELLINGS, Edge, inline, running_edge
from deploy.translated.renew import RECORDED
from processes import environ
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Reply, bearer

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

TRANSLATED: Final[dict[str, Any]] = json.loads(RECORDED.read_text("utf-8"))
AUTHZ: Final = "securitypolicy/edge/wicketgate/extauth/0"
APP, HOOKS, INTERNAL = "edge/edge/app", "edge/edge/hooks", "edge/internal/services"
ALLOWING, BARE = "names with underscores let in", "and nothing removed"
HOSTS: Final = {APP: "app.example.com", INTERNAL: "core.internal"}
UNDERSCORED: Final = [name for name in SPELLINGS if "_" in name]
ORIGIN: Final = "https://www.example.com"


def managers() -> dict[str, dict[str, Any]]:
    """Return the recorded connection managers; all of them ask the gate of the edge."""
    text = json.dumps(
        {
            name: inline(manager, TRANSLATED["routes"][name])
            for name, manager in TRANSLATED["managers"].items()
        }
    )
    other = AUTHZ.replace("/wicketgate/", "/wicketgate-internal/")
    found: dict[str, dict[str, Any]] = json.loads(text.replace(f'"{other}"', f'"{AUTHZ}"'))
    allowing = copy.deepcopy(found[HOOKS])
    allowing["commonHttpProtocolOptions"]["headersWithUnderscoresAction"] = "ALLOW"
    bare = {key: each for key, each in allowing.items() if not key.startswith("earlyHeader")}
    return {**found, ALLOWING: allowing, BARE: bare}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(world: World) -> AsyncIterator[Edge]:
    settings = environ(world, SERVICE_AUTH_TOKEN=world.service_token, WICKETGATE_AZP_CHECK="off")
    cluster = TRANSLATED["clusters"][AUTHZ]
    authz = {
        key: value for key, value in cluster.items() if key not in {"@type", "edsClusterConfig"}
    }
    async with running_edge(managers(), authz=authz, settings=settings) as running:
        yield running


async def ask(
    edge: Edge,
    place: str,
    path: str = "/v1/me",
    *headers: tuple[str, str],
    method: str = "GET",
) -> Reply:
    return await edge.client.send(
        edge.urls[place] + path,
        method=method,
        headers=headers,
        host=HOSTS.get(place, "hooks.example.com"),
    )


def signed_in(world: World) -> tuple[str, str]:
    return bearer(world.clerk.mint(now=time.time()))


async def test_a_user_comes_in_by_name(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "/v1/me", signed_in(world))

    assert reply.status == 200
    seen = edge.seen()
    assert seen.values("clerk_user_id") == [USER]
    assert seen.values("wicketgate-principal") == [f"user:{USER}"]


async def test_nobody_comes_in_without_a_token(edge: Edge) -> None:
    reply = await ask(edge, APP)

    assert (reply.status, reply.reason) == (401, "no_credential")
    assert edge.upstream.take() == []


async def test_no_spelling_of_an_identity_gets_past_the_gate(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "/v1/me", signed_in(world), *FORGED)

    assert reply.status == 200
    assert IMPOSTOR not in [value for _, value in edge.seen().headers]


async def test_no_spelling_of_an_identity_gets_in_where_nobody_is_asked(edge: Edge) -> None:
    """
    Here nothing but the early mutation and the codec stands in between.
    """
    innocent = ("x-innocent", "1")
    reply = await ask(edge, HOOKS, "/webhooks/clerk", *FORGED, innocent, method="POST")

    assert reply.status == 200
    seen = edge.seen()
    assert IMPOSTOR not in [value for _, value in seen.headers]
    assert seen.values("x-innocent") == ["1"]


@pytest.mark.parametrize(("place", "arriving"), [(ALLOWING, 0), (BARE, len(UNDERSCORED))])
async def test_the_early_mutation_alone_is_enough(edge: Edge, place: str, arriving: int) -> None:
    """
    As ``withUnderscoresAction: Allow`` would have it; without the mutation, all of them arrive.
    """
    sent = [(name, IMPOSTOR) for name in UNDERSCORED]
    reply = await ask(edge, place, "/webhooks/clerk", *sent, method="POST")

    assert reply.status == 200
    assert [value for _, value in edge.seen().headers].count(IMPOSTOR) == arriving


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/clerk", 200),
        ("GET", "/webhooks/clerk", 404),
        ("POST", "/webhooks/clerk/", 404),
        ("POST", "/webhooks/clerk/x", 404),
        ("POST", "/v1/me", 404),
        ("POST", "/webhooks%2fclerk", 400),
    ],
)
async def test_on_the_host_of_the_webhooks_there_is_the_receiver_and_nothing_else(
    edge: Edge, method: str, path: str, status: int
) -> None:
    reply = await ask(edge, HOOKS, path, method=method)

    assert reply.status == status
    assert len(edge.upstream.take()) == (status == 200)


@pytest.mark.parametrize(("place", "least"), [(APP, 0), (HOOKS, 5)])
async def test_nothing_but_a_delivery_arrives_unasked_however_it_is_written(
    edge: Edge, place: str, least: int
) -> None:
    seen = await arriving(edge, place, unasked())

    assert [each for each in seen if not is_delivery(each)] == []
    assert len(seen) >= least


async def test_no_way_to_write_a_name_makes_another_user(edge: Edge, world: World) -> None:
    token = world.clerk.mint(now=time.time())
    seen = await arriving(edge, APP, with_token(token))

    assert len(seen) > 5
    for each in seen:
        assert each.values("clerk_user_id") == [USER]
        assert IMPOSTOR not in [value for _, value in each.headers]


async def test_the_host_of_the_webhooks_is_not_reached_through_the_other(edge: Edge) -> None:
    reply = await ask(edge, APP, "/webhooks/clerk", method="POST")

    assert (reply.status, reply.reason) == (401, "no_credential")


@pytest.mark.parametrize(
    ("place", "status", "principal"),
    [(APP, 401, None), (INTERNAL, 200, "service:static")],
)
async def test_a_service_token_counts_inside_and_nowhere_else(
    edge: Edge, world: World, place: str, status: int, principal: str | None
) -> None:
    reply = await ask(edge, place, "/jobs", bearer(world.service_token))

    assert reply.status == status
    seen = edge.upstream.take()
    assert [each.values("wicketgate-principal") for each in seen] == (
        [[principal]] if principal else []
    )


async def test_browsers_are_answered_before_the_gate_is_asked(edge: Edge) -> None:
    asked = ("access-control-request-method", "GET")
    preflight = await ask(edge, APP, "/v1/me", ("origin", ORIGIN), asked, method="OPTIONS")
    denied = await ask(edge, APP, "/v1/me", ("origin", ORIGIN))

    assert preflight.status == 200
    assert denied.status == 401
    for reply in (preflight, denied):
        assert dict(reply.headers)["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("path", ["/v1%2fme", "/v1%5Cme"])
async def test_an_escaped_slash_is_refused(edge: Edge, world: World, path: str) -> None:
    reply = await ask(edge, APP, path, signed_in(world))

    assert reply.status == 400
    assert edge.upstream.take() == []


async def test_what_is_judged_is_what_arrives(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "//v1/./x/../me", signed_in(world))

    assert reply.status == 200
    assert edge.seen().path == "/v1/me"
