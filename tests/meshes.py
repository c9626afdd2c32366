"""A real Envoy in front of real gates, for tests that bend its configuration."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from processes import Running, gate
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.envoy_config import AUTHZ_FILTER, envoy_document, render_config
from wicketgate.local.ports import held_ports
from wicketgate.local.upstream import EchoUpstream

Document = dict[str, Any]


@dataclass
class Mesh:
    """What is running."""

    gates: list[Running]
    upstream: EchoUpstream
    client: Client
    edge: str
    internal: str


def managers(document: Document) -> list[Document]:
    """Return the connection manager of every listener."""
    return [
        listener["filter_chains"][0]["filters"][0]["typed_config"]
        for listener in document["static_resources"]["listeners"]
    ]


def authz_filters(document: Document) -> list[Document]:
    """Return the configuration of the ext_authz filter of every listener."""
    return [
        each["typed_config"]
        for manager in managers(document)
        for each in manager["http_filters"]
        if each["name"] == AUTHZ_FILTER
    ]


def cluster(document: Document, name: str) -> Document:
    """Return a cluster by name."""
    (found,) = [each for each in document["static_resources"]["clusters"] if each["name"] == name]
    return found  # type: ignore[no-any-return] # parsed JSON


def unchanged(_: Document) -> None:
    """Leave envoy.yaml as it is."""


@asynccontextmanager
async def mesh(
    settings: Mapping[str, str], *, gates: int = 1, edit: Callable[[Document], None] = unchanged
) -> AsyncIterator[Mesh]:
    """Run everything for as long as the context lasts.

    Args:
        settings: The environment of every gate.
        gates: How many there are behind Envoy.
        edit: Changes the parsed envoy.yaml in place, ports already replaced.
    """
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(gate(settings)) for _ in range(gates)]
        upstream = await stack.enter_async_context(EchoUpstream())
        edge, internal, admin = stack.enter_context(held_ports(3))
        config = json.loads(
            render_config(
                envoy_document(),
                listeners={"edge": edge, "internal": internal},
                clusters={
                    "authz": [each.checks for each in running],
                    "upstream": upstream.address,
                },
                admin_port=admin,
            )
        )
        edit(config)
        envoy = EnvoyProcess(json.dumps(config), admin_port=admin, binary=find_envoy())
        await stack.enter_async_context(envoy)
        client = await stack.enter_async_context(Client())
        yield Mesh(
            gates=running,
            upstream=upstream,
            client=client,
            edge=f"http://127.0.0.1:{edge}",
            internal=f"http://127.0.0.1:{internal}",
        )
