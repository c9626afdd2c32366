"""docs/deploy.md beyond Kubernetes and Helm: Istio, Envoy Gateway, the pod, Compose.

No cluster runs here. What can be run is run; what `kubectl` and `docker compose` are told is
looked up in the manifests. What is left of the page is in test_kubernetes_guide.py.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any, Final

import pytest
import yaml

from deploy.edges import complaint_about
from deploy.resources import documents_of, kinds, mistakes_in
from deploy_manifests import BUILDS, TOP, built_as_it_is, of_kind, workloads
from wicketgate.cli import main
from wicketgate.doctor.examine import examine

PAGE: Final = (TOP / "docs" / "deploy.md").read_text()
FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
HEADING: Final = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
ELSEWHERE: Final = "/tmp/"  # noqa: S108 - as the page has it
BASH: Final = str(shutil.which("bash"))

FOLDERS: Final = {
    "Istio": "deploy/istio",
    "Envoy Gateway": "deploy/envoy-gateway",
    "A gate beside each Envoy": "deploy/sidecar",
}
RUN_BY_OTHERS: Final = {
    ("Deployment", "edge-istio", "istio-ingress"),  # by Istio, of the Gateway
    ("Deployment", "envoy-gateway", "envoy-gateway-system"),
    ("ConfigMap", "istio", "istio-system"),
}
KINDS: Final = {
    "deployment": "Deployment",
    "deploy": "Deployment",
    "service": "Service",
    "gateway": "Gateway",
    "configmap": "ConfigMap",
    "namespace": "Namespace",
}
_KIND: Final = rf"({'|'.join(KINDS)})"
NAMED: Final = re.compile(
    rf"(?<!--kustomize)(?<!--filename) {_KIND}/([\w-]+)"
    rf"|(?:get|edit|describe|label) {_KIND} ([a-z][\w-]+)"
)


@dataclass(frozen=True)
class Block:
    """What is between two fences.

    Attributes:
        section: The heading above it, of the second level.
        kind: What it is said to be written in.
        text: It, without the indentation of a list.
    """

    section: str
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What follows a `$`, with the lines that continue it."""
        joined = self.text.replace("\\\n", " ")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def blocks() -> Iterator[Block]:
    for part in PAGE.split("\n## ")[1:]:
        for found in FENCE.finditer(part):
            indent = found["indent"]
            lines = (line.removeprefix(indent) for line in found["body"].splitlines())
            yield Block(part.partition("\n")[0], found["kind"], "\n".join(lines))


def commands(section: str) -> list[str]:
    return [each for block in blocks() if block.section == section for each in block.commands]


# --------------------------------------------------------------------------------- the whole page


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_place_of_the_page_that_is_linked_is_there() -> None:
    places = {slug(found[2]) for found in HEADING.finditer(FENCE.sub("", PAGE))}
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))

    assert len(linked) > 10
    assert linked - places == set()


@pytest.mark.parametrize("page", sorted({*re.findall(r"\(([\w./]+\.md)#", PAGE)}))
def test_every_place_of_another_page_that_is_linked_is_there(page: str) -> None:
    text = (TOP / "docs" / page).read_text()
    places = {slug(found[2]) for found in re.finditer(r"^(#+) (.+)$", text, re.MULTILINE)}

    assert set(re.findall(rf"\({re.escape(page)}#([^)]+)\)", PAGE)) - places == set()


def test_whoever_begins_is_led_to_every_part() -> None:
    begins = PAGE.partition("\n## ")[0]
    parts = {slug(found[2]) for found in HEADING.finditer(PAGE) if found[1] == "##"}

    assert parts - set(re.findall(r"\]\(#([^)]+)\)", begins)) == set()


def test_every_file_that_is_named_is_there() -> None:
    mine = "deploy/kubernetes/overlays/mine"  # made on the way
    made = ("deploy/compose/secrets", "deploy/.env", "deploy/compose.override.yaml", mine)
    deployments = ("deploy/edge-istio", "deploy/istiod")  # as kubectl calls them
    page = re.sub(r"\S*\{[^}]*\}\S*", "", PAGE)
    named = {
        found.rstrip(".,:")
        for found in re.findall(r"(?<!tests/)\bdeploy/[\w./-]+", page)
        if not found.startswith((*made, *deployments)) or found == "deploy/compose/secrets.sh"
    }

    assert len(named) > 20
    assert {each for each in named if not (TOP / each).exists()} == set()


