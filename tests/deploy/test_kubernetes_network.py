"""The network policies let through what has to pass, and nothing else.

They are not compared as text: example pods try, and `kubernetes_network` tells who gets through.
"""

from typing import Final

import pytest

from deploy_manifests import BUILDS, NAMESPACE, Object, of_kind, workload, workloads
from kubernetes_network import End, Outside, Pod, may_connect, selects

ENVOY: Final = Pod("envoy-gateway-system", {"app.kubernetes.io/name": "envoy"})
PROMETHEUS: Final = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})
DNS: Final = Pod("kube-system", {"k8s-app": "kube-dns"})
POSTGRES: Final = Pod("databases", {"app": "postgres"})

ENVOY_ELSEWHERE: Final = Pod("shop", {"app.kubernetes.io/name": "envoy"})
BESIDE_ENVOY: Final = Pod("envoy-gateway-system", {"app.kubernetes.io/name": "debug"})
SHOP: Final = Pod("shop", {"app": "cart"})
NEIGHBOUR: Final = Pod(NAMESPACE, {"app": "debug"})

CLERK: Final = Outside("104.18.0.1")
CLERK_6: Final = Outside("2606:4700::1")
METADATA: Final = Outside("169.254.169.254")
API_SERVER: Final = Outside("10.96.0.1")
ULA: Final = Outside("fd00::1")
NODE_LOCAL_DNS: Final = Outside("169.254.20.10")
RDS: Final = Outside("10.20.0.7")

ADMIN: Final = {"wicketgate-authz": 9464, "wicketgate-webhooks": 9465}
STRANGERS: Final = (ENVOY_ELSEWHERE, BESIDE_ENVOY, SHOP, NEIGHBOUR, CLERK)

FULL: Final = "kustomize plain"
GATE_ONLY: Final = "kustomize gate-only"


def pod(objects: list[Object], name: str) -> Pod:
    return Pod(NAMESPACE, workload(objects, name).labels)


def passes(
    build: str, source: End | str, target: End | str, port: int, protocol: str = "TCP"
) -> bool:
    objects = BUILDS[build]()
    policies = of_kind(objects, "NetworkPolicy")
    return may_connect(policies, end(objects, source), end(objects, target), port, protocol)


def end(objects: list[Object], name: End | str) -> End:
    return pod(objects, name) if isinstance(name, str) else name


ADMITTED: Final = [
    (ENVOY, "wicketgate-authz", 9191),
    (ENVOY, "wicketgate-webhooks", 8080),
    (PROMETHEUS, "wicketgate-authz", 9464),
    (PROMETHEUS, "wicketgate-webhooks", 9465),
]


@pytest.mark.parametrize("build", BUILDS)
def test_whoever_has_to_is_let_in(build: str) -> None:
    there = {each.name for each in workloads(BUILDS[build]())}

    for source, target, port in ADMITTED:
        if target in there:
            assert passes(build, source, target, port), (target, port)


@pytest.mark.parametrize("build", BUILDS)
def test_nobody_else_is_let_in_anywhere(build: str) -> None:
    """Also not our own pods to one another, and not whoever is let in to another port."""
    objects = BUILDS[build]()
    ours = [each.name for each in workloads(objects)]
    sources: list[End | str] = [ENVOY, PROMETHEUS, DNS, *STRANGERS, *ours]
    ports = (53, 80, 443, 5432, 8080, 9191, 9464, 9465)
    let_in = {
        (source, target, port)
        for target in ours
        for source in sources
        for port in ports
        if passes(build, source, target, port)
    }

    assert let_in == {each for each in ADMITTED if each[1] in ours}


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_ports_are_open_for_tcp_alone(protocol: str) -> None:
    assert not passes(FULL, ENVOY, "wicketgate-authz", 9191, protocol)


@pytest.mark.parametrize("build", BUILDS)
def test_both_the_namespace_and_the_pod_must_be_envoy_s(build: str) -> None:
    """Whoever may label a pod somewhere must not be able to ask, and no neighbour of Envoy's."""
    assert not passes(build, ENVOY_ELSEWHERE, "wicketgate-authz", 9191)
    assert not passes(build, BESIDE_ENVOY, "wicketgate-authz", 9191)


