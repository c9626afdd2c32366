"""deploy/compose.yaml and deploy/Dockerfile, as the tests read them."""

import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import yaml

TOP: Final = Path(__file__).parents[1]
DEPLOY: Final = TOP / "deploy"
COMPOSE: Final[Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
OURS: Final = [name for name, service in SERVICES.items() if "build" in service]
"""Those that run the image of ours."""

SECRETS: Final = "/run/secrets/"
VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")

Service = Mapping[str, Any]


def dockerfile() -> str:
    """Return the Dockerfile, each instruction on one line and without comments."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    return re.sub(r" +", " ", text.replace("\\\n", " "))


def stages() -> list[str]:
    """Return the stages of the Dockerfile."""
    return re.split(r"^(?=FROM )", dockerfile(), flags=re.MULTILINE)[1:]


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    (line,) = re.findall(r"^ENV (.+)$", stages()[-1], re.MULTILINE)
    return dict(pair.split("=", 1) for pair in line.split())


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` as Compose reads it, in an environment of `variables`."""

    def value(found: re.Match[str]) -> str:
        given = variables.get(found["name"], "")
        if not given and found["kind"] == "?":
            msg = f"required variable {found['name']} is missing a value: {found['rest']}"
            raise KeyError(msg)
        return given or (found["rest"] if found["kind"] == "-" else "")

    return VARIABLE.sub(value, text)


def environment(name: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return all that a service of ours has in its environment."""
    own = SERVICES[name].get("environment", {})
    passed_on = {key: variables[key] for key in own if own[key] is None and key in variables}
    written = {key: interpolated(text, variables) for key, text in own.items() if text is not None}
    return image_environment() | passed_on | written


def command(name: str) -> list[str]:
    """Return the words that a service of ours is started with."""
    service = SERVICES[name]
    # Whoever replaces the entry point does without the image's command.
    default = [] if "entrypoint" in service else ["authz"]
    return [*service.get("entrypoint", ["wicketgate"]), *service.get("command", default)]


def waits_for(service: Service) -> dict[str, str]:
    """Return what a service waits for, and the condition."""
    mode = service.get("network_mode", "")
    shared = {mode.removeprefix("service:"): "service_started"} if mode else {}
    return shared | {name: each["condition"] for name, each in service["depends_on"].items()}


def in_order(profiles: set[str]) -> list[str]:
    """Return the services of no profile, or of these, each after those that it waits for.

    Raises:
        CycleError: they wait for each other.
    """
    started = {
        name: waits_for(service) if "depends_on" in service else {}
        for name, service in SERVICES.items()
        if not (own := set(service.get("profiles", ()))) or own & profiles
    }
    return list(TopologicalSorter(started).static_order())


def mounts(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what is mounted from the checkout: the path there, and in the container."""
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            yield source, target


def on_host(name: str, path: str, *, secrets: Path) -> str:
    """Return the file of the host that a service finds under `path`.

    Args:
        name: The service.
        path: What may be a path in its container.
        secrets: Where the files of ``deploy/compose/secrets`` are instead.
    """
    service = SERVICES[name]
    secret = path.removeprefix(SECRETS)
    if path.startswith(SECRETS) and secret in service.get("secrets", ()):
        return str(secrets / Path(COMPOSE["secrets"][secret]["file"]).name)
    mounted = {target: DEPLOY / source for source, target in mounts(service)}
    copied = {"/opt/wicketgate/health.py": DEPLOY / "image" / "health.py"}
    return str((mounted | copied).get(path, path))
