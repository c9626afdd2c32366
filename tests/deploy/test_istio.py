"""The manifests for Istio: what they say, and that its definitions take them."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import ANY

import kubernetes_validate  # type: ignore[import-untyped] # no stubs here
import pytest
import yaml

from deploy.istiod import FILTERS, manager, patched
from deploy.resources import documents_of, kinds, mesh_config_mistakes, mistakes_in
from kubernetes_network import End, Outside, Pod, may_connect
from wicketgate.cli import main
from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.doctor.examine import examine

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
HERE: Final = DEPLOY / "istio"
APPLIED: Final = [
    "gateway.yaml",
    "authorize.yaml",
    "edge-filters.yaml",
    "gate.yaml",
    "network.yaml",
]
OPTIONAL: Final = ["services.yaml", "identity.yaml"]
OBJECTS: Final = documents_of(*(HERE / name for name in (*APPLIED, *OPTIONAL)))
OURS: Final = [each for each in OBJECTS if each["kind"] in kinds()]
OTHERS: Final = [each for each in OBJECTS if each["kind"] not in kinds()]
RECORDED: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "translated" / "istio.json").read_text("utf-8")
)
GATEWAY: Final = "cluster.local/ns/istio-ingress/sa/edge-istio"

Document = dict[str, Any]


def name_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def one(kind: str, name: str) -> Document:
    (found,) = [each for each in OBJECTS if name_of(each) == f"{kind} {name}"]
    return copy.deepcopy(found)


def mesh_config() -> Document:
    (values,) = documents_of(HERE / "mesh-config.yaml")
    assert values.keys() == {"meshConfig"}
    config: Document = values["meshConfig"]
    return config


def asked_by_the_gateway() -> list[Document]:
    """Return what is examined together: the guide says which files."""
    names = ("authorize.yaml", "edge-filters.yaml", "gate.yaml", "mesh-config.yaml")
    return documents_of(*(HERE / name for name in names))


# ------------------------------------------------------------------------- what definitions say


@pytest.mark.parametrize("document", OURS, ids=name_of)
def test_the_project_s_own_definition_takes_it(document: Document) -> None:
    assert mistakes_in(document) == []


@pytest.mark.parametrize("document", OTHERS, ids=name_of)
def test_kubernetes_takes_the_rest(document: Document) -> None:
    kubernetes_validate.validate(document, "1.37", strict=True)


def test_istiod_takes_the_mesh_configuration() -> None:
    assert mesh_config_mistakes(mesh_config()) == []


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("failOpenn", False, "failOpenn"),
        ("statusOnError", 503, "503 is not of type 'string'"),
        ("timeout", "500ms", "'500ms' does not match"),
        ("port", 0, "0 is less than the minimum"),
        ("includeRequestHeadersInCheck", ["authorization"], "includeRequestHeadersInCheck"),
        ("timeout", 0.5, "0.5 is not of type 'string'"),
    ],
)
def test_a_spoilt_provider_is_refused(key: str, value: object, complaint: str) -> None:
    config = mesh_config()
    config["extensionProviders"][0]["envoyExtAuthzGrpc"][key] = value

    (mistake,) = mesh_config_mistakes(config)
    assert complaint in mistake


def test_an_unknown_normalization_is_refused() -> None:
    config = mesh_config()
    config["pathNormalization"]["normalization"] = "MERGE_SLASH"

    assert len(mesh_config_mistakes(config)) == 1


def misspelt(document: Document) -> None:
    document["spec"]["actions"] = document["spec"].pop("action")


def wrong_action(document: Document) -> None:
    document["spec"]["action"] = "ASK"


def both_ways_to_select(document: Document) -> None:
    document["spec"]["selector"] = {"matchLabels": {"istio": "ingressgateway"}}


def no_list(document: Document) -> None:
    document["spec"]["rules"][0]["to"][0]["operation"]["notHosts"] = "hooks.example.com"


@pytest.mark.parametrize("spoil", [misspelt, wrong_action, both_ways_to_select, no_list])
def test_a_spoilt_policy_is_refused(spoil: Callable[[Document], None]) -> None:
    document = one("AuthorizationPolicy", "wicketgate")
    spoil(document)

    assert len(mistakes_in(document)) == 1


def wrong_operation(patch: Document) -> None:
    patch["patch"]["operation"] = "INSERT_FIRSTS"


def wrong_context(patch: Document) -> None:
    patch["match"]["context"] = "INGRESS"


def wrong_place(patch: Document) -> None:
    patch["match"]["listener"]["filterchain"] = patch["match"]["listener"].pop("filterChain")


@pytest.mark.parametrize("spoil", [wrong_operation, wrong_context, wrong_place])
def test_a_spoilt_patch_is_refused(spoil: Callable[[Document], None]) -> None:
    document = one("EnvoyFilter", "wicketgate-edge")
    spoil(document["spec"]["configPatches"][0])

    assert len(mistakes_in(document)) == 1


@pytest.mark.parametrize(
    ("kind", "name", "place", "value"),
    [
        ("PeerAuthentication", "wicketgate", ("spec", "mtls", "mode"), "MUST"),
        ("DestinationRule", "wicketgate-authz", ("spec", "trafficPolicy", "tls", "mode"), "MTLS"),
        ("Gateway", "edge", ("spec", "listeners"), []),
    ],
)
def test_a_wrong_word_is_refused(
    kind: str, name: str, place: tuple[str, ...], value: object
) -> None:
    document = one(kind, name)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value

    assert len(mistakes_in(document)) == 1


# --------------------------------------------------------------------------- what they say


def test_the_doctor_finds_that_deliveries_are_left_out_and_nothing_else() -> None:
    """
    They are, on purpose.
    """
    assert [each.rule for each in examine(asked_by_the_gateway())] == ["policy-partial"]


def test_the_doctor_would_find_a_strip_at_the_end() -> None:
    documents = asked_by_the_gateway()
    (edge,) = [each for each in documents if each.get("kind") == "EnvoyFilter"]
    for each in edge["spec"]["configPatches"]:
        if each["patch"].get("value", {}).get("name") == "strip_identity":
            each["patch"]["operation"] = "ADD"

    found = {each.rule for each in examine(documents)}
    assert found == {"policy-partial", "identity-not-stripped"}


def test_kustomize_builds_what_is_not_optional() -> None:
    assert documents_of(HERE / "kustomization.yaml")[0]["resources"] == APPLIED


def test_the_policy_passes_its_own_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "test", str(HERE / "policy.yaml")]) == 0
    assert main(["policy", "check", "--strict", str(HERE / "policy.yaml")]) == 0
    assert "all passed" in capsys.readouterr().out


def test_no_rule_asks_for_words_that_istio_does_not_send() -> None:
    (document,) = documents_of(HERE / "policy.yaml")

    assert not [each for each in document["rules"] if "context" in each.get("match", {})]


def test_the_provider_is_the_one_that_policies_name() -> None:
    (provider,) = mesh_config()["extensionProviders"]

    for name in ("wicketgate", "wicketgate-services"):
        spec = one("AuthorizationPolicy", name)["spec"]
        assert spec["provider"]["name"] == provider["name"]
        assert spec["action"] == "CUSTOM"


@pytest.mark.parametrize("name", ["wicketgate", "wicketgate-services"])
def test_a_policy_that_asks_selects_by_what_istiod_takes_there(name: str) -> None:
    """
    Definitions allow more: who calls (``from``) and claims (``when``) istiod refuses with CUSTOM.
    """
    rules = one("AuthorizationPolicy", name)["spec"]["rules"]

    assert all(each.keys() <= {"to"} for each in rules)


def test_at_a_service_everything_is_judged_that_arrives_at_its_port() -> None:
    (rule,) = one("AuthorizationPolicy", "wicketgate-services")["spec"]["rules"]

    assert rule == {"to": [{"operation": {"ports": ["8080"]}}]}


def test_the_provider_is_the_host_of_the_destination_rule() -> None:
    (provider,) = mesh_config()["extensionProviders"]
    rule = one("DestinationRule", "wicketgate-authz")

    assert rule["spec"]["host"] == provider["envoyExtAuthzGrpc"]["service"]
    assert rule["spec"]["trafficPolicy"]["tls"] == {"mode": "ISTIO_MUTUAL"}


def test_the_gateway_alone_may_ask() -> None:
    asking, metrics = one("AuthorizationPolicy", "wicketgate-authz")["spec"]["rules"]

    assert asking == {
        "from": [{"source": {"principals": [GATEWAY]}}],
        "to": [{"operation": {"ports": ["9191"]}}],
    }
    assert metrics == {"to": [{"operation": {"ports": ["9464"]}}]}


def test_principals_are_of_the_gateway_that_there_is() -> None:
    gateway = one("Gateway", "edge")["metadata"]
    text = "".join((HERE / name).read_text("utf-8") for name in (*APPLIED, *OPTIONAL))

    assert f"cluster.local/ns/{gateway['namespace']}/sa/{gateway['name']}-istio" == GATEWAY
    assert text.count(GATEWAY) >= 3
    assert text.count("/sa/edge-istio") == text.count(GATEWAY)


def test_every_spelling_of_an_identity_is_refused_inside() -> None:
    rules = one("AuthorizationPolicy", "wicketgate-identity")["spec"]["rules"]
    keys = [each["when"][0]["key"] for each in rules]

    names = [name for header in STRIPPED for name in spellings_of(header)]
    assert sorted(keys) == sorted(f"request.headers[{name}]" for name in names)
    for each in rules:
        assert each["from"] == [{"source": {"notPrincipals": [GATEWAY]}}]
        assert each["when"][0]["values"] == ["*"]
        # On ports that are not HTTP's, Istio would refuse everybody else altogether.
        assert each["to"] == [{"operation": {"ports": ["8080"]}}]


def test_what_is_left_out_has_a_host_and_a_path_of_its_own() -> None:
    """
    Two ways to be asked about: only what fits neither goes unasked.
    """
    (rule,) = one("AuthorizationPolicy", "wicketgate")["spec"]["rules"]
    (webhooks,) = one("HTTPRoute", "wicketgate-webhooks")["spec"]["rules"]
    (match,) = webhooks["matches"]

    assert rule["to"] == [
        {"operation": {"notHosts": one("HTTPRoute", "wicketgate-webhooks")["spec"]["hostnames"]}},
        {"operation": {"notPaths": [match["path"]["value"]]}},
    ]
    assert match["path"]["type"] == "Exact"


@pytest.mark.parametrize("component", ["authz", "webhooks"])
def test_with_istio_the_gateway_and_the_probes_get_in_and_nobody_else(component: str) -> None:
    policies = [each for each in OTHERS if each["kind"] == "NetworkPolicy"]
    labels = {
        "app.kubernetes.io/name": "wicketgate",
        "app.kubernetes.io/part-of": "wicketgate",
        "app.kubernetes.io/component": component,
    }
    target = Pod("wicketgate", labels)
    gateway = {"gateway.networking.k8s.io/gateway-name": "edge"}
    sources: dict[str, End] = {
        "gateway": Pod("istio-ingress", gateway),
        "its likeness": Pod("shop", gateway),
        "its neighbour": Pod("istio-ingress", {"app": "debug"}),
        "probes": Outside("169.254.7.127"),
        "metadata": Outside("169.254.169.254"),
        "internet": Outside("104.18.0.1"),
    }
    let_in = {
        (name, port)
        for name, source in sources.items()
        for port in (80, 8080, 9191, 9464, 9465, 15000, 15006, 15008)
        if may_connect(policies, source, target, port)
    }

    own = 9191 if component == "authz" else 8080
    probed = {("probes", port) for port in (9191, 9464, 9465)}
    assert let_in == {("gateway", own), ("gateway", 15008), *probed}
    assert not may_connect(policies, target, sources["metadata"], 80)


def edge_manager() -> Document:
    routes = [one("HTTPRoute", "core"), one("HTTPRoute", "wicketgate-webhooks")]
    made = manager(mesh_config(), one("AuthorizationPolicy", "wicketgate"), routes)
    return patched(made, one("EnvoyFilter", "wicketgate-edge"))


def test_strip_comes_before_cors_and_cors_before_the_gate() -> None:
    names = [each["name"].removeprefix(FILTERS) for each in edge_manager()["httpFilters"]]

    assert names == [
        *("strip_identity", "cors", "rbac", "ext_authz", "grpc_stats", "fault", "router"),
    ]


# ------------------------------------------------------------------- what istiod's own code wrote


def plain(value: object) -> object:
    """Return a value of ProtoJSON as others write the same: durations, numbers, what is unset."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if each is not False}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?s?", value):
        return float(value.removesuffix("s"))
    return float(value) if type(value) is int else value


