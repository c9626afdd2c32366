"""`wicketgate doctor`: what it reads, what it asks, and what it says."""

import argparse
import asyncio
import io
import json
from base64 import b64encode
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final

import pytest

from tokens import clerk
from wicketgate.adapters.http_get import HttpAnswer
from wicketgate.doctor_cli import add_doctor
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.tools.doctor import Outside, Wish, run_doctor

VECTORS: Final = Path(__file__).parents[1] / "doctor"
GOOD: Final = VECTORS / "good.envoy.yaml"
OPEN: Final = VECTORS / "failure-mode-allow.envoy.yaml"
SLOW: Final = VECTORS / "timeout-long.envoy.yaml"

NOW: Final = 1_795_000_000.0
"""Somewhen in November 2026, in POSIX seconds."""
HOST: Final = "clerk.example.com"
SECRET: Final = "Xq7vT2mLw9Rk4Yc8"


def key_of(kind: str, host: str = HOST) -> str:
    return f"pk_{kind}_{b64encode(f'{host}$'.encode()).decode().rstrip('=')}"


KEY: Final = key_of("live")


class World:
    """What a run can reach: URLs, a database, and a clock that moves when it is read."""

    def __init__(self) -> None:
        self.answers: dict[str, HttpAnswer] = {}
        self.missing: list[str] | DependencyError = []
        self.asked: list[str] = []
        self.now = NOW

    async def fetch(self, url: str) -> HttpAnswer:
        self.asked.append(url)
        if url not in self.answers:
            msg = "no answer from there: no connection"
            raise DependencyError(msg)
        return self.answers[url]

    async def pending(self, database_url: str, schema: str) -> list[str]:
        self.asked.append(f"{schema} at {database_url.rpartition('/')[2]}")
        if isinstance(self.missing, DependencyError):
            raise self.missing
        return self.missing

    def clock(self) -> float:
        return self.now


def run(
    *sources: Path | str,
    environ: dict[str, str] | None = None,
    world: World | None = None,
    stdin: bytes = b"",
    **wish: Any,  # noqa: ANN401 - any field of the record
) -> tuple[int, str]:
    """Run the doctor; return the exit status and what was written."""
    world = world or World()
    outside = Outside(
        environ=environ or {},
        stdin=io.BytesIO(stdin),
        fetch=world.fetch,
        pending=world.pending,
        clock=world.clock,
    )
    out = io.StringIO()
    wanted = Wish(sources=tuple(map(str, sources)), **wish)
    status = asyncio.run(run_doctor(wanted, outside, out=out))
    return status, out.getvalue()


def ids_of(*sources: Path | str, **wish: Any) -> list[str]:  # noqa: ANN401 - as above
    _, text = run(*sources, as_json=True, **wish)
    return [each["id"] for each in json.loads(text)["findings"]]


@pytest.mark.parametrize(
    ("source", "is_strict", "status"),
    [(GOOD, False, 0), (GOOD, True, 0), (SLOW, False, 0), (SLOW, True, 1), (OPEN, False, 1)],
)
def test_the_exit_status_tells_errors_and_when_asked_to_warnings(
    source: Path, status: int, *, is_strict: bool
) -> None:
    assert status == run(source, is_strict=is_strict)[0]


def test_a_finding_says_where_what_happens_what_to_write_and_who_says_so() -> None:
    _, text = run(OPEN)

    line = (
        OPEN.read_text(encoding="utf-8")
        .splitlines()
        .index("                      failure_mode_allow: true  # planted: failure-mode-allow")
    )
    assert f"{OPEN}:{line + 1}:43: error: failure_mode_allow is true [failure-mode-allow]" in text
    assert "\n      failure_mode_allow: false\n" in text
    assert f"line {line + 1}: static_resources.listeners[0]" in text
    assert "headers the client made up" in text
    assert "source: measured" in text
    assert "\x1b" not in text
    assert text.endswith(": 1 error, 0 warnings\n")


def test_json_is_one_object() -> None:
    _, text = run(OPEN, SLOW, as_json=True)

    document = json.loads(text)
    assert (document["errors"], document["warnings"]) == (1, 1)
    assert document["sources"] == [str(OPEN), str(SLOW)]
    first = document["findings"][0]
    assert first["changes"][0]["lines"] == ["failure_mode_allow: false"]
    assert set(first) == {
        *("id", "severity", "file", "line", "column", "path"),
        *("found", "happens", "changes", "advice", "source"),
    }


