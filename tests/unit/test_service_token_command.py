"""`wicketgate service-token`: makes what the file takes, and tells what the file says."""

import argparse
import io
import json
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW
from wicketgate.core.service_token import EVERY_SCOPE, ServiceToken, ServiceTokens, complaint_about
from wicketgate.core.service_token_file import parse_service_tokens
from wicketgate.tools.service_token import Wish, entry_of, entry_yaml, new_token
from wicketgate.tools.service_token_command import add_service_token
from wicketgate.tools.service_token_console import Console, real_console

RANDOM: Final = "what-32-random-bytes-are-in-URL-safe-base64"
TOKEN: Final = f"wgs_{RANDOM}"
OLD_TOKEN: Final = "a-value-of-SERVICE_AUTH_TOKEN-in-use"
HEAD: Final = "version: 1\ntokens:\n"
DAY: Final = 86_400

names = st.from_regex(r"[a-z0-9][a-z0-9._:-]{0,63}", fullmatch=True).filter("static".__ne__)


@dataclass
class FakeConsole:
    """Two streams that are kept, a clock that stands, and randomness that is none.

    Attributes:
        stdin: What there is to be read.
    """

    stdin: str = ""
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)

    def opened(self) -> Console:
        """Return it as what the commands take."""
        return Console(
            out=self.out,
            err=self.err,
            read_token=lambda: self.stdin,
            random=lambda count: RANDOM if count == 32 else "",
            clock=lambda: NOW,
        )


def run(*arguments: str, console: FakeConsole) -> int:
    """Run ``wicketgate service-token`` and return the exit status."""
    parser = argparse.ArgumentParser(prog="wicketgate")
    add_service_token(parser.add_subparsers().add_parser, console.opened)
    parsed = parser.parse_args(["service-token", *arguments])
    return int(parsed.run(parsed))


def make(*arguments: str, stdin: str = "") -> tuple[str, str]:
    """Run `new` or `hash`; return stdout and stderr."""
    console = FakeConsole(stdin)
    assert run(*arguments, console=console) == 0
    return console.out.getvalue(), console.err.getvalue()


def refusal(
    capsys: pytest.CaptureFixture[str], *arguments: str, stdin: str = OLD_TOKEN
) -> list[str]:
    """Run what is refused as a usage error; return its lines."""
    console = FakeConsole(stdin)
    with pytest.raises(SystemExit) as ended:
        run(*arguments, console=console)
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert console.out.getvalue() + console.err.getvalue() + printed.out == ""
    return [line.strip() for line in printed.err.partition("error: ")[2].splitlines()]


def check(path: Path, *options: str) -> tuple[int, str, str]:
    """Run `check`; return the exit status, stdout and stderr."""
    console = FakeConsole()
    status = run("check", str(path), *options, console=console)
    return status, console.out.getvalue(), console.err.getvalue()


def file_in(directory: Path, *wishes: Wish) -> Path:
    """Write a file of tokens, made a year before `NOW`."""
    made = NOW - 365 * DAY
    entries = [
        entry_yaml(entry_of(f"{TOKEN}-{number}", wish, now=made))
        for number, wish in enumerate(wishes)
    ]
    path = directory / "tokens.yaml"
    path.write_text(HEAD + "".join(entries), encoding="utf-8")
    return path


def test_a_new_token_is_printed_with_the_entry_that_the_file_takes() -> None:
    out, _ = make("new", "--name", "ml-engine", "--scope", "audio")

    token, _, entry = out.partition("\n")
    assert token == TOKEN
    assert parse_service_tokens(HEAD + entry) == (
        ServiceToken(
            name="ml-engine",
            digest=sha256(TOKEN.encode()).digest(),
            scopes=frozenset({"audio"}),
        ),
    )


