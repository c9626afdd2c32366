"""The image: what goes into it, what it runs as, and how it is asked for its health."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest

from compositions import DEPLOY, TOP, dockerfile, image_environment, stages
from processes import surroundings
from wicketgate import __version__
from wicketgate.local.ports import LOOPBACK, held_ports

TOOLS: Final = Path(sys.executable).parent
RULES: Final = (TOP / ".dockerignore").read_text()
REQUIREMENTS: Final = TOP / "requirements"


def is_ignored(path: str, rules: str = RULES) -> bool:
    """Tell whether a builder does without a file: the last rule about it or a parent counts."""
    parents = [path, *map(str, Path(path).parents)][:-1]
    ignored = False
    for line in rules.splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = pattern_of(rule.removeprefix("!"))
        if any(pattern.fullmatch(each) for each in parents):
            ignored = not rule.startswith("!")
    return ignored


def pattern_of(rule: str) -> re.Pattern[str]:
    """Return the expression of a rule: ``**/`` is any directories, ``*`` part of a name."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", rule.strip("/"))
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts))


def copied() -> list[str]:
    """Return what the Dockerfile takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE)
    return [source for line in lines for source in line.split()]


def sources() -> list[str]:
    """Return the files of the package, without what Python or an editor leaves there."""
    found = (path for path in (TOP / "src").rglob("*") if path.is_file())
    names = (str(path.relative_to(TOP)) for path in found)
    return [name for name in names if "__pycache__" not in name and ".egg-info" not in name]


# -- the Dockerfile


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        (TOOLS / "hadolint", "deploy/Dockerfile"),
        cwd=TOP,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_a_number_that_is_not_root() -> None:
    users = re.findall(r"^USER (.+)$", stages()[-1], re.MULTILINE)

    assert len(users) == 1
    assert re.fullmatch(r"[1-9][0-9]+:[1-9][0-9]+", users[0])


def test_the_base_is_pinned_to_a_version_and_both_stages_have_it() -> None:
    """Python of one version cannot run what was installed for another."""
    base = re.search(r"^ARG BASE=(.+)$", dockerfile(), re.MULTILINE)

    assert base is not None
    assert re.fullmatch(r"python:[0-9]+\.[0-9]+-slim(@sha256:[0-9a-f]{64})?", base[1])
    assert [stage.split()[1] for stage in stages()] == ["${BASE}", "${BASE}"]


def test_whatever_is_installed_into_the_image_was_hashed() -> None:
    """Each `pip install` wants hashes, or installs our own wheel and nothing else."""
    installs = re.findall(r"\binstall (--.+?)(?: &&|$)", stages()[0], re.MULTILINE)

    assert len(installs) == 3
    for install in installs:
        assert (
            "--require-hashes --only-binary :all:" in install or "--no-deps --no-index" in install
        ), install


def test_what_can_be_chosen_is_there() -> None:
    """REQUIREMENTS names a file, and `runtime` is the one when nothing is said."""
    (words,) = re.findall(r"^COPY (requirements/.+) requirements/$", dockerfile(), re.MULTILINE)

    assert "ARG REQUIREMENTS=runtime\n" in stages()[0]
    assert sorted(words.split()) == [
        f"requirements/{name}.txt" for name in ("build", "otel", "runtime")
    ]
    assert '"requirements/${REQUIREMENTS}.txt"' in stages()[0]


def test_tracing_adds_packages_and_changes_none() -> None:
    runtime, otel = (
        set(re.findall(r"^[a-z].+==[^ ]+", (REQUIREMENTS / name).read_text(), re.MULTILINE))
        for name in ("runtime.txt", "otel.txt")
    )

    assert runtime < otel
    assert any(each.startswith("opentelemetry-sdk==") for each in otel - runtime)


def test_signals_reach_the_process() -> None:
    """A shell in between would keep SIGTERM to itself, and there would be no drain."""
    final = stages()[-1]

    assert 'ENTRYPOINT ["wicketgate"]' in final
    assert 'CMD ["authz"]' in final
    assert "STOPSIGNAL SIGTERM" in final


def test_every_port_that_is_listened_on_is_exposed() -> None:
    (line,) = re.findall(r"^EXPOSE (.+)$", stages()[-1], re.MULTILINE)
    addresses = {
        name: value for name, value in image_environment().items() if name.endswith("_ADDRESS")
    }

    assert len(addresses) == 4
    assert {value.rpartition(":")[2] for value in addresses.values()} == set(line.split())


def test_the_label_says_this_version() -> None:
    assert f"ARG VERSION={__version__}\n" in stages()[-1]
    assert 'org.opencontainers.image.version="${VERSION}"' in stages()[-1]


# -- what goes to the builder


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists(source: str) -> None:
    assert (TOP / source).exists()


def test_what_is_copied_is_let_through() -> None:
    files = [each for each in copied() if (TOP / each).is_file()]

    assert len(files) > 5
    assert [each for each in [*files, *sources()] if is_ignored(each)] == []


def test_nothing_is_let_through_that_is_not_copied() -> None:
    allowed = [line[1:] for line in RULES.splitlines() if line.startswith("!")]

    assert [rule for rule in allowed if not (TOP / rule).exists()] == []
    assert [
        rule
        for rule in allowed
        if not any(rule == source or rule.startswith(f"{source}/") for source in copied())
    ] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        "deploy/.env",
        "deploy/compose.yaml",
        "deploy/compose/secrets/database-gate",
        "src/.env",
        "src/notes.txt",
        "src/wicketgate/.env",
        "src/wicketgate/.env.production",
        "src/wicketgate/local/production.env",
        "src/wicketgate/clerk.pem",
        "src/wicketgate/adapters/tls.key",
        "src/wicketgate/adapters/tls.crt",
        "src/wicketgate/secrets/token",
        "src/wicketgate/gate.log",
        "src/wicketgate/.gate.py.swp",
        "src/wicketgate/core/__pycache__/token.cpython-313.pyc",
        "requirements/dev.txt",
        "tests/conftest.py",
        "envoy.yaml.orig",
        "README.md.pem",
    ],
)
def test_what_may_hold_a_secret_stays_here(path: str) -> None:
    assert is_ignored(path)


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("", "a", False),
        ("*", "a/b", True),
        ("*\n!a", "a/b", False),
        ("*\n!a\n**/c", "a/b/c", True),
        ("*\n!a\n**/c", "a/b/cc", False),
        ("!a\n*", "a", True),
        ("# a", "a", False),
        ("*.pem", "a/b.pem", False),
        ("**/*.pem", "b.pem", True),
    ],
)
def test_rules_are_read_as_builders_read_them(rules: str, path: str, *, ignored: bool) -> None:
    assert is_ignored(path, rules) is ignored


# -- the health check


@contextmanager
def admin(statuses: dict[str, int]) -> Iterator[int]:
    """Answer on a port as an admin address would, with a status for each path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def health(*words: str, gate: object, webhooks: object) -> int:
    """Return the status of the health check in a container whose processes are told these."""
    ports = {
        "WICKETGATE_ADMIN_ADDRESS": f"0.0.0.0:{gate}",
        "WICKETGATE_WEBHOOKS_ADMIN_ADDRESS": f"0.0.0.0:{webhooks}",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    command = [sys.executable, str(DEPLOY / "image" / "health.py"), *words]
    done = subprocess.run(
        command, env=surroundings() | ports, check=False, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("", "")
    return done.returncode


@pytest.mark.parametrize("process", ["gate", "webhooks"])
@pytest.mark.parametrize(
    ("words", "statuses", "status"),
    [
        ((), {"/healthz": 200, "/readyz": 503}, 0),
        (("/readyz",), {"/healthz": 200, "/readyz": 503}, 1),
        (("/readyz",), {"/readyz": 200}, 0),
        ((), {"/healthz": 500}, 1),
    ],
)
def test_the_health_of_a_container_is_that_of_its_process(
    nobody: int, process: str, words: tuple[str, ...], statuses: dict[str, int], status: int
) -> None:
    """Whichever process it is, and past any proxy."""
    with admin(statuses) as port:
        ports = {"gate": nobody, "webhooks": nobody} | {process: port}

        assert health(*words, **ports) == status


def test_a_container_in_which_nobody_listens_is_not_well() -> None:
    with held_ports(2) as (gate, webhooks):
        assert health(gate=gate, webhooks=webhooks) == 1


def test_a_socket_in_place_of_a_port_is_not_asked(nobody: int) -> None:
    with admin({"/healthz": 200}) as port:
        assert health(gate="/run/wicketgate/admin.sock", webhooks=port) == 0
        assert health(gate="/run/wicketgate/admin.sock", webhooks=nobody) == 1


def test_the_image_asks_the_file_that_it_holds() -> None:
    assert "HEALTHCHECK --interval=5s" in stages()[-1]
    assert 'CMD ["python", "/opt/wicketgate/health.py"]' in stages()[-1]
    assert "COPY deploy/image/health.py /opt/wicketgate/\n" in stages()[0]
