"""How many decisions of each kind there were, and how long they took.

Every decision is counted, so to count is to look up one entry of a dictionary, and sums
are made when somebody asks for them.
"""

from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import Final

from wicketgate.core.reason import Reason
from wicketgate.core.record import ALLOW, ALLOWED, DENY, PRINCIPALS
from wicketgate.core.verdict import Allow, Verdict

BUCKETS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""Seconds. From a cached token (tens of µs) to past Envoy's timeout (0.5 s)."""


class DecisionTally:
    """Counts decisions.

    Attributes:
        seconds: What all of them took together.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.seconds = 0.0
        # By reason (`None` for none to deny), type of principal, and rule.
        self._decisions: dict[tuple[Reason | None, type, str], int] = {}
        self._durations = [0] * (len(BUCKETS) + 1)

    def count(self, verdict: Verdict, seconds: float) -> None:
        """Count one decision, which took so long."""
        reason = None if isinstance(verdict, Allow) else verdict.reason
        rule = verdict.rule.name if verdict.rule is not None else ""
        kind = (reason, type(verdict.principal), rule)
        self._decisions[kind] = self._decisions.get(kind, 0) + 1
        self._durations[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def by_kind(self) -> Counter[tuple[str, str, str]]:
        """Return how many there were by verdict, reason and kind of principal."""
        kinds = Counter[tuple[str, str, str]]()
        for (reason, principal, _), number in self._decisions.items():
            kinds[_word(reason), reason or ALLOWED, PRINCIPALS[principal]] += number
        return kinds

    def by_rule(self) -> Counter[tuple[str, str]]:
        """Return how many there were by rule and verdict, of those that got as far as a rule."""
        rules = Counter[tuple[str, str]]()
        for (reason, _, rule), number in self._decisions.items():
            if rule:
                rules[rule, _word(reason)] += number
        return rules

    def durations(self) -> list[int]:
        """Return how many took at most so long: for each of `BUCKETS`, and in all."""
        return list(accumulate(self._durations))


def _word(reason: Reason | None) -> str:
    return ALLOW if reason is None else DENY
