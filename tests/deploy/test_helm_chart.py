"""The chart makes what Kustomize makes, and refuses what would not do what was meant."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from helm_python import HelmError, lint

from deploy_manifests import (
    BUILDS,
    CHART,
    KUBERNETES,
    NAMESPACE,
    PUBLISHABLE_KEY,
    REQUIRED,
    TOP,
    Object,
    chart,
    environment,
    helm,
    key_of,
    kustomize,
    merge,
    named,
    of_kind,
    values_of,
    workload,
    workloads,
)
from wicketgate import __version__
from wicketgate.settings import SETTINGS, Process, settings_of

OF_HELM: Final = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
HOOK: Final = {
    "helm.sh/hook": "pre-install,pre-upgrade",
    "helm.sh/hook-delete-policy": "before-hook-creation",
}
CHECKSUM: Final = "checksum/settings"

BY_NAME: Final = {"env", "volumes", "volumeMounts"}
"""Lists of which the order means nothing here: none of our variables is made from another."""

SAME: Final = [
    ("plain", None),
    ("gate-only", "values-gate-only.yaml"),
    ("mtls", "values-mtls.yaml"),
    ("high-availability", "values-high-availability.yaml"),
]


@pytest.mark.parametrize(("overlay", "values"), SAME, ids=[each for each, _ in SAME])
def test_helm_makes_what_kustomize_makes(overlay: str, values: str | None) -> None:
    """Object by object.

    Three things may differ: the namespace, which Helm's user makes; the labels that Helm adds,
    with its hook and its checksum; and how the Job hears its settings.
    """
    by_kustomize = comparable(kustomize(KUBERNETES / "overlays" / overlay))
    by_helm = comparable(helm(None, *([values] if values else [])))

    assert by_helm.keys() == by_kustomize.keys() - {("Namespace", NAMESPACE)}
    for key, document in by_helm.items():
        assert document == by_kustomize[key], key


def comparable(objects: list[Object]) -> Mapping[tuple[str, str], Object]:
    return {key_of(each): plain(each, objects) for each in objects}


def plain(document: Object, objects: list[Object]) -> Object:
    metadata = document["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key not in OF_HELM}
    found = {**document, "metadata": {**metadata, "labels": labels}}
    if document["kind"] == "ConfigMap" and "CLERK_PUBLISHABLE_KEY" in document["data"]:
        found["data"] = {**document["data"], "CLERK_PUBLISHABLE_KEY": ""}
    if document["kind"] == "Job":
        annotations = found["metadata"].pop("annotations", HOOK)
        assert annotations == HOOK
        found["spec"] = with_environment(found["spec"], objects)
    if document["kind"] == "Deployment":
        template = dict(found["spec"]["template"])
        marked = dict(template["metadata"])
        assert marked.pop("annotations", {CHECKSUM: ""}).keys() == {CHECKSUM}
        found["spec"] = {**found["spec"], "template": {**template, "metadata": marked}}
    return dict(ordered(found))


def with_environment(spec: Object, objects: list[Object]) -> Object:
    """Return a Job's spec with the variables that its process reads, wherever they come from."""
    read = {each.name for each in settings_of(Process.MIGRATE)} | {"DATABASE_URL_FILE"}
    (container,) = spec["template"]["spec"]["containers"]
    given = environment(objects, container)
    rest = {key: value for key, value in container.items() if key != "envFrom"}
    pod = {
        **spec["template"]["spec"],
        "containers": [
            {**rest, "env": [{"name": k, "value": v} for k, v in given.items() if k in read]}
        ],
    }
    return {**spec, "template": {**spec["template"], "spec": pod}}


