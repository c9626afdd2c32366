"""What would change if one policy took the place of another, counted."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from wicketgate.core.policy.outcome import Outcome
from wicketgate.core.policy.recorded import RecordedDecision, Skipped
from wicketgate.core.policy.replay import Undetermined, judge_again
from wicketgate.core.policy.rule import Policy

MAX_NAMES: Final = 100_000
"""Callers and groups that are counted one by one; a log may have any number of them."""

_CREDENTIAL: Final = "authorization"

_Name = TypeVar("_Name")


class Effect(StrEnum):
    """How the outcomes of one request differ."""

    NEWLY_DENIED = "newly_denied"
    NEWLY_ALLOWED = "newly_allowed"
    OTHER_REASON = "other_reason"
    """Denied by both."""
    OTHER_HEADERS = "other_headers"
    """Allowed by both, and the upstream is told otherwise."""
    OTHER_RULE = "other_rule"
    """Nobody but the log will notice."""
    NONE = "unchanged"


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that change alike.

    Attributes:
        effect: How.
        rules: The rule that decided, and the one that would.
        reasons: Likewise; ``allowed`` for none.
        headers: Names that the upstream would be told otherwise.
    """

    effect: Effect
    rules: tuple[str, str]
    reasons: tuple[str, str]
    headers: tuple[str, ...] = ()


def group_of(old: Outcome, new: Outcome) -> Group:
    """Return how two outcomes of one request differ."""
    rules, reasons = (old.rule, new.rule), (old.reason, new.reason)
    if old.decision != new.decision:
        is_denied = new.decision == "deny"
        effect = Effect.NEWLY_DENIED if is_denied else Effect.NEWLY_ALLOWED
        return Group(effect, rules, reasons)
    if old.reason != new.reason:
        return Group(Effect.OTHER_REASON, rules, reasons)
    headers = _told_otherwise(old, new)
    if headers:
        return Group(Effect.OTHER_HEADERS, rules, reasons, headers)
    return Group(Effect.NONE if old.rule == new.rule else Effect.OTHER_RULE, rules, reasons)


def _told_otherwise(old: Outcome, new: Outcome) -> tuple[str, ...]:
    """Return the headers that the upstream would be told otherwise, or not any more.

    What is taken from the client is left out, but for the credential: a header that
    one rule begins to set is taken from the clients of all.
    """
    before, after = _told(old), _told(new)
    return tuple(sorted({name for name, _ in before ^ after}))


def _told(outcome: Outcome) -> set[tuple[str, str]]:
    if outcome.headers is None:
        return set()
    removed = {(_CREDENTIAL, "")} if _CREDENTIAL in outcome.headers.remove else set()
    return {*outcome.headers.set, *removed}


class Changes:
    """Counts what would change; takes no more memory for a longer log.

    Attributes:
        skipped: Lines with nothing to judge, by why.
        undetermined: Decisions that could not be judged again, by why.
        effects: Decisions that were judged by both, by what changed.
        not_as_recorded: Those that the old policy decided otherwise than the log says.
        groups: What changed, by how; the rest of it, beyond `MAX_NAMES`, under `None`.
        callers: Likewise, by who asked.
    """

    def __init__(self, old: Policy, new: Policy) -> None:
        """Compare these two."""
        self._old = old
        self._new = new
        self.skipped: Counter[Skipped] = Counter()
        self.undetermined: Counter[Undetermined] = Counter()
        self.effects: Counter[Effect] = Counter()
        self.not_as_recorded = 0
        self.groups: Counter[Group | None] = Counter()
        self.callers: Counter[str | None] = Counter()

    @property
    def replayed(self) -> int:
        """Decisions that were judged by both."""
        return self.effects.total()

    @property
    def changed(self) -> int:
        """Those of which somebody beside the log will notice."""
        return self.replayed - self.effects[Effect.NONE] - self.effects[Effect.OTHER_RULE]

    def skip(self, why: Skipped) -> None:
        """Count a line with nothing to judge."""
        self.skipped[why] += 1

    def add(self, recorded: RecordedDecision) -> None:
        """Judge a decision by both, and count what differs."""
        old = judge_again(recorded, self._old)
        new = judge_again(recorded, self._new)
        if isinstance(old, Undetermined):
            self.undetermined[old] += 1
        elif isinstance(new, Undetermined):
            self.undetermined[new] += 1
        else:
            self._compare(recorded, old, new)

    def _compare(self, recorded: RecordedDecision, old: Outcome, new: Outcome) -> None:
        group = group_of(old, new)
        self.effects[group.effect] += 1
        self.not_as_recorded += (old.decision, old.reason) != (recorded.verdict, recorded.reason)
        if group.effect is Effect.NONE:
            return
        _count(self.groups, group)
        if group.effect is not Effect.OTHER_RULE:
            _count(self.callers, recorded.principal)


def _count(counter: "Counter[_Name | None]", name: _Name) -> None:
    counter[name if name in counter or len(counter) < MAX_NAMES else None] += 1
