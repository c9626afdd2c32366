"""What deploy/ makes of Kubernetes objects: built by Kustomize and Helm as an operator would.

Objects are plain dictionaries. Each way of building is done once for a process.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import yaml
from helm_python import Chart

Object: TypeAlias = dict[str, Any]

TOP: Final = Path(__file__).parents[1]
KUBERNETES: Final = TOP / "deploy" / "kubernetes"
BASE: Final = KUBERNETES / "base"
OVERLAYS: Final = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
COMPONENTS: Final = sorted(path.name for path in (KUBERNETES / "components").iterdir())
CHART: Final = TOP / "deploy" / "helm" / "wicketgate"
NAMESPACE: Final = "wicketgate"

PUBLISHABLE_KEY: Final = "pk_test_YWJsZS1tb2xlLTEuY2xlcmsuYWNjb3VudHMuZGV2JA"
REQUIRED: Final = {"settings": {"CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY}}
"""The one value that the chart cannot do without."""

_HASH: Final = re.compile(r"-[a-z0-9]{10}$")


@dataclass(frozen=True)
class Workload:
    """Something that makes pods."""

    kind: str
    name: str
    labels: Mapping[str, str]
    pod: Object

    @property
    def container(self) -> Object:
        """Return its one container; there are no others, not even to begin with."""
        assert "initContainers" not in self.pod
        (container,) = self.pod["containers"]
        return dict(container)


def kustomize(folder: Path) -> list[Object]:
    """Build a folder with kubectl's own Kustomize; its names are without hashes."""
    return [unhashed(each) for each in built_as_it_is(folder)]


def built_as_it_is(folder: Path) -> list[Object]:
    """Build a folder, hashes and all."""
    kubectl = Path(sys.executable).parent / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", folder], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def helm(
    values: Mapping[str, Any] | None = None, *files: str, name: str = "wicketgate"
) -> list[Object]:
    """Render the chart as `helm template` does, with files of values beside it, then `values`."""
    merged: dict[str, Any] = {}
    for each in (*map(values_of, files), REQUIRED, dict(values or {})):
        merged = merge(merged, each)
    chart().validate_schema(merged)
    rendered = chart().render(values=merged, name=name, namespace=NAMESPACE)
    return [
        each
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for each in yaml.load_all(text, yaml.CSafeLoader)
        if each
    ]


@cache
def chart() -> Chart:
    """Return the chart, read once."""
    return Chart.load(CHART)


def values_of(file: str) -> dict[str, Any]:
    """Return one of the chart's files of values."""
    return dict(yaml.safe_load((CHART / file).read_text()))


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay values over others as Helm does: mappings are merged, all else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def unhashed(document: Object) -> Object:
    """Return an object that names the settings without Kustomize's hash."""
    return dict(_without_hash(document))


def _without_hash(node: Any) -> Any:  # noqa: ANN401 - any node of a document
    if isinstance(node, dict):
        return {key: _without_hash(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_hash(each) for each in node]
    if isinstance(node, str) and node.startswith("wicketgate-settings-"):
        return _HASH.sub("", node)
    return node


def key_of(document: Object) -> tuple[str, str]:
    """Return what tells an object from the others."""
    return document["kind"], document["metadata"]["name"]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Return one object."""
    (found,) = [each for each in objects if key_of(each) == (kind, name)]
    return found


def workloads(objects: list[Object]) -> Iterator[Workload]:
    """Yield whatever makes pods."""
    for each in objects:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield Workload(
                each["kind"],
                each["metadata"]["name"],
                template["metadata"]["labels"],
                template["spec"],
            )


def workload(objects: list[Object], name: str) -> Workload:
    """Return what makes the pods of a name."""
    (found,) = [each for each in workloads(objects) if each.name == name]
    return found


def environment(objects: list[Object], container: Object) -> dict[str, str]:
    """Return the variables that a container is given, as the kubelet puts them together."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        assert variable.keys() == {"name", "value"}, variable["name"]
        variables[variable["name"]] = variable["value"]
    return variables


EVERYTHING: Final[Mapping[str, Any]] = {
    "settings": {"WICKETGATE_TRACES_ENDPOINT": "http://collector.traces:4318/v1/traces"},
    "serviceTokens": f"version: 1\ntokens:\n  - {{ name: a, sha256: {'0' * 64}, scopes: b }}\n",
    "secrets": {"tracesHeaders": "wicketgate-traces"},
    "imagePullSecrets": ["registry"],
    "image": {"digest": f"sha256:{'0' * 64}"},
    "podAnnotations": {"example.com/owner": "platform"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
    "priorityClassName": "edge",
    "authz": {"autoscaling": {"enabled": False}, "replicas": 3},
    "spread": {"nodes": "DoNotSchedule"},
    "webhooks": {"ingress": {"enabled": True, "className": "envoy", "annotations": {"a": "b"}}},
    "networkPolicy": {
        "postgres": {"cidrs": ["10.20.0.0/24"]},
        "collector": {"peers": [{"namespace": {"a": "b"}, "pod": {"c": "d"}}]},
    },
}
"""Values that turn on whatever the chart has beside the three files of values."""


def every_component() -> list[Object]:
    """Build the base with all components that go with Postgres."""
    return _mixture(tuple(each for each in COMPONENTS if each != "gate-only"))


def gate_with_mtls() -> list[Object]:
    """Build the base with two components that touch the same Deployment."""
    return _mixture(("gate-only", "mtls"))


def _mixture(components: tuple[str, ...]) -> list[Object]:
    document = {
        "resources": ["../../base"],
        "components": [f"../../components/{c}" for c in components],
    }
    with TemporaryDirectory() as above:
        copy = copytree(KUBERNETES, Path(above) / "kubernetes")
        mixed = copy / "overlays" / "mixed"
        mixed.mkdir()
        (mixed / "kustomization.yaml").write_text(yaml.safe_dump(document))
        return kustomize(mixed)


_BUILDS: Final[Mapping[str, Callable[[], list[Object]]]] = {
    **{
        f"kustomize {each}": partial(kustomize, KUBERNETES / "overlays" / each)
        for each in OVERLAYS
    },
    "kustomize every component": every_component,
    "kustomize gate-only and mtls": gate_with_mtls,
    "helm": helm,
    "helm gate-only": partial(helm, None, "values-gate-only.yaml"),
    "helm everything": partial(
        helm, EVERYTHING, "values-mtls.yaml", "values-high-availability.yaml"
    ),
}

BUILDS: Final[Mapping[str, Callable[[], list[Object]]]] = {
    name: cache(build) for name, build in _BUILDS.items()
}
"""Everything that an operator may be running, by the way it was made."""
