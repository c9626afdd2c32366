"""What can be wrong in Envoy Gateway's way to ask the gate.

Source: Envoy Gateway, ``gateway.envoyproxy.io/v1alpha1`` (SecurityPolicy,
ClientTrafficPolicy).
"""

from collections.abc import Sequence
from typing import Any, Final

from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.doctor.filter_checks import VERDICT_CODES, of_timeout
from wicketgate.doctor.finding import Drop, Fault, Faults, Insert, Put
from wicketgate.doctor.manager_checks import missing, shown
from wicketgate.doctor.node import Node

_DEFAULT_SECONDS: Final = 10.0
_KEPT: Final = "KeepUnchanged"
_MATCHERS: Final = {
    "Exact": "exact",
    "Prefix": "prefix",
    "Suffix": "suffix",
    "RegularExpression": "safe_regex",
}


def gateway_faults(documents: Sequence[Node], *, identity: Sequence[str]) -> Faults:
    """Yield what is wrong in manifests of Envoy Gateway's that belong together.

    Args:
        documents: All objects.
        identity: Headers that carry identity, beside those that always do.
    """
    asking = [
        each
        for each in documents
        if each.at("kind").text == "SecurityPolicy" and each.at("spec", "extAuth").is_there
    ]
    clients = [each for each in documents if each.at("kind").text == "ClientTrafficPolicy"]
    for policy in asking:
        yield from _ext_auth(policy.at("spec", "extAuth"))
    for client in clients:
        yield from _path(client.at("spec", "path"))
    if not asking:
        found = "no SecurityPolicy has extAuth"
        advice = "the policy that asks is not in this file; examine it together with these"
        yield Fault("no-filter", documents[0].place, found, advice=advice)
        return
    for policy in documents:
        yield from _asks_nobody(policy)
    if clients:
        # Each is all that stands in front of what it targets; they do not add up.
        for client in clients:
            yield from _stripped(client, identity)
    else:
        yield from _stripped_nowhere(documents, asking[0], identity)


def _ext_auth(auth: Node) -> Faults:
    fail_open, http, grpc = auth.at("failOpen"), auth.at("http"), auth.at("grpc")
    if fail_open.is_true:
        edit = Put(fail_open.place, value=False)
        yield Fault("failure-mode-allow", fail_open.place, "failOpen is true", (edit,))
    if http.is_there:
        kept = {key: value for key, value in http.entries() if key.startswith("backend")}
        value = {key: node.value for key, node in kept.items()}
        edits = (Drop(http.place), Put(grpc.place, value))
        yield Fault("http-service", http.place, "extAuth has http", edits)
    yield from of_timeout(auth.at("timeout"), default=_DEFAULT_SECONDS)
    status = auth.at("statusOnError")
    # That there is none is no finding: before 1.8 there was no such field.
    if status.number in VERDICT_CODES:
        found = f"statusOnError is {status.value}"
        yield Fault("status-on-error", status.place, found, (Put(status.place, 503),))
    clears = auth.at("recomputeRoute")
    if clears.is_true:
        edit = Put(clears.place, value=False)
        yield Fault("clear-route-cache", clears.place, "recomputeRoute is true", (edit,))
    headers = auth.at("headersToExtAuth")
    if headers.is_there and "authorization" not in {each.text.lower() for each in headers.items()}:
        found = "headersToExtAuth does not list authorization"
        edit_of_list = Insert((*headers.place, len(headers.listed)), "authorization")
        yield Fault("authorization-withheld", headers.place, found, (edit_of_list,))


def _path(path: Node) -> Faults:
    slashes, merge = path.at("escapedSlashesAction"), path.at("disableMergeSlashes")
    wrong = [
        *([(slashes, "RejectRequest")] if slashes.text == _KEPT else []),
        *([(merge, False)] if merge.is_true else []),
    ]
    if wrong:
        names = ", ".join(str(node.place[-1]) for node, _ in wrong)
        edits = tuple(Put(node.place, value) for node, value in wrong)
        yield Fault("path-normalization", wrong[0][0].place, f"switched off: {names}", edits)


def _asks_nobody(policy: Node) -> Faults:
    spec = policy.at("spec")
    # The more specific policy counts alone, unless it is merged into that of its parent.
    if (
        policy.at("kind").text == "SecurityPolicy"
        and not spec.at("extAuth").is_there
        and not spec.at("mergeType").is_there
    ):
        found = "this SecurityPolicy has no extAuth"
        advice = "give it extAuth as well, unless what it targets may be reached unasked"
        yield Fault("policy-partial", policy.place, found, advice=advice)


def _stripped(client: Node, identity: Sequence[str]) -> Faults:
    headers = client.at("spec", "headers")
    # Envoy Gateway refuses names with underscores unless told otherwise.
    drops = headers.at("withUnderscoresAction").text != "Allow"
    node = headers.at("earlyRequestHeaders", "remove")
    patterns = headers.at("earlyRequestHeaders", "removeOnMatch")
    removals = [
        *(Node({"remove": item.text}, item.place) for item in node.items()),
        *map(_on_match, patterns.items()),
    ]
    found = missing(identity, removals, drops_underscores=drops)
    if found:
        edit = Put(node.place, [*node.listed, *found])
        yield Fault("identity-not-stripped", node.place, shown(found), (edit,))


def _stripped_nowhere(documents: Sequence[Node], policy: Node, identity: Sequence[str]) -> Faults:
    found = missing(identity, (), drops_underscores=True)
    edit = Insert((len(documents),), _client_policy(policy, identity))
    yield Fault("identity-not-stripped", policy.place, shown(found), (edit,))


def _on_match(item: Node) -> Node:
    """Return a ``StringMatch`` of Envoy Gateway's as the mutation that it becomes."""
    key = _MATCHERS.get(item.at("type").text or "Exact", "")
    value = item.at("value").text
    matcher = {"regex": value} if key == "safe_regex" else value
    return Node({"remove_on_match": {"key_matcher": {key: matcher}}}, item.place)


def _client_policy(policy: Node, identity: Sequence[str]) -> dict[str, Any]:
    names = [
        spelling
        for name in dict.fromkeys((*STRIPPED, *identity))
        for spelling in spellings_of(name)
        if "_" not in spelling
    ]
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    metadata = {"name": "strip-identity"}
    if policy.at("metadata", "namespace").text:
        metadata["namespace"] = policy.at("metadata", "namespace").text
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy",
        "metadata": metadata,
        "spec": {
            "targetRefs": [target],
            "headers": {"earlyRequestHeaders": {"remove": names}},
            "path": {"escapedSlashesAction": "RejectRequest"},
        },
    }
