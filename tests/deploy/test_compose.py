"""The compose file: valid, hardened, and in step with envoy.yaml and with the program."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from compositions import (
    COMPOSE,
    DEPLOY,
    OURS,
    SECRETS,
    SERVICES,
    TOP,
    VARIABLE,
    command,
    environment,
    in_order,
    interpolated,
    mounts,
    on_host,
    waits_for,
)
from processes import surroundings
from wicketgate.local.clerk_instance import ClerkInstance, new_key

TOOLS: Final = Path(sys.executable).parent
ENVOY: Final[Any] = yaml.safe_load((TOP / "envoy.yaml").read_text())["static_resources"]
DOOR: Final[Any] = yaml.safe_load((DEPLOY / "compose" / "door.yaml").read_text())[
    "static_resources"
]
PROMETHEUS: Final[Any] = yaml.safe_load((DEPLOY / "compose" / "prometheus.yaml").read_text())

SECRET: Final = re.compile(r"TOKEN|SECRET|PASSWORD|DATABASE_URL")
TO_POSTGRES: Final = {"gate", "webhooks", "migrate", "roles", "sync", "operator", "postgres"}
PUBLISHABLE_KEY: Final = ClerkInstance(key=new_key()).publishable_key


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that secrets.sh makes."""
    script = tmp_path_factory.mktemp("compose") / "secrets.sh"
    shutil.copy(DEPLOY / "compose" / "secrets.sh", script)
    run(script)
    return script.with_name("secrets")


def run(*words: str | Path, **variables: str) -> str:
    done = subprocess.run(
        words,
        cwd=TOP,
        env=surroundings() | variables,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def texts(document: object) -> Iterator[str]:
    if isinstance(document, dict):
        for value in document.values():
            yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)
    elif isinstance(document, str):
        yield document


def address_of(holder: Any) -> tuple[str, int]:  # noqa: ANN401 - parsed YAML
    address = holder["address"]["socket_address"]
    return address["address"], address["port_value"]


