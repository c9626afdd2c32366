"""Record what Envoy Gateway's own translator makes of ``deploy/envoy-gateway``.

    go install github.com/envoyproxy/gateway/cmd/egctl@v1.9.1
    PYTHONPATH=tests python tests/deploy/translated/renew.py egctl

Neither a cluster nor Docker is needed. The services behind the routes are made up here; what is
kept is what tests ask about: connection managers, routes, the gate's cluster, and what became of
each object. Access logs and certificates are left out.
"""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml
from cryptography import x509

from certificates import Authority

MANIFESTS: Final = Path(__file__).parents[3] / "deploy" / "envoy-gateway"
FILES: Final = ("gateway.yaml", "client.yaml", "authorize.yaml", "internal.yaml")
RECORDED: Final = Path(__file__).with_name("envoy-gateway.json")
VERSION: Final = "v1.9.1"
_SERVICES: Final = (
    ("core", "core", "http", 8080),
    ("wicketgate", "wicketgate-webhooks", "http", 8080),
    ("wicketgate", "wicketgate-authz", "grpc", 9191),
)

Document = dict[str, Any]


def manifests() -> list[Document]:
    """Return what is translated, without what is none of Envoy Gateway's."""
    texts = ((MANIFESTS / name).read_text("utf-8") for name in FILES)
    found = (each for text in texts for each in yaml.safe_load_all(text))
    return [each for each in found if each["kind"] != "NetworkPolicy"]


def digest() -> str:
    """Return a digest of `manifests`; comments and layout make no difference."""
    return sha256(json.dumps(manifests(), sort_keys=True).encode()).hexdigest()


def recorded(translator: str) -> Document:
    """Translate, and return what is kept.

    Raises:
        CalledProcessError: the translator refuses.
    """
    documents = manifests()
    for each in documents:
        for listener in each["spec"]["listeners"] if each["kind"] == "Gateway" else ():
            # Offline, the translator knows no labels of namespaces.
            listener["allowedRoutes"] = {"namespaces": {"from": "All"}}
    documents += [*_surroundings()]
    with TemporaryDirectory() as directory:
        path = Path(directory, "all.yaml")
        path.write_text(yaml.safe_dump_all(documents), "utf-8")
        command = [translator, "x", "translate", "--from", "gateway-api"]
        arguments = ["--to", "gateway-api,xds", "-o", "json", "--file", str(path)]
        done = subprocess.run([*command, *arguments], capture_output=True, check=True)
    answer = json.loads(done.stdout)
    return {
        "made_by": f"egctl {VERSION}",
        "made_of": digest(),
        "conditions": [*_conditions(answer)],
        "managers": dict(_managers(answer["xds"])),
        "routes": {each["name"]: each for each in _resources(answer["xds"], "routeConfig")},
        "clusters": {
            each["name"]: each
            for each in _resources(answer["xds"], "cluster")
            if each["name"].startswith("securitypolicy/")
        },
    }


def _conditions(answer: Document) -> Iterator[str]:
    for kind, objects in sorted(answer.items()):
        for each in objects if isinstance(objects, list) else [objects]:
            status = each.get("status") or {}
            for key in ("parents", "ancestors", "listeners"):
                for part in status.get(key, ()):
                    for one in part["conditions"]:
                        name = each["metadata"]["name"]
                        yield f"{kind} {name} {one['type']}={one['status']}"


def _managers(dumps: Document) -> Iterator[tuple[str, Document]]:
    for listener in _resources(dumps, "listener"):
        chains = [*listener.get("filterChains", ()), listener.get("defaultFilterChain")]
        for chain in chains:
            for each in (chain or {}).get("filters", ()):
                manager = each["typedConfig"]
                name = manager.get("rds", {}).get("routeConfigName")
                if name:
                    manager.pop("accessLog", None)
                    yield name, manager


def _resources(value: object, key: str) -> Iterator[Document]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == key and isinstance(each, dict) and "@type" in each:
                yield each
            else:
                yield from _resources(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _resources(each, key)


def _surroundings() -> Iterator[Document]:
    for namespace, name, port_name, port in _SERVICES:
        meta = {"name": name, "namespace": namespace}
        ports = [{"name": port_name, "port": port, "protocol": "TCP"}]
        spec = {"clusterIP": "10.0.0.1", "ports": ports}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": meta | {"labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": True}}],
            "ports": ports,
        }
    authority = Authority()
    for name in ("app", "hooks"):
        pair = authority.issue(name, x509.DNSName(f"{name}.example.com"))
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": f"{name}-certificate", "namespace": "edge"},
            "data": {
                "tls.crt": b64encode(pair.certificate).decode(),
                "tls.key": b64encode(pair.key).decode(),
            },
        }


if __name__ == "__main__":
    RECORDED.write_text(
        json.dumps(recorded(sys.argv[1]), indent=1, sort_keys=True) + "\n", "utf-8"
    )