def filters_in(manager: Document) -> dict[str, object]:
    return {each["name"]: plain(each["typedConfig"]) for each in manager["httpFilters"]}


def test_patches_are_applied_as_istiod_applies_them() -> None:
    """
    In the same order, too.
    """
    made = patched(RECORDED["before"], RECORDED["from"]["envoyFilter"])

    assert [*filters_in(made)] == [*filters_in(RECORDED["after"])]
    assert plain(made) == plain(RECORDED["after"])


def test_what_istiod_is_taken_to_write_is_what_it_writes() -> None:
    """
    But for what is Istio's own, which no Envoy but Istio's has: names that begin with istio.
    """
    origin = RECORDED["from"]
    made = manager(origin["meshConfig"], origin["policy"], origin["routes"])
    before = RECORDED["before"]

    written = {
        name: each for name, each in filters_in(before).items() if not name.startswith("istio.")
    }
    assert [*filters_in(made)] == [*written]
    assert {**filters_in(made)} == {**written, f"{FILTERS}grpc_stats": ANY}
    for key in ("normalizePath", "mergeSlashes", "useRemoteAddress", "upgradeConfigs"):
        assert made[key] == before[key]


def test_routes_are_as_istiod_writes_them() -> None:
    origin = RECORDED["from"]
    made = manager(origin["meshConfig"], origin["policy"], origin["routes"])
    hosts = {each["name"]: each for each in made["routeConfig"]["virtualHosts"]}
    written = {
        each["name"]: each for config in RECORDED["routes"] for each in config["virtualHosts"]
    }

    assert hosts.keys() == written.keys()
    for name, host in hosts.items():
        (route,), (other,) = host["routes"], written[name]["routes"]
        assert host["domains"] == written[name]["domains"]
        assert route["match"].items() <= other["match"].items()
        assert plain(route["typedPerFilterConfig"]) == plain(other.get("typedPerFilterConfig", {}))


