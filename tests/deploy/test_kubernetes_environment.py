"""What the manifests tell the processes is what these understand.

A pod's environment and its files are put together in a folder, and the process reads them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from certificates import Authority
from deploy_manifests import (
    BASE,
    BUILDS,
    CHART,
    KUBERNETES,
    PUBLISHABLE_KEY,
    TOP,
    Object,
    environment,
    kustomize,
    named,
    workload,
    workloads,
)
from wicketgate.app.rulebook import check_rules
from wicketgate.cli import main
from wicketgate.errors import ConfigurationError
from wicketgate.settings import (
    SETTINGS,
    MigrateSettings,
    Process,
    SyncSettings,
    WebhooksSettings,
    settings_of,
)

KEPT_BY_THE_GATE: Final = "WICKETGATE_JWKS_CACHE_FILE"
each_build = pytest.mark.parametrize("build", BUILDS)

SECRETS: Final[Mapping[str, Mapping[str, str]]] = {
    "wicketgate-service-auth": {"token": "0123456789abcdef" * 4},
    "wicketgate-status": {"token": "fedcba9876543210" * 4},
    "wicketgate-clerk": {
        "webhook-signing-secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "secret-key": "sk_test_0123456789abcdefghijklmnopqrstuvwxyzABCD",
    },
    "wicketgate-traces": {"headers": "authorization=Bearer 0123456789abcdef"},
    **{
        f"wicketgate-database-{each}": {"url": f"postgresql://{each}:pw@postgres.example.com/app"}
        for each in ("migrate", "webhooks", "sync", "gate")
    },
}

READERS: Final[Mapping[str, tuple[Process, Callable[[Mapping[str, str]], object]]]] = {
    "wicketgate-authz": (Process.AUTHZ, check_rules),
    "wicketgate-webhooks": (Process.WEBHOOKS, WebhooksSettings.from_environ),
    "wicketgate-migrate": (Process.MIGRATE, MigrateSettings.from_environ),
    "wicketgate-sync": (Process.SYNC, SyncSettings.from_environ),
}
"""What each container's command reads its environment with; for `authz` that is `--check`."""


def pod_environment(build: str, name: str, root: Path, **changes: str) -> dict[str, str]:
    """Return the variables of a pod, whose volumes are in `root`."""
    objects = BUILDS[build]()
    found = workload(objects, name)
    volumes = {each["name"]: each for each in found.pod["volumes"]}
    for mount in found.container["volumeMounts"]:
        folder = root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True)
        for file, text in contents(volumes[mount["name"]], objects).items():
            (folder / file).write_text(text)
    variables = environment(objects, found.container)
    return {
        key: f"{root}{value}" if value.startswith("/") and key.endswith("_FILE") else value
        for key, value in (variables | changes).items()
    }


def contents(volume: Object, objects: list[Object]) -> Mapping[str, str]:
    if "configMap" in volume:
        return dict(named(objects, "ConfigMap", volume["configMap"]["name"])["data"])
    if "emptyDir" in volume:
        return {}
    name = volume["secret"]["secretName"]
    held = SECRETS[name] if name in SECRETS else tls_files()
    items = volume["secret"].get("items", [{"key": key, "path": key} for key in held])
    return {each["path"]: held[each["key"]] for each in items}


def tls_files() -> Mapping[str, str]:
    authority = Authority()
    issued = authority.server("wicketgate-authz.wicketgate.svc")
    return {
        "tls.crt": issued.certificate.decode(),
        "tls.key": issued.key.decode(),
        "ca.crt": authority.certificate.decode(),
    }


@each_build
def test_every_process_accepts_what_it_is_given(build: str, tmp_path: Path) -> None:
    """As `wicketgate authz --check` does, with the policy and all other files that are named."""
    for each in workloads(BUILDS[build]()):
        _, read = READERS[each.name]
        read(
            pod_environment(
                build, each.name, tmp_path / each.name, CLERK_PUBLISHABLE_KEY=PUBLISHABLE_KEY
            )
        )


