"""Tests of a policy in the XML that CI systems read.

Source: the JUnit format as Jenkins, GitLab and GitHub's reporters read it: ``testsuites``,
``testsuite``, ``testcase`` and ``failure``; XML 1.0 section 2.2 (characters).
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from tempfile import mkstemp
from typing import Final
from xml.etree import ElementTree as ET

from wicketgate.errors import EnvironmentFaultError
from wicketgate.tools.case_report import CaseReport, LocatedResult

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MODE: Final = 0o666
"""Before the umask, as for any file that is written."""


def junit_xml(report: CaseReport) -> bytes:
    """Return the report as an XML document; a file of tests is a suite."""
    top = ET.Element("testsuites", _counts(report.results))
    for file, results in groupby(report.results, key=lambda each: each.file):
        tests = list(results)
        suite = ET.SubElement(top, "testsuite", {"name": _text(file), **_counts(tests)})
        for each in tests:
            _add_test(suite, each)
    ET.indent(top)
    return bytes(ET.tostring(top, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(results: Iterable[LocatedResult]) -> dict[str, str]:
    passed = [each.is_passed for each in results]
    return {
        "tests": str(len(passed)),
        "failures": str(passed.count(False)),
        "errors": "0",
        "skipped": "0",
    }


def _add_test(suite: ET.Element, each: LocatedResult) -> None:
    names = {"classname": _text(each.file), "name": _text(each.name)}
    place = {"file": _text(each.file), "line": str(each.line)}
    test = ET.SubElement(suite, "testcase", {**names, **place, "time": "0"})
    if each.is_passed:
        return
    lines = [
        f"{failure.what}: expected {failure.expected}, found {failure.found}"
        for failure in each.result.failures
    ]
    failure = ET.SubElement(test, "failure", {"message": _text("; ".join(lines))})
    failure.text = _text("\n".join([f"{each.file}:{each.line}", *lines]))


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def write_report(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        EnvironmentFaultError: it cannot be written, or is there and not a file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        # A device would be replaced by a file.
        msg = f"{path}: cannot be written (not a regular file)"
        raise EnvironmentFaultError(msg)
    try:
        _replace(path, content)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        msg = f"{path}: cannot be written ({why})"
        raise EnvironmentFaultError(msg) from None


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(content)
            # What mkstemp makes is for its owner alone; a report is as any other file.
            os.fchmod(descriptor, _MODE & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
