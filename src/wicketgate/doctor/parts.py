"""The parts of an Envoy configuration that matter here, in a bootstrap or in a dump.

Source: Envoy, ``config/bootstrap/v3``, ``admin/v3/config_dump.proto``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from wicketgate.doctor.node import Node

_FILTERS: Final = "envoy.extensions.filters.http."
EXT_AUTHZ: Final = f"{_FILTERS}ext_authz.v3.ExtAuthz"
PER_ROUTE: Final = f"{_FILTERS}ext_authz.v3.ExtAuthzPerRoute"
FILTER_CONFIG: Final = "envoy.config.route.v3.FilterConfig"
CORS: Final = f"{_FILTERS}cors.v3.Cors"
RBAC: Final = f"{_FILTERS}rbac.v3.RBAC"
JWT: Final = f"{_FILTERS}jwt_authn.v3.JwtAuthentication"
HEADER_MUTATION: Final = f"{_FILTERS}header_mutation.v3.HeaderMutation"
MANAGER: Final = (
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
TYPES: Final = "type.googleapis.com/"
_TYPED_STRUCTS: Final = ("udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct")

_DUMPED_LISTENERS: Final = (
    ("static_listeners", ("listener",)),
    ("dynamic_listeners", ("active_state", "listener")),
)
_DUMPED_CLUSTERS: Final = (
    ("static_clusters", ("cluster",)),
    ("dynamic_active_clusters", ("cluster",)),
)
_DUMPED_ROUTES: Final = (
    ("static_route_configs", ("route_config",)),
    ("dynamic_route_configs", ("route_config",)),
)


def kind_of(any_node: Node) -> str:
    """Return the name of the message that an ``Any`` holds."""
    return any_node.at("@type").text.rpartition("/")[2]


def config_of(entry: Node) -> tuple[str, Node]:
    """Return the kind and the configuration of a filter, however it is wrapped."""
    return unwrapped(entry.at("typed_config"))


def unwrapped(any_node: Node) -> tuple[str, Node]:
    """Return the kind and the fields of what an ``Any`` holds, out of a ``TypedStruct``."""
    kind = kind_of(any_node)
    if kind in _TYPED_STRUCTS:
        return any_node.at("type_url").text.rpartition("/")[2], any_node.at("value")
    return kind, any_node


@dataclass(frozen=True, slots=True)
class Manager:
    """An HTTP connection manager and its routes.

    Attributes:
        node: Its configuration.
        filters: Its HTTP filters, in order.
        routes: Its ``RouteConfiguration``, where that is known.
    """

    node: Node
    filters: tuple[Node, ...]
    routes: tuple[Node, ...]

    def places_of(self, kind: str) -> list[int]:
        """Return where among the filters those of one kind are."""
        return [at for at, each in enumerate(self.filters) if config_of(each)[0] == kind]

    @property
    def hosts(self) -> list[Node]:
        """The virtual hosts."""
        return [host for each in self.routes for host in each.at("virtual_hosts").items()]

    @property
    def targets(self) -> set[str]:
        """The clusters that routes name."""
        actions = [level.at("route") for level in self.levels]
        split = (
            each
            for action in actions
            for each in action.at("weighted_clusters", "clusters").items()
        )
        names = [action.at("cluster") for action in actions] + [each.at("name") for each in split]
        return {name.text for name in names if name.text}

    @property
    def levels(self) -> Iterator[Node]:
        """What may change a filter: route configurations, hosts, routes, weighted clusters."""
        for config in self.routes:
            yield config
            for host in config.at("virtual_hosts").items():
                yield host
                for route in host.at("routes").items():
                    yield route
                    yield from route.at("route", "weighted_clusters", "clusters").items()


@dataclass(frozen=True, slots=True)
class Mesh:
    """What one Envoy was told.

    Attributes:
        root: All of it.
        managers: Its connection managers that take requests.
        clusters: By name.
        lists_clusters: Whether these are all clusters there can be.
        version: The node that tells Envoy's version.
    """

    root: Node
    managers: tuple[Manager, ...]
    clusters: Mapping[str, Node]
    lists_clusters: bool
    version: Node

    @property
    def gates(self) -> Iterator[tuple[Manager, Node, Node]]:
        """Yield each filter that asks a gate: its manager, its entry and its configuration."""
        for manager in self.managers:
            for entry in manager.filters:
                kind, config = config_of(entry)
                if kind == EXT_AUTHZ:
                    yield manager, entry, config


def mesh_of(document: Node) -> Mesh:
    """Return the parts of a bootstrap, or of what ``/config_dump`` answers."""
    return _dumped(document) if document.at("configs").is_there else _booted(document)


def _booted(document: Node) -> Mesh:
    resources = document.at("static_resources")
    return Mesh(
        root=document,
        managers=_managers(resources.at("listeners").items(), {}),
        clusters=_by_name(resources.at("clusters").items()),
        lists_clusters=not document.at("dynamic_resources", "cds_config").is_there
        and not document.at("dynamic_resources", "ads_config").is_there,
        version=document.at("node", "user_agent_build_version", "version"),
    )


def _dumped(document: Node) -> Mesh:
    routes = _by_name(_within(document, "RoutesConfigDump", _DUMPED_ROUTES))
    boot = _part(document, "BootstrapConfigDump").at("bootstrap")
    return Mesh(
        root=document,
        managers=_managers(_within(document, "ListenersConfigDump", _DUMPED_LISTENERS), routes),
        clusters=_by_name(_within(document, "ClustersConfigDump", _DUMPED_CLUSTERS)),
        lists_clusters=True,
        version=boot.at("node", "user_agent_build_version", "version"),
    )


def _part(document: Node, name: str) -> Node:
    parts = document.at("configs").items()
    return next((each for each in parts if kind_of(each).endswith(f".{name}")), Node(None, ()))


def _within(
    document: Node, name: str, ways: tuple[tuple[str, tuple[str, ...]], ...]
) -> Iterator[Node]:
    part = _part(document, name)
    return chain.from_iterable(
        (each.at(*way) for each in part.at(key).items()) for key, way in ways
    )


def _by_name(nodes: Iterator[Node]) -> dict[str, Node]:
    return {node.at("name").text: node for node in nodes}


def _managers(listeners: Iterator[Node], routes: Mapping[str, Node]) -> tuple[Manager, ...]:
    known = list(listeners)
    directions = [listener.at("traffic_direction").text for listener in known]
    # What leaves a workload of Istio's is not what comes in. A gateway of Istio's has only
    # OUTBOUND listeners, and through these everything comes in.
    skipped = "OUTBOUND" if "INBOUND" in directions else None
    return tuple(
        _manager(config, routes)
        for listener, direction in zip(known, directions, strict=True)
        if direction != skipped
        for kind, config in map(config_of, _network_filters(listener))
        if kind == MANAGER
    )


def _network_filters(listener: Node) -> Iterator[Node]:
    for filters in listener.at("filter_chains").items():
        yield from filters.at("filters").items()
    yield from listener.at("default_filter_chain", "filters").items()


def _manager(config: Node, routes: Mapping[str, Node]) -> Manager:
    inline = config.at("route_config")
    named = routes.get(config.at("rds", "route_config_name").text)
    found = inline if inline.is_there else named
    return Manager(
        node=config,
        filters=tuple(config.at("http_filters").items()),
        routes=() if found is None else (found,),
    )