def test_the_base_itself_is_refused_until_it_says_whose_users_count(tmp_path: Path) -> None:
    """An example's key would let in the users of another instance."""
    with pytest.raises(ConfigurationError) as refused:
        check_rules(pod_environment("kustomize plain", "wicketgate-authz", tmp_path))

    (mistake,) = refused.value.mistakes
    assert mistake.startswith("CLERK_PUBLISHABLE_KEY does not decode")


@pytest.mark.parametrize(
    "folder", [BASE, *sorted((KUBERNETES / "overlays").iterdir())], ids=lambda folder: folder.name
)
def test_no_folder_says_so_by_itself(folder: Path) -> None:
    """The twin of the refusal above: all begin with the key that is refused."""
    settings = named(kustomize(folder), "ConfigMap", "wicketgate-settings")

    assert settings["data"]["CLERK_PUBLISHABLE_KEY"] == "pk_test_replace-me"


def test_a_secret_that_is_missing_is_noticed(tmp_path: Path) -> None:
    """The twin of what is accepted above: the files are read, and not only named."""
    variables = pod_environment(
        "kustomize plain", "wicketgate-authz", tmp_path, CLERK_PUBLISHABLE_KEY=PUBLISHABLE_KEY
    )
    (tmp_path / "etc/wicketgate/service-auth/token").unlink()

    with pytest.raises(ConfigurationError, match="SERVICE_AUTH_TOKEN_FILE"):
        check_rules(variables)


@each_build
def test_every_variable_is_a_setting_that_its_process_reads(build: str) -> None:
    """Those that all processes share need be read by one of them only."""
    known = {each.name for each in SETTINGS} | {s.file_name for s in SETTINGS if s.secret}
    objects = BUILDS[build]()
    for each in workloads(objects):
        process, _ = READERS[each.name]
        read = {setting.name for setting in settings_of(process)}
        read |= {setting.file_name for setting in settings_of(process) if setting.secret}
        assert {variable["name"] for variable in each.container["env"]} - read == set(), each.name
        assert environment(objects, each.container).keys() - known == set(), each.name


@each_build
def test_shared_settings_do_not_contradict_a_pod_s_own(build: str) -> None:
    """A pod's own variable would win, and the other would be a lie."""
    objects = BUILDS[build]()
    shared = named(objects, "ConfigMap", "wicketgate-settings")["data"].keys()
    own = {v["name"] for each in workloads(objects) for v in each.container["env"]}

    assert {name for name in shared & own if name != "WICKETGATE_DATABASE_SCHEMA"} == set()


@each_build
def test_nothing_secret_is_among_the_settings(build: str) -> None:
    secret = {each.name for each in SETTINGS if each.secret}

    assert (
        named(BUILDS[build](), "ConfigMap", "wicketgate-settings")["data"].keys() & secret == set()
    )


POLICIES: Final = [BASE / "policy.yaml", CHART / "files" / "policy.yaml"]


@pytest.mark.parametrize("policy", POLICIES, ids=["kustomize", "helm"])
def test_the_policy_is_good_and_does_what_that_of_the_demo_does(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["policy", "check", str(policy)]) == 0
    assert main(["policy", "test", str(policy), str(TOP / "deploy" / "policy.tests.yaml")]) == 0

    assert "all passed" in capsys.readouterr().out


@each_build
def test_the_policy_in_the_config_map_is_that_file(build: str) -> None:
    policy = named(BUILDS[build](), "ConfigMap", "wicketgate-policy")["data"]["policy.yaml"]

    assert policy == (BASE / "policy.yaml").read_text()


def test_the_gate_s_keys_are_kept_where_it_may_write_and_nobody_else(tmp_path: Path) -> None:
    """The directory is the gate's to make: with its own rights, inside a volume open to all."""
    variables = pod_environment("kustomize plain", "wicketgate-authz", tmp_path)

    file = Path(variables[KEPT_BY_THE_GATE])

    assert file.parent.parent.is_dir()
    assert not file.parent.exists()
