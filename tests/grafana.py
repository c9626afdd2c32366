"""deploy/grafana/dashboard.json, for the tests of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboard.json"
DASHBOARD: Final[Any] = json.loads(FILE.read_text("utf-8"))
PANELS: Final[list[Any]] = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
ROWS: Final[list[Any]] = [each for each in DASHBOARD["panels"] if each["type"] == "row"]

_CHOSEN: Final = {"$__rate_interval": "5m", "$job": ".+", "$instance": ".+"}
"""What Grafana would put in place of its variables."""


@dataclass(frozen=True, slots=True)
class Target:
    """One expression of a panel, and what its series are called."""

    panel: str
    name: str
    expression: str
    legend: str

    def __str__(self) -> str:
        """Return what a test of it is called."""
        return f"{self.panel}, {self.name}"


def targets() -> list[Target]:
    """Return every target of every panel."""
    return [
        Target(panel["title"], each["refId"], each["expr"], each["legendFormat"])
        for panel in PANELS
        for each in panel["targets"]
    ]


def expanded(expression: str) -> str:
    """Return an expression as Grafana sends it."""
    for variable, value in _CHOSEN.items():
        expression = expression.replace(variable, value)
    return expression
