"""A real Envoy on connection managers that a control plane wrote, with a real gate and an echo.

Only what is about the place is changed: ports, addresses, TLS, and where routes and endpoints come
from.
"""

import copy
import json
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processes import gate
from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.upstream import EchoUpstream, Seen

Document = dict[str, Any]

IMPOSTOR: Final = "user_impostor"
SPELLINGS: Final = tuple(
    {
        spell(name): None
        for header in STRIPPED
        for name in spellings_of(header)
        for spell in (str.lower, str.upper, str.title)
    }
)
"""Every name under which an identity could be forged, in three cases."""
FORGED: Final = tuple(
    (name, IMPOSTOR) for name in (*SPELLINGS, "x-envoy-auth-failure-mode-allowed")
)


@dataclass(frozen=True, slots=True)
class Edge:
    """What is running.

    Attributes:
        client: Sends requests.
        upstream: Answers them, and knows what arrived.
        urls: By the names of the connection managers.
    """

    client: Client
    upstream: EchoUpstream
    urls: Mapping[str, str]

    def seen(self) -> Seen:
        """Return the one request that has arrived since the last call."""
        (seen,) = self.upstream.take()
        return seen


@asynccontextmanager
async def running_edge(
    managers: Mapping[str, Document], *, authz: Document, settings: Mapping[str, str]
) -> AsyncIterator[Edge]:
    """Run everything for as long as the context lasts.

    Args:
        managers: Connection managers with their routes inline, each for a listener of its own.
        authz: The gate's cluster, whose endpoints are discovered.
        settings: The environment of the gate.
    """
    async with AsyncExitStack() as stack:
        checks = (await stack.enter_async_context(gate(settings))).checks
        upstream = await stack.enter_async_context(EchoUpstream())
        admin, *ports = stack.enter_context(held_ports(1 + len(managers)))
        config = bootstrap(
            dict(zip(ports, managers.values(), strict=True)),
            clusters=[
                {**_static(authz), **_endpoints(authz["name"], checks)},
                *(
                    {"name": name, "type": "STATIC", **_endpoints(name, upstream.address)}
                    for name in sorted({*_targets(managers.values())})
                ),
            ],
            admin_port=admin,
        )
        envoy = EnvoyProcess(
            json.dumps(config), admin_port=admin, binary=find_envoy(), wait_for=(authz["name"],)
        )
        await stack.enter_async_context(envoy)
        client = await stack.enter_async_context(Client())
        named = zip(managers, ports, strict=True)
        yield Edge(client, upstream, {name: f"http://{LOOPBACK}:{port}" for name, port in named})


def bootstrap(
    managers: Mapping[int, Document], *, clusters: list[Document], admin_port: int
) -> Document:
    """Return a bootstrap with a listener for each of `managers`, by port."""
    return {
        "admin": {"address": _address(LOOPBACK, admin_port)},
        "static_resources": {
            "listeners": [_listener(port, each) for port, each in managers.items()],
            "clusters": clusters,
        },
    }


def complaint_about(config: Document, directory: Path) -> str:
    """Return what Envoy says about a configuration that it does not take; else nothing."""
    path = directory / "envoy.json"
    path.write_text(json.dumps(config), "utf-8")
    command = [str(find_envoy()), "--mode", "validate", "-c", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def inline(manager: Document, routes: Document) -> Document:
    """Return a copy of `manager` that has its routes at hand."""
    made = copy.deepcopy(manager)
    made.pop("rds", None)
    return made | {"routeConfig": {key: each for key, each in routes.items() if key != "@type"}}


def _listener(port: int, manager: Document) -> Document:
    name = "envoy.filters.network.http_connection_manager"
    return {
        "name": f"listener_{port}",
        "address": _address(LOOPBACK, port),
        "filter_chains": [{"filters": [{"name": name, "typed_config": manager}]}],
    }


def _address(host: str, port: int) -> Document:
    return {"socket_address": {"address": host, "port_value": port}}


def _static(cluster: Document) -> Document:
    discovered = {"@type", "edsClusterConfig"}
    return {key: each for key, each in cluster.items() if key not in discovered} | {
        "type": "STATIC"
    }


def _endpoints(name: str, address: str) -> Document:
    host, _, port = address.rpartition(":")
    endpoint = {"endpoint": {"address": _address(host, int(port))}}
    return {"load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}


def _targets(managers: Iterable[Document]) -> Iterator[str]:
    for manager in managers:
        for host in manager["routeConfig"].get("virtualHosts", ()):
            for route in host.get("routes", ()):
                if "route" in route:
                    yield route["route"]["cluster"]
