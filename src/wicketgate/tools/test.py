"""``wicketgate policy test``: whether a policy does what its tests say."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from wicketgate.tools.case_report import CaseReport, LocatedResult, report_on
from wicketgate.tools.junit import junit_xml, write_report
from wicketgate.tools.terminal import Style, table, visible

FAILED: Final = 1
SHOWN: Final = 100
"""Rules without tests that are named for a person; a program gets all of them."""


def run_tests(
    policy: Path, cases: Sequence[Path], *, out: TextIO, as_json: bool, junit: Path | None
) -> int:
    """Run the tests of a policy and write what came of them.

    Args:
        policy: The policy file, which may have tests.
        cases: Further files of tests.
        out: Where to write.
        as_json: Write one JSON object instead of lines.
        junit: Where a JUnit report is written as well.

    Returns:
        The exit status: 0 all passed, 1 one did not, or there is none.

    Raises:
        ConfigurationError: a line for every file that cannot be read, and for every
            mistake in the others.
        EnvironmentFaultError: the JUnit report cannot be written.
    """
    report = report_on(policy, cases)
    out.write(_as_json(report) if as_json else _as_lines(report, Style.for_stream(out)))
    if junit is not None:
        write_report(junit, junit_xml(report))
    return FAILED if report.failed or not report.results else 0


def _as_lines(report: CaseReport, style: Style) -> str:
    lines = [*_failures(report, style), *_coverage(report, style), _summary(report, style)]
    return "".join(f"{line}\n" for line in lines)


def _failures(report: CaseReport, style: Style) -> Iterator[str]:
    for each in report.failed:
        yield f"{_place(each)}: {style.bad('failed')}: {style.bold(visible(each.name))}"
        for failure in each.result.failures:
            expected, found = visible(failure.expected), visible(failure.found)
            yield f"  {failure.what}: expected {style.good(expected)}, found {style.bad(found)}"


def _place(each: LocatedResult) -> str:
    return f"{visible(each.file)}:{each.line}"


def _coverage(report: CaseReport, style: Style) -> Iterator[str]:
    asked = [each.coverage for each in report.rules if each.coverage.tests]
    if asked:
        rows = [
            (each.rule + (" (shadow)" if each.is_shadow else ""), f"{each.tests:,}")
            for each in asked
        ]
        yield table(rows, ("rule", "tests"), style)
    if not report.results:
        return
    for missing in report.missing[:SHOWN]:
        name = missing.coverage.rule
        verb = "asks" if missing.coverage.is_shadow else "is decided by"
        warning = f"{style.warn('warning')}: no test {verb} {name}"
        yield f"{visible(report.policy)}:{missing.line}: {warning}"
    more = len(report.missing) - SHOWN
    if more > 0:
        yield f"... and {more:,} more rules without tests; --json names them all"


def _summary(report: CaseReport, style: Style) -> str:
    file, count, failed = visible(report.policy), len(report.results), len(report.failed)
    if not count:
        return style.bad(f"{file}: has no tests; expected some, there or in further files")
    tests = f"{count:,} test{'' if count == 1 else 's'}"
    if failed:
        return style.bad(f"{file}: {tests}, {failed:,} failed")
    return style.good(f"{file}: {tests}, all passed")


def _as_json(report: CaseReport) -> str:
    document = {
        "policy": report.policy,
        "passed": len(report.results) - len(report.failed),
        "failed": len(report.failed),
        "tests": [_test(each) for each in report.results],
        "rules": [
            {
                "rule": each.coverage.rule,
                "line": each.line,
                "shadow": each.coverage.is_shadow,
                "tests": each.coverage.tests,
            }
            for each in report.rules
        ],
        "untested": [each.coverage.rule for each in report.missing],
    }
    return json.dumps(document) + "\n"


def _test(each: LocatedResult) -> dict[str, object]:
    return {
        "file": each.file,
        "line": each.line,
        "name": each.name,
        "passed": each.is_passed,
        "failures": [
            {"what": failure.what, "expected": failure.expected, "found": failure.found}
            for failure in each.result.failures
        ],
    }
