"""`wicketgate policy check` and `schema`: what is wrong with a policy, for people and programs."""

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest

from wicketgate.core.policy.schema import schema_text
from wicketgate.errors import ConfigurationError
from wicketgate.policy_cli import add_policy
from wicketgate.tools.check import run_check

GOOD = """\
version: 1
rules:
  - name: a
    match: { paths: /a/** }
    allow: user
tests:
  - { name: t, request: { path: /a }, expect: deny }
"""
SUSPICIOUS = f"""\
{GOOD.partition("tests:")[0]}
  - name: b
    match: {{ paths: /a/b }}
    allow: user
"""
BAD = """\
version: 1
rules:
  - name: a
    match: { methods: get }
  - name: a
    allow: users
"""


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def checked(
    path: Path, *, as_json: bool = False, is_strict: bool = False, stdin: bytes = b""
) -> tuple[int, str]:
    """Check a file; return the exit status and what was written."""
    out = io.StringIO()
    status = run_check(
        path, stdin=io.BytesIO(stdin), out=out, as_json=as_json, is_strict=is_strict
    )
    return status, out.getvalue()


def document(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(checked(path, as_json=True)[1])
    return value


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wicketgate")
    add_policy(parser.add_subparsers().add_parser)
    return parser.parse_args(["policy", *arguments])


def test_a_good_policy_is_counted(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")

    assert checked(file, is_strict=True) == (
        0,
        f"{file}: 1 rule, 1 test, 0 errors, 0 warnings\n",
    )


def test_every_mistake_has_a_line_that_editors_understand(file: Path) -> None:
    file.write_text(BAD, encoding="utf-8")

    status, written = checked(file)

    lines = written.splitlines()
    places = [line.removeprefix(f"{file}:").partition(": ")[0] for line in lines[:-1]]
    assert status == 2
    assert places == ["3:5", "4:23", "5:11", "6:12"]
    assert all(": error: rules[" in line for line in lines[:-1])
    assert lines[-1] == f"{file}: 2 rules, 0 tests, 4 errors, 0 warnings"


@pytest.mark.parametrize(("is_strict", "status"), [(False, 0), (True, 1)])
def test_warnings_are_told_and_count_only_when_one_is_strict(
    file: Path, *, is_strict: bool, status: int
) -> None:
    file.write_text(SUSPICIOUS, encoding="utf-8")

    why = "b is never asked: a, before it, takes all its requests [unreachable]"
    summary = "2 rules, 0 tests, 0 errors, 1 warning"

    assert checked(file, is_strict=is_strict) == (
        status,
        f"{file}:7:5: warning: {why}\n{file}: {summary}\n",
    )


@pytest.mark.parametrize("is_strict", [False, True])
def test_errors_count_before_warnings(file: Path, *, is_strict: bool) -> None:
    file.write_text(BAD, encoding="utf-8")

    assert checked(file, is_strict=is_strict)[0] == 2


def test_a_program_reads_one_object(file: Path) -> None:
    file.write_text(SUSPICIOUS, encoding="utf-8")

    assert document(file) == {
        "file": str(file),
        "rules": 2,
        "tests": 0,
        "errors": [],
        "warnings": [
            {
                "line": 7,
                "column": 5,
                "kind": "unreachable",
                "rule": "b",
                "message": "b is never asked: a, before it, takes all its requests",
            }
        ],
    }


def test_a_program_reads_every_mistake(file: Path) -> None:
    file.write_text(BAD, encoding="utf-8")

    found = document(file)

    assert [set(each) for each in found["errors"]] == [{"line", "column", "message"}] * 4
    assert checked(file, as_json=True)[0] == 2


@pytest.mark.parametrize(
    ("text", "rules", "tests"),
    [
        ("{", None, None),
        ("[]", None, 0),
        ("rules: 1\ntests: 1", None, None),
        ("rules: [1, 2]\ntests: [3]", 2, 1),
    ],
)
def test_what_cannot_be_counted_is_not(
    file: Path, text: str, rules: int | None, tests: int | None
) -> None:
    file.write_text(text, encoding="utf-8")
    found = document(file)
    summary = checked(file)[1].splitlines()[-1]

    assert (found["rules"], found["tests"]) == (rules, tests)
    assert ("rule" in summary) == (rules is not None)
    assert ("test" in summary.removeprefix(str(file))) == (tests is not None)


def test_there_may_be_more_than_are_told(file: Path) -> None:
    file.write_text("version: 1\nrules: [" + "{}, " * 200 + "]", encoding="utf-8")

    assert "100 or more errors" in checked(file)[1]


def test_the_policy_may_come_from_stdin() -> None:
    assert checked(Path("-"), stdin=b"\xef\xbb\xbf" + GOOD.encode()) == (
        0,
        "-: 1 rule, 1 test, 0 errors, 0 warnings\n",
    )


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [(b"a\xff", "byte 2 is not UTF-8"), (b" " * (16 * 1024 * 1024 + 1), "more than 16777216")],
    ids=["not UTF-8", "too large"],
)
def test_stdin_that_is_no_text_is_complained_about(stdin: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^stdin: .*{complaint}"):
        checked(Path("-"), stdin=stdin)


def test_a_file_that_cannot_be_read_is_complained_about(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"policy\.yaml: cannot be read"):
        checked(file)


@pytest.mark.parametrize(
    ("text", "colour"), [(GOOD, "\x1b[32m"), (SUSPICIOUS, "\x1b[33m"), (BAD, "\x1b[31m")]
)
def test_the_sum_has_the_colour_of_the_news(file: Path, text: str, colour: str) -> None:
    file.write_text(text, encoding="utf-8")
    out = Terminal()

    run_check(file, stdin=io.BytesIO(), out=out, as_json=False, is_strict=False)

    assert out.getvalue().splitlines()[-1].startswith(colour)


def test_what_the_file_holds_does_not_write_to_the_terminal(file: Path) -> None:
    file.write_text('version: 1\nrules: []\n"\\e[2J": 1\n', encoding="utf-8")

    assert "\x1b" not in checked(file)[1]


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 0), (("--strict",), 1), (("--json", "--strict"), 1)]
)
def test_the_command_line_checks(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int
) -> None:
    file.write_text(SUSPICIOUS, encoding="utf-8")
    words = parsed("check", *arguments, str(file))

    assert words.run(words) == status
    assert capsys.readouterr().out.startswith("{") == ("--json" in arguments)


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    words = parsed("schema")

    assert words.run(words) == 0
    assert capsys.readouterr().out == schema_text()


