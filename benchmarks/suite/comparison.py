"""Two runs of the suite side by side."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from suite.machine import differences
from suite.result import Result, result_of
from suite.rounds import cpu
from suite.statistic import Spread, ratio
from suite.table import spread, table


class UnreadableError(Exception):
    """A file does not hold results; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of the suite left behind.

    Attributes:
        machine: The note of the machine.
        results: Its cases.
    """

    machine: dict[str, str]
    results: list[Result]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``--json`` wrote.

        Raises:
            UnreadableError: there is no such file, or it is another.
        """
        try:
            document = json.loads(path.read_text("utf-8"))
            return cls(document["machine"], [result_of(each) for each in document["cases"]])
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror}; make one with make bench OUT={path}"
            raise UnreadableError(msg) from None
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{path} does not hold results of the suite ({type(error).__name__}: {error})"
            raise UnreadableError(msg) from None

    def measures(self) -> Iterator[tuple[tuple[str, str, str], Spread]]:
        """Yield what was measured, by case, row and measure."""
        for result in self.results:
            for row in result.rows:
                for measure, value in row.measures.items():
                    if measure == LOAD:
                        continue
                    yield (result.case, row.name, measure), value


def compare(first: Run, second: Run) -> str:
    """Return both side by side, the second's medians as a multiple of the first's."""
    before, after = dict(first.measures()), dict(second.measures())
    both = [key for key in before if key in after]
    rows: list[Sequence[str]] = [("", "A", "B", "B / A", "")]
    for case, name, measure in both:
        one, other = before[case, name, measure], after[case, name, measure]
        times = ratio(other.median, one.median)
        rows.append(
            (
                f"{case}: {name}, {measure}",
                spread(one),
                spread(other),
                "-" if times is None else f"{times:.2f}",
                "" if overlap(one, other) else "apart",
            )
        )
    return "\n".join([*_remarks(first, second), "", table(rows), "", LEGEND])


LOAD = cpu("load")
"""What the load generator took is of interest within a run only."""
LEGEND = "apart: no round of one was within the rounds of the other. Under 25 % mean little."


def overlap(one: Spread, other: Spread) -> bool:
    """Whether some round of one was like some round of the other."""
    return one.least <= other.most and other.least <= one.most


def _remarks(first: Run, second: Run) -> Iterator[str]:
    for letter, run in (("A", first), ("B", second)):
        yield f"{letter}: {'; '.join(f'{name}: {value}' for name, value in run.machine.items())}"
    for difference in differences(first.machine, second.machine):
        yield f"NOT THE SAME MACHINE OR PROGRAMS: {difference}"
    for letter, run in (("A", first), ("B", second)):
        for result in run.results:
            if result.void:
                yield f"VOID in {letter}: {result.case}: {result.void}"
    before, after = dict(first.measures()), dict(second.measures())
    for letter, only in (("A", before.keys() - after.keys()), ("B", after.keys() - before.keys())):
        cases = sorted({case for case, _, _ in only})
        if cases:
            yield f"only in {letter}: {len(only)} measures of {', '.join(cases)}"