def test_a_path_in_braces_is_of_files_that_are_there() -> None:
    braces = re.findall(r"(deploy/[\w/-]+/)\{([^}]+)\}(\.\w+)", PAGE)

    assert braces
    for folder, names, end in braces:
        for name in names.split(","):
            assert (TOP / f"{folder}{name}{end}").is_file(), name


def test_names_that_stand_for_one_s_own_are_the_same_in_every_manifest() -> None:
    """Whoever replaces what the page lists has replaced it all."""
    text = "".join(
        path.read_text()
        for path in sorted((TOP / "deploy").rglob("*"))
        if path.suffix in {".yaml", ".env"} and "secrets" not in path.parts
    )
    listed = PAGE.partition("What stands for yours")[2].partition("\n\n### ")[0]
    hosts = set(re.findall(r"(?<![\w-])(?:[a-z]+\.)+example\.com", text))

    assert len(hosts) == 4
    assert {host for host in hosts if host not in listed} == set()
    assert set(re.findall(r"AUTHORIZED_PARTIES[=:] ?(https:\S+)", text)) == {
        "https://www.example.com"
    }


# ------------------------------------------------------------------------------------ what is YAML


def yaml_blocks() -> list[tuple[Block, Any]]:
    found = [(each, yaml.safe_load(each.text)) for each in blocks() if each.kind == "yaml"]
    assert len(found) == PAGE.count("```yaml\n")
    return found


def which(document: dict[str, Any]) -> str:
    """Return by what a block is known."""
    return str(document["kind"] if "kind" in document else next(iter(document)))


def one(name: str) -> Any:  # noqa: ANN401 - a document
    (found,) = [document for _, document in yaml_blocks() if which(document) == name]
    return found


def test_every_block_of_yaml_is_validated_by_a_test() -> None:
    """Patches and values are, too: in test_kubernetes_guide.py."""
    assert {which(document) for _, document in yaml_blocks()} == {
        "patches",
        "image",
        "Certificate",
        "clusters",
        "selector",
        "configMapGenerator",
    }


def test_the_certificate_is_the_one_that_the_gate_shows() -> None:
    certificate = one("Certificate")
    objects = BUILDS["kustomize mtls"]()
    (gate,) = [each for each in workloads(objects) if each.name == "wicketgate-authz"]
    services = {each["metadata"]["name"] for each in of_kind(objects, "Service")}

    assert mistakes_in(certificate) == []
    assert certificate["metadata"]["namespace"] == "wicketgate"
    assert certificate["spec"]["secretName"] in {
        each["secret"]["secretName"] for each in gate.pod["volumes"] if "secret" in each
    }
    assert set(certificate["spec"]["dnsNames"]) == {
        f"{name}.wicketgate.svc" for name in services if name.startswith("wicketgate-authz")
    }


@pytest.mark.envoy
def test_an_envoy_of_one_s_own_finds_the_gates(tmp_path: Path) -> None:
    """The file of the repository with what the page shows in place of the gate's address."""
    (shown,) = one("clusters")["clusters"]
    document = yaml.safe_load((TOP / "envoy.yaml").read_text())
    (gate,) = [
        each for each in document["static_resources"]["clusters"] if each["name"] == "authz"
    ]
    gate |= shown
    (service,) = [
        each
        for each in of_kind(BUILDS["kustomize plain"](), "Service")
        if each["metadata"]["name"] == "wicketgate-authz-headless"
    ]

    (where,) = (
        each["endpoint"]["address"]["socket_address"]
        for group in shown["load_assignment"]["endpoints"]
        for each in group["lb_endpoints"]
    )
    assert where["address"] == f"{service['metadata']['name']}.wicketgate.svc.cluster.local"
    assert [each["port"] for each in service["spec"]["ports"]] == [where["port_value"]]
    assert list(examine([document])) == []
    assert complaint_about(document, tmp_path) == ""


def test_an_older_gateway_of_istio_is_selected_as_the_page_says() -> None:
    shown = one("selector")

    for name, kind, word in (
        ("authorize.yaml", "AuthorizationPolicy", "selector"),
        ("edge-filters.yaml", "EnvoyFilter", "workloadSelector"),
    ):
        (document,) = documents_of(TOP / "deploy" / "istio" / name)
        assert document["kind"] == kind
        del document["spec"]["targetRefs"]
        document["spec"][word] = shown[word]
        assert mistakes_in(document) == []


