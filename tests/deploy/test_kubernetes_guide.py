"""docs/deploy.md is a way that can be walked: what its commands name is there.

No cluster runs here. The commands are read: folders that are applied are built, objects that are
waited for are looked up, Secrets that pods want are made before.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
import yaml

from deploy_manifests import (
    BUILDS,
    CHART,
    TOP,
    Object,
    built_as_it_is,
    helm,
    key_of,
    kustomize,
    of_kind,
    workloads,
)

GUIDE: Final = (TOP / "docs" / "deploy.md").read_text()
HEADS: Final = ("Before you begin", "Kubernetes", "Helm", "After it runs")
FENCE: Final = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
OURS: Final = re.compile(r"\bdeploy/[\w./-]+")
OBJECT: Final = re.compile(r"\b(?P<kind>deployment|job|cronjob)/(?P<name>[\w-]+)")
MINE: Final = "deploy/kubernetes/overlays/mine"
SELECTOR: Final = "app.kubernetes.io/component notin (authz,webhooks,sync)"
KINDS: Final = {"deployment": "Deployment", "job": "Job", "cronjob": "CronJob"}


def section(head: str) -> str:
    return GUIDE.split(f"\n## {head}\n")[1].split("\n## ")[0]


def blocks(kind: str) -> list[str]:
    return [
        found["body"]
        for head in HEADS
        for found in FENCE.finditer(section(head))
        if found["kind"] == kind
    ]


COMMANDS: Final = [
    line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines() if line
]


@pytest.fixture(scope="module")
def walked() -> Iterator[Path]:
    """A checkout in which the folders that the guide makes were made."""
    with TemporaryDirectory() as above:
        top = Path(above)
        copytree(TOP / "deploy", top / "deploy")
        copies = [line for line in COMMANDS if line.startswith("cp ")]
        assert copies
        for line in copies:
            subprocess.run(shlex.split(line), cwd=top, check=True)
        yield top


def test_there_are_commands_in_every_section() -> None:
    assert {head for head in HEADS if "```sh" not in section(head)} == {"Before you begin"}


def test_every_file_that_is_named_is_there(walked: Path) -> None:
    named = {found.rstrip(".") for head in HEADS for found in OURS.findall(section(head))}

    assert MINE in named
    assert {each for each in named if not (walked / each).exists()} == set()


def test_every_folder_that_is_applied_can_be_built(walked: Path) -> None:
    folders = {found for line in COMMANDS for found in re.findall(r" -k (\S+)", line)}

    assert folders == {MINE, "deploy/grafana"}
    assert built_as_it_is(walked / "deploy" / "grafana")
    assert [key_of(each) for each in kustomize(walked / MINE)] == [
        key_of(each) for each in BUILDS["kustomize plain"]()
    ]


def test_before_the_rollout_the_job_is_applied_with_what_it_needs_and_nothing_that_serves(
    walked: Path,
) -> None:
    selected = [shlex.split(line) for line in COMMANDS if " -l " in line]
    assert [line[line.index("-l") + 1] for line in selected] == [SELECTOR] * 2

    chosen = [
        each
        for each in kustomize(walked / MINE)
        if each["metadata"]["labels"].get("app.kubernetes.io/component")
        not in {"authz", "webhooks", "sync"}
    ]

    assert [each.name for each in workloads(chosen)] == ["wicketgate-migrate"]
    assert ("ConfigMap", "wicketgate-settings") in map(key_of, chosen)
    assert {each["metadata"]["name"] for each in of_kind(chosen, "NetworkPolicy")} >= {
        "wicketgate-default-deny",
        "wicketgate-dns",
        "wicketgate-postgres",
    }


def test_the_job_is_deleted_before_it_is_applied() -> None:
    """Kubernetes refuses to change one."""
    for number, line in enumerate(COMMANDS):
        if " -l " in line:
            assert COMMANDS[number - 1] == (
                "kubectl -n wicketgate delete job wicketgate-migrate --ignore-not-found"
            )


def test_every_object_that_is_asked_about_is_made() -> None:
    made = set(map(key_of, BUILDS["kustomize plain"]()))
    created = {
        ("Job", line.split(" create job ")[1].split()[0])
        for line in COMMANDS
        if " create job " in line
    }
    asked = {(KINDS[f["kind"]], f["name"]) for line in COMMANDS for f in OBJECT.finditer(line)}

    assert len(asked) >= 4
    assert asked - made - created == set()


@cache
def secrets_made() -> dict[str, set[str]]:
    made: dict[str, set[str]] = {}
    for line in COMMANDS:
        found = re.search(r"create secret generic (?P<name>\S+)", line)
        if found:
            made.setdefault(found["name"], set()).update(
                re.findall(r"--from-file=([\w-]+)=", line)
            )
    return made


def test_every_secret_that_a_pod_wants_was_made_with_its_keys() -> None:
    wanted: dict[str, set[str]] = {}
    for each in workloads(BUILDS["kustomize plain"]()):
        mounts = {mount["name"]: mount["mountPath"] for mount in each.container["volumeMounts"]}
        for volume in each.pod["volumes"]:
            if "secret" in volume:
                read = {
                    variable["value"].rpartition("/")[2]
                    for variable in each.container["env"]
                    if variable["value"].startswith(f"{mounts[volume['name']]}/")
                }
                wanted.setdefault(volume["secret"]["secretName"], set()).update(read)

    assert secrets_made() == wanted


def test_the_table_of_secrets_lists_them_all() -> None:
    table = section("Kubernetes").split("### 3. The Secrets")[1].split("###")[0]

    for name, keys in secrets_made().items():
        suffix = name.removeprefix("wicketgate-database")
        assert f"`{name}`" in table or f"`{suffix}`" in table, name
        assert {key for key in keys if f"`{key}`" not in table} == set(), name


def test_no_secret_value_is_on_a_command_line() -> None:
    """Every process of the machine sees those, and the shell remembers them."""
    assert [line for line in COMMANDS if "--from-literal" in line] == []
    assert [line for line in COMMANDS if re.search(r"whsec_|sk_live|sk_test", line)] == []


COMMENTED: Final = re.compile(r"^  # (- name: wicketgate-policy$)|^  #   ", re.MULTILINE)


def test_a_policy_of_one_s_own_takes_the_place_of_the_base_s(walked: Path, tmp_path: Path) -> None:
    """By taking away the `#` of four lines; its name stays, so that the gates follow it."""
    copytree(walked / "deploy", tmp_path / "deploy")
    overlay = tmp_path / MINE / "kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(COMMENTED.sub(lambda found: f"  {found[1]}" if found[1] else "    ", text))
    (overlay.parent / "policy.yaml").write_text("version: 1\nrules: []\n")

    maps = of_kind(built_as_it_is(tmp_path / MINE), "ConfigMap")

    assert len(COMMENTED.findall(text)) == 4
    assert {each["metadata"]["name"]: each["data"] for each in maps}["wicketgate-policy"] == {
        "policy.yaml": "version: 1\nrules: []\n"
    }


def test_a_change_of_settings_rolls_the_pods_and_one_of_the_policy_does_not(walked: Path) -> None:
    """Only the first has a name that depends on what it holds, and pods name it."""
    objects = built_as_it_is(walked / MINE)
    names = {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")}
    (settings,) = names - {"wicketgate-policy"}

    assert re.fullmatch(r"wicketgate-settings-[a-z0-9]{10}", settings)
    for each in workloads(objects):
        assert each.container["envFrom"] == [{"configMapRef": {"name": settings}}], each.name


def patches() -> list[Any]:
    documents = [yaml.safe_load(block) for block in blocks("yaml")]
    return [patch for each in documents if "patches" in each for patch in each["patches"]]


@pytest.mark.parametrize("patch", patches(), ids=lambda patch: str(patch["target"]["kind"]))
def test_every_patch_that_is_shown_applies(patch: Object, walked: Path, tmp_path: Path) -> None:
    copytree(walked / "deploy", tmp_path / "deploy")
    overlay = tmp_path / MINE / "kustomization.yaml"
    document = yaml.safe_load(overlay.read_text()) | {"patches": [patch]}
    overlay.write_text(yaml.safe_dump(document))

    before, after = kustomize(walked / MINE), kustomize(tmp_path / MINE)

    changed = {new["kind"] for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {patch["target"]["kind"]}


def test_the_values_that_are_shown_are_good() -> None:
    (values,) = [
        document
        for document in map(yaml.safe_load, blocks("yaml"))
        if document.keys() >= {"image", "settings"}
    ]

    assert helm(values)


def test_helm_is_told_files_that_are_there() -> None:
    lines = [line for line in COMMANDS if line.startswith("helm ")]
    files = set(re.findall(r"deploy/helm/wicketgate/(values[\w-]*\.yaml)", GUIDE))

    assert {line.split()[1] for line in lines} == {"install", "upgrade"}
    assert {file for file in files if not (CHART / file).is_file()} == set()
    assert {path.name for path in CHART.glob("values-*.yaml")} <= files


def test_the_policies_are_all_explained() -> None:
    table = section("Kubernetes").split("### Who may reach what")[1].split("###")[0]
    made = BUILDS["kustomize every component"]()
    names = {each["metadata"]["name"] for each in of_kind(made, "NetworkPolicy")}

    assert {name for name in names if f"`{name}`" not in table} == {"wicketgate-default-deny"}


def test_the_numbers_are_those_of_the_manifests() -> None:
    after = " ".join(section("After it runs").split())
    objects = BUILDS["kustomize plain"]()
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    (gate,) = [each for each in workloads(objects) if each.name == "wicketgate-authz"]
    variables = {each["name"]: each["value"] for each in gate.container["env"]}
    spec = scaler["spec"]

    assert spec["metrics"][0]["resource"]["target"]["averageValue"] == "500m"
    assert f"from {spec['minReplicas']} to {spec['maxReplicas']}, so that one can be lost" in after
    assert f"goes on answering for {variables['WICKETGATE_DRAIN_SECONDS']} s" in after
    assert f"is gone within {gate.pod['terminationGracePeriodSeconds']} s" in after
    assert gate.container["resources"]["requests"] == {"cpu": "250m", "memory": "128Mi"}
    assert "a quarter of a core and 128 MiB, and gets 512 MiB at most" in " ".join(
        section("Before you begin").split()
    )
    (sync,) = of_kind(objects, "CronJob")
    assert sync["spec"]["schedule"] == "17 3 * * *"
    assert "at 3:17 UTC" in section("Before you begin")
