"""Many rules, and which of them could cover or meet another.

Ten thousand rules have fifty million pairs. What is looked up here is a little more
than what is sought: whoever asks has to compare the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.path_index import PathIndex
from wicketgate.core.policy.rule import Rule, Selector

_NONE: Final = ""
"""The key of rules that name no host, no value or no header."""
_SOME: Final = "**"
"""The key of those that do."""

_Key = tuple[str, ...]


def telling_context_key(rules: Iterable[Rule]) -> str:
    """Return the key of the context that tells most rules apart; empty if there is none."""
    found: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        for key, values in rule.selector.context.items():
            found[key] |= values
    return max(sorted(found), key=lambda key: len(found[key]), default="")


class CoverIndex:
    """Rules that could cover something of another."""

    def __init__(self, context_key: str) -> None:
        """Tell rules apart by `context_key`, beside their hosts, headers and paths."""
        self._context_key = context_key
        self._paths: defaultdict[_Key, PathIndex] = defaultdict(PathIndex)

    def add(self, selector: Selector, rule: int) -> None:
        """Add the rule with this number."""
        hosts = [host.text for host in selector.hosts] or [_NONE]
        values = selector.context.get(self._context_key, (_NONE,))
        # Whoever covers it demands no other header, so any one will do.
        headers = selector.headers[:1] or (_NONE,)
        _add(self._paths, product(hosts, values, headers), selector, rule)

    def near(self, selector: Selector) -> set[int]:
        """Return the rules that may cover a host, a method and a path of `selector`."""
        hosts = {_NONE, *(above for host in selector.hosts for above in _at_or_above(host))}
        # Whoever covers all of the values has any one of them.
        values = {_NONE, min(selector.context.get(self._context_key, ()), default=_NONE)}
        headers = {_NONE, *selector.headers}
        return {
            rule
            for paths in _known(self._paths, product(hosts, values, headers))
            for path in selector.paths
            for rule in paths.covering(path)
        }


class MeetIndex:
    """Rules that could meet another without being exceptions to it."""

    def __init__(self, context_key: str) -> None:
        """Tell rules apart by `context_key`, beside their hosts, methods and paths."""
        self._context_key = context_key
        self._paths: defaultdict[_Key, PathIndex] = defaultdict(PathIndex)

    def add(self, selector: Selector, rule: int) -> None:
        """Add the rule with this number."""
        hosts = {key for host in selector.hosts for key in _found_at(host)}
        values = selector.context.get(self._context_key, ())
        keys = (
            {_SOME, *named} if named else {_NONE} for named in (hosts, values, selector.methods)
        )
        _add(self._paths, product(*keys), selector, rule)

    def near(self, selector: Selector) -> set[int]:
        """Return the rules that may meet `selector`."""
        hosts = {key for host in selector.hosts for key in _meeting(host)}
        values = selector.context.get(self._context_key, ())
        keys = ({_NONE, *(named or {_SOME})} for named in (hosts, values, selector.methods))
        return {
            rule
            for paths in _known(self._paths, product(*keys))
            for path in selector.paths
            for rule in paths.meeting(path)
        }


def _add(
    index: defaultdict[_Key, PathIndex], keys: Iterable[_Key], selector: Selector, rule: int
) -> None:
    for key in keys:
        for path in selector.paths:
            index[key].add(path, rule)


def _known(index: dict[_Key, PathIndex], keys: Iterable[_Key]) -> list[PathIndex]:
    return [index[key] for key in keys if key in index]


def _at_or_above(host: HostPattern) -> Iterator[str]:
    """Yield the texts of all patterns that cover `host`."""
    yield host.text
    labels = host.text.removeprefix("*.").split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])


def _found_at(host: HostPattern) -> Iterator[str]:
    """Yield the keys under which a rule with `host` is found."""
    yield host.text
    for above in _at_or_above(host):
        yield _below(above)


def _meeting(host: HostPattern) -> Iterator[str]:
    """Yield the keys under which rules are found that have a host in common with `host`."""
    yield from _at_or_above(host)
    yield _below(host.text)


def _below(pattern: str) -> str:
    """Return the key of rules with a host that `pattern` covers."""
    return f"<{pattern}"
