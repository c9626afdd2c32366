"""What is exported, beside what docs/operations.md says is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from wicketgate.adapters.connection_telemetry import CODES
from wicketgate.core.delivery import Outcome
from wicketgate.core.first_sight import Sighting
from wicketgate.core.reason import Reason
from wicketgate.core.receipt import KNOWN_TYPES, OTHER_TYPE, Failure, Refusal
from wicketgate.core.revocation_table import Kind
from wicketgate.core.tally import OTHER
from wicketgate.core.webhook import Rejection

PAGE: Final = Path(__file__).parents[1] / "docs" / "operations.md"
_ROW: Final = re.compile(
    r"^\| `(wicketgate_[a-z_]+)(?:\{([a-z,]+)\})?` \| ([a-z]+) \|", re.MULTILINE
)

CLOSED: Final[dict[str, frozenset[str]]] = {
    "verdict": frozenset({"allow", "deny"}),
    "principal": frozenset({"user", "service", "anonymous", "none"}),
    "source": frozenset({"file", "routes"}),
    "code": frozenset(CODES),
    "kind": frozenset(Kind),
    "change": frozenset({"revoked", "lifted"}),
    "state": frozenset({"ready", "degraded", "not_ready"}),
    "transport": frozenset({"wire", "grpcio", ""}),
    "type": KNOWN_TYPES | {OTHER_TYPE},
    "reason": frozenset({"allowed", *Reason, *Refusal, *Rejection, *Failure}),
    "outcome": frozenset({"ok", "failed", "exported", "dropped", "limited", *Sighting, *Outcome}),
}
"""Every word that a label can be, whatever is asked; others are the operator's own names."""
OPERATORS: Final = frozenset({"rule", "name", "component", "digest", "version", "python"})


@dataclass(frozen=True)
class Exported:
    """One metric.

    Attributes:
        kind: Its type.
        labels: Their names; what every scrape of a histogram has is left out.
    """

    kind: str
    labels: frozenset[str]


def documented(heading: str) -> dict[str, Exported]:
    """Return what the table with the heading lists."""
    table = PAGE.read_text().partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return {
        name.removesuffix("_total"): Exported(kind, frozenset(labels.split(",") if labels else ()))
        for name, labels, kind in _ROW.findall(table)
    }


def exported(text: str) -> dict[str, Exported]:
    """Return what a scrape has, but for the metrics of the process."""
    return {
        family.name: Exported(
            family.type,
            frozenset(name for sample in family.samples for name in sample.labels if name != "le"),
        )
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("process_")
    }


def open_labels(text: str, *, rules: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield every label and value that is neither a word of the program nor one of the names."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for label, value in sample.labels.items():
                allowed = CLOSED.get(label, rules | {OTHER} if label in {"rule", "name"} else ())
                if label not in {"le", *OPERATORS - {"rule", "name"}} and value not in allowed:
                    yield label, value
