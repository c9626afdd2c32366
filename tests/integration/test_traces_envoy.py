"""The pieces of envoy.yaml that docs/operations.md shows for traces, in a real Envoy."""

import asyncio
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import yaml

from collectors import Collector, collector
from conformance.table import USERS, World, bearer
from meshes import Document, Mesh, managers, mesh
from processes import environ
from wicketgate.local.envoy import envoy_version, find_envoy
from wicketgate.local.envoy_config import AUTHZ_FILTER

pytestmark = pytest.mark.envoy

PAGE: Final = Path(__file__).parents[2] / "docs" / "operations.md"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=x"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}


def pieces() -> list[Any]:
    """Return what the section shows: headers to forget, tracing, a cluster, a filter."""
    section = PAGE.read_text().partition("\n## Traces\n")[2].partition("\n## ")[0]
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


def traced(
    collecting: Collector, document: Document, *, percent: int, has_filter: bool, forgets: bool
) -> None:
    """Do what the section says; only the collector is another, and how much is sampled."""
    forgetting, connection_manager, cluster, for_gate = pieces()
    tracing = connection_manager["tracing"]
    config = tracing["provider"]["typed_config"]
    config["http_service"]["http_uri"]["uri"] = collecting.url
    tracing["random_sampling"]["value"] = percent
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    where = endpoint["endpoint"]["address"]["socket_address"]
    where["port_value"] = urlsplit(collecting.url).port
    document["static_resources"]["clusters"].append(cluster)
    # Otherwise Envoy waits for five spans, or five seconds.
    at_once = {"tracing.opentelemetry.min_flush_spans": 1}
    document["layered_runtime"] = {"layers": [{"name": "test", "static_layer": at_once}]}
    for manager in managers(document):
        manager["tracing"] = tracing
        if forgets:
            manager.update(forgetting)
        if has_filter:
            names = [each["name"] for each in manager["http_filters"]]
            manager["http_filters"].insert(names.index(AUTHZ_FILTER), for_gate)


async def ask(running: Mesh, world: World, headers: dict[str, str]) -> None:
    sent = {**bearer()(world), **headers}
    reply = await running.client.send(running.edge + USERS.path, headers=list(sent.items()))
    assert reply.status == 200


async def in_a_mesh(
    world: World,
    requests: list[dict[str, str]],
    *,
    of_envoy: int,
    percent: int = 100,
    has_filter: bool = True,
    forgets: bool = False,
) -> Collector:
    """Send some requests, and return the collector as it was when the gate had ended.

    Args:
        world: Where the gate stands.
        requests: The headers of each, beside a token.
        of_envoy: How many of them Envoy tells about.
        percent: How many Envoy samples.
        has_filter: Whether the gate is told where Envoy's span is.
        forgets: Whether Envoy takes no trace from outside.
    """
    async with collector() as collecting:
        settings = environ(world, WICKETGATE_TRACES_ENDPOINT=collecting.url)

        def edit(document: Document) -> None:
            traced(collecting, document, percent=percent, has_filter=has_filter, forgets=forgets)

        async with mesh(settings, edit=edit) as running:
            for headers in requests:
                await ask(running, world, headers)
            await collecting.has(of_envoy, "ingress")
            running.gates[0].process.terminate()
            await asyncio.wait_for(running.gates[0].process.wait(), 20)
        return collecting


@pytest.fixture
async def knows_its_span() -> None:
    """Skip with an Envoy that cannot say in which span it is, and what it chose."""
    if (await envoy_version(find_envoy())).startswith(("1.36.", "1.37.", "1.38.")):
        pytest.skip(
            "before 1.38 Envoy has no %SPAN_ID%; 1.38 does not write down all that it samples"
        )


async def test_without_the_filter_a_check_is_beside_envoy_s_span(world: World) -> None:
    requests = [SAMPLED, UNSAMPLED, {}, SAMPLED, {}]

    told = await in_a_mesh(world, requests, of_envoy=4, has_filter=False)

    checks = told.named("wicketgate.check")
    assert [(each.trace_id, each.parent_id) for each in checks] == [(TRACE, PARENT)] * 2
    assert {each.span.trace_state for each in checks} == {"vendor=x"}


@pytest.mark.usefixtures("knows_its_span")
async def test_with_the_filter_a_check_is_below_envoy_s_span_where_there_is_one(
    world: World,
) -> None:
    told = await in_a_mesh(world, [SAMPLED, {}, UNSAMPLED, SAMPLED, {}], of_envoy=4)

    ingress = {each.span_id: each.trace_id for each in told.named("ingress")}
    checks = {each.parent_id: each.trace_id for each in told.named("wicketgate.check")}
    assert len(ingress) == 4
    assert list(ingress.values()).count(TRACE) == 2
    assert checks == ingress


@pytest.mark.usefixtures("knows_its_span")
async def test_with_the_filter_envoy_s_choice_of_what_is_sampled_is_the_gate_s(
    world: World,
) -> None:
    told = await in_a_mesh(world, [SAMPLED, UNSAMPLED, {}], of_envoy=0, percent=0)

    assert told.told == []


@pytest.mark.usefixtures("knows_its_span")
async def test_a_client_names_no_trace_where_envoy_forgets_what_comes_from_outside(
    world: World,
) -> None:
    told = await in_a_mesh(world, [SAMPLED, {}], of_envoy=2, forgets=True)
    unsampled = await in_a_mesh(world, [SAMPLED], of_envoy=0, percent=0, forgets=True)

    ingress = {each.span_id: each.trace_id for each in told.named("ingress")}
    checks = told.named("wicketgate.check")
    assert {each.parent_id: each.trace_id for each in checks} == ingress
    assert TRACE not in ingress.values()
    assert {each.span.trace_state for each in checks} == {""}
    assert unsampled.told == []
