"""The Envoy that requests go through: one listener for each way to authenticate them.

All listeners belong to one Envoy with two workers, so that nothing but their filters
differs. Each is told to spread connections evenly over the workers. The route answers by
itself, so that no upstream takes part; the filters run before it does, and
`require_asked` makes sure of that. What upstream would have learnt of the user is
echoed in a response header, so that every answer can be judged.

Source: Envoy 1.40 ``jwt_authn``, ``ext_authz``, ``direct_response``.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from suite.load.generator import VoidError
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.local.ports import LOOPBACK

Document = dict[str, Any]

ECHOED: Final = "x-let-in"
"""The response header that says who was let in."""
BODY: Final = "let in"
_USER: Final = "clerk_user_id"
_TIMEOUT: Final = "5s"
"""So long that a slow gate is slow in the figures, and not an error."""
_API: Final = "type.googleapis.com/envoy"
_HTTP: Final = f"{_API}.extensions.filters.http"
_AUTHORIZATION: Final = "envoy.service.auth.v3.Authorization"


def jwt_authn(clerk: ClerkInstance, *, is_cached: bool) -> Document:
    """Return Envoy's own filter, with the instance's keys and nothing to fetch."""
    provider: Document = {
        "issuer": clerk.issuer,
        "forward": True,
        "local_jwks": {"inline_string": clerk.jwks().decode()},
        "claim_to_headers": [{"header_name": _USER, "claim_name": "sub"}],
    }
    if is_cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 10_000}
    return _filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        providers={"clerk": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "clerk"}}],
    )


def ext_authz(cluster: str) -> Document:
    """Return the filter that asks a gate."""
    return _filter(
        "ext_authz",
        "ext_authz.v3.ExtAuthz",
        transport_api_version="V3",
        stat_prefix=cluster,
        grpc_service={"timeout": _TIMEOUT, "envoy_grpc": {"cluster_name": cluster}},
    )


def bootstrap(
    filters: Mapping[str, tuple[int, Document | None]], gates: Mapping[str, int], *, admin: int
) -> str:
    """Return Envoy's configuration.

    Args:
        filters: The port and the filter of each listener, by name.
        gates: The port of each cluster, by name.
        admin: The port of the admin interface.
    """
    return json.dumps(
        {
            "admin": {"address": _address(admin)},
            "static_resources": {
                "listeners": [
                    _listener(name, port, each) for name, (port, each) in filters.items()
                ],
                "clusters": [_cluster(name, port) for name, port in gates.items()],
            },
        }
    )


def require_asked(stats: Mapping[str, int], clusters: Mapping[str, int]) -> None:
    """Make sure that the gate of each cluster allowed at least so many requests.

    Raises:
        VoidError: Envoy answered without asking.
    """
    for cluster, answers in clusters.items():
        allowed = sum(
            value for name, value in stats.items() if name.endswith(f"ext_authz.{cluster}.ok")
        )
        if allowed < answers:
            msg = f"expected {cluster} to be asked {answers} times, it allowed {allowed}"
            raise VoidError(msg)


def _listener(name: str, port: int, authentication: Document | None) -> Document:
    router = _filter("router", "router.v3.Router")
    manager = {
        "@type": f"{_API}.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [*([authentication] if authentication else []), router],
        "route_config": {"virtual_hosts": [_virtual_host()]},
    }
    filters = [{"name": "http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "address": _address(port),
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [{"filters": filters}],
    }


def _virtual_host() -> Document:
    user = {"key": ECHOED, "value": f"%REQ({_USER})%"}
    route = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": BODY}},
        "response_headers_to_add": [{"header": user}],
        "typed_per_filter_config": {
            "ext_authz": {
                "@type": f"{_HTTP}.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": {"context_extensions": {"policy": "user", "exposure": "public"}},
            }
        },
    }
    return {"name": "all", "domains": ["*"], "routes": [route]}


def _cluster(name: str, port: int) -> Document:
    http2 = {
        "@type": f"{_API}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 100}},
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _filter(name: str, kind: str, **config: object) -> Document:
    return {"name": name, "typed_config": {"@type": f"{_HTTP}.{kind}", **config}}


def _address(port: int) -> Document:
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}