def test_named_tokens_are_found_where_the_overlay_puts_them(tmp_path: Path) -> None:
    copytree(TOP / "deploy", tmp_path / "deploy")
    plain = tmp_path / "deploy" / "kubernetes" / "overlays" / "plain"
    overlay = plain / "kustomization.yaml"
    document = yaml.safe_load(overlay.read_text())
    settings, policy = one("configMapGenerator")["configMapGenerator"]
    document["configMapGenerator"][0]["literals"] += settings["literals"]
    document["configMapGenerator"].append(policy)
    overlay.write_text(yaml.safe_dump(document))
    (plain / "policy.yaml").write_text((TOP / "deploy" / "istio" / "policy.yaml").read_text())
    (plain / "service-tokens.yaml").write_text("version: 1\ntokens: []\n")

    objects = built_as_it_is(plain)

    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}
    (gate,) = [each for each in workloads(objects) if each.name == "wicketgate-authz"]
    (mounted,) = [
        each["mountPath"] for each in gate.container["volumeMounts"] if each["name"] == "policy"
    ]
    (literal,) = settings["literals"]
    assert literal == f"WICKETGATE_SERVICE_TOKENS_FILE={mounted}/service-tokens.yaml"
    assert set(maps["wicketgate-policy"]) == {"policy.yaml", "service-tokens.yaml"}