def test_what_is_ignored_does_not_count() -> None:
    assert run(OPEN, ignored=frozenset({"failure-mode-allow"}))[0] == 0
    assert run(OPEN, ignored=frozenset({"timeout-long"}))[0] == 1


def test_a_dash_is_stdin() -> None:
    assert ids_of("-", stdin=OPEN.read_bytes()) == ["failure-mode-allow"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://127.0.0.1:9901", "http://127.0.0.1:9901/config_dump"),
        ("http://127.0.0.1:9901/", "http://127.0.0.1:9901/config_dump"),
        ("http://envoy/config_dump?include_eds", "http://envoy/config_dump?include_eds"),
    ],
)
def test_the_url_of_an_admin_port_is_asked_for_its_dump(url: str, asked: str) -> None:
    world = World()
    dump = (VECTORS / "failure-mode-allow.dump.json").read_bytes()
    world.answers[asked] = HttpAnswer({}, dump)

    assert ids_of(url, world=world) == ["failure-mode-allow"]
    assert world.asked == [asked]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_password_and_the_query_of_a_url_are_sent_and_not_shown(*, as_json: bool) -> None:
    world = World()
    url = f"http://ops:{SECRET}@envoy/config_dump?key={SECRET}"
    world.answers[url] = HttpAnswer({}, (VECTORS / "failure-mode-allow.dump.json").read_bytes())

    _, text = run(url, world=world, as_json=as_json)

    assert world.asked == [url]
    assert "http://envoy/config_dump" in text
    assert SECRET not in text


@pytest.mark.parametrize("body", [b"\xff", b"a: [", b"a: 1"])
def test_a_complaint_about_an_answer_does_not_show_the_password(body: bytes) -> None:
    world = World()
    url = f"http://ops:{SECRET}@envoy/config_dump"
    world.answers[url] = HttpAnswer({}, body)

    with pytest.raises(ConfigurationError, match="http://envoy/config_dump") as caught:
        run(url, world=world)

    assert SECRET not in str(caught.value)


def test_an_admin_port_that_does_not_answer_is_no_finding() -> None:
    with pytest.raises(ConfigurationError, match="no connection"):
        run("http://127.0.0.1:9901")