REACHED: Final = [
    (DNS, 53),
    (NODE_LOCAL_DNS, 53),
    (CLERK, 443),
    (CLERK_6, 443),
    (POSTGRES, 5432),
    (RDS, 5432),
]
NEEDS: Final = {
    "wicketgate-authz": {53, 443, 5432},
    "wicketgate-webhooks": {53, 5432},
    "wicketgate-migrate": {53, 5432},
    "wicketgate-sync": {53, 443, 5432},
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_process_reaches_what_it_needs_and_nothing_else(name: str) -> None:
    inside = [DNS, POSTGRES, SHOP]
    outside = [CLERK, CLERK_6, METADATA, API_SERVER, ULA, NODE_LOCAL_DNS, RDS]
    ends: list[End] = [*inside, *outside]
    reached = {
        (end, port)
        for end in ends
        for port in (22, 53, 80, 443, 5432, 6443)
        if passes(FULL, name, end, port)
    }
    anywhere = {(end, 5432) for end in ends}
    expected = {(end, port) for end, port in REACHED if port in NEEDS[name]}

    assert reached - anywhere == expected - anywhere
    assert {end for end, port in reached if port == 5432} == set(ends)


def test_names_are_asked_for_by_udp_too() -> None:
    assert passes(FULL, "wicketgate-authz", DNS, 53, "UDP")
    assert not passes(FULL, "wicketgate-authz", CLERK, 53, "UDP")


def test_a_gate_without_postgres_reaches_none() -> None:
    assert passes(GATE_ONLY, "wicketgate-authz", CLERK, 443)
    assert not passes(GATE_ONLY, "wicketgate-authz", POSTGRES, 5432)


def test_postgres_can_be_narrowed_to_its_addresses() -> None:
    assert passes("helm everything", "wicketgate-authz", RDS, 5432)
    assert not passes("helm everything", "wicketgate-authz", POSTGRES, 5432)
    assert not passes("helm everything", "wicketgate-authz", CLERK, 5432)


def test_traces_go_to_the_collector_that_was_named() -> None:
    by_helm = Pod("traces", {"c": "d"}, {"a": "b"})
    by_kustomize = Pod("observability", {"app.kubernetes.io/name": "opentelemetry-collector"})
    for build, collector, without in (
        ("helm everything", by_helm, "helm"),
        ("kustomize every component", by_kustomize, "kustomize plain"),
    ):
        assert passes(build, "wicketgate-authz", collector, 4318)
        assert not passes(build, "wicketgate-webhooks", collector, 4318)
        assert not passes(without, "wicketgate-authz", collector, 4318)


@pytest.mark.parametrize("build", BUILDS)
def test_a_pod_of_ours_that_nobody_thought_of_gets_nothing_but_names(build: str) -> None:
    """What is let through is let through by name; the rest is denied in both directions."""
    stray = Pod(NAMESPACE, {"app.kubernetes.io/part-of": "wicketgate"})

    assert passes(build, stray, DNS, 53)
    for port in (443, 5432):
        assert not passes(build, stray, CLERK, port)
    for source in (ENVOY, PROMETHEUS, SHOP):
        assert not passes(build, source, stray, 9191)


@pytest.mark.parametrize("build", BUILDS)
def test_pods_of_others_are_left_alone(build: str) -> None:
    """Whoever shares the namespace goes on as before."""
    for each in of_kind(BUILDS[build](), "NetworkPolicy"):
        assert not selects(each["spec"]["podSelector"], NEIGHBOUR.labels)


class TestTheReadingOfPolicies:
    """`kubernetes_network` itself, where a mistake would make the tests above too content."""

    LOCKED: Final[Object] = {
        "metadata": {"namespace": "n"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }

    def open_to(self, rule: Object) -> Object:
        return {**self.LOCKED, "spec": {**self.LOCKED["spec"], "ingress": [rule]}}

    def test_a_pod_that_no_policy_selects_is_open(self) -> None:
        assert may_connect([], SHOP, Pod("n"), 1)
        assert may_connect([self.LOCKED], SHOP, Pod("another"), 1)

    def test_a_pod_that_one_selects_is_closed(self) -> None:
        assert not may_connect([self.LOCKED], SHOP, Pod("n"), 1)

    @pytest.mark.parametrize("rule", [{}, {"from": None}, {"from": []}])
    def test_a_rule_without_peers_is_for_everybody(self, rule: Object) -> None:
        assert may_connect([self.open_to(rule)], SHOP, Pod("n"), 1)

    def test_two_items_are_either_and_two_selectors_are_both(self) -> None:
        of_namespace = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
        }
        of_pod = {"podSelector": {"matchLabels": {"app": "other"}}}

        assert may_connect([self.open_to({"from": [of_namespace, of_pod]})], SHOP, Pod("n"), 1)
        assert not may_connect(
            [self.open_to({"from": [{**of_namespace, **of_pod}]})], SHOP, Pod("n"), 1
        )

    def test_a_pod_selector_alone_is_about_the_policy_s_own_namespace(self) -> None:
        rule = {"from": [{"podSelector": {"matchLabels": {"app": "cart"}}}]}

        assert may_connect([self.open_to(rule)], Pod("n", SHOP.labels), Pod("n"), 1)
        assert not may_connect([self.open_to(rule)], SHOP, Pod("n"), 1)

    def test_an_address_that_is_excepted_is_not_in_the_block(self) -> None:
        rule = {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}

        assert may_connect([self.open_to(rule)], CLERK, Pod("n"), 1)
        assert not may_connect([self.open_to(rule)], API_SERVER, Pod("n"), 1)
