"""``wicketgate policy check``: every mistake in a policy, and what is most likely not meant."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from wicketgate.core.policy.lint import MAX_WARNINGS, LintWarning, lint
from wicketgate.core.policy.parse import ParsedPolicy, parse_policy
from wicketgate.core.policy.reading import MAX_MISTAKES, Mistake, PolicyError
from wicketgate.core.policy.source import (
    Position,
    SourceError,
    parse_source,
    position_of,
    positions_in,
)
from wicketgate.tools.policy_text import text_of
from wicketgate.tools.terminal import Style, visible

FOUND_WARNINGS: Final = 1
FOUND_ERRORS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found in one file.

    Attributes:
        file: Its name.
        rules: How many rules it has; `None` when it is no list of rules at all.
        tests: Likewise.
        errors: What makes it unusable.
        warnings: What is most likely not meant, and where.
    """

    file: str
    rules: int | None = None
    tests: int | None = None
    errors: tuple[Mistake, ...] = ()
    warnings: tuple[tuple[Position, LintWarning], ...] = field(default=())


def run_check(path: Path, *, stdin: BinaryIO, out: TextIO, as_json: bool, is_strict: bool) -> int:
    """Check the policy in `path` and write what was found.

    Args:
        path: The file; ``-`` is `stdin`.
        stdin: Read for ``-`` only.
        out: Where to write.
        as_json: Write one JSON object instead of lines.
        is_strict: Warnings count.

    Returns:
        The exit status: 0 good, 1 warnings that count, 2 errors.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    found = _checked(str(path), text_of(path, stdin))
    out.write(_as_json(found) if as_json else _as_lines(found, Style.for_stream(out)))
    if found.errors:
        return FOUND_ERRORS
    return FOUND_WARNINGS if is_strict and found.warnings else 0


def _checked(file: str, text: str) -> Checked:
    try:
        parsed = parse_policy(text)
    except PolicyError as error:
        rules, tests = _sizes(text)
        return Checked(file=file, rules=rules, tests=tests, errors=error.mistakes)
    return Checked(
        file=file,
        rules=len(parsed.policy.rules),
        tests=len(parsed.cases),
        warnings=_placed(parsed),
    )


def _sizes(text: str) -> tuple[int | None, int | None]:
    """Return how many rules and tests there are in a file with mistakes."""
    try:
        value = parse_source(text)
    except SourceError:
        return None, None
    words = value if isinstance(value, dict) else {}
    rules, tests = words.get("rules"), words.get("tests", [])
    return (
        len(rules) if isinstance(rules, list) else None,
        len(tests) if isinstance(tests, list) else None,
    )


def _placed(parsed: ParsedPolicy) -> tuple[tuple[Position, LintWarning], ...]:
    warnings = lint(parsed.policy)
    # Looking up positions reads the text once more.
    positions = positions_in(parsed.text) if warnings else {}
    return tuple((position_of(positions, ("rules", each.index)), each) for each in warnings)


def _as_lines(found: Checked, style: Style) -> str:
    lines = [
        *(_line(found, each.position, style.bad("error"), each.message) for each in found.errors),
        *(
            _line(found, position, style.warn("warning"), f"{each.message} [{each.kind}]")
            for position, each in found.warnings
        ),
        _summary(found, style),
    ]
    return "".join(f"{line}\n" for line in lines)


def _line(found: Checked, position: Position, kind: str, message: str) -> str:
    return f"{visible(found.file)}:{position}: {kind}: {visible(message)}"


def _summary(found: Checked, style: Style) -> str:
    parts = [
        *([] if found.rules is None else [_counted(found.rules, "rule")]),
        *([] if found.tests is None else [_counted(found.tests, "test")]),
        _counted(len(found.errors), "error", at_most=MAX_MISTAKES),
        _counted(len(found.warnings), "warning", at_most=MAX_WARNINGS),
    ]
    line = f"{visible(found.file)}: {', '.join(parts)}"
    if found.errors:
        return style.bad(line)
    return style.warn(line) if found.warnings else style.good(line)


def _counted(number: int, word: str, *, at_most: int | None = None) -> str:
    or_more = " or more" if number == at_most else ""
    return f"{number:,}{or_more} {word}{'' if number == 1 else 's'}"


def _as_json(found: Checked) -> str:
    document = {
        "file": found.file,
        "rules": found.rules,
        "tests": found.tests,
        "errors": [_placed_at(each.position) | {"message": each.message} for each in found.errors],
        "warnings": [
            _placed_at(position)
            | {"kind": str(each.kind), "rule": each.rule, "message": each.message}
            for position, each in found.warnings
        ],
    }
    return json.dumps(document) + "\n"


def _placed_at(position: Position) -> dict[str, int | str]:
    return {"line": position.line, "column": position.column}
