"""What can be wrong in Istio's way to ask the gate.

Source: Istio, ``mesh/v1alpha1`` (MeshConfig), ``security/v1`` (AuthorizationPolicy),
``networking/v1alpha3`` (EnvoyFilter).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from wicketgate.doctor.filter_checks import (
    FILTER_CHECKS,
    UNSAID_BY_DEFAULT,
    VERDICT_CODES,
    of_timeout,
)
from wicketgate.doctor.finding import Drop, Fault, Faults, Insert, Put
from wicketgate.doctor.manager_checks import missing, shown, strip_filter
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import EXT_AUTHZ, HEADER_MUTATION, config_of
from wicketgate.doctor.route_checks import disabled_in

_DEFAULT_SECONDS: Final = 600.0
_NORMALIZED: Final = frozenset({"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"})
_ROUTES: Final = frozenset({"HTTP_ROUTE", "VIRTUAL_HOST", "ROUTE_CONFIGURATION"})
_NOT_IN_FRONT: Final = frozenset({"ADD", "REMOVE", "MERGE"})
"""Takes a filter away, puts it behind the router, or changes one that is there."""
_VERDICTS: Final = frozenset(map(str, VERDICT_CODES))
_GATE: Final = "envoy.filters.http.ext_authz"
_BEHIND: Final = frozenset(
    f"envoy.filters.http.{name}" for name in ("grpc_stats", "fault", "cors", "router")
)
"""What Istio has behind the filter of a CUSTOM policy."""


def istio_faults(documents: Sequence[Node], *, identity: Sequence[str]) -> Faults:
    """Yield what is wrong in manifests of Istio's that belong together.

    Args:
        documents: All objects, and the mesh configuration.
        identity: Headers that carry identity, beside those that always do.
    """
    meshes = [each for document in documents for each in _mesh_configs(document)]
    providers = [each for mesh in meshes for each in mesh.at("extensionProviders").items()]
    policies = [each for each in documents if _is_custom(each)]
    patches = [each for document in documents for each in _patches(document)]
    gates = [(entry, config) for entry, kind, config in patches if kind == EXT_AUTHZ]
    merged = [each for document in documents for each in _merged_gates(document)]
    for provider in providers:
        yield from _provider(provider)
    for policy in policies:
        yield from _policy(policy, providers, knows_mesh=bool(meshes))
    for _, config in gates:
        for check in FILTER_CHECKS:
            yield from check(config)
    for config in merged:
        yield from _said(config)
    yield from _routes_off(documents)
    yield from _taken_away(documents)
    if not policies and not gates:
        yield _nobody_asks(documents)
    if policies or gates or any(map(_asks, providers)):
        for mesh in meshes:
            yield from _normalization(mesh)
    places = [entry.place for entry, _ in gates] + [policy.place for policy in policies]
    removals = [
        mutation
        for document in documents
        for patch in _filter_patches(document)
        if _is_in_front(patch, of_istio_s_own=bool(policies))
        and not (policies and all(map(_is_of_gateways, policies)) and _is_of_sidecars(patch))
        for mutation in _mutations(patch.at("patch", "value"))
    ]
    found = missing(identity, removals, drops_underscores=False)
    if places and found:
        place = places[0]
        edit = Insert((len(documents),), _strip_patch(identity))
        yield Fault("identity-not-stripped", place, shown(found), (edit,))


def _routes_off(documents: Sequence[Node]) -> Faults:
    for document in documents:
        for patch in _all_patches(document):
            if patch.at("applyTo").text in _ROUTES:
                yield from disabled_in(patch.at("patch", "value"))


def _taken_away(documents: Sequence[Node]) -> Faults:
    for document in documents:
        for patch in _filter_patches(document):
            operation = patch.at("patch", "operation").text
            is_replaced = (
                operation == "REPLACE" and config_of(patch.at("patch", "value"))[0] != EXT_AUTHZ
            )
            if _subject(patch) == _GATE and (operation == "REMOVE" or is_replaced):
                found = f"a patch takes {_GATE} away"
                yield Fault("filter-off", patch.place, found, (Drop(patch.place),))


def _subject(patch: Node) -> str:
    return patch.at("match", "listener", "filterChain", "filter", "subFilter", "name").text


def _is_in_front(patch: Node, *, of_istio_s_own: bool) -> bool:
    operation, subject = patch.at("patch", "operation").text, _subject(patch)
    if operation == "INSERT_AFTER":
        return bool(subject) and subject not in {_GATE, *_BEHIND}
    if operation == "INSERT_BEFORE" and of_istio_s_own:
        return subject not in _BEHIND
    return operation not in _NOT_IN_FRONT


def _is_of_gateways(policy: Node) -> bool:
    kinds = [each.at("kind").text for each in policy.at("spec", "targetRefs").items()]
    return bool(kinds) and set(kinds) == {"Gateway"}


def _is_of_sidecars(patch: Node) -> bool:
    return patch.at("match", "context").text == "SIDECAR_INBOUND"


def _mutations(entry: Node) -> Iterator[Node]:
    kind, config = config_of(entry)
    if kind == HEADER_MUTATION:
        yield from config.at("mutations", "request_mutations").items()


def _nobody_asks(documents: Sequence[Node]) -> Fault:
    found = "no AuthorizationPolicy has the action CUSTOM, and no EnvoyFilter an ExtAuthz"
    for each in documents:
        action = each.at("spec", "action")
        if _is_policy(each) and each.at("spec", "provider").is_there:
            return Fault("no-filter", action.place, found, (Put(action.place, "CUSTOM"),))
    advice = "the policy that asks is not in this file; examine it together with these"
    return Fault("no-filter", documents[0].place, found, advice=advice)


def _mesh_configs(document: Node) -> Iterator[Node]:
    for way in (("spec", "meshConfig"), ("meshConfig",), ("spec", "values", "meshConfig")):
        if document.at(*way).is_there:
            yield document.at(*way)
    if document.at("extensionProviders").is_there:
        yield document


def _is_custom(document: Node) -> bool:
    return _is_policy(document) and document.at("spec", "action").text == "CUSTOM"


def _is_policy(document: Node) -> bool:
    return document.at("kind").text == "AuthorizationPolicy"


def _all_patches(document: Node) -> Iterator[Node]:
    if document.at("kind").text == "EnvoyFilter":
        yield from document.at("spec", "configPatches").items()


def _patches(document: Node) -> Iterator[tuple[Node, str, Node]]:
    for patch in _filter_patches(document):
        if patch.at("patch", "operation").text not in _NOT_IN_FRONT:
            entry = patch.at("patch", "value")
            yield entry, *config_of(entry)


def _merged_gates(document: Node) -> Iterator[Node]:
    for patch in _filter_patches(document):
        kind, config = config_of(patch.at("patch", "value"))
        if patch.at("patch", "operation").text == "MERGE" and kind == EXT_AUTHZ:
            yield config


def _filter_patches(document: Node) -> Iterator[Node]:
    for patch in _all_patches(document):
        is_ours = patch.at("match", "context").text != "SIDECAR_OUTBOUND"
        if patch.at("applyTo").text == "HTTP_FILTER" and is_ours:
            yield patch


def _said(config: Node) -> Faults:
    # What is merged into Istio's own filter need not repeat what the provider says.
    for check in FILTER_CHECKS:
        field = UNSAID_BY_DEFAULT.get(check)
        if field is None or config.at(*field).is_there:
            yield from check(config)


def _asks(provider: Node) -> bool:
    return provider.at("envoyExtAuthzGrpc").is_there or provider.at("envoyExtAuthzHttp").is_there


def _provider(provider: Node) -> Faults:
    http, grpc = provider.at("envoyExtAuthzHttp"), provider.at("envoyExtAuthzGrpc")
    if http.is_there:
        kept = {key: node.value for key, node in http.entries() if key in ("service", "port")}
        value = {**kept, "timeout": "0.5s", "statusOnError": "503"}
        edits = (Drop(http.place), Put(grpc.place, value))
        yield Fault("http-service", http.place, "the provider is an envoyExtAuthzHttp", edits)
    if not grpc.is_there:
        return
    fail_open = grpc.at("failOpen")
    if fail_open.is_true:
        edit = Put(fail_open.place, value=False)
        yield Fault("failure-mode-allow", fail_open.place, "failOpen is true", (edit,))
    status = grpc.at("statusOnError")
    if not status.is_there or str(status.value) in _VERDICTS:
        found = (
            f"statusOnError is {status.value}" if status.is_there else "there is no statusOnError"
        )
        yield Fault("status-on-error", status.place, found, (Put(status.place, "503"),))
    yield from of_timeout(grpc.at("timeout"), default=_DEFAULT_SECONDS)
    clears = grpc.at("clearRouteCache")
    if clears.is_true:
        edit = Put(clears.place, value=False)
        yield Fault("clear-route-cache", clears.place, "clearRouteCache is true", (edit,))


def _policy(policy: Node, providers: Sequence[Node], *, knows_mesh: bool) -> Faults:
    name = policy.at("spec", "provider", "name")
    names = [each.at("name").text for each in providers]
    if knows_mesh and name.text not in names:
        found = f"there is no extensionProvider {name.text}"
        edits = (Put(name.place, names[0]),) if len(names) == 1 else ()
        advice = "name one of meshConfig.extensionProviders"
        yield Fault("provider-unknown", name.place, found, edits, "" if edits else advice)
    rules = policy.at("spec", "rules")
    if not any(not rule.value for rule in rules.items()):
        found = (
            "each of its rules selects" if rules.value else "it has no rules, and selects nothing"
        )
        yield Fault("policy-partial", rules.place, found, (Put(rules.place, [{}]),))


def _normalization(mesh: Node) -> Faults:
    node = mesh.at("pathNormalization", "normalization")
    if node.text not in _NORMALIZED:
        found = f"normalization is {node.value}" if node.is_there else "normalization is not set"
        edit = Put(
            mesh.at("pathNormalization").place, {"normalization": "DECODE_AND_MERGE_SLASHES"}
        )
        yield Fault("path-normalization", node.place, found, (edit,))


def _strip_patch(identity: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "strip-identity", "namespace": "istio-system"},
        "spec": {
            "configPatches": [
                {
                    "applyTo": "HTTP_FILTER",
                    "match": {
                        "context": "GATEWAY",
                        "listener": {
                            "filterChain": {
                                "filter": {"name": "envoy.filters.network.http_connection_manager"}
                            }
                        },
                    },
                    "patch": {"operation": "INSERT_FIRST", "value": strip_filter(identity)},
                }
            ]
        },
    }
