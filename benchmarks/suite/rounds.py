"""Interleaved rounds: every subject in turns, so that the machine's mood falls on all alike."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from suite.load.session import Sample
from suite.processes import cpu_seconds
from suite.result import Row
from suite.statistic import Spread

RPS, P50, P99 = "RPS", "p50 µs", "p99 µs"


def cpu(process: str) -> str:
    """Return the name of a measure: CPU of a process for each answer."""
    return f"{process} CPU µs"


@dataclass(slots=True)
class Subject:
    """One thing under one load.

    Attributes:
        name: What it is.
        run: Loads it once and says what that showed.
        pids: The processes whose CPU time counts, by what they are.
        note: What to know about it.
    """

    name: str
    run: Callable[[], Awaitable[Sample]]
    pids: Mapping[str, int]
    note: str = ""
    _found: dict[str, list[float]] = field(default_factory=dict)

    async def once(self, *, counts: bool) -> None:
        """Load it once.

        Raises:
            VoidError: an answer was wrong.
        """
        before = {process: cpu_seconds(pid) for process, pid in self.pids.items()}
        sample = await self.run()
        if not counts:
            return
        for process, pid in self.pids.items():
            spent = (cpu_seconds(pid) - before[process]) / sample.answers * 1e6
            self._found.setdefault(cpu(process), []).append(spent)
        self._found.setdefault(RPS, []).append(sample.answers / sample.seconds)
        self._found.setdefault(P50, []).append(sample.p50)
        self._found.setdefault(P99, []).append(sample.p99)

    def row(self) -> Row:
        """Return what all counted rounds showed."""
        spreads = {name: Spread.of(values) for name, values in self._found.items()}
        return Row(self.name, spreads, self.note)


async def interleave(
    subjects: Sequence[Subject], *, rounds: int, report: Callable[[str], None]
) -> list[Row]:
    """Load all subjects in turns, `rounds` times and once more to warm up.

    Raises:
        VoidError: an answer was wrong.
    """
    for number in range(rounds + 1):
        report(f"round {number} of {rounds}" if number else "warming up")
        for subject in subjects:
            await subject.once(counts=number > 0)
    return [subject.row() for subject in subjects]