def test_every_object_of_deploy_is_of_a_kind_that_a_test_knows() -> None:
    """A file that nobody holds against a definition would be found here."""
    found = {
        (str(path.relative_to(TOP / "deploy")), str(each["kind"]))
        for path in sorted((TOP / "deploy").rglob("*.yaml"))
        if not {"templates", "secrets", "mine"} & set(path.parts)
        for each in documents_of(path)
        if "kind" in each and "apiVersion" in each
    }
    built = ("Kustomization", "Component")
    of_kubernetes = {
        *("ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job"),
        *("Namespace", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"),
    }

    assert len(found) > 40
    unknown = {
        (file, kind) for file, kind in found if kind not in {*built, *of_kubernetes, *kinds()}
    }
    assert unknown == set()


# ------------------------------------------------------------------------- what can be run is run


def test_the_doctor_says_what_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: dict[str, str] = {}
    for block in blocks():
        text = block.text.replace(ELSEWHERE, f"{tmp_path}/")
        for line in re.findall(r"^\$ (for file in .*)", text, re.MULTILINE):
            subprocess.run([BASH, "-ec", line], cwd=TOP, check=True)
        for name, shown in re.findall(
            r"^\$ wicketgate doctor ([^h].*)(?:\n(.*))?", text, re.MULTILINE
        ):
            assert main(["doctor", str(TOP / name)]) == 0
            said[block.section] = capsys.readouterr().out.splitlines()[-1].partition(": ")[2]
            if shown and not shown.startswith("$ "):
                assert shown == f"{name}: {said[block.section]}"

    assert said.keys() == FOLDERS.keys()
    assert said["Istio"] == "0 errors, 1 warning"
    assert "It reports one warning, `policy-partial`" in " ".join(PAGE.split())


@pytest.mark.parametrize("section", FOLDERS)
def test_what_is_applied_is_there(section: str) -> None:
    lines = commands(section)
    folders = {found for line in lines for found in re.findall(r"--kustomize (\S+)", line)}
    files = {found for line in lines for found in re.findall(r"--filename (\S+)", line)}

    assert folders == {FOLDERS[section]}
    assert built_as_it_is(TOP / FOLDERS[section])
    assert {file for file in files if not documents_of(TOP / file)} == set()


@pytest.mark.parametrize("section", FOLDERS)
def test_every_object_that_is_asked_about_is_in_its_namespace(section: str) -> None:
    files = sorted((TOP / FOLDERS[section]).glob("*.yaml"))
    made = [each for each in documents_of(*files) if "kind" in each]
    made += built_as_it_is(TOP / FOLDERS[section])
    made += BUILDS["kustomize plain"]()
    known = {
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
        for each in made
        if "metadata" in each
    } | RUN_BY_OTHERS
    asked = set()
    for line in (each for each in commands(section) if "kubectl " in each):
        for part in line.split("$("):
            where = re.search(r"(?:-n|--namespace)[ =](\S+)", part)
            for found in NAMED.finditer(part):
                kind, name = (each for each in found.groups() if each)
                namespace = None if kind == "namespace" else where and where[1].rstrip(')"')
                asked.add((KINDS[kind], name, namespace))

    assert asked
    assert asked - known == set()


@pytest.mark.parametrize("section", ["Istio", "Envoy Gateway"])
def test_secrets_of_the_edge_are_made_where_the_gateway_looks_for_them(section: str) -> None:
    lines = commands(section)
    (gateway,) = [
        each
        for each in documents_of(TOP / FOLDERS[section] / "gateway.yaml")
        if each["kind"] == "Gateway"
    ]
    namespace = gateway["metadata"]["namespace"]
    wanted = [
        reference["name"]
        for listener in gateway["spec"]["listeners"]
        for reference in listener["tls"]["certificateRefs"]
    ]

    first = f"kubectl create namespace {namespace}"
    then = [f"kubectl create secret tls {name} --namespace {namespace} " for name in wanted]
    places = [
        next(number for number, line in enumerate(lines) if line.startswith(each))
        for each in (first, *then, "kubectl apply --kustomize")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize("section", ["Istio", "Envoy Gateway"])
def test_what_is_asked_for_at_the_edge_are_its_hosts_and_paths(section: str) -> None:
    routes = [
        each
        for each in documents_of(TOP / FOLDERS[section] / "gateway.yaml")
        if each["kind"] == "HTTPRoute"
    ]
    hosts = {host for each in routes for host in each["spec"]["hostnames"]}
    asked = [shlex.split(line)[1:3] for line in commands(section) if line.startswith("ask ")]

    assert {host for host, _ in asked} == hosts
    assert ["hooks.example.com", "/webhooks/clerk"] in asked


def test_the_network_of_the_mesh_is_opened_before_anything_joins_it() -> None:
    """Without it a sidecar does not reach istiod, and probes from the mesh fail."""
    lines = commands("Istio")
    opened = lines.index("kubectl apply --filename deploy/istio/network.yaml")
    joined = [number for number, line in enumerate(lines) if "kubectl label namespace" in line]
    restarted = next(number for number, line in enumerate(lines) if "rollout restart" in line)

    assert len(joined) == 2
    assert opened < min(joined) < max(joined) < restarted
    # By itself: the namespace of the gateway need not be there yet.
    namespaces = {
        each["metadata"]["namespace"]
        for each in documents_of(TOP / "deploy" / "istio" / "network.yaml")
    }
    assert namespaces == {"wicketgate"}


# ---------------------------------------------------------------------------------------- Compose


def test_compose_is_told_services_and_profiles_that_there_are() -> None:
    compose = yaml.safe_load((TOP / "deploy" / "compose.yaml").read_text())
    services = compose["services"]
    profiles = {each for service in services.values() for each in service.get("profiles", [])}
    told = [line for line in commands("Compose") if line.startswith("docker compose ")]
    told += re.findall(r"`(docker compose [^`]+)`", PAGE)
    verbs = {"up", "logs", "run", "exec", "restart"}

    assert len(told) >= 8
    for line in told:
        words = shlex.split(line)
        assert words[2:4] == ["-f", "deploy/compose.yaml"]
        (at,) = [number for number, word in enumerate(words) if word in verbs][:1]
        if "--profile" in words:
            assert words[words.index("--profile") + 1] in profiles
        named = [word for word in words[at + 1 :] if not word.startswith("-")]
        several = words[at] in {"up", "logs", "restart"}
        for name in named if several else named[:1]:
            assert name in services, line


def test_compose_answers_where_the_page_asks() -> None:
    compose = yaml.safe_load((TOP / "deploy" / "compose.yaml").read_text())
    published = {
        str(port).split(":")[1]
        for service in compose["services"].values()
        for port in service.get("ports", [])
    }
    section = PAGE.split("\n## Compose\n")[1].split("\n## ")[0]
    asked = set(re.findall(r"http://127\.0\.0\.1:(\d+)", section))

    assert json.dumps(sorted(asked - published)) == "[]"
