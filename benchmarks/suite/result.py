"""What a case found out, and how it is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from suite.statistic import Spread


@dataclass(frozen=True, slots=True)
class Row:
    """One thing under one load.

    Attributes:
        name: What it was, the same in every run of the suite.
        measures: What was measured, by a name that ends with its unit.
        note: What to know about it.
    """

    name: str
    measures: Mapping[str, Spread]
    note: str = ""


@dataclass(slots=True)
class Result:
    """A case that was run.

    Attributes:
        case: Its name.
        title: What it is about.
        rows: What was measured; empty when it is void.
        void: Why it says nothing; empty when it does.
        seconds: How long it took.
    """

    case: str
    title: str
    rows: list[Row] = field(default_factory=list)
    void: str = ""
    seconds: float = 0.0

    def median(self, row: str, measure: str) -> float | None:
        """Return a median; `None` when it was not measured."""
        for each in self.rows:
            if each.name == row and measure in each.measures:
                return each.measures[measure].median
        return None

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def result_of(document: Mapping[str, Any]) -> Result:
    """Read what `Result.document` wrote.

    Raises:
        KeyError: a member is missing.
        TypeError: a member is not what it should be.
    """
    rows = [
        Row(
            row["name"],
            {name: Spread(**spread) for name, spread in row["measures"].items()},
            row["note"],
        )
        for row in document["rows"]
    ]
    return Result(document["case"], document["title"], rows, document["void"], document["seconds"])
