"""What istiod would write for the gateway, as far as the gate is concerned.

Written after its sources (Istio 1.32, ``pilot/pkg/networking/core`` and ``pilot/pkg/security``):
which filters stand where, what a provider becomes, what a CUSTOM policy selects, and how an
EnvoyFilter is applied. A test compares it with what istiod's own code wrote
(``translated/istio.json``). Of these languages only the words are understood that the manifests
of ``deploy/istio`` use; any other is a `KeyError`.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Document = dict[str, Any]

AUTHZ: Final = "outbound|9191||wicketgate-authz.wicketgate.svc.cluster.local"
FILTERS: Final = "envoy.filters.http."
_TYPES: Final = "type.googleapis.com/envoy.extensions.filters.http."
_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_NORMALIZATION: Final[Mapping[str, Document]] = {
    "MERGE_SLASHES": {"normalizePath": True, "mergeSlashes": True},
}
_STATUS: Final = {"503": "ServiceUnavailable"}


def manager(mesh: Document, policy: Document, routes: Sequence[Document]) -> Document:
    """Return the gateway's connection manager, as it is before any EnvoyFilter.

    Args:
        mesh: ``meshConfig``.
        policy: The CUSTOM policy that selects the gateway.
        routes: The HTTPRoutes.
    """
    (provider,) = [
        each
        for each in mesh["extensionProviders"]
        if each["name"] == policy["spec"]["provider"]["name"]
    ]
    return {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager"
        ),
        "statPrefix": "outbound_0.0.0.0_443",
        "useRemoteAddress": True,
        "pathWithEscapedSlashesAction": "KEEP_UNCHANGED",
        "streamIdleTimeout": "0s",
        **_NORMALIZATION[mesh["pathNormalization"]["normalization"]],
        "upgradeConfigs": [{"upgradeType": "websocket"}],
        "httpFilters": [
            _filter("rbac", "rbac.v3.RBAC", _shadow_rules(policy)),
            _filter("ext_authz", "ext_authz.v3.ExtAuthz", _ext_authz(provider)),
            _filter("grpc_stats", "grpc_stats.v3.FilterConfig", {"emitFilterState": True}),
            _filter("fault", "fault.v3.HTTPFault", {}),
            _filter("cors", "cors.v3.Cors", {}),
            _filter("router", "router.v3.Router", {}),
        ],
        "routeConfig": {
            "name": "https.443",
            "virtualHosts": [each for route in routes for each in _hosts(route)],
        },
    }


def patched(manager: Document, envoy_filter: Document) -> Document:
    """Return a copy of `manager` as the patches of an EnvoyFilter leave it.

    Source: ``pilot/pkg/networking/core/envoyfilter/listener_patch.go``: network filters first;
    then what adds and takes away HTTP filters, in order; then what merges into them.
    """
    made = copy.deepcopy(manager)
    patches = [_Patch(each) for each in envoy_filter["spec"]["configPatches"]]
    for patch in patches:
        if patch.applies_to == "NETWORK_FILTER" and patch.operation == "MERGE":
            _merge(made, patch.value["typedConfig"])
    for patch in patches:
        if patch.applies_to == "HTTP_FILTER":
            made["httpFilters"] = [*patch.applied(made["httpFilters"])]
    for patch in patches:
        for each in made["httpFilters"]:
            if (
                patch.applies_to == "HTTP_FILTER"
                and patch.operation == "MERGE"
                and patch.is_about(each)
            ):
                _merge(each["typedConfig"], patch.value["typedConfig"])
    return made


class _Patch:
    """One of ``configPatches``."""

    def __init__(self, patch: Document) -> None:
        match = patch["match"]
        assert match["context"] == "GATEWAY"
        network_filter = match["listener"]["filterChain"]["filter"]
        assert network_filter["name"] == _MANAGER
        self.applies_to: str = patch["applyTo"]
        self.operation: str = patch["patch"]["operation"]
        self.value: Document = _camel(patch["patch"].get("value", {}))
        self._name = network_filter.get("subFilter", {}).get("name")

    def is_about(self, http_filter: Document) -> bool:
        return bool(http_filter["name"] == self._name)

    def applied(self, filters: Sequence[Document]) -> Iterator[Document]:
        if self.operation == "INSERT_FIRST":
            yield copy.deepcopy(self.value)
        elif self.operation not in {"REMOVE", "MERGE"}:
            raise KeyError(self.operation)
        for each in filters:
            if not (self.operation == "REMOVE" and self.is_about(each)):
                yield each


def _merge(into: Document, value: Document) -> None:
    for key, each in value.items():
        if isinstance(each, dict) and isinstance(into.get(key), dict):
            _merge(into[key], each)
        elif isinstance(each, list):
            into[key] = [*into.get(key, ()), *each]
        else:
            into[key] = each


def _camel(value: Any) -> Any:  # noqa: ANN401 - parsed YAML
    if isinstance(value, dict):
        return {_camel_name(key): _camel(each) for key, each in value.items()}
    return [_camel(each) for each in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _filter(name: str, kind: str, config: Document) -> Document:
    return {"name": FILTERS + name, "typedConfig": {"@type": _TYPES + kind, **config}}


def _ext_authz(provider: Document) -> Document:
    grpc = dict(provider["envoyExtAuthzGrpc"])
    service, port = grpc.pop("service"), grpc.pop("port")
    assert f"outbound|{port}||{service}" == AUTHZ
    config = {
        "transportApiVersion": "V3",
        "failureModeAllow": grpc.pop("failOpen"),
        "statusOnError": {"code": _STATUS[grpc.pop("statusOnError")]},
        "grpcService": {
            "envoyGrpc": {"clusterName": AUTHZ, "authority": service},
            "timeout": grpc.pop("timeout"),
        },
        "filterEnabledMetadata": {
            "filter": FILTERS + "rbac",
            "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
            "value": {"stringMatch": {"prefix": f"istio-ext-authz-{provider['name']}"}},
        },
    }
    assert not grpc
    return config


def _shadow_rules(policy: Document) -> Document:
    meta, spec = policy["metadata"], policy["spec"]
    assert spec["action"] == "CUSTOM"
    prefix = f"istio-ext-authz-{spec['provider']['name']}-ns[{meta['namespace']}]"
    policies = {
        f"{prefix}-policy[{meta['name']}]-rule[{at}]": {
            "permissions": [_permission(each["operation"]) for each in rule["to"]],
            "principals": [{"andIds": {"ids": [{"any": True}]}}],
        }
        for at, rule in enumerate(spec["rules"])
        if rule.keys() == {"to"}
    }
    assert len(policies) == len(spec["rules"])
    return {
        "shadowRules": {"action": "DENY", "policies": policies},
        "shadowRulesStatPrefix": "istio_ext_authz_",
    }


def _permission(operation: Document) -> Document:
    words = [_WORDS[word](values) for word, values in operation.items()]
    return {"andRules": {"rules": words}}


def _not_any(rules: list[Document]) -> Document:
    return {"notRule": {"orRules": {"rules": rules}}}


def _not_hosts(hosts: Sequence[str]) -> Document:
    match = [{"stringMatch": {"exact": host, "ignoreCase": True}} for host in hosts]
    return _not_any([{"header": {"name": ":authority", **each}} for each in match])


def _not_paths(paths: Sequence[str]) -> Document:
    return _not_any([{"urlPath": {"path": {"exact": path}}} for path in paths])


_WORDS: Final = {"notHosts": _not_hosts, "notPaths": _not_paths}


def _hosts(route: Document) -> Iterator[Document]:
    spec = route["spec"]
    for host in spec["hostnames"]:
        routes = [made for rule in spec["rules"] for made in _routes(rule)]
        yield {"name": f"{host}:443", "domains": [host], "routes": routes}


def _routes(rule: Document) -> Iterator[Document]:
    (backend,) = rule["backendRefs"]
    action = {"route": {"cluster": backend["name"]}}
    settings = {}
    for each in rule.get("filters", ()):
        assert each["type"] == "CORS"
        settings[FILTERS + "cors"] = _cors(each["cors"])
    for match in rule.get("matches", [{}]):
        found: Document = {"prefix": "/"}
        if match:
            assert match["path"]["type"] == "Exact"
            method = {"name": ":method", "stringMatch": {"exact": match["method"]}}
            found = {"path": match["path"]["value"], "headers": [method]}
        yield {"match": found, "typedPerFilterConfig": settings, **action}


def _cors(cors: Document) -> Document:
    return {
        "@type": f"{_TYPES}cors.v3.CorsPolicy",
        "allowOriginStringMatch": [{"exact": each} for each in cors["allowOrigins"]],
        "allowMethods": ",".join(cors["allowMethods"]),
        "allowHeaders": ",".join(cors["allowHeaders"]),
        "exposeHeaders": ",".join(cors["exposeHeaders"]),
        "maxAge": str(cors["maxAge"]),
        "filterEnabled": {"defaultValue": {"numerator": 100}},
        "forwardNotMatchingPreflights": False,
    }
