"""Who reaches what in a pod with Envoy and a gate beside the service: example pods try."""

import json
from functools import cache
from typing import Any, Final

import pytest

from deploy.sidecar_config import DERIVED
from deploy_manifests import built_as_it_is, of_kind
from kubernetes_network import End, Outside, Pod, may_connect

Document = dict[str, Any]

PROMETHEUS: Final = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})
BESIDE_PROMETHEUS: Final = Pod("monitoring", {"app.kubernetes.io/name": "debug"})
PROMETHEUS_ELSEWHERE: Final = Pod("shop", {"app.kubernetes.io/name": "prometheus"})
SHOP: Final = Pod("shop", {"app": "cart"})
NEIGHBOUR: Final = Pod("core", {"app": "debug"})
REPLICA: Final = Pod("core", {"app.kubernetes.io/name": "core"})
BALANCER: Final = Outside("203.0.113.7")
CLERK: Final = Outside("104.18.0.1")
DATABASE: Final = Outside("10.20.0.7")

PORTS: Final = {"edge": 8000, "internal": 8001, "service": 8081, "checks": 9191, "metrics": 9464}


@cache
def objects() -> list[Document]:
    return built_as_it_is(DERIVED.parent)


def policies() -> list[Document]:
    """Return those of the directory, for a test to change."""
    found: list[Document] = json.loads(json.dumps(of_kind(objects(), "NetworkPolicy")))
    return found


def core() -> Pod:
    (deployment,) = of_kind(objects(), "Deployment")
    return Pod(
        deployment["metadata"]["namespace"], deployment["spec"]["template"]["metadata"]["labels"]
    )


def reached_by(source: End, protocol: str = "TCP") -> set[str]:
    return {
        name
        for name, port in PORTS.items()
        if may_connect(policies(), source, core(), port, protocol)
    }


def test_the_ports_that_are_tried_are_those_of_the_containers() -> None:
    (deployment,) = of_kind(objects(), "Deployment")
    sidecars = deployment["spec"]["template"]["spec"]["initContainers"]
    ports = {port["name"]: port["containerPort"] for each in sidecars for port in each["ports"]}

    assert ports == {"edge": PORTS["edge"], "admin": PORTS["metrics"]}


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(SHOP, id="another namespace"),
        pytest.param(NEIGHBOUR, id="the same namespace"),
        pytest.param(BALANCER, id="outside"),
        pytest.param(REPLICA, id="another replica"),
        pytest.param(BESIDE_PROMETHEUS, id="beside Prometheus"),
        pytest.param(PROMETHEUS_ELSEWHERE, id="called Prometheus elsewhere"),
    ],
)
def test_whoever_comes_gets_to_envoy_s_door_and_no_further(source: End) -> None:
    assert reached_by(source) == {"edge"}


def test_prometheus_reaches_the_metrics_as_well() -> None:
    assert reached_by(PROMETHEUS) == {"edge", "metrics"}


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_the_doors_are_open_for_tcp_alone(protocol: str) -> None:
    assert reached_by(PROMETHEUS, protocol) == set()


def test_without_the_policy_every_port_is_open_to_everybody() -> None:
    assert all(may_connect([], SHOP, core(), port) for port in PORTS.values())


def test_pods_of_others_are_left_alone() -> None:
    assert may_connect(policies(), SHOP, NEIGHBOUR, 8081)
    assert not may_connect(policies(), SHOP, core(), 8081)


@pytest.mark.parametrize(("target", "port"), [(CLERK, 443), (DATABASE, 5432), (SHOP, 8080)])
def test_what_the_service_has_to_reach_is_not_for_us_to_close(target: End, port: int) -> None:
    """A policy is about the whole pod; one that closes the way out closes it for the service."""
    closed = policies()
    closed[0]["spec"]["policyTypes"].append("Egress")

    assert may_connect(policies(), core(), target, port)
    assert not may_connect(closed, core(), target, port)