def test_a_dump_that_is_no_text_is_no_finding() -> None:
    world = World()
    world.answers["http://envoy/config_dump"] = HttpAnswer({}, b"\xff")

    with pytest.raises(ConfigurationError, match="not text"):
        run("http://envoy", world=world)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"a: [", "stdin|-:"),
        (b"a: 1\n", "holds nothing to examine"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_source_that_cannot_be_examined_is_refused(text: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        run("-", stdin=text)


def test_an_empty_environment_is_no_gate() -> None:
    assert run(environ={"PATH": "/bin", "WICKETGATE_LOG_LEVEL": "loud"})[0] == 0


def test_settings_that_cannot_be_used_are_found() -> None:
    environ = {"CLERK_PUBLISHABLE_KEY": KEY, "WICKETGATE_CLOCK_SKEW_SECONDS": "soon"}

    status, text = run(environ=environ)

    assert status == 1
    assert "environment: error: WICKETGATE_CLOCK_SKEW_SECONDS is " in text


@pytest.mark.parametrize(
    "others",
    [
        {"CLERK_ISSUER": "https://other.example.com"},
        {"CLERK_JWKS_URL": "https://other.example.com/.well-known/jwks.json"},
        {"NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": key_of("live", "other.example.com")},
        {"CLERK_SECRET_KEY": f"sk_test_{SECRET}"},
        {"CLERK_AUTHORIZED_PARTIES": "https://app.example.com,http://localhost:3000"},
    ],
)
def test_settings_that_contradict_each_other_are_found(others: dict[str, str]) -> None:
    environ = {"CLERK_PUBLISHABLE_KEY": KEY, **others}

    _, text = run(environ=environ)

    assert ids_of(environ=environ) == ["settings-contradict"]
    assert SECRET not in text
    assert next(iter(others)) in text


@pytest.mark.parametrize(
    "environ",
    [
        {"CLERK_PUBLISHABLE_KEY": KEY},
        {"CLERK_PUBLISHABLE_KEY": KEY, "CLERK_ISSUER": f"https://{HOST}"},
        {"CLERK_PUBLISHABLE_KEY": KEY, "CLERK_SECRET_KEY": f"sk_live_{SECRET}"},
        {"CLERK_PUBLISHABLE_KEY": KEY, "VITE_CLERK_PUBLISHABLE_KEY": KEY},
        {"CLERK_PUBLISHABLE_KEY": KEY, "CLERK_AUTHORIZED_PARTIES": "https://app.example.com"},
        {
            "CLERK_PUBLISHABLE_KEY": key_of("test"),
            "CLERK_AUTHORIZED_PARTIES": "http://localhost:3000",
            "CLERK_SECRET_KEY": f"sk_test_{SECRET}",
        },
    ],
)
def test_settings_that_agree_are_no_finding(environ: dict[str, str]) -> None:
    assert ids_of(environ=environ) == []


def test_an_origin_is_shown_without_its_password() -> None:
    parties = f"http://ops:{SECRET}@localhost:3000"
    environ = {"CLERK_PUBLISHABLE_KEY": KEY, "CLERK_AUTHORIZED_PARTIES": parties}

    _, text = run(environ=environ)

    assert "has localhost" in text
    assert SECRET not in text


def test_a_pem_beside_a_url_is_found() -> None:
    environ = {
        "CLERK_ISSUER": f"https://{HOST}",
        "CLERK_JWKS_URL": f"https://{HOST}/.well-known/jwks.json",
        "CLERK_JWT_KEY": clerk().public_pem,
    }

    assert ids_of(environ=environ) == ["settings-contradict"]


def test_an_alias_in_the_environment_has_to_be_stripped() -> None:
    environ = {"CLERK_PUBLISHABLE_KEY": KEY, "WICKETGATE_IDENTITY_ALIASES": "x-member"}

    assert ids_of(GOOD, environ=environ) == ["identity-not-stripped"]


def test_nothing_is_asked_unless_it_is_wanted() -> None:
    world = World()
    environ = {"CLERK_PUBLISHABLE_KEY": KEY, "DATABASE_URL": "postgresql://u:p@db/app"}

    assert run(environ=environ, world=world)[0] == 0
    assert world.asked == []


@pytest.fixture
def online() -> Callable[..., list[str]]:
    """Asks Clerk, whose clock is ahead by so many seconds."""

    def ask(*, ahead: float = 0, age: int = 0, body: bytes | None = None) -> list[str]:
        world = World()
        document = clerk().jwks() if body is None else body
        headers = {"date": formatdate(NOW + ahead, usegmt=True), "age": str(age)}
        url = f"https://{HOST}/.well-known/jwks.json"
        world.answers[url] = HttpAnswer(headers, document)
        return ids_of(environ={"CLERK_PUBLISHABLE_KEY": KEY}, world=world, is_online=True)

    return ask


@pytest.mark.parametrize(
    ("ahead", "age", "expected"),
    [
        (0, 0, []),
        (5, 0, []),
        (-6, 0, []),  # the header has whole seconds
        (6, 0, ["clock-skew"]),
        (-7, 0, ["clock-skew"]),
        (-120, 120, []),  # a cache answered
        (0, 120, ["clock-skew"]),
    ],
)
def test_a_clock_that_differs_by_more_than_is_forgiven_is_found(
    online: Callable[..., list[str]], ahead: float, age: int, expected: list[str]
) -> None:
    assert expected == online(ahead=ahead, age=age)


def test_an_answer_without_keys_is_found(online: Callable[..., list[str]]) -> None:
    assert online(body=b'{"keys": []}') == ["keys-unreachable"]


def test_keys_that_cannot_be_fetched_are_found() -> None:
    assert ids_of(environ={"CLERK_PUBLISHABLE_KEY": KEY}, is_online=True) == ["keys-unreachable"]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([], []),
        (["0004_revocations"], ["schema-behind"]),
        (DependencyError("Postgres cannot be reached"), ["database-unreachable"]),
    ],
)
def test_tables_that_are_behind_are_found(
    missing: list[str] | DependencyError, expected: list[str]
) -> None:
    world = World()
    world.missing = missing
    environ = {"DATABASE_URL": "postgresql://u:p@db/app", "WICKETGATE_DATABASE_SCHEMA": "gate"}

    assert expected == ids_of(environ=environ, world=world, is_online=True)
    assert world.asked == ["gate at app"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--envoy-version", "latest"], "expected one such as"),
        (["--ignore", "everything"], "there is no such finding"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments: list[str], complaint: str) -> None:
    parser = argparse.ArgumentParser()
    add_doctor(parser.add_subparsers().add_parser)

    parsed = parser.parse_args(["doctor", *arguments])

    with pytest.raises(ConfigurationError, match=complaint):
        parsed.run(parsed)