def ordered(node: Any) -> Any:  # noqa: ANN401 - any node of a document
    if isinstance(node, list):
        return [ordered(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: sorted(map(ordered, value), key=lambda each: str(each["name"]))
        if key in BY_NAME
        else ordered(value)
        for key, value in node.items()
    }


def test_the_comparison_notices_what_differs() -> None:
    """One number in one object."""
    objects = helm({"webhooks": {"replicas": 3}})

    assert comparable(objects) != comparable(helm())


def test_the_job_hears_the_settings_that_it_reads() -> None:
    """It runs before there is a ConfigMap, so they are written out."""
    told = {"WICKETGATE_DATABASE_SCHEMA": "clerk", "WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS": "3600"}
    objects = helm({"settings": {**told, "WICKETGATE_LOG_LEVEL": "debug"}})
    variables = environment(objects, workload(objects, "wicketgate-migrate").container)
    read = {each.name for each in settings_of(Process.MIGRATE) if not each.secret}

    assert told.keys() == read
    assert variables == {**told, "DATABASE_URL_FILE": "/etc/wicketgate/database/url"}


def test_the_job_runs_before_anything_else_is_changed() -> None:
    job = named(helm(), "Job", "wicketgate-migrate")

    assert job["metadata"]["annotations"] == HOOK
    assert "serviceAccountName" not in job["spec"]["template"]["spec"], "it is not there yet"


def test_another_setting_rolls_the_pods_and_another_policy_does_not() -> None:
    before = helm()
    settings = helm({"settings": {"WICKETGATE_LOG_LEVEL": "debug"}})
    policy = helm({"policy": "version: 1\nrules: []\n"})

    for name in ("wicketgate-authz", "wicketgate-webhooks"):
        marks = [
            named(each, "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
            for each in (before, settings, policy)
        ]
        assert marks[0] != marks[1]
        assert marks[0] == marks[2]
    assert named(policy, "ConfigMap", "wicketgate-policy")["data"] == {
        "policy.yaml": "version: 1\nrules: []\n"
    }


def test_pods_have_the_time_to_leave_that_the_values_ask_for() -> None:
    objects = helm({"drainSeconds": 30, "graceSeconds": 12})
    gate = workload(objects, "wicketgate-authz")

    assert gate.pod["terminationGracePeriodSeconds"] == 30 + 12 + 5
    assert environment(objects, gate.container)["WICKETGATE_DRAIN_SECONDS"] == "30"


def test_what_is_turned_off_is_not_there() -> None:
    objects = helm(
        {
            "networkPolicy": {"enabled": False},
            "sync": {"enabled": False},
            "migrate": {"enabled": False},
            "authz": {"autoscaling": {"enabled": False}, "replicas": 4},
        }
    )

    assert {each.name for each in workloads(objects)} == {
        "wicketgate-authz",
        "wicketgate-webhooks",
    }
    assert of_kind(objects, "NetworkPolicy") + of_kind(objects, "HorizontalPodAutoscaler") == []
    assert named(objects, "Deployment", "wicketgate-authz")["spec"]["replicas"] == 4


@pytest.mark.parametrize(
    ("peers", "policies"),
    [
        ("envoy", {"wicketgate-envoy"}),
        ("ingress", {"wicketgate-deliveries"}),
        ("monitoring", {"wicketgate-authz-metrics", "wicketgate-webhooks-metrics"}),
    ],
)
def test_a_list_of_nobody_lets_nobody_in(peers: str, policies: set[str]) -> None:
    """An empty `from` would be everybody, so there must be no policy at all."""
    before = {each["metadata"]["name"] for each in of_kind(helm(), "NetworkPolicy")}
    after = helm({"networkPolicy": {peers: []}})

    assert (
        before - {each["metadata"]["name"] for each in of_kind(after, "NetworkPolicy")} == policies
    )
    for each in of_kind(after, "NetworkPolicy"):
        for rule in each["spec"].get("ingress", []):
            assert rule["from"]


def test_secrets_go_by_the_names_that_the_values_say() -> None:
    names = {key: f"other-{key.lower()}" for key in values_of("values.yaml")["secrets"]}
    objects = helm({"secrets": names, "settings": TRACES}, "values-mtls.yaml")
    used = {
        volume["secret"]["secretName"]
        for each in workloads(objects)
        for volume in each.pod["volumes"]
        if "secret" in volume
    }

    assert used == set(names.values())


TRACES: Final = {"WICKETGATE_TRACES_ENDPOINT": "http://collector.traces:4318/v1/traces"}


def test_linting_finds_nothing() -> None:
    for files in ((), *((each,) for each in ("values-mtls.yaml", "values-gate-only.yaml"))):
        values = dict(REQUIRED)
        for file in files:
            values = merge(values, values_of(file))
        report = lint(CHART, values, strict=True, namespace=NAMESPACE)

        assert report["errors"] == []
        assert [each for each in report["messages"] if each["severity"] > 1] == []


def test_the_chart_and_its_image_have_this_version() -> None:
    assert chart().metadata["version"] == chart().metadata["appVersion"] == __version__


def test_every_value_has_a_default_and_every_default_is_in_the_schema() -> None:
    schema = chart().schema
    assert schema is not None

    assert schema["properties"].keys() - {"global"} == values_of("values.yaml").keys()


def test_next_steps_name_what_was_made() -> None:
    objects = helm()
    rendered = chart().render(values=REQUIRED, name="wicketgate", namespace=NAMESPACE)
    (notes,) = [text for path, text in rendered.items() if path.endswith("NOTES.txt")]

    assert f"wicketgate {__version__} in namespace wicketgate." in notes
    assert "wicketgate-authz.wicketgate.svc:9191" in notes
    assert "CLERK_AUTHORIZED_PARTIES is not set" in notes
    (image,) = {each.container["image"] for each in workloads(objects)}
    assert f" {image} migrate --roles > roles.sql\n" in notes
    assert notes.index("roles.sql") < notes.index("rollout status")
    for kind, name in (("Deployment", "wicketgate-authz"), ("CronJob", "wicketgate-sync")):
        assert named(objects, kind, name)
        assert f"{kind.lower()}/{name}" in notes


def refusal(values: Mapping[str, Any]) -> str:
    with pytest.raises(HelmError) as refused:
        helm(values)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"authz": {"replica": 3}}, "'replica' not allowed"),
        ({"autoscaling": {}}, "'autoscaling' not allowed"),
        ({"drainSeconds": "ten"}, "/drainSeconds': got string, want integer"),
        ({"drainSeconds": -1}, "/drainSeconds': minimum"),
        ({"settings": {"WICKETGATE_CLOCK_SKEW_SECONDS": 5}}, "got number, want string"),
        ({"settings": {"wicketgate_log_level": "debug"}}, "wicketgate_log_level"),
        ({"postgres": {"enabled": "yes"}}, "got string, want boolean"),
        ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"spread": {"zones": "Always"}}, "/spread/zones"),
        ({"sync": {"schedule": "daily"}}, "/sync/schedule"),
        ({"tls": {"allowedSans": []}}, "/tls/allowedSans"),
        ({"tls": {"allowedSans": ["a,b"]}}, "/tls/allowedSans"),
        ({"authz": {"resources": {"limits": {"memory": 512}}}}, "/authz/resources/limits/memory"),
        ({"networkPolicy": {"envoy": [{"namespace": {"a": "b"}}]}}, "missing property 'pod'"),
        ({"networkPolicy": {"envoy": [{"namespace": {"a": "b"}, "pod": {}}]}}, "minProperties"),
        ({"networkPolicy": {"postgres": {"port": 70000}}}, "/networkPolicy/postgres/port"),
        ({"networkPolicy": {"dnsAddresses": ["10.0.0.1"]}}, "/networkPolicy/dnsAddresses"),
    ],
    ids=str,
)
def test_a_mistake_in_the_values_is_told(values: Mapping[str, Any], complaint: str) -> None:
    assert complaint in refusal(values)


