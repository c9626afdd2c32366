"""What the manifests for Istio lead to, on a real Envoy with a real gate and their own policy.

The patches are taken from the manifest; what is around them is what istiod would write
(`deploy.istiod`). No control plane runs here.
"""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from conformance.table import World
from deploy.attacks import arriving, is_delivery, unasked, with_token
from deploy.edges import FORGED, IMPOSTOR, Edge, bootstrap, complaint_about, running_edge
from deploy.istiod import AUTHZ, manager, patched
from deploy.resources import documents_of
from processes import environ
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Reply, bearer

HERE: Final = Path(__file__).parents[2] / "deploy" / "istio"
ORIGIN: Final = "https://www.example.com"
APP, HOOKS = "app.example.com", "hooks.example.com"
EDGE, BARE = "as the manifests have it", "without the EnvoyFilter"

pytestmark = pytest.mark.envoy
asynchronous = pytest.mark.asyncio(loop_scope="module")

CLUSTER: Final[dict[str, Any]] = {
    "name": AUTHZ,
    "type": "EDS",
    "connectTimeout": "0.25s",
    "typedExtensionProtocolOptions": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": (
                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
            ),
            "explicitHttpConfig": {"http2ProtocolOptions": {}},
        }
    },
}


def managers() -> dict[str, dict[str, Any]]:
    """Return the gateway's connection manager, with and without the patches."""
    (values,) = documents_of(HERE / "mesh-config.yaml")
    (policy,) = documents_of(HERE / "authorize.yaml")
    (edge_filter,) = documents_of(HERE / "edge-filters.yaml")
    objects = documents_of(HERE / "gateway.yaml")
    routes = [each for each in objects if each["kind"] == "HTTPRoute"]
    bare = manager(values["meshConfig"], policy, routes)
    return {EDGE: patched(bare, edge_filter), BARE: bare}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(world: World) -> AsyncIterator[Edge]:
    settings = environ(
        world,
        SERVICE_AUTH_TOKEN=world.service_token,
        WICKETGATE_AZP_CHECK="off",
        WICKETGATE_POLICY_FILE=str(HERE / "policy.yaml"),
    )
    async with running_edge(managers(), authz=CLUSTER, settings=settings) as running:
        yield running


async def ask(
    edge: Edge,
    host: str,
    path: str,
    *headers: tuple[str, str],
    method: str = "GET",
    place: str = EDGE,
) -> Reply:
    return await edge.client.send(
        edge.urls[place] + path, method=method, headers=headers, host=host
    )


def signed_in(world: World) -> tuple[str, str]:
    return bearer(world.clerk.mint(now=time.time()))


def test_envoy_takes_what_the_patches_lead_to(tmp_path: Path) -> None:
    edge = managers()[EDGE]
    clusters = [
        {**CLUSTER, "type": "STATIC"},
        *({"name": name} for name in ("core", "wicketgate-webhooks")),
    ]

    config = bootstrap({10001: edge}, clusters=clusters, admin_port=10000)
    assert complaint_about(config, tmp_path) == ""
    edge["httpFilters"][0]["typedConfig"]["mutations"]["requestMutation"] = []
    config = bootstrap({10001: edge}, clusters=clusters, admin_port=10000)
    assert "requestMutation" in complaint_about(config, tmp_path)


@asynchronous
async def test_a_user_comes_in_by_name(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "/v1/me", signed_in(world))

    assert reply.status == 200
    seen = edge.seen()
    assert seen.values("clerk_user_id") == [USER]
    assert seen.values("wicketgate-principal") == [f"user:{USER}"]


@asynchronous
@pytest.mark.parametrize(
    ("host", "path", "method", "status"),
    [
        (APP, "/v1/me", "GET", 401),
        (APP, "/webhooks/clerk", "POST", 401),
        (APP, "/webhooks/clerk/../../v1/me", "POST", 401),
        (APP, "/webhooks%2fclerk", "POST", 400),
        (HOOKS, "/webhooks/clerk", "POST", 200),
        (HOOKS, "/webhooks/clerk?x=1", "POST", 200),
        (HOOKS.upper(), "/webhooks/clerk", "POST", 200),
        # No route, so Envoy answers and nobody is asked.
        (HOOKS, "/webhooks/clerk", "GET", 404),
        (HOOKS, "/webhooks/clerk/", "POST", 404),
        (HOOKS, "/v1/me", "GET", 404),
    ],
)
async def test_without_a_token_nothing_is_reached_but_the_receiver(
    edge: Edge, host: str, path: str, method: str, status: int
) -> None:
    reply = await ask(edge, host, path, method=method)

    assert reply.status == status
    assert len(edge.upstream.take()) == (status == 200)


