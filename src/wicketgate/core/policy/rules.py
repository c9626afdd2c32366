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

_SET_MEMORY: Final = 256 * 1024 * 1024
"""Bytes that the automaton may grow to; 10,000 templates take about 80 MB. A set
that ran out of it would match nothing, and then the default decides."""


class _Entry:
    """One path of one rule, with the answers that it leads to, made once."""

    __slots__ = ("is_all", "matches", "rule")

    def __init__(self, rule: Rule, template: PathTemplate) -> None:
        self.rule = rule
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
            any_target_hosts: Hosts whose ambiguous targets are judged as they are.
        """
        self.rules = tuple(rules)
        self.default = default
        self._any_target_hosts = tuple(any_target_hosts)
        self._otherwise = {each: Match(default, each) for each in Exposure}
        # One entry for each path of each rule, so that it is known which one fitted.
        self._entries: list[_Entry] = []
        self._set = re2.Set.FullMatchSet(_options())
        for rule in self.rules:
            for path in rule.selector.paths:
                self._set.Add(_expression(rule.selector, path))
                self._entries.append(_Entry(rule, path))
        if self._entries:
            self._set.Compile()

    def match(self, request: HttpRequest) -> Match | Refusal:
        """Return the rule that decides `request`."""
        try:
            exposure = exposure_of(request.context)
        except UnknownWordError as error:
            return Refusal(Reason.ROUTE_MISCONFIGURED, detail=str(error))
        host = canonical_host(request.host)
        if host is None:
            return Refusal(Reason.AMBIGUOUS_HOST)
        path = request.path
        if is_ambiguous(path) and not self._judges_any_target(host):
            return Refusal(Reason.AMBIGUOUS_PATH)
        shadows: list[Match] = []
        for index in self._candidates(f"{request.method}\n{host}\n{path}"):
            entry = self._entries[index]
            if shadows and shadows[-1].rule is entry.rule:
                continue
            if not entry.is_all and not fits_beside_path(entry.rule.selector, request):
                continue
            match = entry.matches[exposure]
            if not entry.rule.is_shadow:
                return replace(match, shadows=tuple(shadows)) if shadows else match
            shadows.append(match)
        otherwise = self._otherwise[exposure]
        return replace(otherwise, shadows=tuple(shadows)) if shadows else otherwise

    def _candidates(self, subject: str) -> list[int]:
        """Return the entries that fit, in the order of the file."""
        if not self._entries:
            return []
        found: list[int] = self._set.Match(subject.encode("utf-8", "surrogatepass")) or []
        found.sort()
        return found

    def _judges_any_target(self, host: str) -> bool:
        return any(pattern.matches(host) for pattern in self._any_target_hosts)


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
