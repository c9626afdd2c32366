"""Everything that is checked in the configuration of one Envoy."""

from collections.abc import Sequence

from wicketgate.doctor import cluster_checks, manager_checks
from wicketgate.doctor.filter_checks import FILTER_CHECKS
from wicketgate.doctor.finding import Fault, Faults, Version
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import EXT_AUTHZ, mesh_of
from wicketgate.doctor.route_checks import ROUTE_CHECKS, direct_response
from wicketgate.doctor.versions import version_in, vulnerabilities


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
        place = mesh.managers[0].node.at("http_filters").place if mesh.managers else document.place
        advice = "add envoy.filters.http.ext_authz before the router, as envoy.yaml has it"
        yield Fault("no-filter", place, "no HTTP filter is an ExtAuthz", advice=advice)
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
