"""What can be wrong with the cluster that the filter asks."""

from typing import Any, Final

from wicketgate.doctor.finding import Fault, Faults, Insert, Put
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import TYPES, Mesh

_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_WAYS_TO_HTTP2: Final = (
    ("explicit_http_config", "http2_protocol_options"),
    ("auto_config",),
    ("use_downstream_protocol_config",),
)
_HTTP2: Final = {
    "@type": TYPES + _OPTIONS,
    "explicit_http_config": {"http2_protocol_options": {}},
}
_DEFAULT_RETRIES: Final = 3
_MAX_RETRIES: Final = 1000
_CHECKS: Final = [
    {
        "timeout": "1s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        "unhealthy_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {"service_name": "envoy.service.auth.v3.Authorization"},
    }
]


def cluster_faults(mesh: Mesh, config: Node) -> Faults:
    """Yield what is wrong with the cluster that a filter asks.

    Args:
        mesh: Where the clusters are.
        config: The configuration of the filter.
    """
    name = config.at("grpc_service", "envoy_grpc", "cluster_name")
    cluster = mesh.clusters.get(name.text)
    if cluster is not None:
        yield from _http1(cluster)
        yield from _no_health_check(cluster)
        if config.at("grpc_service", "retry_policy").is_there:
            yield from _max_retries(cluster)
    elif name.is_there and mesh.lists_clusters:
        yield from _missing(mesh, name)


def _missing(mesh: Mesh, name: Node) -> Faults:
    found = f"there is no cluster {name.text}"
    clusters = mesh.root.at("static_resources", "clusters")
    if mesh.root.at("configs").is_there:
        advice = f"add the cluster {name.text} where Envoy gets its clusters from"
        yield Fault("cluster-missing", name.place, found, advice=advice)
        return
    place = (*clusters.place, len(clusters.listed))
    yield Fault("cluster-missing", name.place, found, (Insert(place, _cluster(name.text)),))


def _cluster(name: str) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9191}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "circuit_breakers": {"thresholds": [{"max_retries": _MAX_RETRIES}]},
        "health_checks": _CHECKS,
        "typed_extension_protocol_options": {_OPTIONS: _HTTP2},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _http1(cluster: Node) -> Faults:
    options = cluster.at("typed_extension_protocol_options", _OPTIONS)
    if cluster.at("http2_protocol_options").is_there:
        return
    if not any(options.at(*way).is_there for way in _WAYS_TO_HTTP2):
        found = f"the cluster {cluster.at('name').text} has no http2_protocol_options"
        yield Fault("cluster-http1", options.place, found, (Put(options.place, _HTTP2),))


def _no_health_check(cluster: Node) -> Faults:
    checks = cluster.at("health_checks")
    if not any(each.at("grpc_health_check").is_there for each in checks.items()):
        found = f"the cluster {cluster.at('name').text} has no grpc_health_check"
        yield Fault("no-health-check", checks.place, found, (Put(checks.place, _CHECKS),))


def _max_retries(cluster: Node) -> Faults:
    thresholds = cluster.at("circuit_breakers", "thresholds")
    default = next(
        (each for each in thresholds.items() if each.at("priority").text in {"", "DEFAULT"}), None
    )
    node = thresholds.at(0, "max_retries") if default is None else default.at("max_retries")
    number = _DEFAULT_RETRIES if node.number is None else node.number
    is_shared = default is not None and default.at("retry_budget").is_there
    if number > _DEFAULT_RETRIES or is_shared:
        return
    found = f"max_retries is {number:g}" + ("" if node.is_there else ", the default")
    edit = (
        Put(thresholds.place, [*thresholds.listed, {"max_retries": _MAX_RETRIES}])
        if default is None
        else Put(node.place, _MAX_RETRIES)
    )
    yield Fault("max-retries", node.place, found, (edit,))
