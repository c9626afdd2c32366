"""The image and the compose file: valid, hardened, and in step with envoy.yaml."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

TOP: Final = Path(__file__).parents[2]
DEPLOY: Final = TOP / "deploy"
TOOLS: Final = Path(sys.executable).parent

COMPOSE: Final[Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[Any] = COMPOSE["services"]
ENVOY: Final = (TOP / "envoy.yaml").read_text()

SECRET: Final = re.compile(r"TOKEN|SECRET|PASSWORD|KEY")
FROM_ENVIRONMENT: Final = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=TOP, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def stages() -> list[str]:
    return re.split(r"^(?=FROM )", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]


def test_hadolint_has_nothing_to_say() -> None:
    run(str(TOOLS / "hadolint"), "deploy/Dockerfile")


def test_the_compose_file_is_one() -> None:
    run(
        str(TOOLS / "check-jsonschema"),
        *("--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"),
    )


def test_envoy_accepts_the_door() -> None:
    """The configuration within the compose file is as good as the one beside it."""
    command = SERVICES["door"]["command"]

    run(str(TOOLS / "envoy"), "--mode", "validate", *command)


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    users = re.findall(r"^USER (.+)$", stages()[-1], re.MULTILINE)

    assert len(users) == 1
    assert re.fullmatch(r"[1-9][0-9]+:[1-9][0-9]+", users[0])


def test_every_base_is_pinned_to_a_version() -> None:
    bases = [stage.split()[1] for stage in stages()]

    assert [base for base in bases if not re.search(r":[0-9]+\.[0-9]+", base)] == []


def test_whatever_is_installed_into_the_image_was_hashed() -> None:
    """Each `pip install` wants hashes, or installs our own wheel and nothing else."""
    installs = re.findall(r"\binstall (--.+?)(?: &&|$)", flattened(stages()[0]), re.MULTILINE)

    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-index" in install, install


def flattened(dockerfile: str) -> str:
    return re.sub(r" +", " ", dockerfile.replace("\\\n", " "))


def test_signals_reach_the_process() -> None:
    """A shell in between would keep SIGTERM to itself, and there would be no drain."""
    final = stages()[-1]

    assert 'ENTRYPOINT ["wicketgate"]' in final
    assert 'CMD ["authz"]' in final
    assert "STOPSIGNAL SIGTERM" in final


def test_what_is_copied_is_let_through_to_the_builder() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", stages()[0], re.MULTILINE)
    allowed = {
        line.removeprefix("!")
        for line in (TOP / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }

    assert {source for line in copied for source in line.split()} == allowed
    assert [name for name in allowed if not (TOP / name).exists()] == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_written_down(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    secrets = {key: value for key, value in environment.items() if SECRET.search(key)}

    assert {
        key: value for key, value in secrets.items() if not FROM_ENVIRONMENT.fullmatch(value)
    } == {}


def test_there_are_secrets_to_be_asked_for() -> None:
    assert "SERVICE_AUTH_TOKEN" in SERVICES["gate"]["environment"]
    assert "POSTGRES_PASSWORD" in SERVICES["postgres"]["environment"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "build" in service or re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", service["user"])
    assert "privileged" not in service
    assert "healthcheck" in service


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_version(name: str) -> None:
    image = re.sub(r"\$\{[A-Z_]+:-(.+)\}", r"\1", SERVICES[name]["image"])

    assert "build" in SERVICES[name] or re.search(r":v?[0-9]", image)


def test_one_port_is_published_and_on_loopback_only() -> None:
    published = {
        name: service["ports"] for name, service in SERVICES.items() if "ports" in service
    }

    assert published == {"door": ["127.0.0.1:8000:18000"]}


def test_envoy_runs_the_repository_s_own_file() -> None:
    assert SERVICES["envoy"]["volumes"] == ["../envoy.yaml:/etc/envoy/envoy.yaml:ro"]
    assert "/etc/envoy/envoy.yaml" in SERVICES["envoy"]["command"]


@pytest.mark.parametrize(
    ("port", "said_by"),
    [
        (8000, SERVICES["door"]["command"][-1]),
        (8081, f"port_value: {SERVICES['upstream']['environment']['HTTP_PORT']} "),
        (
            9191,
            SERVICES["gate"]["environment"]["WICKETGATE_AUTHZ_ADDRESS"].replace(":", " ") + " ",
        ),
        (9901, SERVICES["envoy"]["healthcheck"]["test"][-1].replace("/", " ")),
    ],
)
def test_ports_are_those_of_envoy_yaml(port: int, said_by: str) -> None:
    assert f"address: 127.0.0.1, port_value: {port} }}" in ENVOY
    assert f" {port} " in said_by


@pytest.mark.parametrize("name", ["gate", "upstream", "envoy"])
def test_what_speaks_over_loopback_shares_a_namespace(name: str) -> None:
    assert SERVICES[name]["network_mode"] == "service:door"


def test_envoy_waits_for_those_behind_it() -> None:
    assert SERVICES["envoy"]["depends_on"] == {
        "gate": {"condition": "service_healthy"},
        "upstream": {"condition": "service_healthy"},
    }


def test_the_gate_may_take_as_long_to_stop_as_its_drain() -> None:
    """3 s until Envoy has noticed, 5 s for calls in flight, and a little more."""
    assert int(SERVICES["gate"]["stop_grace_period"].removesuffix("s")) > 3 + 5


def test_the_shipped_policy_does_what_its_tests_say() -> None:
    wicketgate = TOOLS / "wicketgate"

    run(wicketgate, "policy", "check", "--strict", "deploy/policy.yaml")
    run(wicketgate, "policy", "test", "deploy/policy.yaml", "deploy/policy.tests.yaml")
