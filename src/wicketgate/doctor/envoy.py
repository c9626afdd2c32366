"""Everything that is checked in the configuration of one Envoy."""

from collections.abc import Sequence
from typing import Final

from wicketgate.doctor import cluster_checks, manager_checks
from wicketgate.doctor.filter_checks import FILTER_CHECKS
from wicketgate.doctor.finding import Fault, Faults, Insert, Version
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import EXT_AUTHZ, TYPES, Mesh, mesh_of
from wicketgate.doctor.route_checks import ROUTE_CHECKS, direct_response
from wicketgate.doctor.versions import version_in, vulnerabilities

_FILTER: Final = {
    "name": "envoy.filters.http.ext_authz",
    "typed_config": {
        "@type": TYPES + EXT_AUTHZ,
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "grpc_service": {"timeout": "0.5s", "envoy_grpc": {"cluster_name": "authz"}},
    },
}


def envoy_faults(document: Node, *, identity: Sequence[str], version: Version | None) -> Faults:
    """Yield what is wrong in a bootstrap or a dump.

    Args:
        document: The whole.
        identity: Headers that carry identity, beside those that always do.
        version: Envoy's, if it is known from elsewhere.
    """
    mesh = mesh_of(document)
    version = version_in(mesh) if version is None else version
    if version is not None:
        yield from vulnerabilities(mesh, version)
    asking = [each for each in mesh.managers if each.places_of(EXT_AUTHZ)]
    if not asking:
        yield _no_filter(document, mesh)
    guarded = {name for manager in asking for name in manager.targets}
    for manager in mesh.managers:
        if manager not in asking:
            yield from manager_checks.listener_unchecked(manager, guarded)
    for manager in asking:
        for check in (
            *(manager_checks.filter_off, manager_checks.path_normalization),
            *(manager_checks.cors_after_gate, *ROUTE_CHECKS),
        ):
            yield from check(manager)
        yield from direct_response(manager, version)
        yield from manager_checks.identity_not_stripped(manager, identity)
        yield from manager_checks.identity_removed_after(manager, identity)
    for _, _, config in mesh.gates:
        for check in FILTER_CHECKS:
            yield from check(config)
        yield from cluster_checks.cluster_faults(mesh, config)


def _no_filter(document: Node, mesh: Mesh) -> Fault:
    found = "no HTTP filter is an ExtAuthz"
    filters = [each for manager in mesh.managers for each in manager.filters[-1:]]
    if not filters:
        advice = "the connection manager that takes requests is not in this file; examine that"
        return Fault("no-filter", document.place, found, advice=advice)
    # The last is the router.
    return Fault("no-filter", filters[0].place, found, (Insert(filters[0].place, _FILTER),))
