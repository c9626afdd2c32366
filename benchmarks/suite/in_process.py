"""What is measured without a server: the CPU of a function that this process calls."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from suite.result import Row
from suite.statistic import Spread

CPU: Final = "CPU µs"


@dataclass
class Work:
    """A function, and what a call of it cost in each round.

    Attributes:
        name: What it does.
        call: The function.
        arguments: What it is called with, one after another, as often as there are.
    """

    name: str
    call: Callable[[Any], object]  # Any: what it takes is its own business
    arguments: Sequence[Any]
    _costs: list[float] = field(default_factory=list)

    def once(self, *, counts: bool) -> None:
        """Call it with every argument."""
        call, before = self.call, time.process_time()
        for argument in self.arguments:
            call(argument)
        if counts:
            self._costs.append((time.process_time() - before) / len(self.arguments) * 1e6)

    def row(self) -> Row:
        """Return what all counted rounds showed."""
        return Row(self.name, {CPU: Spread.of(self._costs)})


def in_turns(works: Sequence[Work], *, rounds: int, report: Callable[[str], None]) -> list[Row]:
    """Do all in turns, `rounds` times and once more to warm up."""
    for number in range(rounds + 1):
        report(f"round {number} of {rounds}" if number else "warming up")
        for work in works:
            work.once(counts=number > 0)
    return [work.row() for work in works]