def test_everything_that_is_said_about_a_token_is_in_its_entry() -> None:
    principal = "spiffe://mesh/ns/ml/sa/engine"
    out, _ = make(
        *("new", "--name", "a", "--scope", "b", "--scope", "c"),
        *("--not-after", "2027-01-01T00:00:00Z", "--principal", principal),
    )

    (token,) = parse_service_tokens(HEAD + out.partition("\n")[2])
    assert token.scopes == {"b", "c"}
    assert token.not_after == 1_798_761_600
    assert token.principal == principal


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("30m", 1_800), ("12h", 43_200), ("90d", 90 * DAY), ("99999d", 99_999 * DAY)],
)
def test_an_end_may_be_told_from_now(text: str, seconds: int) -> None:
    out, _ = make("new", "--name", "a", "--scope", "b", "--not-after", text)

    (token,) = parse_service_tokens(HEAD + out.partition("\n")[2])
    assert token.not_after == NOW + seconds


def test_people_are_told_what_goes_where_and_scripts_need_not_cut_it_off() -> None:
    out, err = make("new", "--name", "ml-engine", "--scope", "audio")

    assert "not shown again: put it where ml-engine keeps its secrets" in err
    assert "put it under tokens: in the file" in err
    assert TOKEN not in err
    assert out.count(TOKEN) == 1


def test_in_json_there_is_nothing_but_the_token_and_the_entry() -> None:
    out, err = make("new", "--name", "ml-engine", "--scope", EVERY_SCOPE, "--json")

    assert err == ""
    assert json.loads(out) == {
        "token": TOKEN,
        "entry": {
            "name": "ml-engine",
            "sha256": sha256(TOKEN.encode()).hexdigest(),
            "scopes": [EVERY_SCOPE],
        },
    }


def test_a_token_is_made_anew_each_time_and_can_be_used() -> None:
    random = real_console().random
    first, second = new_token(random), new_token(random)

    assert first != second
    assert complaint_about(first) is None
    # 32 bytes are 43 characters of base64.
    assert len(first) == len("wgs_") + 43


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_token_that_there_is_gets_an_entry(ending: str) -> None:
    out, err = make("hash", "--name", "jobs", "--scope", "*", stdin=OLD_TOKEN + ending)

    (token,) = parse_service_tokens(HEAD + out)
    known = ServiceTokens(named=[token])
    assert known.recognise(OLD_TOKEN) == token
    assert OLD_TOKEN not in out + err
    assert "take the token out of SERVICE_AUTH_TOKEN" in err


def test_the_entry_of_a_token_that_there_is_comes_in_json_too() -> None:
    out, err = make("hash", "--name", "a", "--scope", "b", "--json", stdin=OLD_TOKEN)

    digest = sha256(OLD_TOKEN.encode()).hexdigest()
    assert err == ""
    assert json.loads(out) == {"entry": {"name": "a", "sha256": digest, "scopes": ["b"]}}