def test_the_gate_s_cluster_is_http2_and_never_in_the_clear() -> None:
    cluster = RECORDED["cluster"]
    options = cluster["typedExtensionProtocolOptions"]

    (protocol,) = options.values()
    assert "http2ProtocolOptions" in protocol["explicitHttpConfig"]
    assert cluster["transportSocket"]["name"] == "envoy.transport_sockets.tls"
    assert "transportSocketMatches" not in cluster


# ---------------------------------------------------------------------------- beside envoy.yaml


def ours() -> dict[str, Document]:
    """Return the filters of ``envoy.yaml``, by name."""
    document = yaml.safe_load((DEPLOY.parent / "envoy.yaml").read_text("utf-8"))
    (manager, _) = document["static_resources"]["listeners"]
    filters = manager["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    return {each["name"]: each["typed_config"] for each in filters}


def test_the_strip_is_that_of_envoy_yaml() -> None:
    values = [
        each["patch"]["value"]
        for each in one("EnvoyFilter", "wicketgate-edge")["spec"]["configPatches"]
        if each["patch"].get("value", {}).get("name") == "strip_identity"
    ]

    assert [each["typed_config"] for each in values] == [ours()["strip_identity"]]


def test_what_is_merged_into_the_filter_is_as_in_envoy_yaml() -> None:
    *_, patch = one("EnvoyFilter", "wicketgate-edge")["spec"]["configPatches"]
    merged = patch["patch"]["value"]["typed_config"]
    authz = ours()[f"{FILTERS}ext_authz"]

    differing = {key for key, each in merged.items() if authz.get(key) != each}
    assert differing == {"grpc_service"}
    assert merged["grpc_service"] == {"retry_policy": authz["grpc_service"]["retry_policy"]}


def test_the_doctor_finds_nothing_in_what_envoy_runs_on() -> None:
    chain = {"filters": [{"name": "manager", "typed_config": edge_manager()}]}
    listener = {"name": "edge", "filter_chains": [chain]}
    document = {
        "static_resources": {"listeners": [listener]},
        # The gateway's cluster is discovered, so it is not looked for.
        "dynamic_resources": {"cds_config": {"ads": {}}},
    }

    found = [each.rule for each in examine([json.loads(json.dumps(document))])]
    # The receiver's host has one route, and all else is 404.
    assert found == ["no-route"]