@asynchronous
async def test_no_spelling_of_an_identity_gets_past_the_gate(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "/v1/me", signed_in(world), *FORGED)

    assert reply.status == 200
    assert IMPOSTOR not in [value for _, value in edge.seen().headers]


@asynchronous
@pytest.mark.parametrize(("place", "arriving"), [(EDGE, 0), (BARE, len(FORGED))])
async def test_no_spelling_of_an_identity_gets_in_where_nobody_is_asked(
    edge: Edge, place: str, arriving: int
) -> None:
    """
    Without the patches, all of them arrive.
    """
    sent = (*FORGED, ("x-innocent", "1"))
    reply = await ask(edge, HOOKS, "/webhooks/clerk", *sent, method="POST", place=place)

    assert reply.status == 200
    seen = edge.seen()
    assert [value for _, value in seen.headers].count(IMPOSTOR) == arriving
    assert seen.values("x-innocent") == ["1"]


@asynchronous
async def test_nothing_but_a_delivery_arrives_unasked_however_it_is_written(edge: Edge) -> None:
    seen = await arriving(edge, EDGE, unasked())

    assert [each for each in seen if not is_delivery(each)] == []
    assert len(seen) > 5
    bare = await arriving(edge, BARE, unasked())
    assert [each for each in bare if not is_delivery(each)] != []


@asynchronous
async def test_no_way_to_write_a_name_makes_another_user(edge: Edge, world: World) -> None:
    token = world.clerk.mint(now=time.time())
    seen = await arriving(edge, EDGE, with_token(token))

    assert len(seen) > 5
    for each in seen:
        assert each.values("clerk_user_id") == [USER]
        assert IMPOSTOR not in [value for _, value in each.headers]


@asynchronous
async def test_a_service_token_opens_nothing_at_the_edge(edge: Edge, world: World) -> None:
    """
    Istio says nothing about the route, and what says nothing is public. The answer does not
    tell that the token is a live one.
    """
    reply = await ask(edge, APP, "/internal/audio/7", bearer(world.service_token))

    assert (reply.status, reply.reason) == (401, "token_malformed")
    assert edge.upstream.take() == []


@asynchronous
@pytest.mark.parametrize(("place", "preflight"), [(EDGE, 200), (BARE, 401)])
async def test_browsers_are_answered_before_the_gate_is_asked(
    edge: Edge, place: str, preflight: int
) -> None:
    """
    Where Istio has its CORS filter, the gate is asked first, and a preflight has no token.
    """
    asked = ("access-control-request-method", "GET")
    origin = ("origin", ORIGIN)
    first = await ask(edge, APP, "/v1/me", origin, asked, method="OPTIONS", place=place)
    denied = await ask(edge, APP, "/v1/me", origin, place=place)

    assert (first.status, denied.status) == (preflight, 401)
    readable = "access-control-allow-origin" in dict(denied.headers)
    assert readable == (place == EDGE)


@asynchronous
@pytest.mark.parametrize("path", ["/v1%2fme", "/v1%5Cme"])
async def test_an_escaped_slash_is_refused(edge: Edge, world: World, path: str) -> None:
    """
    With the patches by Envoy; without them by the gate.
    """
    by_envoy = await ask(edge, APP, path, signed_in(world))
    by_gate = await ask(edge, APP, path, signed_in(world), place=BARE)

    assert (by_envoy.status, by_envoy.reason) == (400, "")
    assert (by_gate.status, by_gate.reason) == (400, "ambiguous_path")
    assert edge.upstream.take() == []


@asynchronous
async def test_what_is_judged_is_what_arrives(edge: Edge, world: World) -> None:
    reply = await ask(edge, APP, "//v1/./x/../me", signed_in(world))

    assert reply.status == 200
    assert edge.seen().path == "/v1/me"