@pytest.mark.parametrize(
    ("options", "mistakes"),
    [
        (["--name", "a"], ["--scope is missing: a token without one may do nothing"]),
        (["--name", "A", "--scope", "b"], ["--name: expected a name of lower-case"]),
        (["--name", "static", "--scope", "b"], ["--name: static is what a value of"]),
        (["--name", "a", "--scope", "B"], ["--scope: expected a name of lower-case"]),
        (["--name", "a", "--scope", ""], ["--scope: expected a name of lower-case"]),
        (["--name", "a", "--scope", "b", "--scope", "*"], ['--scope: expected "*" alone']),
        (["--name", "\udcff", "--scope", "b"], ["--name: expected printable ASCII"]),
        (["--name", "a", "--scope", "\U0001f600"], ["--scope: expected printable ASCII"]),
        (
            ["--name", "a", "--scope", "b", "--not-after", "2027-01-01"],
            ["--not-after: expected a date and a time"],
        ),
        (["--name", "a", "--scope", "b", "--not-after", "0d"], ["--not-after: expected a date"]),
        (["--name", "a", "--scope", "b", "--not-after", "1y"], ["--not-after: expected a date"]),
        (["--name", "a", "--scope", "b", "--not-after", "\x00"], ["--not-after: expected print"]),
        (
            ["--name", "a", "--scope", "b", "--not-after", "2026-01-01T00:00:00Z"],
            ["--not-after: is past"],
        ),
        (["--name", "a", "--scope", "b", "--principal", ""], ["--principal: expected visible"]),
        (
            ["--name", "a", "--scope", "b", "--principal", "spiffe:/a"],
            ["--principal: expected a SPIFFE ID"],
        ),
        (
            ["--name", "A", "--not-after", "soon", "--principal", "a b"],
            ["--scope is missing", "--name: ", "--not-after: ", "--principal: "],
        ),
    ],
)
@pytest.mark.parametrize("command", ["new", "hash"])
def test_what_cannot_be_an_entry_is_refused_mistake_by_mistake(
    capsys: pytest.CaptureFixture[str], command: str, options: list[str], mistakes: list[str]
) -> None:
    lines = refusal(capsys, command, *options)

    assert len(lines) == len(mistakes)
    for line, mistake in zip(lines, mistakes, strict=True):
        assert line.startswith(mistake)


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "has 0 characters"),
        ("too-short", "has 9 characters"),
        (f"{OLD_TOKEN},{OLD_TOKEN}", "has a space, a comma"),
        (f"{OLD_TOKEN}\n{OLD_TOKEN}\n", "has a space, a comma"),
        (f"{OLD_TOKEN}\ufffd", "has a space, a comma"),
        (f"a.{OLD_TOKEN}.b", "has two dots"),
    ],
)
def test_a_token_that_could_not_work_is_refused_and_not_quoted(
    capsys: pytest.CaptureFixture[str], token: str, complaint: str
) -> None:
    (line,) = refusal(capsys, "hash", "--name", "a", "--scope", "b", stdin=token)

    assert line.startswith(f"the token {complaint}")
    assert not token or token not in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "a", "--scope", "b", TOKEN],
        [TOKEN, "--name", "a", "--scope", "b"],
        ["--name", "a", TOKEN, "--scope", "b"],
    ],
)
def test_a_token_among_the_arguments_is_refused_and_not_quoted(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    lines = refusal(capsys, "hash", *arguments)

    assert lines == [
        "the token is read from stdin, because everybody on the machine sees arguments"
    ]


@pytest.mark.parametrize(
    ("stdin", "characters"),
    [(b"a-token\n", 8), (b"\xff", 1), (b"", 0), (b"x" * 100_000, 8195)],
)
def test_stdin_is_read_as_far_as_it_matters(stdin: bytes, characters: int) -> None:
    program = (
        "from wicketgate.tools.service_token_console import real_console\n"
        "print(len(real_console().read_token()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], input=stdin, capture_output=True, check=True
    )

    assert int(ended.stdout) == characters


def test_a_good_file_is_listed_with_what_is_left(tmp_path: Path) -> None:
    path = file_in(
        tmp_path,
        Wish(name="ml-engine", scopes=("video", "audio"), not_after="377d"),
        Wish(name="jobs", scopes=("*",), principal="spiffe://mesh/jobs"),
        Wish(name="soon", scopes=("a",), not_after="366d"),
        Wish(name="sooner", scopes=("a",), not_after="365d"),
    )

    status, out, err = check(path)

    assert (status, err) == (0, "")
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "NAME SCOPES NOT AFTER STATE PRINCIPAL",
        "ml-engine audio, video 2026-10-03T14:13:20Z expires in 12 days -",
        "jobs * - never expires spiffe://mesh/jobs",
        "soon a 2026-09-22T14:13:20Z expires in 1 day -",
        "sooner a 2026-09-21T14:13:20Z expires within a day -",
    ]


