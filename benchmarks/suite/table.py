"""Tables in plain text."""

from collections.abc import Iterable, Sequence

from suite.result import Result
from suite.statistic import Spread


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns, the first to the left and the others to the right."""
    rows = [tuple(row) for row in rows]
    if not rows:
        return ""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float) -> str:
    """Return a number with as many digits as are worth reading."""
    size = abs(value)
    if size >= 1_000:  # noqa: PLR2004 - four digits and up
        return f"{value:,.0f}"
    if size >= 100:  # noqa: PLR2004
        return f"{value:.0f}"
    if size >= 10:  # noqa: PLR2004
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 1 or not value else f"{value:.3f}"


def spread(value: Spread | None) -> str:
    """Return a median with what it moved between."""
    if value is None:
        return "-"
    if value.least == value.most:
        return number(value.median)
    return f"{number(value.median)} ({number(value.least)}-{number(value.most)})"


def result_table(result: Result) -> str:
    """Return what a case found out."""
    head = f"{result.title}  [{result.case}]"
    if result.void:
        return f"{head}\nVOID: {result.void}"
    names = list(dict.fromkeys(name for row in result.rows for name in row.measures))
    lines = [("", *names)]
    lines += [
        (row.name, *(spread(row.measures.get(name)) for name in names)) for row in result.rows
    ]
    notes = "".join(f"\n  {row.name}: {row.note}" for row in result.rows if row.note)
    return f"{head}\n{table(lines)}{notes}"
