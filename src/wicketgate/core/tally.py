"""How many decisions of each kind there were, and how long they took.

Every decision is counted, so to count is to look up one entry of a dictionary, and sums
are made when somebody asks for them.

Rules and service tokens are counted under the names that the operator gave them, and
nothing else can become a name: what is not in force, or is one name too many, is counted
under `OTHER`. A reload forgets the names that it takes away, so that there are never more
than one policy has; what remains goes on from where it was.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate, islice
from typing import Final

from wicketgate.core.reason import Reason
from wicketgate.core.record import ALLOW, ALLOWED, DENY, PRINCIPALS
from wicketgate.core.verdict import Allow, Shadow, Verdict

BUCKETS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
"""Seconds. From a cached token (tens of µs) to past Envoy's timeout (0.5 s)."""
MAX_NAMES: Final = 1_000
"""Rules, and tokens, that are counted each under its own name: the first of the file, so
that all replicas choose the same. Ten thousand would be 20,000 series of each gate, and
0.1 s of each scrape, in which no Check is answered."""
OTHER: Final = "_other"
"""All further ones together. No name of a rule or a token begins with ``_``."""


class DecisionTally:
    """Counts decisions.

    Attributes:
        seconds: What all of them took together.
    """

    def __init__(self) -> None:
        """Begin with none, and with no names."""
        self.seconds = 0.0
        # By reason (`None` for none to deny), type of principal, and rule; each number is
        # alone in a list, because to add to it there takes no second look-up.
        self._decisions: dict[tuple[Reason | None, type, str], list[int]] = {}
        self._durations = [0] * (len(BUCKETS) + 1)
        self._shadows = Counter[tuple[str, bool]]()
        self._tokens: dict[str, tuple[int, float | None]] = {}
        self._rule_names: frozenset[str] = frozenset()

    def follow(self, *, rules: Iterable[str], tokens: Iterable[str]) -> None:
        """Count under these names from now on, and forget the others.

        Args:
            rules: Names of all rules, in order.
            tokens: Names of all service tokens, in order.
        """
        kept = _first(rules)
        gone = [key for key in self._decisions if key[2] and key[2] not in {*kept, OTHER}]
        for reason, principal, rule in gone:
            (number,) = self._decisions.pop((reason, principal, rule))
            # What was decided stays decided; only by which rule is forgotten.
            self._cell(reason, principal, "")[0] += number
        for name, is_denied in [key for key in self._shadows if key[0] not in {*kept, OTHER}]:
            del self._shadows[name, is_denied]
        self._rule_names = frozenset(kept)
        known = self._tokens
        self._tokens = {name: known.get(name, (0, None)) for name in _first(tokens)}
        if OTHER in known:
            self._tokens[OTHER] = known[OTHER]

    def count(self, verdict: Verdict, seconds: float) -> None:
        """Count one decision, which took so long."""
        reason = None if isinstance(verdict, Allow) else verdict.reason
        rule = verdict.rule
        kind = (reason, type(verdict.principal), "" if rule is None else rule.name)
        cell = self._decisions.get(kind)
        if cell is None:
            cell = self._cell(*kind)
        cell[0] += 1
        self._durations[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if verdict.shadows:
            self._count_shadows(verdict.shadows)

    def used(self, token: str, now: float) -> None:
        """Count that a service token of this name was shown at `now`, in POSIX seconds."""
        name = token if token in self._tokens else OTHER
        number, _ = self._tokens.get(name, (0, None))
        self._tokens[name] = (number + 1, now)

    def by_kind(self) -> Counter[tuple[str, str, str]]:
        """Return how many there were by verdict, reason and kind of principal."""
        kinds = Counter[tuple[str, str, str]]()
        for (reason, principal, _), (number,) in self._decisions.items():
            kinds[_word(reason), reason or ALLOWED, PRINCIPALS[principal]] += number
        return kinds

    def by_reason(self) -> dict[Reason, int]:
        """Return how many were denied for each reason there is."""
        reasons = dict.fromkeys(Reason, 0)
        for (reason, _, _), (number,) in self._decisions.items():
            if reason is not None:
                reasons[reason] += number
        return reasons

    def by_rule(self) -> Counter[tuple[str, str]]:
        """Return how many there were by rule and verdict, of those that got as far as a rule."""
        rules = Counter[tuple[str, str]]()
        for (reason, _, rule), (number,) in self._decisions.items():
            if rule:
                rules[rule, _word(reason)] += number
        return rules

    def by_shadow(self) -> dict[tuple[str, str], int]:
        """Return how often each shadow rule would have said what."""
        return {
            (rule, DENY if is_denied else ALLOW): number
            for (rule, is_denied), number in self._shadows.items()
        }

    def by_token(self) -> dict[str, tuple[int, float | None]]:
        """Return how often each service token was shown, and when for the last time."""
        return dict(self._tokens)

    def durations(self) -> list[int]:
        """Return how many took at most so long: for each of `BUCKETS`, and in all."""
        return list(accumulate(self._durations))

    def _cell(self, reason: Reason | None, principal: type, rule: str) -> list[int]:
        name = rule if not rule or rule in self._rule_names else OTHER
        return self._decisions.setdefault((reason, principal, name), [0])

    def _count_shadows(self, shadows: Iterable[Shadow]) -> None:
        for shadow in shadows:
            name = shadow.rule if shadow.rule in self._rule_names else OTHER
            self._shadows[name, shadow.reason is not None] += 1


def _first(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first of the names, each once."""
    return tuple(islice(dict.fromkeys(names), MAX_NAMES))


def _word(reason: Reason | None) -> str:
    return ALLOW if reason is None else DENY
