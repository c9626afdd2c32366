"""What a check yields, and what a reader gets of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wicketgate.core.policy.source import Place


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Somebody comes in who should not, or nobody does."""
    WARNING = "warning"
    """It works until something else goes wrong, or not as it looks."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value` at `place`, whether there is something or not."""

    place: Place
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """Take away what is at `place`."""

    place: Place


@dataclass(frozen=True, slots=True)
class Insert:
    """Make `value` an item of a list, in front of the one at `place`; at its end, the last."""

    place: Place
    value: Any


Edit = Put | Drop | Insert
"""A change of a document. Those of one finding are made in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A kind of mistake.

    Attributes:
        id: A stable word.
        severity: How much it matters.
        happens: What comes of it, in a sentence or two.
        source: Who says so: an address, or what was measured and with what.
    """

    id: str
    severity: Severity
    happens: str
    source: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake of one kind in a document.

    Attributes:
        rule: The `Rule.id` of its kind.
        place: Where; what is missing counts as where it would be.
        found: What is there, as the evidence.
        edits: What mends it; empty where that is not for this document.
        advice: What to do instead, where there are no edits.
        source: The source, where it is not that of the kind.
    """

    rule: str
    place: Place
    found: str
    edits: tuple[Edit, ...] = ()
    advice: str = ""
    source: str = ""


Version = tuple[int, int, int]
"""Of Envoy: major, minor, patch."""
Faults = Iterator[Fault]
Check = Callable[..., Faults]