PUBLIC: Final = {"CLERK_JWT_KEY"}
"""A public key: nothing is lost when it is read. It counts as a secret elsewhere, so that it may
come from a file."""


@pytest.mark.parametrize(
    "name", [each.name for each in SETTINGS if each.secret and each.name not in PUBLIC]
)
def test_a_secret_is_never_a_value(name: str) -> None:
    """Values end up in the release, in shell histories and in repositories."""
    told = refusal({"settings": {name: "s3cret-s3cret-s3cret-s3cret-s3cret"}})

    assert f"settings.{name} is a secret" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("name", [each.name for each in SETTINGS if not each.secret])
def test_every_other_setting_is_one_or_says_which_value_decides_it(name: str) -> None:
    value = PUBLISHABLE_KEY if name == "CLERK_PUBLISHABLE_KEY" else "x"
    own = {
        v["name"]
        for v in workload(BUILDS["helm everything"](), "wicketgate-authz").container["env"]
    }
    own |= {v["name"] for v in workload(BUILDS["helm"](), "wicketgate-webhooks").container["env"]}

    if name in own | {"WICKETGATE_TLS_ALLOWED_SANS"}:
        assert f"settings.{name} is decided by" in refusal({"settings": {name: value}})
    else:
        settings = named(helm({"settings": {name: value}}), "ConfigMap", "wicketgate-settings")
        assert settings["data"][name] == value


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"settings": {"CLERK_PUBLISHABLE_KEY": ""}}, "CLERK_PUBLISHABLE_KEY is not set"),
        ({"settings": {"CLERK_PUBLISHABLE_KEY": "sk_live_s3cret"}}, "does not begin with pk_"),
        ({"secrets": {"serviceAuth": "S3cret/s3cret"}}, "secrets.serviceAuth is not the name"),
    ],
    ids=["none", "the wrong key", "a secret for a name"],
)
def test_what_may_be_secret_is_not_repeated(values: Mapping[str, Any], complaint: str) -> None:
    told = refusal(values)

    assert complaint in told
    assert "3cret" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGPASSWORD", "s3cret"),
        ("HTTPS_PROXY", "http://me:s3cret@proxy:3128"),
        ("CLERK_WEBHOOK_SECRET", "whsec_s3cret"),
        ("CLERK_API_KEY", "sk_live_s3cret"),
    ],
)
def test_what_looks_like_a_secret_is_no_setting(name: str, value: str) -> None:
    told = refusal({"settings": {name: value}})

    assert f"settings.{name}" in told
    assert "s3cret" not in told


