"""Medians with their spread: what the suite says of a number that it measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and how far the rounds were from it."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return that of some values.

        Raises:
            ValueError: there are none.
        """
        if not values:
            msg = "expected at least one value, got none"
            raise ValueError(msg)
        return cls(statistics.median(values), min(values), max(values))


def ratio(first: float, second: float) -> float | None:
    """Return `first` / `second`; `None` when there is none."""
    return first / second if second else None
