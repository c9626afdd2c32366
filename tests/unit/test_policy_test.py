"""``wicketgate policy test``, as a person, a program and a CI system see it."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from wicketgate.errors import ConfigurationError, EnvironmentFaultError
from wicketgate.tools.test import SHOWN, run_tests

POLICY: Final = """\
version: 1
rules:
  - name: watched
    shadow: true
    match: { paths: /admin/** }
    allow: []
  - name: admin
    match: { paths: /admin/** }
    allow: { user: { org_role: admin } }
  - name: app
    allow: user
"""
OWN: Final = """\
tests:
  - name: a user reaches the app
    request: { path: /a }
    as: user
    expect: allow
"""
ADMIN: Final = """\
tests:
  - name: nobody reaches the admin area
    request: { path: /admin/a }
    as: user
    expect: { decision: deny, rule: admin, shadows: { watched: nobody_admitted } }
"""
WRONG: Final = """\
tests:
  - name: everybody reaches the admin area
    request: { path: /admin/a }
    as: user
    expect: { decision: allow, rule: admin, status: 200 }
  - name: a user reaches the app
    request: { path: /a }
    as: user
    expect: allow
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Files:
    """A policy and files of tests, written to a directory."""

    directory: Path

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, "utf-8")
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def run(
    policy: Path,
    *cases: Path,
    as_json: bool = False,
    junit: Path | None = None,
    out: io.StringIO | None = None,
) -> tuple[int, str]:
    """Return the exit status and what was written, file names without their directory."""
    stream = io.StringIO() if out is None else out
    status = run_tests(policy, cases, out=stream, as_json=as_json, junit=junit)
    return status, stream.getvalue().replace(f"{policy.parent}/", "")


def mistakes(policy: Path, *cases: Path) -> Sequence[str]:
    out = io.StringIO()
    with pytest.raises(ConfigurationError) as refused:
        run_tests(policy, cases, out=out, as_json=False, junit=None)
    assert out.getvalue() == ""
    return [line.replace(f"{policy.parent}/", "") for line in refused.value.mistakes]


def test_tests_in_the_policy_and_in_further_files_are_run(files: Files) -> None:
    policy = files.write("policy.yaml", POLICY + OWN)

    status, said = run(policy, files.write("admin.yaml", ADMIN))

    assert status == 0
    assert said == (
        "rule              tests\n"
        "watched (shadow)  1\n"
        "admin             1\n"
        "app               1\n"
        "policy.yaml: 2 tests, all passed\n"
    )


def test_a_test_that_fails_is_told_field_by_field_with_its_line(files: Files) -> None:
    policy = files.write("policy.yaml", POLICY)

    status, said = run(policy, files.write("wrong.yaml", WRONG))

    assert status == 1
    assert said == (
        "wrong.yaml:2: failed: everybody reaches the admin area\n"
        "  decision: expected allow, found deny\n"
        "  status: expected 200, found 403\n"
        "rule              tests\n"
        "watched (shadow)  1\n"
        "admin             1\n"
        "app               1\n"
        "policy.yaml: 2 tests, 1 failed\n"
    )


def test_rules_that_no_test_asks_are_warned_about(files: Files) -> None:
    status, said = run(files.write("policy.yaml", POLICY + OWN))

    assert status == 0
    assert said == (
        "rule  tests\n"
        "app   1\n"
        "policy.yaml:3: warning: no test asks watched\n"
        "policy.yaml:7: warning: no test is decided by admin\n"
        "policy.yaml: 1 test, all passed\n"
    )


@pytest.mark.parametrize(
    ("rules", "lines", "more"), [(SHOWN, SHOWN, False), (SHOWN + 3, SHOWN, True)]
)
def test_only_so_many_rules_without_tests_are_named(
    files: Files, rules: int, lines: int, *, more: bool
) -> None:
    named = "".join(
        f"  - {{ name: r{n}, match: {{ paths: /r{n} }}, allow: user }}\n" for n in range(rules)
    )
    policy = files.write("policy.yaml", f"version: 1\ndefault: user\nrules:\n{named}{OWN}")

    _, said = run(policy)

    assert said.count("warning: no test is decided by") == lines
    assert ("... and 3 more rules without tests; --json names them all" in said) == more


def test_without_any_test_it_fails_and_says_so(files: Files) -> None:
    assert run(files.write("policy.yaml", POLICY)) == (
        1,
        "policy.yaml: has no tests; expected some, there or in further files\n",
    )


def test_colours_are_for_a_terminal(files: Files) -> None:
    wrong = files.write("wrong.yaml", WRONG)
    policy = files.write("policy.yaml", POLICY)

    _, plain = run(policy, wrong)
    _, painted = run(policy, wrong, out=Terminal())

    assert "\x1b" not in plain
    assert "\x1b[31mfailed\x1b[0m" in painted


def test_a_test_cannot_write_to_the_terminal(files: Files) -> None:
    hostile = WRONG.replace("everybody reaches", '"\\e[2Jeverybody').replace("area", 'area"')
    policy = files.write("policy.yaml", POLICY)

    _, said = run(policy, files.write("wrong.yaml", hostile))

    assert "\\x1b[2Jeverybody the admin area" in said
    assert "\x1b" not in said


def test_a_program_gets_one_object(files: Files) -> None:
    policy = files.write("policy.yaml", POLICY)

    status, said = run(policy, files.write("wrong.yaml", WRONG), as_json=True)

    document = json.loads(said)
    assert status == 1
    assert (document["policy"], document["passed"], document["failed"]) == ("policy.yaml", 1, 1)
    assert document["tests"][0] == {
        "file": "wrong.yaml",
        "line": 2,
        "name": "everybody reaches the admin area",
        "passed": False,
        "failures": [
            {"what": "decision", "expected": "allow", "found": "deny"},
            {"what": "status", "expected": "200", "found": "403"},
        ],
    }
    assert [each["passed"] for each in document["tests"]] == [False, True]
    assert document["rules"] == [
        {"rule": "watched", "line": 3, "shadow": True, "tests": 1},
        {"rule": "admin", "line": 7, "shadow": False, "tests": 1},
        {"rule": "app", "line": 10, "shadow": False, "tests": 1},
        {"rule": "default", "line": None, "shadow": False, "tests": 0},
    ]
    assert document["untested"] == []


def test_a_program_is_told_of_rules_without_tests(files: Files) -> None:
    status, said = run(files.write("policy.yaml", POLICY), as_json=True)

    document = json.loads(said)
    assert status == 1
    assert (document["tests"], document["untested"]) == ([], ["watched", "admin", "app"])


def test_every_mistake_in_every_file_is_told_with_its_place(files: Files) -> None:
    policy = files.write("policy.yaml", POLICY.replace("allow: user", "allow: users"))
    cases = files.write("cases.yaml", OWN.replace("expect", "expects"))
    words = files.write("words.yaml", ADMIN.replace("as: user", "as: { refused: tired }"))
    missing = files.directory / "missing.yaml"

    found = mistakes(policy, cases, words, missing)

    assert [line.partition(": ")[0] for line in found] == [
        "policy.yaml:11:12",
        "cases.yaml:2:5",
        "cases.yaml:5:5",
        "missing.yaml",
        "words.yaml:4:20",
    ]
    assert "expected a reason such as" in found[-1]


def test_a_policy_that_cannot_be_read_is_a_mistake(files: Files) -> None:
    (line,) = mistakes(files.directory / "missing.yaml")

    assert line == (
        "missing.yaml: cannot be read (no such file or directory); expected a file of text"
    )


def test_a_misspelt_reason_in_the_policy_s_own_tests_is_told_with_its_place(files: Files) -> None:
    own = OWN.replace("expect: allow", "expect: { decision: deny, reason: no_credentials }")

    (line,) = mistakes(files.write("policy.yaml", POLICY + own))

    assert line == (
        "policy.yaml:16:39: reason: expected a reason such as no_credential, not 'no_credentials'"
    )


# --- JUnit -------------------------------------------------------------------------


def junit(files: Files, *cases: str) -> tuple[int, Any]:
    """Return the exit status and the root of the report."""
    policy = files.write("policy.yaml", POLICY + OWN)
    paths = [files.write(f"{number}.yaml", text) for number, text in enumerate(cases)]
    report = files.directory / "report.xml"
    status, _ = run(policy, *paths, junit=report)
    return status, ET.fromstring(report.read_bytes())  # noqa: S314 - written by ourselves


def test_a_ci_system_gets_a_case_for_every_test(files: Files) -> None:
    status, top = junit(files, WRONG)

    suites = top.findall("testsuite")
    assert status == 1
    assert top.attrib == {"tests": "3", "failures": "1", "errors": "0", "skipped": "0"}
    assert [(suite.get("tests"), suite.get("failures")) for suite in suites] == [
        ("1", "0"),
        ("2", "1"),
    ]
    assert [case.get("name") for case in top.iter("testcase")] == [
        "a user reaches the app",
        "everybody reaches the admin area",
        "a user reaches the app",
    ]


def test_a_ci_system_is_told_where_a_failed_test_is_and_why(files: Files) -> None:
    _, top = junit(files, WRONG)

    (case,) = [case for case in top.iter("testcase") if case.find("failure") is not None]
    failure = case.find("failure")
    assert case.get("file") == case.get("classname") == str(files.directory / "0.yaml")
    assert case.get("line") == "2"
    assert failure.get("message") == (
        "decision: expected allow, found deny; status: expected 200, found 403"
    )
    assert failure.text == (
        f"{files.directory / '0.yaml'}:2\n"
        "decision: expected allow, found deny\n"
        "status: expected 200, found 403"
    )


def test_what_xml_cannot_hold_is_replaced(files: Files) -> None:
    hostile = WRONG.replace("everybody reaches", '"\\0]]><\\e').replace("area", 'area"')

    _, top = junit(files, hostile)

    names = [case.get("name") for case in top.iter("testcase")]
    assert "\ufffd]]><\ufffd the admin area" in names


def test_a_report_without_tests_is_one_as_well(files: Files) -> None:
    report = files.directory / "report.xml"

    status, _ = run(files.write("policy.yaml", POLICY), junit=report)

    assert status == 1
    assert b'<testsuites tests="0" failures="0"' in report.read_bytes()


def test_a_report_takes_the_place_of_an_older_one_and_leaves_nothing_behind(
    files: Files,
) -> None:
    files.write("report.xml", "older, and longer than the one that follows" * 100)

    junit(files)

    assert {path.name for path in files.directory.iterdir()} == {"policy.yaml", "report.xml"}
    # As for any other file, it is the umask that says who may read it.
    (files.directory / "other").touch()
    modes = {(files.directory / name).stat().st_mode for name in ("report.xml", "other")}
    assert len(modes) == 1


def test_a_report_is_written_to_where_a_link_leads(files: Files) -> None:
    target = files.write("target.xml", "")
    (files.directory / "report.xml").symlink_to(target)

    junit(files)

    assert (files.directory / "report.xml").is_symlink()
    assert target.read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/report.xml", "no such file or directory"),
        (".", "not a regular file"),
        ("r" * 250, "file name too long"),
    ],
)
def test_a_report_that_cannot_be_written_is_a_fault(files: Files, name: str, why: str) -> None:
    policy = files.write("policy.yaml", POLICY + OWN)

    with pytest.raises(EnvironmentFaultError, match=f"cannot be written \\({why}\\)"):
        run(policy, junit=files.directory / name)

    assert {path.name for path in files.directory.iterdir()} == {"policy.yaml"}


def test_a_device_is_not_replaced(files: Files) -> None:
    policy = files.write("policy.yaml", POLICY + OWN)

    with pytest.raises(EnvironmentFaultError, match="not a regular file"):
        run(policy, junit=Path("/dev/null"))

    assert Path("/dev/null").is_char_device()