def endpoint_of(cluster: Any) -> tuple[str, int]:  # noqa: ANN401 - parsed YAML
    (locality,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    return address_of(endpoint["endpoint"])


# -- the files


def test_the_compose_file_is_one() -> None:
    run(
        str(TOOLS / "check-jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"),
    )


def test_envoy_accepts_the_door() -> None:
    run(TOOLS / "envoy", "--mode", "validate", "-c", "deploy/compose/door.yaml")


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    for name in ("compose/prometheus.yaml", "grafana/alerts.yaml"):
        shutil.copy(DEPLOY / name, tmp_path)

    run(promtool, "check", "config", tmp_path / "prometheus.yaml")


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_cannot_be_written(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, _, *mode = volume.split(":")
        if source.startswith("."):
            assert (DEPLOY / source).is_file(), source
            assert mode == ["ro"], source
        else:
            assert source in COMPOSE["volumes"]


# -- order


def test_nothing_waits_for_itself() -> None:
    """All profiles at once, and none: `in_order` refuses a circle."""
    everything = in_order({"tools", "monitoring"})

    assert sorted(everything) == sorted(SERVICES)
    assert set(in_order(set())) == {
        *("door", "envoy", "gate", "upstream", "webhooks", "migrate", "roles", "postgres")
    }


@pytest.mark.parametrize("name", [name for name in SERVICES if "depends_on" in SERVICES[name]])
def test_what_is_waited_for_can_come_true(name: str) -> None:
    """Health of what is checked for it, the end of what ends; and both without a profile."""
    for other, condition in waits_for(SERVICES[name]).items():
        awaited = SERVICES[other]
        ends = awaited["restart"] == "no"
        assert ends == (condition == "service_completed_successfully"), other
        assert condition != "service_healthy" or "healthcheck" in awaited, other
        assert set(awaited.get("profiles", ())) <= set(SERVICES[name].get("profiles", ()))


def test_the_tables_come_before_the_roles_and_the_roles_before_the_processes() -> None:
    order = in_order({"tools"})

    for name in ("gate", "webhooks", "sync", "operator"):
        assert [each for each in order if each in {"postgres", "migrate", "roles", name}] == [
            *("postgres", "migrate", "roles", name)
        ]


@pytest.mark.parametrize("name", [name for name in SERVICES if SERVICES[name]["restart"] != "no"])
def test_whatever_stays_is_asked_how_it_is(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


# -- secrets and variables


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_the_environment(name: str) -> None:
    """Whoever may look at a container sees its environment; files are for the process."""
    secret = {
        key: value
        for key, value in SERVICES[name].get("environment", {}).items()
        if SECRET.search(key)
    }

    assert [key for key in secret if not key.endswith("_FILE")] == []
    assert {value.removeprefix(SECRETS) for value in secret.values()} == set(
        SERVICES[name].get("secrets", ())
    ) - (
        {f"database-{role}" for role in ("gate", "webhooks", "sync", "operator")}
        if name == "roles"
        else set()
    )


def test_the_script_makes_every_secret_and_nothing_else(secrets: Path) -> None:
    assert {f"./compose/secrets/{each.name}" for each in secrets.iterdir()} == {
        each["file"] for each in COMPOSE["secrets"].values()
    }


def test_others_can_read_a_secret_only_from_within_a_container(secrets: Path) -> None:
    """A mounted file keeps its mode, and no process of ours runs as its owner."""
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in secrets.iterdir()} == {0o644}


def test_each_secret_is_another_one(secrets: Path) -> None:
    """Two of them say the same on purpose: the owner's password, and the URL that holds it."""
    values = {each.name: each.read_text().strip() for each in secrets.iterdir()}
    owner = values.pop("postgres-password")

    assert owner in values["database-migrate"]
    assert len(set(values.values())) == len(values)
    assert all(len(value) > 40 for name, value in values.items() if name != "clerk-secret-key")


def test_a_second_run_of_the_script_leaves_every_secret_as_it_is(secrets: Path) -> None:
    before = {each.name: each.read_bytes() for each in secrets.iterdir()}

    assert run(secrets.with_name("secrets.sh")) == ""
    assert before == {each.name: each.read_bytes() for each in secrets.iterdir()}


def test_git_takes_no_secret() -> None:
    ignored = (TOP / ".gitignore").read_text().splitlines()

    assert "/deploy/compose/secrets/" in ignored
    assert "/deploy/.env" in ignored


def test_a_variable_has_a_default_or_a_message_and_is_documented() -> None:
    found = [match for text in texts(COMPOSE) for match in VARIABLE.finditer(text)]
    passed_on = {
        key
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if value is None
    }
    page = (TOP / "docs" / "deploy.md").read_text()

    assert {match["name"] for match in found if match["kind"] == "?"} == {"CLERK_PUBLISHABLE_KEY"}
    assert [match[0] for match in found if match["kind"] not in {"?", "-"}] == []
    wanted = {match["name"] for match in found} | passed_on
    assert [name for name in sorted(wanted) if f"`{name}`" not in page] == []


def test_compose_says_what_is_missing() -> None:
    text = SERVICES["gate"]["environment"]["CLERK_PUBLISHABLE_KEY"]

    with pytest.raises(KeyError, match="from the Clerk dashboard"):
        interpolated(text, {})
    assert interpolated(text, {"CLERK_PUBLISHABLE_KEY": "pk_test_x"}) == "pk_test_x"


# -- what the program says to its settings


@pytest.mark.parametrize("optional", [False, True], ids=["as little as possible", "all"])
@pytest.mark.parametrize("name", ["gate", "webhooks"])
def test_the_settings_of_a_process_are_good(name: str, secrets: Path, *, optional: bool) -> None:
    variables = {"CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY}
    if optional:
        variables |= {"CLERK_AUTHORIZED_PARTIES": "http://localhost:3000"}
        variables |= {"CLERK_INSTANCE_ID": "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx"}
    settings = {
        key: on_host(name, value, secrets=secrets)
        for key, value in environment(name, variables).items()
        if key != "PATH"
    }
    program, *words = command(name)

    assert program == "wicketgate"
    run(TOOLS / program, *words, "--check", **settings)


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_told_files_that_it_has(name: str, secrets: Path) -> None:
    variables = {"CLERK_PUBLISHABLE_KEY": PUBLISHABLE_KEY}
    files = {
        key: on_host(name, value, secrets=secrets)
        for key, value in environment(name, variables).items()
        if key.endswith("_FILE") and key != "WICKETGATE_JWKS_CACHE_FILE"
    }

    assert [key for key, path in files.items() if not os.path.isfile(path)] == []  # noqa: PTH113


@pytest.mark.parametrize("name", OURS)
def test_a_process_writes_to_one_place_only(name: str) -> None:
    """The image declares a volume there, and an unnamed one would be left behind each time."""
    service = SERVICES[name]
    named = [each.split(":")[1] for each in service.get("volumes", ()) if each[0] not in "./"]
    passing = [each.split(":")[0] for each in service.get("tmpfs", ())]

    assert [*named, *passing] == ["/var/cache/wicketgate"]


def test_the_gate_may_take_as_long_to_stop_as_its_drain() -> None:
    """3 s until Envoy has noticed, 5 s for calls in flight, and a little more."""
    for name in ("gate", "webhooks"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 3 + 5


# -- containers


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert "build" in service or re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", service["user"])
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert service.get("network_mode", "service:door") == "service:door"


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    image = interpolated(SERVICES[name]["image"], {})

    assert "build" in SERVICES[name] or re.search(r":v?[0-9]", image)


def test_all_of_ours_run_the_same_image() -> None:
    assert {SERVICES[name]["image"] for name in OURS} == {"wicketgate:dev"}
    assert all(SERVICES[name]["build"] == SERVICES["gate"]["build"] for name in OURS)


# -- networks


def test_ports_are_published_on_loopback_only() -> None:
    published = {
        name: service["ports"] for name, service in SERVICES.items() if "ports" in service
    }

    assert published == {
        "door": ["127.0.0.1:8000:18000", "127.0.0.1:8080:18080", "127.0.0.1:9465:19465"],
        "gate": ["127.0.0.1:9464:9464"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3001:3000"],
    }


def test_a_port_is_published_by_what_is_in_a_network_with_a_way_out() -> None:
    """Docker publishes nothing of a container whose networks are all internal."""
    open_networks = {name for name, network in COMPOSE["networks"].items() if not network}

    for name, service in SERVICES.items():
        if "ports" in service:
            assert set(service["networks"]) & open_networks, name


def test_only_those_with_a_login_reach_postgres() -> None:
    assert {name for name in SERVICES if "data" in SERVICES[name].get("networks", ())} == (
        TO_POSTGRES
    )
    assert SERVICES["postgres"]["networks"] == ["data"]
    assert COMPOSE["networks"]["data"] == {"internal": True}


def test_the_upstream_reaches_the_door_only() -> None:
    assert SERVICES["upstream"]["networks"] == ["app"]
    assert {name for name in SERVICES if "app" in SERVICES[name].get("networks", ())} == {
        *("upstream", "door")
    }


def test_what_calls_nobody_outside_has_no_way_out() -> None:
    outside = {name for name in SERVICES if "outside" in SERVICES[name].get("networks", ())}

    assert outside == {"door", "gate", "sync"}


# -- the door


def test_envoy_runs_the_repository_s_own_file() -> None:
    assert dict(mounts(SERVICES["envoy"])) == {"../envoy.yaml": "/etc/envoy/envoy.yaml"}
    assert "/etc/envoy/envoy.yaml" in SERVICES["envoy"]["command"]
    assert SERVICES["envoy"]["network_mode"] == "service:door"


def test_what_envoy_speaks_to_is_brought_to_it_by_the_door() -> None:
    """Each cluster of envoy.yaml is a listener of the door, which leads to a service."""
    listeners = {each["name"]: address_of(each) for each in DOOR["listeners"]}
    clusters = {each["name"]: endpoint_of(each) for each in DOOR["clusters"]}

    for cluster in ENVOY["clusters"]:
        assert listeners[cluster["name"]] == endpoint_of(cluster)
        service, port = clusters[cluster["name"]]
        assert set(SERVICES[service]["networks"]) & set(SERVICES["door"]["networks"])
        assert port == endpoint_of(cluster)[1]


def test_what_the_door_publishes_leads_where_it_should() -> None:
    ports = {address_of(each)[1]: each["name"] for each in DOOR["listeners"]}
    clusters = {each["name"]: endpoint_of(each) for each in DOOR["clusters"]}
    (edge,) = [each for each in ENVOY["listeners"] if each["name"] == "edge"]

    leads_to = {
        int(published): clusters[ports[int(inside)]]
        for _, published, inside in (each.split(":") for each in SERVICES["door"]["ports"])
    }

    assert leads_to == {
        8000: address_of(edge),
        8080: ("webhooks", 8080),
        9465: ("webhooks", 9465),
    }


def test_the_listener_for_services_is_not_published() -> None:
    """Service tokens count there, so the host has no business with it."""
    (internal,) = [each for each in ENVOY["listeners"] if each["name"] == "internal"]

    assert address_of(internal) not in [endpoint_of(each) for each in DOOR["clusters"]]


def test_the_upstream_listens_where_envoy_looks_for_it() -> None:
    (upstream,) = [each for each in ENVOY["clusters"] if each["name"] == "upstream"]

    assert int(SERVICES["upstream"]["environment"]["HTTP_PORT"]) == endpoint_of(upstream)[1]


# -- monitoring


def test_prometheus_asks_those_whom_it_can_reach() -> None:
    ports = {address_of(each)[1] for each in DOOR["listeners"]}
    settings = {
        "gate": environment("gate", {"CLERK_PUBLISHABLE_KEY": "x"})["WICKETGATE_ADMIN_ADDRESS"],
        "webhooks": environment("webhooks", {})["WICKETGATE_WEBHOOKS_ADMIN_ADDRESS"],
    }
    targets = [
        target.split(":")
        for job in PROMETHEUS["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]

    for name, port in targets:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
        assert int(port) in ports if name == "door" else settings[name].endswith(f":{port}")
    assert {name for name, _ in targets} == {"gate", "webhooks", "door"}


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    source = yaml.safe_load((DEPLOY / "compose" / "grafana" / "datasource.yaml").read_text())
    provider = yaml.safe_load((DEPLOY / "compose" / "grafana" / "dashboards.yaml").read_text())
    mounted = {target for _, target in mounts(SERVICES["grafana"])}
    (folder,) = [each["options"]["path"] for each in provider["providers"]]

    assert [each["url"] for each in source["datasources"]] == ["http://prometheus:9090"]
    assert f"{folder}/wicketgate.json" in mounted
    assert (
        SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounted
    )


def test_the_shipped_policy_does_what_its_tests_say() -> None:
    wicketgate = TOOLS / "wicketgate"

    run(wicketgate, "policy", "check", "--strict", "deploy/policy.yaml")
    run(wicketgate, "policy", "test", "deploy/policy.yaml", "deploy/policy.tests.yaml")
