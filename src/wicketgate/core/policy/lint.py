"""What is most likely not meant, in a policy that is otherwise sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from wicketgate.core.policy.overlap import Portion, accidental_meetings, portion
from wicketgate.core.policy.rule import Rule
from wicketgate.core.policy.rule_index import CoverIndex, MeetIndex, telling_context_key
from wicketgate.core.policy.rules import RulePolicy

MAX_WARNINGS: Final = 1_000
"""Whoever has more begins with these."""
MAX_NAMED: Final = 5
"""Paths and earlier rules that are named; whoever has more begins with these."""


class Suspicion(StrEnum):
    """What may be wrong with a rule."""

    UNREACHABLE = "unreachable"
    """It is never asked: one earlier rule takes all its requests."""
    SHADOWED = "shadowed"
    """Some of its hosts, methods or paths are taken by one earlier rule."""
    PUBLIC_ABOVE = "public-above"
    """An earlier rule lets anybody in to some of what it protects."""


@dataclass(frozen=True, slots=True)
class LintWarning:
    """Something that is most likely not meant.

    Attributes:
        index: The rule, from 0.
        rule: Its name.
        kind: What may be wrong.
        message: What was found, with the names of the rules.
    """

    index: int
    rule: str
    kind: Suspicion
    message: str


def lint(policy: RulePolicy) -> tuple[LintWarning, ...]:
    """Return what is suspicious, in the order of the rules; at most `MAX_WARNINGS`.

    Rules are asked from top to bottom, and only rules that decide (no shadow rules)
    take requests from those below them.
    """
    return tuple(islice(_Linter(policy.rules).warnings(), MAX_WARNINGS))


class _Linter:
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        key = telling_context_key(rules)
        # Rules that are never asked take nothing from others, and are in neither.
        self._deciding = CoverIndex(key)
        self._public = MeetIndex(key)

    def warnings(self) -> Iterator[LintWarning]:
        for index, rule in enumerate(self._rules):
            taken = self._taken(rule)
            whole = next((taker for taker, part in taken if part.is_all), None)
            if whole is not None:
                yield self._unreachable(index, whole)
                continue
            said = set[int]()
            for taker, part in _news(taken):
                said.add(taker)
                yield self._partly_taken(index, taker, part)
            yield from self._opened(index, said)
            if not rule.is_shadow:
                self._add(index, rule)

    def _add(self, index: int, rule: Rule) -> None:
        self._deciding.add(rule.selector, index)
        if rule.anonymous:
            self._public.add(rule.selector, index)

    def _taken(self, rule: Rule) -> list[tuple[int, Portion]]:
        """Return what earlier rules take of `rule`, in their order."""
        found = []
        for index in sorted(self._deciding.near(rule.selector)):
            part = portion(self._rules[index].selector, rule.selector)
            if part is not None:
                found.append((index, part))
        return found

    def _unreachable(self, index: int, taker: int) -> LintWarning:
        earlier = self._rules[taker]
        message = f"is never asked: {earlier.name}, before it, takes all its requests"
        if _opens(earlier, self._rules[index]):
            message += ", and lets anybody in"
        return self._warning(index, Suspicion.UNREACHABLE, message)

    def _partly_taken(self, index: int, taker: int, part: Portion) -> LintWarning:
        earlier, rule = self._rules[taker], self._rules[index]
        what = _written(part, rule)
        if _opens(earlier, rule):
            message = f"protects {what} in vain: {earlier.name}, before it, lets anybody in"
            return self._warning(index, Suspicion.PUBLIC_ABOVE, message)
        message = f"is never asked about {what}: {earlier.name}, before it, is"
        return self._warning(index, Suspicion.SHADOWED, message)

    def _opened(self, index: int, said: set[int]) -> Iterator[LintWarning]:
        rule = self._rules[index]
        if not _protects(rule):
            return
        named = 0
        for earlier in sorted(self._public.near(rule.selector) - said):
            opener = self._rules[earlier]
            pairs = accidental_meetings(opener.selector, rule.selector)
            if not pairs:
                continue
            places = [f"{own.text} meets {other.text}" for own, other in pairs]
            message = (
                f"protects a part of its paths in vain: {opener.name}, before it, "
                f"lets anybody in where {_some(places)}"
            )
            yield self._warning(index, Suspicion.PUBLIC_ABOVE, message)
            named += 1
            if named == MAX_NAMED:
                return

    def _warning(self, index: int, kind: Suspicion, message: str) -> LintWarning:
        name = self._rules[index].name
        return LintWarning(index, name, kind, f"{name} {message}")


def _protects(rule: Rule) -> bool:
    return not rule.anonymous and not rule.is_shadow


def _opens(earlier: Rule, rule: Rule) -> bool:
    return earlier.anonymous and _protects(rule)


def _news(taken: list[tuple[int, Portion]]) -> Iterator[tuple[int, Portion]]:
    """Yield what is not already taken by rules before: the later one takes nothing more."""
    known = set[tuple[str, str, str]]()
    for index, part in taken:
        requests = {
            (host, method, path.text)
            for host in [host.text for host in part.hosts] or [""]
            for method in part.methods or [""]
            for path in part.paths
        }
        if not requests <= known:
            known |= requests
            yield index, part


def _written(part: Portion, rule: Rule) -> str:
    """Return the words for `part`, leaving out what is the whole of the rule's."""
    selector = rule.selector
    kinds = {
        "hosts": ([host.text for host in part.hosts], len(selector.hosts)),
        "methods": (list(part.methods), len(selector.methods)),
        "paths": ([path.text for path in part.paths], len(selector.paths)),
    }
    words = [
        f"the {kind if len(names) > 1 else kind[:-1]} {_some(names)}"
        for kind, (names, all_) in kinds.items()
        if len(names) < all_
    ]
    return " with ".join(words)


def _some(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