def test_an_expired_token_is_told(tmp_path: Path) -> None:
    path = file_in(
        tmp_path,
        Wish(name="old", scopes=("a",), not_after="364d"),
        Wish(name="new", scopes=("a",)),
    )

    status, out, _ = check(path)

    assert status == 1
    assert [" ".join(line.split()) for line in out.splitlines()[1:]] == [
        "old a 2026-09-20T14:13:20Z expired -",
        "new a - never expires -",
    ]


def test_a_file_is_listed_in_json_too(tmp_path: Path) -> None:
    path = file_in(
        tmp_path,
        Wish(name="old", scopes=("b", "a"), not_after="364d", principal="spiffe://mesh/jobs"),
        Wish(name="new", scopes=("*",), not_after="377d"),
        Wish(name="for-ever", scopes=("*",)),
    )

    status, out, err = check(path, "--json")

    assert (status, err) == (1, "")
    assert json.loads(out) == {
        "file": str(path),
        "tokens": [
            {
                "name": "old",
                "scopes": ["a", "b"],
                "not_after": "2026-09-20T14:13:20Z",
                "is_expired": True,
                "days_left": None,
                "principal": "spiffe://mesh/jobs",
            },
            {
                "name": "new",
                "scopes": ["*"],
                "not_after": "2026-10-03T14:13:20Z",
                "is_expired": False,
                "days_left": 12,
                "principal": None,
            },
            {
                "name": "for-ever",
                "scopes": ["*"],
                "not_after": None,
                "is_expired": False,
                "days_left": None,
                "principal": None,
            },
        ],
        "mistakes": [],
    }


def test_the_mistakes_of_a_file_are_told_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("version: 1\ntokens:\n  - name: a\n    scopes: []\n", encoding="utf-8")

    status, out, err = check(path)

    assert (status, out) == (2, "")
    assert [line.split(": ")[:2] for line in err.splitlines()] == [
        [f"{path}:3:5", "tokens[0].sha256"],
        [f"{path}:4:13", "tokens[0].scopes"],
    ]


def test_the_mistakes_of_a_file_come_in_json_too(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text("version: 1\ntokens: 7\n", encoding="utf-8")

    status, out, err = check(path, "--json")

    assert (status, err) == (2, "")
    assert json.loads(out) == {
        "file": str(path),
        "tokens": [],
        "mistakes": [{"line": 2, "column": 9, "message": "tokens: expected a list"}],
    }


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [(None, "cannot be read (no such file or directory)"), (b"\xff", "byte 1 is not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_a_mistake_as_a_whole(
    tmp_path: Path, raw: bytes | None, complaint: str
) -> None:
    path = tmp_path / "tokens.yaml"
    if raw is not None:
        path.write_bytes(raw)

    status, _, err = check(path)
    _, out, _ = check(path, "--json")

    (mistake,) = json.loads(out)["mistakes"]
    assert status == 2
    assert err.startswith(f"{path}: {complaint}")
    assert (mistake["line"], mistake["column"]) == (None, None)
    assert mistake["message"] == err.rstrip("\n")


def test_what_a_file_holds_does_not_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "tokens.yaml"
    path.write_text('version: 1\ntokens: []\n"\\e[2J": 1\n', encoding="utf-8")

    _, _, err = check(path)

    assert "\\x1b[2J" in err
    assert "\x1b" not in err


@given(names, st.lists(names, min_size=1, max_size=4), st.integers(1, 99_999))
def test_whatever_is_printed_can_be_pasted(name: str, scopes: list[str], days: int) -> None:
    """
    Names that YAML takes for something else, such as 09, null or 1:30, included.
    """
    wish = Wish(name=name, scopes=tuple(scopes), not_after=f"{days}d")
    entry = entry_yaml(entry_of(TOKEN, wish, now=NOW))

    (token,) = parse_service_tokens(HEAD + entry)
    assert token == ServiceToken(
        name=name,
        digest=sha256(TOKEN.encode()).digest(),
        scopes=frozenset(scopes),
        not_after=NOW + days * DAY,
    )
