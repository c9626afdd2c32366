"""Make the trimmed schemas of this directory from the projects' own definitions.

    python tests/deploy/schemas/trim.py istio=DIR gateway=DIR gateway-api=DIR \\
        cert-manager=DIR prometheus-operator=DIR

Each DIR is a checkout, or an unpacked Go module, of the version that `PROJECTS` names. Taken
away are descriptions, ``status``, printer columns, other versions, and what `DEFINITIONS` says
that the manifests of ``deploy/`` do not use. A field of that is refused as if it did not exist.
The files of a project that is not named stay as they are.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Project:
    """Where definitions come from.

    Attributes:
        name: The repository.
        version: Its tag.
    """

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One kind.

    Attributes:
        project: The key in `PROJECTS`.
        file: Where in the project it is defined.
        kind: Its name.
        version: The version that is kept.
        without: Fields that are taken away, below ``spec``; ``[]`` stands for a list's items.
    """

    project: str
    file: str
    kind: str
    version: str
    without: Sequence[str] = ()


PROJECTS: Final = {
    "istio": Project("istio/api", "v1.31.4"),
    "gateway": Project("envoyproxy/gateway", "v1.9.1"),
    "gateway-api": Project("kubernetes-sigs/gateway-api", "v1.6.1"),
    "cert-manager": Project("cert-manager/cert-manager", "v1.21.1"),
    "prometheus-operator": Project("prometheus-operator/prometheus-operator", "v0.93.0"),
}
_ISTIO: Final = "kubernetes/customresourcedefinitions.gen.yaml"
_GATEWAY: Final = "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_"
_OPERATOR: Final = "example/prometheus-operator-crd/monitoring.coreos.com_"
_API: Final = "config/crd/standard/gateway.networking.k8s.io_"
DEFINITIONS: Final = (
    Definition("istio", _ISTIO, "AuthorizationPolicy", "v1"),
    Definition("istio", _ISTIO, "PeerAuthentication", "v1"),
    Definition("istio", _ISTIO, "EnvoyFilter", "v1alpha3"),
    Definition(
        "istio",
        _ISTIO,
        "DestinationRule",
        "v1",
        ("subsets", "trafficPolicy.portLevelSettings", "trafficPolicy.loadBalancer"),
    ),
    Definition(
        "gateway",
        f"{_GATEWAY}securitypolicies.yaml",
        "SecurityPolicy",
        "v1alpha1",
        (
            *("apiKeyAuth", "basicAuth", "csrf", "jwt", "oidc", "extAuth.http"),
            *("authorization.rules", "extAuth.grpc.backendSettings.loadBalancer"),
        ),
    ),
    Definition(
        "gateway",
        f"{_GATEWAY}clienttrafficpolicies.yaml",
        "ClientTrafficPolicy",
        "v1alpha1",
        ("tls", "clientIPDetection", "connection", "http3", "healthCheck"),
    ),
    Definition(
        "gateway",
        f"{_GATEWAY}envoyproxies.yaml",
        "EnvoyProxy",
        "v1alpha1",
        (
            *("telemetry", "filterOrder", "backendTLS", "provider.host"),
            *("provider.kubernetes.envoyDaemonSet", "provider.kubernetes.envoyDeployment"),
            *("provider.kubernetes.envoyHpa", "provider.kubernetes.envoyPDB"),
        ),
    ),
    Definition("gateway-api", f"{_API}gatewayclasses.yaml", "GatewayClass", "v1"),
    Definition(
        "gateway-api",
        f"{_API}gateways.yaml",
        "Gateway",
        "v1",
        ("addresses", "allowedListeners", "tls"),
    ),
    Definition(
        "gateway-api",
        f"{_API}httproutes.yaml",
        "HTTPRoute",
        "v1",
        (
            "rules.[].backendRefs.[].filters",
            "rules.[].filters.[].requestMirror",
        ),
    ),
    Definition("gateway-api", f"{_API}referencegrants.yaml", "ReferenceGrant", "v1"),
    Definition(
        "cert-manager",
        "deploy/crds/cert-manager.io_certificates.yaml",
        "Certificate",
        "v1",
        ("keystores", "otherNames", "nameConstraints", "subject", "additionalOutputFormats"),
    ),
    Definition(
        "prometheus-operator",
        f"{_OPERATOR}podmonitors.yaml",
        "PodMonitor",
        "v1",
        (
            *("attachMetadata", "podMetricsEndpoints.[].authorization"),
            *("podMetricsEndpoints.[].basicAuth", "podMetricsEndpoints.[].bearerTokenSecret"),
            *("podMetricsEndpoints.[].metricRelabelings", "podMetricsEndpoints.[].oauth2"),
            *("podMetricsEndpoints.[].relabelings", "podMetricsEndpoints.[].tlsConfig"),
        ),
    ),
    Definition("prometheus-operator", f"{_OPERATOR}prometheusrules.yaml", "PrometheusRule", "v1"),
)


def trimmed(definition: Definition, crd: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of a ``CustomResourceDefinition``."""
    spec = crd["spec"]
    (version,) = [each for each in spec["versions"] if each["name"] == definition.version]
    schema: dict[str, Any] = _without_words(version["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status", None)
    for path in definition.without:
        _cut(schema["properties"]["spec"], path.split("."))
    return {
        "group": spec["group"],
        "version": definition.version,
        "kind": definition.kind,
        "schema": schema,
    }


def file_of(definition: Definition) -> Path:
    """Return the file of a trimmed schema."""
    return HERE / f"{definition.kind}.yaml"


def _without_words(node: Any) -> Any:  # noqa: ANN401 - YAML holds anything
    if isinstance(node, dict):
        return {
            key: _without_words(value)
            for key, value in node.items()
            # A field may be called description, too; then it is no text.
            if not (key == "description" and isinstance(value, str))
        }
    return [_without_words(each) for each in node] if isinstance(node, list) else node


def _cut(schema: dict[str, Any], path: Sequence[str]) -> None:
    first, *others = path
    holder = schema if first == "[]" else schema["properties"]
    key = "items" if first == "[]" else first
    if others:
        _cut(holder[key], others)
    else:
        del holder[key]


def main(arguments: Sequence[str]) -> None:
    """Write every file."""
    places = dict(each.split("=", 1) for each in arguments)
    for definition in DEFINITIONS:
        if definition.project not in places:
            continue
        project = PROJECTS[definition.project]
        source = Path(places[definition.project], definition.file)
        documents = yaml.load_all(source.read_text("utf-8"), Loader=yaml.CSafeLoader)
        (crd,) = [
            each
            for each in documents
            if each
            and each["kind"] == "CustomResourceDefinition"
            and each["spec"]["names"]["kind"] == definition.kind
            and any(one["name"] == definition.version for one in each["spec"]["versions"])
            and each["spec"]["group"] != "networking.istio.io" * (definition.kind == "Gateway")
        ]
        parts = ", ".join(definition.without) or "nothing else"
        header = (
            f"# {project.name} {project.version}, {definition.file}. Apache-2.0 (README.md).\n"
            f"# Made by trim.py. Taken away beside descriptions and status: {parts}.\n"
        )
        text = yaml.safe_dump(trimmed(definition, crd), width=120, sort_keys=False)
        file_of(definition).write_text(header + text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
