"""The rules of a policy as a page can show them: in order, what each does, and how often.

A policy may have ten thousand rules. Shown are the first of the file, and of the others
those that decide most; how many are left out is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Final

from wicketgate.core.policy.rule import ANY_SERVICE, ANY_USER, Rule
from wicketgate.core.record import ALLOW, DENY

IN_ORDER: Final = 60
MOST_USED: Final = 40
MAX_ABOUT: Final = 120
"""Characters of the path templates."""

Counts = Mapping[tuple[str, str], int]
"""How many decisions, by the name of a rule and ``allow`` or ``deny``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule.

    Attributes:
        name: Its name.
        about: Path templates, as the operator wrote them.
        admits: Who is let in, in a few words.
        is_shadow: It never decides.
    """

    name: str
    about: str = ""
    admits: str = ""
    is_shadow: bool = False

    def document(self) -> Mapping[str, object]:
        """Return it as it is sent."""
        return {
            "name": self.name,
            "about": self.about,
            "admits": self.admits,
            "shadow": self.is_shadow,
        }


def line_of(rule: Rule) -> RuleLine:
    """Return what is shown of `rule`."""
    about = " ".join(path.text for path in rule.selector.paths)
    if rule.selector.methods:
        about = f"{'|'.join(rule.selector.methods)} {about}"
    return RuleLine(
        name=rule.name,
        about=about if len(about) <= MAX_ABOUT else f"{about[: MAX_ABOUT - 1]}…",
        admits=_admits(rule),
        is_shadow=rule.is_shadow,
    )


def chosen(lines: Sequence[RuleLine], counts: Counts) -> tuple[RuleLine, ...]:
    """Return the lines to show, in order."""
    if len(lines) <= IN_ORDER + MOST_USED:
        return tuple(lines)
    used = [
        (counts.get((line.name, ALLOW), 0) + counts.get((line.name, DENY), 0), -position)
        for position, line in enumerate(lines[IN_ORDER:], start=IN_ORDER)
    ]
    # Of two that are used alike the earlier one, so that the choice is the same each time.
    positions = sorted(-position for _, position in nlargest(MOST_USED, used))
    return (*lines[:IN_ORDER], *(lines[position] for position in positions))


def undeclared(counts: Counts) -> tuple[RuleLine, ...]:
    """Return a line for each rule that decided, where no file lists them."""
    names = sorted({name for name, _ in counts})
    return tuple(RuleLine(name=name) for name in names[: IN_ORDER + MOST_USED])


def hits(lines: Sequence[RuleLine], counts: Counts, shadows: Counts) -> list[list[int]]:
    """Return for each line how often it allowed and denied; a shadow rule, would have."""
    return [
        [source.get((line.name, ALLOW), 0), source.get((line.name, DENY), 0)]
        for line in lines
        for source in (shadows if line.is_shadow else counts,)
    ]


def _admits(rule: Rule) -> str:
    # Not every file lets in who is pending or impersonated, which is no demand on the others.
    is_any_user = any(replace(each, actor=True, pending=True) == ANY_USER for each in rule.users)
    users = "users" if is_any_user else "some users"
    services = "services" if ANY_SERVICE in rule.services else "some services"
    whom = [
        *(["anyone"] if rule.anonymous else []),
        *([users] if rule.users else []),
        *([services] if rule.services else []),
    ]
    admitted = ", ".join(whom) or "nobody"
    return admitted if rule.condition is None else f"{admitted}, on a condition"