@pytest.mark.parametrize("command", ["check", "test", "explain", "diff", "schema"])
def test_help_teaches_by_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed(command, "--help")

    assert stopped.value.code == 0
    assert f"\n  wicketgate policy {command} " in capsys.readouterr().out.replace("\n  git", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("check",),
        ("check", "a", "b"),
        ("test",),
        ("diff", "a", "b"),
        ("diff", "a", "--log", "-"),
        ("explain",),
        ("unknown",),
    ],
)
def test_arguments_that_are_missing_or_too_many_are_usage_errors(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed(*arguments)

    assert stopped.value.code == 2
    assert "usage: wicketgate" in capsys.readouterr().err


def test_the_arguments_of_the_other_tools() -> None:
    test = parsed("test", "p", "a", "b", "--json", "--junit", "j")
    diff = parsed("diff", "o", "n", "--log", "-")

    assert (test.policy, test.cases) == (Path("p"), [Path("a"), Path("b")])
    assert (test.json, test.junit) == (True, Path("j"))
    assert (diff.old, diff.new, diff.log, diff.json) == (Path("o"), Path("n"), Path("-"), False)


def test_the_command_line_tests(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD, encoding="utf-8")
    words = parsed("test", "--json", str(file))

    assert words.run(words) == 0
    assert json.loads(capsys.readouterr().out)


def test_the_command_line_compares(file: Path, tmp_path: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    log = tmp_path / "decisions.jsonl"
    log.touch()
    words = parsed("diff", str(file), str(file), "--log", str(log))

    with pytest.raises(ConfigurationError, match="decisions"):
        words.run(words)
