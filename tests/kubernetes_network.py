"""Who may reach whom, by NetworkPolicies: a small reading of what Kubernetes promises.

A pod that no policy of a direction selects is open in that direction. One that some select
gets what any of them allows. A connection needs both ends' consent.

Source: Kubernetes, "Network Policies" and the API reference of NetworkPolicy v1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeAlias

Labels: TypeAlias = Mapping[str, str]
Policy: TypeAlias = Mapping[str, Any]

_INGRESS: Final = "Ingress"
_EGRESS: Final = "Egress"
_KNOWN_PEER: Final = {"podSelector", "namespaceSelector", "ipBlock"}


@dataclass(frozen=True, eq=False)
class Pod:
    """One end of a connection, inside the cluster: this one, whoever else is labelled alike."""

    namespace: str
    labels: Labels = field(default_factory=dict)
    namespace_labels: Labels = field(default_factory=dict)

    @property
    def all_namespace_labels(self) -> Labels:
        """Return its namespace's labels, with the one that Kubernetes gives each."""
        return {**self.namespace_labels, "kubernetes.io/metadata.name": self.namespace}


@dataclass(frozen=True, eq=False)
class Outside:
    """The other end of a connection, outside the cluster."""

    address: str


End: TypeAlias = Pod | Outside


def may_connect(
    policies: Iterable[Policy], source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Tell whether `source` may open a connection to `target`."""
    known = list(policies)
    leaves = not isinstance(source, Pod) or _is_open(
        known, _EGRESS, at=source, other=target, port=port, protocol=protocol
    )
    enters = not isinstance(target, Pod) or _is_open(
        known, _INGRESS, at=target, other=source, port=port, protocol=protocol
    )
    return leaves and enters


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Tell whether a label selector fits; an empty one fits everything."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    return all(
        labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()
    ) and all(_holds(each, labels) for each in selector.get("matchExpressions", []))


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    assert expression["operator"] == "In", "no other operator is read here"
    return labels.get(expression["key"]) in expression["values"]


def _is_open(
    policies: list[Policy], direction: str, *, at: Pod, other: End, port: int, protocol: str
) -> bool:
    rules, peers = ("ingress", "from") if direction == _INGRESS else ("egress", "to")
    of_the_pod = [
        each
        for each in policies
        if each["metadata"]["namespace"] == at.namespace
        and direction in each["spec"]["policyTypes"]
        and selects(each["spec"]["podSelector"], at.labels)
    ]
    return not of_the_pod or any(
        _is_port(rule, port, protocol)
        # No peers, or none in the list, is everybody.
        and (not rule.get(peers) or any(_is_peer(each, other, at) for each in rule[peers]))
        for policy in of_the_pod
        for rule in policy["spec"].get(rules) or []
    )


def _is_port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("protocol", "TCP") == protocol and each["port"] == port for each in ports
    )


def _is_peer(peer: Mapping[str, Any], other: End, at: Pod) -> bool:
    assert peer.keys() <= _KNOWN_PEER
    if "ipBlock" in peer:
        return isinstance(other, Outside) and _is_in(peer["ipBlock"], other.address)
    if not isinstance(other, Pod):
        return False
    if "namespaceSelector" in peer:
        is_near = selects(peer["namespaceSelector"], other.all_namespace_labels)
    else:
        is_near = other.namespace == at.namespace
    return is_near and selects(peer.get("podSelector", {}), other.labels)


def _is_in(block: Mapping[str, Any], address: str) -> bool:
    found = ip_address(address)
    return found in ip_network(block["cidr"]) and not any(
        found in ip_network(each) for each in block.get("except", [])
    )
