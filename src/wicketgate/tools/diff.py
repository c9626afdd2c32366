"""``wicketgate policy diff``: what another policy would have decided."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from wicketgate.core.policy.changes import Changes
from wicketgate.core.policy.recorded import Skipped, read_line
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.errors import ConfigurationError
from wicketgate.tools.diff_report import document_of, report_of
from wicketgate.tools.policy_text import STDIN, policy_of
from wicketgate.tools.terminal import Style

CHANGED: Final = 1
MAX_LINE: Final = 1024 * 1024
"""Bytes; a gate's own lines have less than 4,096."""
REDRAW_SECONDS: Final = 0.1

_CLEAR: Final = "\r\x1b[K"
_EXPECTED: Final = "expected a decision log with WICKETGATE_DECISION_DETAIL=replay"


class Progress:
    """Tells a person at a terminal how far it is, and nobody else."""

    def __init__(
        self, stream: TextIO | None = None, timer: Callable[[], float] = time.monotonic
    ) -> None:
        """Write to `stream`, which is stderr if left out; `timer` counts seconds."""
        self._stream = sys.stderr if stream is None else stream
        self._timer = timer
        self._is_shown = self._stream.isatty()
        self._drawn_at = timer()

    def done(self, lines: int) -> None:
        """Show how many lines were read."""
        if not self._is_shown or self._timer() - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = self._timer()
        self._stream.write(f"{_CLEAR}{lines:,} lines")
        self._stream.flush()

    def close(self) -> None:
        """Wipe what was shown."""
        if self._is_shown:
            self._stream.write(_CLEAR)
            self._stream.flush()


def run_diff(
    old: Path,
    new: Path,
    *,
    log: Path,
    out: TextIO,
    as_json: bool,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> int:
    """Judge the requests of a decision log by two policies, and write what would change.

    Args:
        old: A policy file.
        new: Another.
        log: The log; ``-`` is stdin.
        out: Where to write.
        as_json: Write one JSON object instead of lines.
        stdin: What ``-`` is, if not the process's.
        progress: Is told how far it is, if not stderr.

    Returns:
        The exit status: 0 nothing would change, 1 something would, or that cannot be told.

    Raises:
        ConfigurationError: a line for every mistake in the policies; or the log cannot
            be read, or holds nothing that could be judged.
    """
    changes = Changes(*_policies(old, new))
    with _opened(log, sys.stdin.buffer if stdin is None else stdin) as stream:
        _count(changes, stream, log, progress or Progress())
    if not changes.replayed:
        raise ConfigurationError(_nothing_in(log, changes))
    if as_json:
        out.write(json.dumps(document_of(changes)) + "\n")
    else:
        out.write(report_of(changes, Style.for_stream(out)))
    return CHANGED if changes.changed or changes.undetermined else 0


def _policies(*paths: Path) -> list[RulePolicy]:
    found: list[RulePolicy] = []
    mistakes: list[str] = []
    for path in paths:
        try:
            found.append(policy_of(path).policy)
        except ConfigurationError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigurationError(*dict.fromkeys(mistakes))
    return found


def _opened(log: Path, stdin: BinaryIO) -> AbstractContextManager[BinaryIO]:
    if log == STDIN:
        return nullcontext(stdin)
    try:
        return log.open("rb")
    except OSError as error:
        raise _unreadable(log, error) from None


def _count(changes: Changes, stream: BinaryIO, log: Path, progress: Progress) -> None:
    try:
        for number, line in enumerate(_lines_in(stream), start=1):
            found = Skipped.BROKEN if line is None else read_line(line)
            if isinstance(found, Skipped):
                changes.skip(found)
            else:
                changes.add(found)
            progress.done(number)
    except OSError as error:
        raise _unreadable(log, error) from None
    finally:
        progress.close()


def _lines_in(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines, `None` for one that is too long to be ours."""
    is_rest = False
    while part := stream.readline(MAX_LINE):
        is_whole = part.endswith(b"\n") or len(part) < MAX_LINE
        if is_whole and not is_rest:
            yield part
        elif is_whole:
            yield None
        is_rest = not is_whole
    if is_rest:
        yield None


def _unreadable(log: Path, error: OSError) -> ConfigurationError:
    why = (error.strerror or type(error).__name__).lower()
    return ConfigurationError(f"{log}: cannot be read ({why}); {_EXPECTED}")


def _nothing_in(log: Path, changes: Changes) -> str:
    counts = {
        "undetermined": changes.undetermined.total(),
        "without what a replay needs": changes.skipped[Skipped.NO_REPLAY],
        "other lines": changes.skipped[Skipped.OTHER],
        "broken": changes.skipped[Skipped.BROKEN],
    }
    found = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"{log}: has no decision that can be judged ({found or 'it is empty'}); {_EXPECTED}"
