"""The manifests for Envoy Gateway: what they say, and that its definitions take them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped] # no stubs here
import pytest
import yaml

from deploy.edges import bootstrap, complaint_about, inline
from deploy.resources import documents_of, is_asked, kinds, mistakes_in
from deploy.schemas.trim import DEFINITIONS, PROJECTS, file_of
from deploy.translated.renew import RECORDED, VERSION, digest
from wicketgate.doctor.examine import examine

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
HERE: Final = DEPLOY / "envoy-gateway"
FILES: Final = [HERE / name for name in ("gateway.yaml", "client.yaml", "authorize.yaml")]
INTERNAL: Final = HERE / "internal.yaml"
OBJECTS: Final = documents_of(*FILES, INTERNAL)
OURS: Final = [each for each in OBJECTS if each["kind"] in kinds()]
TRANSLATED: Final[dict[str, Any]] = json.loads(RECORDED.read_text("utf-8"))
OTHERS: Final = [each for each in OBJECTS if each["kind"] not in kinds()]

Document = dict[str, Any]


def name_of(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def one(kind: str, name: str) -> Document:
    (found,) = [each for each in OBJECTS if name_of(each) == f"{kind} {name}"]
    return copy.deepcopy(found)


@pytest.mark.parametrize("document", OURS, ids=name_of)
def test_the_project_s_own_definition_takes_it(document: Document) -> None:
    assert mistakes_in(document) == []


@pytest.mark.parametrize("document", OTHERS, ids=name_of)
def test_kubernetes_takes_the_rest(document: Document) -> None:
    kubernetes_validate.validate(document, "1.37", strict=True)


def misspelt(policy: Document) -> None:
    policy["spec"]["extAuth"]["failOpenn"] = False


def unheard_of_status(policy: Document) -> None:
    policy["spec"]["extAuth"]["statusOnError"] = 200


def two_services(policy: Document) -> None:
    policy["spec"]["extAuth"]["http"] = copy.deepcopy(policy["spec"]["extAuth"]["grpc"])


def another_kind(policy: Document) -> None:
    policy["spec"]["extAuth"]["grpc"]["backendRefs"][0]["kind"] = "Deployment"


def no_number(policy: Document) -> None:
    policy["spec"]["extAuth"]["grpc"]["backendSettings"]["retry"]["numRetries"] = "two"


def no_value(policy: Document) -> None:
    del policy["spec"]["extAuth"]["contextExtensions"][0]["value"]


def said_twice(policy: Document) -> None:
    words = policy["spec"]["extAuth"]["contextExtensions"]
    words.append(copy.deepcopy(words[0]))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (misspelt, "failOpenn"),
        (unheard_of_status, "200 is not one of"),
        (two_services, "'http' was unexpected|only one of grpc or http"),
        (another_kind, "only supports Service"),
        (no_number, "'two' is not of type 'integer'"),
        (no_value, "value or valueRef"),
        (said_twice, "the same entry twice"),
    ],
)
def test_a_spoilt_policy_is_refused(spoil: Callable[[Document], None], complaint: str) -> None:
    policy = one("SecurityPolicy", "wicketgate")
    spoil(policy)

    (mistake,) = mistakes_in(policy)
    assert any(each in mistake for each in complaint.split("|"))


def test_a_version_without_a_schema_is_no_version() -> None:
    policy = one("SecurityPolicy", "wicketgate")
    policy["apiVersion"] = "gateway.envoyproxy.io/v1"

    with pytest.raises(LookupError):
        mistakes_in(policy)


def test_a_client_policy_with_an_unknown_action_is_refused() -> None:
    policy = one("ClientTrafficPolicy", "wicketgate-edge")
    policy["spec"]["headers"]["withUnderscoresAction"] = "Drop"

    (mistake,) = mistakes_in(policy)
    assert "'Drop' is not one of" in mistake


def test_all_but_three_rules_are_asked() -> None:
    skipped = {
        rule
        for definition in DEFINITIONS
        for rule in _rules(documents_of(file_of(definition))[0]["schema"])
        if not is_asked(rule)
    }

    assert skipped == {
        "self == oldSelf",
        (
            "!has(self.requestBody) || "
            "(has(self.method) && self.method.upperAscii() in ['POST','PUT'])"
        ),
        'self.all(key, key.split("/")[0].size() < 253)',
    }


def _rules(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [each["rule"] for each in node.get("x-kubernetes-validations", ())]
        return own + [rule for value in node.values() for rule in _rules(value)]
    return [rule for each in node for rule in _rules(each)] if isinstance(node, list) else []


def test_schemas_and_translation_are_of_one_version() -> None:
    assert PROJECTS["gateway"].version == VERSION


# ------------------------------------------------------------------------------- what they say


@pytest.mark.parametrize(
    ("files", "found"),
    [(FILES, ["policy-partial"]), ([INTERNAL], [])],
    ids=["edge", "internal"],
)
def test_the_doctor_finds_that_deliveries_are_left_out_and_nothing_else(
    files: list[Path], found: list[str]
) -> None:
    """
    They are, on purpose.
    """
    assert [each.rule for each in examine(documents_of(*files))] == found


def test_the_doctor_would_find_a_gate_that_fails_open() -> None:
    policy = one("SecurityPolicy", "wicketgate")
    policy["spec"]["extAuth"]["failOpen"] = True

    found = examine([policy, one("ClientTrafficPolicy", "wicketgate-edge")])
    assert [each.rule for each in found] == ["failure-mode-allow"]


def test_exposure_is_a_matter_of_the_gateway() -> None:
    words = {
        name: {
            each["name"]: each["value"]
            for each in one("SecurityPolicy", name)["spec"]["extAuth"]["contextExtensions"]
        }
        for name in ("wicketgate", "wicketgate-internal")
    }

    assert words == {
        "wicketgate": {"exposure": "public", "policy": "user"},
        "wicketgate-internal": {"exposure": "internal", "policy": "user-or-service"},
    }


def test_no_load_balancer_leads_to_the_internal_gateway() -> None:
    gateway = one("Gateway", "internal")
    reference = gateway["spec"]["infrastructure"]["parametersRef"]
    proxy = one(reference["kind"], reference["name"])

    service = proxy["spec"]["provider"]["kubernetes"]["envoyService"]
    assert service["type"] == "ClusterIP"
    assert proxy["metadata"]["namespace"] == gateway["metadata"]["namespace"]


def test_both_gateways_treat_clients_alike() -> None:
    edge, internal = (
        one("ClientTrafficPolicy", name)["spec"]
        for name in ("wicketgate-edge", "wicketgate-internal")
    )

    for each in (edge, internal):
        del each["targetRefs"]
    assert edge == internal


def filter_of_ours(name: str) -> Document:
    """Return the configuration of a filter of ``envoy.yaml``."""
    document = yaml.safe_load((DEPLOY.parent / "envoy.yaml").read_text("utf-8"))
    (manager, _) = document["static_resources"]["listeners"]
    filters = manager["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    (found,) = [each["typed_config"] for each in filters if each["name"] == name]
    return dict(found)


@pytest.mark.parametrize("name", ["wicketgate", "wicketgate-internal"])
def test_what_is_shown_to_the_gate_is_what_envoy_yaml_shows(name: str) -> None:
    allowed = filter_of_ours("envoy.filters.http.ext_authz")["allowed_headers"]["patterns"]

    shown = one("SecurityPolicy", name)["spec"]["extAuth"]["headersToExtAuth"]
    assert shown == [each["exact"] for each in allowed]


def test_what_is_stripped_is_what_envoy_yaml_strips() -> None:
    mutations = filter_of_ours("strip_identity")["mutations"]["request_mutations"]
    early = one("ClientTrafficPolicy", "wicketgate-edge")["spec"]["headers"]["earlyRequestHeaders"]

    patterns = [
        each["remove_on_match"]["key_matcher"]["safe_regex"]["regex"]
        for each in mutations
        if "remove_on_match" in each
    ]
    assert [each["value"] for each in early["removeOnMatch"]] == patterns
    assert early["remove"] == [each["remove"] for each in mutations if "remove" in each]


def test_the_grant_covers_exactly_the_gate_and_the_policies_of_the_edge() -> None:
    policy = one("SecurityPolicy", "wicketgate")
    (backend,) = policy["spec"]["extAuth"]["grpc"]["backendRefs"]
    grant = one("ReferenceGrant", "wicketgate-authz")

    assert grant["metadata"]["namespace"] == backend["namespace"]
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": backend["name"]}]
    (origin,) = grant["spec"]["from"]
    assert origin["namespace"] == policy["metadata"]["namespace"]


def test_only_the_webhook_route_goes_without_the_gate() -> None:
    policies = [each for each in OBJECTS if each["kind"] == "SecurityPolicy"]
    unasked = [each for each in policies if "extAuth" not in each["spec"]]

    (policy,) = unasked
    route = one("HTTPRoute", "wicketgate-webhooks")
    assert policy["spec"]["targetRefs"][0]["name"] == route["metadata"]["name"]
    assert policy["metadata"]["namespace"] == route["metadata"]["namespace"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [
        {"method": "POST", "path": {"type": "Exact", "value": "/webhooks/clerk"}}
    ]


def test_kustomize_builds_what_is_not_optional() -> None:
    listed = documents_of(HERE / "kustomization.yaml")[0]["resources"]

    assert [HERE / name for name in listed] == FILES


# ------------------------------------------------------------- what the translator made of them


def test_the_record_is_of_the_manifests_as_they_are() -> None:
    """
    If not: run ``tests/deploy/translated/renew.py``.
    """
    assert digest() == TRANSLATED["made_of"]


def test_the_translator_accepted_every_object() -> None:
    conditions = TRANSLATED["conditions"]

    assert [each for each in conditions if not each.endswith("=True")] == []
    # That of the edge, by that of the webhook route.
    overridden = [each for each in conditions if "Overridden" in each]
    assert overridden == ["securityPolicies wicketgate Overridden=True"]
    assert not [each for each in conditions if "Overlapping" in each]


@pytest.mark.envoy
def test_envoy_takes_what_the_translator_wrote(tmp_path: Path) -> None:
    clusters = [{"name": name} for name in TRANSLATED["clusters"]]
    named = dict(enumerate(TRANSLATED["managers"].values(), start=10001))
    config = bootstrap(named, clusters=clusters, admin_port=10000)
    config["node"] = {"id": "edge", "cluster": "edge"}
    ads = {"envoy_grpc": {"cluster_name": clusters[0]["name"]}}
    source = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [ads]}
    config["dynamic_resources"] = {"ads_config": source}

    assert complaint_about(config, tmp_path) == ""
    for manager in TRANSLATED["managers"].values():
        manager["mergeSlashs"] = True
    assert "mergeSlashs" in complaint_about(config, tmp_path)


def test_the_doctor_finds_nothing_in_what_envoy_runs_on() -> None:
    """
    The filter is disabled, and every route that asks switches it on.
    """
    routes = copy.deepcopy(TRANSLATED["routes"])
    clusters = list(TRANSLATED["clusters"].values())

    def found() -> list[str]:
        managers = {
            port: inline(manager, routes[name])
            for port, (name, manager) in enumerate(TRANSLATED["managers"].items(), start=10001)
        }
        config = bootstrap(managers, clusters=clusters, admin_port=10000)
        return [each.rule for each in examine([config])]

    assert found() == []
    del routes["edge/edge/app"]["virtualHosts"][0]["routes"][0]["typedPerFilterConfig"]
    assert found() == ["filter-off"]
