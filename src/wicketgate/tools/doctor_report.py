"""Findings of the doctor, for people and for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final, TextIO

from wicketgate.core.policy.source import Position
from wicketgate.doctor.catalogue import RULE_BY_ID
from wicketgate.doctor.change import Change, change_of
from wicketgate.doctor.documents import Locator
from wicketgate.doctor.finding import Fault, Rule, Severity
from wicketgate.tools.terminal import Style, visible

_WIDTH: Final = 92
_ENVIRONMENT: Final = "environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A fault, with everything a reader needs.

    Attributes:
        rule: Its kind.
        source: Who says so.
        file: The file, the URL, or ``environment``.
        position: Where; `None` for a variable.
        path: The place in the document, or the variable.
        found: The evidence.
        changes: What mends it.
        advice: The same in words, where there are no lines to write.
    """

    rule: Rule
    source: str
    file: str
    position: Position | None
    path: str
    found: str
    changes: tuple[Change, ...]
    advice: str

    @property
    def is_error(self) -> bool:
        """Whether it counts without being asked to."""
        return self.rule.severity is Severity.ERROR

    @property
    def line(self) -> int:
        """From 1; 0 for a variable."""
        return 0 if self.position is None else self.position.line

    @property
    def column(self) -> int:
        """From 1; 0 for a variable."""
        return 0 if self.position is None else self.position.column


def finding_in(file: str, fault: Fault, locator: Locator, values: list[Any]) -> Finding:
    """Return a fault in a file as a finding.

    Args:
        file: Its name.
        fault: What is wrong.
        locator: Where things are in it.
        values: What its documents hold.
    """
    place = locator.canonical(fault.place)
    rule = RULE_BY_ID[fault.rule]
    return Finding(
        rule=rule,
        source=fault.source or rule.source,
        file=file,
        position=locator.position(place),
        path=locator.path(place),
        found=fault.found,
        changes=tuple(change_of(edit, locator, values) for edit in fault.edits),
        advice=fault.advice,
    )


def finding_of_environment(fault: Fault) -> Finding:
    """Return a fault in the environment as a finding."""
    rule = RULE_BY_ID[fault.rule]
    return Finding(
        rule=rule,
        source=fault.source or rule.source,
        file=_ENVIRONMENT,
        position=None,
        path=str(fault.place[0]),
        found=fault.found,
        changes=(),
        advice=fault.advice,
    )


def report(
    findings: Sequence[Finding], *, sources: Sequence[str], out: TextIO, as_json: bool
) -> None:
    """Write the findings.

    Args:
        findings: In the order of the files, and of the lines in them.
        sources: What was read.
        out: Where to write.
        as_json: Write one JSON object instead of lines.
    """
    if as_json:
        out.write(json.dumps(_document(findings, sources)) + "\n")
        return
    style = Style.for_stream(out)
    out.writelines("\n".join(_lines(finding, style)) + "\n\n" for finding in findings)
    out.write(_summary(findings, sources, style) + "\n")


def _lines(finding: Finding, style: Style) -> Iterator[str]:
    paint = style.bad if finding.is_error else style.warn
    where = finding.file if finding.position is None else f"{finding.file}:{finding.position}"
    kind = paint(str(finding.rule.severity))
    yield f"{visible(where)}: {kind}: {visible(finding.found)} [{finding.rule.id}]"
    yield from _indented(finding.rule.happens)
    if finding.position is not None and finding.path:
        yield f"  {style.dim('at')} {visible(finding.path)}"
    for change in finding.changes:
        yield f"  {visible(change.what)}{':' if change.lines else ''}"
        yield from (f"      {style.good(visible(line))}" for line in change.lines)
    if finding.advice:
        yield from _indented(finding.advice)
    yield f"  {style.dim('source:')} {finding.source}"


def _indented(text: str) -> list[str]:
    return wrap(visible(text), _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _summary(findings: Sequence[Finding], sources: Sequence[str], style: Style) -> str:
    errors = sum(each.is_error for each in findings)
    warnings = len(findings) - errors
    names = visible(", ".join(sources) or _ENVIRONMENT)
    line = f"{names}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
    if errors:
        return style.bad(line)
    return style.warn(line) if warnings else style.good(line)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _document(findings: Sequence[Finding], sources: Sequence[str]) -> dict[str, Any]:
    errors = sum(each.is_error for each in findings)
    return {
        "sources": list(sources),
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [_words(each) for each in findings],
    }


def _words(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.rule.id,
        "severity": str(finding.rule.severity),
        "file": finding.file,
        "line": finding.line or None,
        "column": finding.column or None,
        "path": finding.path,
        "found": finding.found,
        "happens": finding.rule.happens,
        "changes": [
            {"what": each.what, "line": each.line, "path": each.path, "lines": list(each.lines)}
            for each in finding.changes
        ],
        "advice": finding.advice,
        "source": finding.source,
    }
