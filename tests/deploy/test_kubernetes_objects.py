"""What deploy/ makes of Kubernetes objects is valid, hardened, and consistent in itself."""

import json
import re
from functools import cache
from importlib import resources
from typing import Any, Final

import pytest
import yaml
from jsonschema import (  # type: ignore[import-untyped] # has no types
    Draft202012Validator,
    ValidationError,
)
from referencing import Registry, Resource

from deploy_manifests import (
    BUILDS,
    KUBERNETES,
    NAMESPACE,
    Object,
    Workload,
    key_of,
    named,
    of_kind,
    workload,
    workloads,
)
from wicketgate import __version__

OLDEST: Final = "1.31"
"""What the chart demands: `unhealthyPodEvictionPolicy` is there for good since then."""
NEWEST: Final = "1.37"

SECRET_KEYS: Final = {
    "wicketgate-service-auth": {"token"},
    "wicketgate-clerk": {"webhook-signing-secret", "secret-key"},
    "wicketgate-database-migrate": {"url"},
    "wicketgate-database-webhooks": {"url"},
    "wicketgate-database-sync": {"url"},
    "wicketgate-database-gate": {"url"},
    "wicketgate-status": {"token"},
    "wicketgate-traces": {"headers"},
    "wicketgate-tls": {"tls.crt", "tls.key", "ca.crt"},
}
"""Every Secret, with its keys. Names and keys are what the guide has the reader make."""

SECONDS_FOR_ALL_ELSE: Final = 5

each_build = pytest.mark.parametrize("build", BUILDS)


class UnknownKindError(Exception):
    """There is no schema for it."""


def valid(document: Object, version: str) -> None:
    """Hold a document against the strict schemas of the package kubernetes-validate.

    Its own function reads a megabyte for each document; here it is read once.
    """
    group, _, number = document["apiVersion"].rpartition("/")
    parts = [document["kind"].lower(), group.partition(".")[0], number]
    validator("-".join(part for part in parts if part), version).validate(document)


@cache
def validator(name: str, version: str) -> Draft202012Validator:
    try:
        document = schema(name, version)
    except FileNotFoundError:
        raise UnknownKindError(name) from None
    return Draft202012Validator(document, registry=definitions(version))


@cache
def definitions(version: str) -> Registry[Any]:
    return Resource.from_contents(schema("_definitions", version)) @ Registry()


def schema(name: str, version: str) -> Any:  # noqa: ANN401 - a schema is any JSON
    folder = (
        resources.files("kubernetes_validate")
        / "kubernetes-json-schema"
        / f"v{version}.0-local-strict"
    )
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@each_build
def test_every_object_is_one_that_kubernetes_knows(build: str, version: str) -> None:
    """Strictly: a field that the schema does not have is a mistake, and so is an unknown kind."""
    for each in BUILDS[build]():
        valid(each, version)


def test_a_misspelt_field_would_be_found() -> None:
    deployment = named(BUILDS["helm"](), "Deployment", "wicketgate-authz")
    spoilt = {**deployment, "spec": {**deployment["spec"], "replica": 2}}

    with pytest.raises(ValidationError, match="replica"):
        valid(spoilt, OLDEST)


def test_an_unknown_kind_would_be_found() -> None:
    deployment = named(BUILDS["helm"](), "Deployment", "wicketgate-authz")

    with pytest.raises(UnknownKindError):
        valid({**deployment, "kind": "Deploymnet"}, OLDEST)


@each_build
def test_no_two_objects_are_the_same(build: str) -> None:
    keys = [key_of(each) for each in BUILDS[build]()]

    assert sorted(set(keys)) == sorted(keys)


@each_build
def test_everything_is_in_one_namespace_and_says_whose_it_is(build: str) -> None:
    objects = [each for each in BUILDS[build]() if each["kind"] != "Namespace"]

    assert {each["metadata"]["namespace"] for each in objects} == {NAMESPACE}
    for each in objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "wicketgate", key_of(each)
        assert labels["app.kubernetes.io/part-of"] == "wicketgate", key_of(each)