_INGRESS: Final = {"enabled": True}
HOSTILE: Final = "x\nhostNetwork: true\n  hostNetwork: true\n      hostNetwork: true\ny:"


@pytest.mark.parametrize(
    "values",
    [
        {"imagePullSecrets": [HOSTILE]},
        {"imagePullSecrets": ["x\nhostNetwork: true\nfoo:"]},
        {"priorityClassName": HOSTILE},
        {"sync": {"timeZone": "Etc/UTC\n  hostNetwork: true"}},
        {"webhooks": {"ingress": {**_INGRESS, "className": "x\n  hostNetwork: true"}}},
        {"webhooks": {"ingress": {**_INGRESS, "tlsSecret": "x\n  hostNetwork: true"}}},
        {
            "webhooks": {"ingress": _INGRESS},
            "settings": {"WICKETGATE_WEBHOOKS_PATH": "/\n            hostNetwork: true"},
        },
        {"podAnnotations": {"a": HOSTILE}},
        {"policy": f"version: 1\n{HOSTILE}"},
        {"policy": '{{ fail "a template" }}'},
        {"policy": "   version: 1\nhostNetwork: true"},
        {"serviceTokens": f"   version: 1\n{HOSTILE}"},
    ],
    ids=str,
)
def test_no_value_says_more_than_its_own_field(values: Mapping[str, Any]) -> None:
    assert "hostNetwork" not in [*keys_in(helm(values))]


def keys_in(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys_in(value)
    elif isinstance(node, list):
        for each in node:
            yield from keys_in(each)


@pytest.mark.parametrize("name", ["policy", "serviceTokens"])
@pytest.mark.parametrize("end", ["\r", "\u0085", "\u2028", "\u2029"])
def test_a_text_ends_its_lines_as_yaml_and_its_readers_both_see_it(name: str, end: str) -> None:
    """
    Else a policy could say what other keys the ConfigMap has.
    """
    assert f"{name} has a line that ends" in refusal({name: f"version: 1{end}immutable: true"})


@pytest.mark.parametrize("text", ["version: 1\nrules: []\n", "version: 1\r\nrules: []\r\n"])
def test_a_text_arrives_as_it_is(text: str) -> None:
    found = named(helm({"policy": text}), "ConfigMap", "wicketgate-policy")

    assert found["data"]["policy.yaml"].strip() == text.replace("\r\n", "\n").strip()


def test_an_issuer_does_instead_of_a_publishable_key() -> None:
    issuer = {"CLERK_ISSUER": "https://clerk.example.com", "CLERK_PUBLISHABLE_KEY": ""}

    assert named(helm({"settings": issuer}), "ConfigMap", "wicketgate-settings")["data"] == {
        "CLERK_ISSUER": "https://clerk.example.com"
    }


def test_no_revocations_is_no_secret() -> None:
    off = {"WICKETGATE_REVOCATION_DATABASE_URL": "off"}

    assert named(helm({"settings": off}), "ConfigMap", "wicketgate-settings")["data"].items() >= (
        off.items()
    )


def test_nothing_but_the_chart_is_in_its_folder() -> None:
    """What lies around would be packed into the release."""
    files = {str(path.relative_to(CHART)) for path in Path(CHART).rglob("*") if path.is_file()}

    assert {file.partition("/")[0] for file in files} == {
        ".helmignore",
        "Chart.yaml",
        "files",
        "templates",
        "values.schema.json",
        "values.yaml",
        *(values for _, values in SAME if values),
    }
    assert (TOP / "deploy" / "helm" / "wicketgate") == CHART
