"""The policy of one file: rules in order, the first that fits decides.

Methods, hosts and paths of all rules are one RE2 set, so ten thousand rules cost
about what ten do, and no path can make matching slow.

Source: RE2, "Set" (all matching indices; linear in the input).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import re2

from wicketgate.core.policy.host import HostPattern, canonical_host
from wicketgate.core.policy.routes import UnknownWordError, exposure_of
from wicketgate.core.policy.rule import Exposure, Match, Refusal, Rule, Selector
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.policy.variables import UNSAID
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous

MAX_EXPRESSIONS: Final = 16_000_000
"""Characters of all expressions together; those of 20,000 rules have 3,000,000."""

_EVERYTHING: Final = "(?s:.*)"

_SET_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that the automaton may grow to; 10,000 templates take about 80 MB. A set
that ran out of it would match nothing, and then the default decides."""


class _Entry:
    """One path of one rule, with the answers that it leads to, made once."""

    __slots__ = ("is_all", "judges_any_target", "matches", "rule")

    def __init__(self, rule: Rule, template: PathTemplate, *, judges_any_target: bool) -> None:
        self.rule = rule
        self.judges_any_target = judges_any_target
        self.is_all = not rule.selector.context and not rule.selector.headers
        self.matches = {each: Match(rule, each, template) for each in Exposure}


class RulePolicy:
    """Rules in the order of the file."""

    def __init__(
        self, rules: Iterable[Rule], *, default: Rule, any_target_hosts: Sequence[HostPattern] = ()
    ) -> None:
        """Compile the rules.

        Args:
            rules: In order.
            default: What decides when no rule fits.
            any_target_hosts: Hosts whose ambiguous targets are judged as they are,
                by rules that are about such hosts and no others. The host is the
                client's to choose, so no other rule may depend on it.

        Raises:
            re2.error: the rules are too many, or too long, to be matched together.
        """
        self.rules = tuple(rules)
        self.default = default
        self._any_target_hosts = tuple(any_target_hosts)
        self._otherwise = {each: Match(default, each) for each in Exposure}
        # One entry for each path of each rule, so that it is known which one fitted.
        self._entries: list[_Entry] = []
        self._set = re2.Set.FullMatchSet(_options())
        length = 0
        for rule in self.rules:
            judges = self.judges_any_target(rule.selector)
            for path in rule.selector.paths:
                expression = _expression(rule.selector, path)
                length += len(expression)
                if length > MAX_EXPRESSIONS:
                    # Before it is compiled, because the compiler takes what it needs.
                    msg = "too many paths and hosts"
                    raise re2.error(msg)
                self._set.Add(expression)
                self._entries.append(_Entry(rule, path, judges_any_target=judges))
        # Fits everything: a set that ran out of memory fits nothing.
        self._set.Add(_EVERYTHING)
        self._set.Compile()
        # The first match builds the automaton; no request should wait for that.
        self._candidates("GET\n\n/")

    def match(self, request: HttpRequest) -> Match | Refusal:
        """Return the rule that decides `request`."""
        try:
            exposure = exposure_of(request.context)
        except UnknownWordError as error:
            return Refusal(Reason.ROUTE_MISCONFIGURED, detail=str(error))
        host = canonical_host(request.host)
        if host is None:
            return Refusal(Reason.AMBIGUOUS_HOST)
        method, path = request.method, request.path
        if not method.isupper():
            return Refusal(Reason.AMBIGUOUS_METHOD)
        is_doubtful = is_ambiguous(path)
        if is_doubtful and not any(each.matches(host) for each in self._any_target_hosts):
            return Refusal(Reason.AMBIGUOUS_PATH)
        candidates = self._candidates(f"{method}\n{host}\n{path}")
        if candidates is None:
            return Refusal(Reason.INTERNAL_ERROR, detail="the rules could not be matched")
        return self._first(candidates, request, exposure, is_doubtful=is_doubtful)

    def _first(
        self,
        candidates: Iterable[int],
        request: HttpRequest,
        exposure: Exposure,
        *,
        is_doubtful: bool,
    ) -> Match | Refusal:
        """Return the first of the entries that also fits beside the path."""
        shadows: list[Match] = []
        for index in candidates:
            entry = self._entries[index]
            if is_doubtful and not entry.judges_any_target:
                continue
            if shadows and shadows[-1].rule is entry.rule:
                continue
            if not entry.is_all and not fits_beside_path(entry.rule.selector, request):
                continue
            match = entry.matches[exposure]
            if not entry.rule.is_shadow:
                return replace(match, shadows=tuple(shadows)) if shadows else match
            shadows.append(match)
        if is_doubtful:
            return Refusal(Reason.AMBIGUOUS_PATH)
        otherwise = self._otherwise[exposure]
        return replace(otherwise, shadows=tuple(shadows)) if shadows else otherwise

    def _candidates(self, subject: str) -> list[int] | None:
        """Return the entries that fit, in the order of the file; `None` when that failed."""
        found: list[int] | None = self._set.Match(subject.encode("utf-8", "replace"))
        if not found:
            return None
        found.sort()
        # The last entry is the one that fits everything.
        found.pop()
        return found

    def judges_any_target(self, selector: Selector) -> bool:
        """Tell whether a rule is about hosts whose ambiguous targets are judged, and no others."""
        return bool(selector.hosts) and all(
            any(wide.covers(host) for wide in self._any_target_hosts) for host in selector.hosts
        )


def fits_beside_path(selector: Selector, request: HttpRequest) -> bool:
    """Tell whether context and headers of `request` fit, whatever its method, host and path."""
    context, headers = request.context, request.headers
    for key, values in selector.context.items():
        if context.get(key, UNSAID.get(key)) not in values:
            return False
    return all(name in headers for name in selector.headers)


def _expression(selector: Selector, path: PathTemplate) -> str:
    # No part can hold a line feed, so none can reach into the next.
    methods = "|".join(map(re.escape, selector.methods)) or r"[^\n]*"
    hosts = "|".join(pattern.expression for pattern in selector.hosts) or r"[^\n]*"
    return f"(?:{methods})\n(?:{hosts})\n{path.expression}"


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _SET_MEMORY
    options.never_capture = True
    options.log_errors = False
    return options