@each_build
def test_a_namespace_that_is_made_refuses_pods_that_could_do_harm(build: str) -> None:
    for each in of_kind(BUILDS[build](), "Namespace"):
        labels = each["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert "pod-security.kubernetes.io/enforce-version" not in labels


@each_build
def test_what_is_there_has_its_agreed_name(build: str) -> None:
    found = {(each.kind, each.name) for each in workloads(BUILDS[build]())}
    gate = {("Deployment", "wicketgate-authz")}
    rest = {
        ("Deployment", "wicketgate-webhooks"),
        ("Job", "wicketgate-migrate"),
        ("CronJob", "wicketgate-sync"),
    }

    assert found == (gate if "gate-only" in build else gate | rest)


@each_build
def test_no_pod_can_do_more_than_it_must(build: str) -> None:
    """All that Pod Security's profile `restricted` asks for, and a root that is read-only."""
    for each in workloads(BUILDS[build]()):
        pod = each.pod["securityContext"]
        assert pod["runAsNonRoot"] is True, each.name
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 65532, each.name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, each.name
        assert each.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, each.name
        shared = {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & each.pod.keys()
        assert shared == set(), each.name
        kinds = {kind for volume in each.pod["volumes"] for kind in volume} - {"name"}
        assert kinds <= {"configMap", "secret", "emptyDir"}, each.name


@each_build
def test_no_pod_holds_a_token_for_the_kubernetes_api(build: str) -> None:
    objects = BUILDS[build]()

    assert {each.name for each in workloads(objects)} == {
        each.name
        for each in workloads(objects)
        if each.pod["automountServiceAccountToken"] is False
    }
    assert {
        each["automountServiceAccountToken"] for each in of_kind(objects, "ServiceAccount")
    } == {False}


@each_build
def test_accounts_are_there_for_whoever_names_one(build: str) -> None:
    objects = BUILDS[build]()
    there = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    named_by_pods = {
        each.pod["serviceAccountName"]
        for each in workloads(objects)
        if "serviceAccountName" in each.pod
    }

    assert named_by_pods == there


@each_build
def test_nothing_secret_is_written_down(build: str) -> None:
    """No Secret is made, and no variable is filled from one: only files are followed."""
    objects = BUILDS[build]()

    assert of_kind(objects, "Secret") == []
    for each in workloads(objects):
        for source in each.container.get("envFrom", []):
            assert source.keys() == {"configMapRef"}, each.name
        for variable in each.container["env"]:
            assert variable.keys() == {"name", "value"}, variable["name"]


@each_build
def test_a_pod_gets_the_keys_that_it_needs_and_no_other(build: str) -> None:
    wanted = {
        "wicketgate-authz": {"wicketgate-service-auth", "wicketgate-status"},
        "wicketgate-webhooks": {"wicketgate-clerk", "wicketgate-status"},
        "wicketgate-migrate": set[str](),
        "wicketgate-sync": {"wicketgate-clerk"},
    }
    databases = {"wicketgate-authz": "wicketgate-database-gate"} | {
        f"wicketgate-{each}": f"wicketgate-database-{each}"
        for each in ("webhooks", "migrate", "sync")
    }
    for each in workloads(BUILDS[build]()):
        expected = set(wanted[each.name])
        if "gate-only" not in build:
            expected.add(databases[each.name])
        for beside in {"wicketgate-tls", "wicketgate-traces"} & secrets_of(each).keys():
            assert each.name == "wicketgate-authz"
            expected.add(beside)
        assert secrets_of(each).keys() == expected, each.name


def secrets_of(found: Workload) -> dict[str, Any]:
    return {
        volume["secret"]["secretName"]: volume["secret"]
        for volume in found.pod["volumes"]
        if "secret" in volume
    }


@each_build
def test_clerk_s_two_keys_go_to_one_process_each(build: str) -> None:
    keys = {
        each.name: [item["key"] for item in secrets_of(each)["wicketgate-clerk"]["items"]]
        for each in workloads(BUILDS[build]())
        if "wicketgate-clerk" in secrets_of(each)
    }

    assert keys == (
        {}
        if "gate-only" in build
        else {"wicketgate-webhooks": ["webhook-signing-secret"], "wicketgate-sync": ["secret-key"]}
    )


@each_build
def test_secrets_are_read_by_our_group_and_nobody_else(build: str) -> None:
    for each in workloads(BUILDS[build]()):
        modes = {secret["defaultMode"] for secret in secrets_of(each).values()}
        assert modes == {0o440}, each.name


@each_build
def test_every_path_in_the_environment_is_mounted_and_every_mount_has_a_volume(build: str) -> None:
    for each in workloads(BUILDS[build]()):
        volumes = {volume["name"]: volume for volume in each.pod["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in each.container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} == volumes.keys(), each.name
        for variable in each.container["env"]:
            if not variable["name"].endswith("_FILE"):
                continue
            folder, _, file = variable["value"].rpartition("/")
            if variable["name"] == "WICKETGATE_JWKS_CACHE_FILE":
                continue
            assert file in keys_in(volumes[mounts[folder]["name"]], BUILDS[build]()), variable


def keys_in(volume: Object, objects: list[Object]) -> set[str]:
    if "secret" in volume:
        items = volume["secret"].get("items")
        keys = SECRET_KEYS[volume["secret"]["secretName"]]
        assert items is None or {item["key"] for item in items} <= keys
        return keys if items is None else {item["path"] for item in items}
    return set(named(objects, "ConfigMap", volume["configMap"]["name"])["data"])


@each_build
def test_only_the_place_for_keys_can_be_written_to(build: str) -> None:
    for each in workloads(BUILDS[build]()):
        writable = {
            mount["name"]
            for mount in each.container["volumeMounts"]
            if mount.get("readOnly") is not True
        }
        assert writable == ({"keys"} if each.name == "wicketgate-authz" else set()), each.name


@each_build
def test_keys_are_kept_in_a_directory_that_the_gate_makes_for_itself(build: str) -> None:
    """An emptyDir is open to everybody; what is below it, made by the gate, is not."""
    gate = workload(BUILDS[build](), "wicketgate-authz")
    variables = {each["name"]: each["value"] for each in gate.container["env"]}
    (mount,) = [each for each in gate.container["volumeMounts"] if each["name"] == "keys"]
    folder = variables["WICKETGATE_JWKS_CACHE_FILE"].rpartition("/")[0]

    assert folder.startswith(f"{mount['mountPath']}/")


@each_build
def test_no_file_is_mounted_by_itself(build: str) -> None:
    """With a subPath the kubelet does not keep it current."""
    mounts = [m for each in workloads(BUILDS[build]()) for m in each.container["volumeMounts"]]

    assert [m for m in mounts if "subPath" in m or "subPathExpr" in m] == []


@each_build
def test_liveness_asks_whether_the_process_lives_and_nothing_else(build: str) -> None:
    """An outage of Clerk or of Postgres must not kill anybody."""
    for each in served(build):
        for probe in ("livenessProbe", "startupProbe"):
            assert each.container[probe]["httpGet"] == {"path": "/healthz", "port": "admin"}
            assert "grpc" not in each.container[probe], each.name


def served(build: str) -> list[Workload]:
    found = [each for each in workloads(BUILDS[build]()) if each.kind == "Deployment"]
    assert found
    return found


@each_build
def test_readiness_of_the_gate_is_what_envoy_s_health_checks_ask(build: str) -> None:
    gate = workload(BUILDS[build](), "wicketgate-authz")
    probe = gate.container["readinessProbe"]

    if "wicketgate-tls" in secrets_of(gate):
        # The kubelet's gRPC probe speaks no TLS.
        assert probe["httpGet"] == {"path": "/readyz", "port": "admin"}
        assert "grpc" not in probe
    else:
        assert probe["grpc"] == {"port": 9191, "service": "envoy.service.auth.v3.Authorization"}
        assert "httpGet" not in probe


@each_build
def test_a_pod_has_time_to_leave_without_a_failed_request(build: str) -> None:
    for each in served(build):
        variables = {v["name"]: v["value"] for v in each.container["env"]}
        stopping = float(variables["WICKETGATE_DRAIN_SECONDS"]) + float(
            variables["WICKETGATE_GRACE_SECONDS"]
        )
        assert float(variables["WICKETGATE_DRAIN_SECONDS"]) == 10, each.name
        assert each.pod["terminationGracePeriodSeconds"] == stopping + SECONDS_FOR_ALL_ELSE
        assert "lifecycle" not in each.container, "the drain is what a preStop would be for"


@each_build
def test_nobody_leaves_in_a_rollout_before_somebody_is_ready(build: str) -> None:
    for each in of_kind(BUILDS[build](), "Deployment"):
        assert each["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }
        assert each["spec"]["revisionHistoryLimit"] >= 2, "to go back to"


@each_build
def test_selectors_find_the_pods_that_they_are_for_and_no_others(build: str) -> None:
    objects = BUILDS[build]()
    pods = {each.name: each.labels for each in workloads(objects)}
    for document in objects:
        match document["kind"]:
            case "Service":
                selector = document["spec"]["selector"]
            case "Deployment" | "PodDisruptionBudget":
                selector = document["spec"]["selector"]["matchLabels"]
            case _:
                continue
        found = {name for name, labels in pods.items() if selector.items() <= labels.items()}
        assert found == {document["metadata"]["name"].removesuffix("-headless")}, document["kind"]
    for each in served(build):
        for constraint in each.pod["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"].items() <= each.labels.items()


@each_build
def test_services_lead_to_ports_that_containers_have(build: str) -> None:
    objects = BUILDS[build]()
    expected = {
        "wicketgate-authz": ("grpc", 9191, "grpc"),
        "wicketgate-authz-headless": ("grpc", 9191, "grpc"),
        "wicketgate-webhooks": ("http", 8080, "http"),
    }
    for each in of_kind(objects, "Service"):
        name = each["metadata"]["name"]
        (port,) = each["spec"]["ports"]
        container = workload(objects, name.removesuffix("-headless")).container
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        assert (port["name"], port["port"], port["appProtocol"]) == expected[name]
        assert ports[port["targetPort"]] == port["port"], name
        assert port["targetPort"] != "admin", "the admin port is one pod's own"


@each_build
def test_containers_listen_where_their_ports_say(build: str) -> None:
    listens = {
        "wicketgate-authz": {
            "grpc": "WICKETGATE_AUTHZ_ADDRESS",
            "admin": "WICKETGATE_ADMIN_ADDRESS",
        },
        "wicketgate-webhooks": {
            "http": "WICKETGATE_WEBHOOKS_ADDRESS",
            "admin": "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS",
        },
    }
    for each in served(build):
        variables = {v["name"]: v["value"] for v in each.container["env"]}
        told = {
            port: f"0.0.0.0:{number}"
            for port, number in ((p["name"], p["containerPort"]) for p in each.container["ports"])
        }
        assert told == {port: variables[name] for port, name in listens[each.name].items()}


@each_build
def test_replicas_are_decided_in_one_place(build: str) -> None:
    objects = BUILDS[build]()
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"]
        for each in of_kind(objects, "HorizontalPodAutoscaler")
    }
    for each in of_kind(objects, "Deployment"):
        spec = scaled.get(each["metadata"]["name"])
        if spec is None:
            assert each["spec"]["replicas"] >= 2, "one would be gone whenever its node is"
        else:
            assert "replicas" not in each["spec"]
            assert 2 <= spec["minReplicas"] <= spec["maxReplicas"]


@each_build
def test_a_node_can_always_be_emptied(build: str) -> None:
    objects = BUILDS[build]()
    deployments = {each["metadata"]["name"] for each in of_kind(objects, "Deployment")}
    budgets = of_kind(objects, "PodDisruptionBudget")

    assert {each["metadata"]["name"] for each in budgets} == deployments
    for each in budgets:
        assert each["spec"]["maxUnavailable"] == 1
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@each_build
def test_every_container_has_bounds(build: str) -> None:
    """One process is one core; a gate's own bounds on memory (87 and 256 MiB) come first."""
    for each in workloads(BUILDS[build]()):
        resources = each.container["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}
        assert resources["limits"]["cpu"] == "1", each.name
    gate = workload(BUILDS[build](), "wicketgate-authz").container["resources"]
    assert int(gate["limits"]["memory"].removesuffix("Mi")) > 87 + 256


@each_build
def test_the_image_is_this_version_s(build: str) -> None:
    images = {each.container["image"] for each in workloads(BUILDS[build]())}

    assert images == (
        {f"registry.example.com/wicketgate@sha256:{'0' * 64}"}
        if build == "helm everything"
        else {f"registry.example.com/wicketgate:{__version__}"}
    )


@each_build
def test_jobs_end_and_do_not_pile_up(build: str) -> None:
    objects = BUILDS[build]()
    for each in of_kind(objects, "Job"):
        assert each["spec"]["activeDeadlineSeconds"] > 0
        assert each["spec"]["ttlSecondsAfterFinished"] > 0
        assert each["spec"]["backoffLimit"] <= 5
    for each in of_kind(objects, "CronJob"):
        spec = each["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["startingDeadlineSeconds"] > 0
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 86_400
        assert spec["successfulJobsHistoryLimit"] + spec["failedJobsHistoryLimit"] <= 5


def test_a_patch_that_deletes_is_about_one_object() -> None:
    """With several in one file the Kustomize of kubectl 1.32 panics; today's does not."""
    inline = [
        patch["patch"]
        for folder in (KUBERNETES / "components").iterdir()
        for patch in yaml.safe_load((folder / "kustomization.yaml").read_text()).get("patches", [])
        if "patch" in patch
    ]
    files = [path.read_text() for path in (KUBERNETES / "components").rglob("*.yaml")]
    deleting = [
        text for text in (*inline, *files) if re.search(r"^\$patch: delete", text, re.MULTILINE)
    ]

    assert deleting
    assert [text for text in deleting if len(list(yaml.safe_load_all(text))) > 1] == []
