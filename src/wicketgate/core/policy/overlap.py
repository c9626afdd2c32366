"""How the requests of one selector relate to those of another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.rule import Selector
from wicketgate.core.policy.template import PathTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What one selector takes of another.

    It takes every request of the other that has one of these hosts, methods and paths.

    Attributes:
        hosts: Those of the other's that it takes; empty when the other names none.
        methods: Likewise.
        paths: Likewise; never empty.
        is_all: Nothing is left of the other.
    """

    hosts: tuple[HostPattern, ...]
    methods: tuple[str, ...]
    paths: tuple[PathTemplate, ...]
    is_all: bool


def portion(taker: Selector, other: Selector) -> Portion | None:
    """Return what `taker` takes of `other`; `None` when that cannot be said in whole parts.

    Whole parts are the hosts, methods and paths that `other` names: ``/a/b`` takes
    something of ``/a/**``, but no path that is named.
    """
    if not _context_covers(taker.context, other.context):
        return None
    if not set(taker.headers) <= set(other.headers):
        return None
    methods = _methods_taken(taker.methods, other.methods)
    hosts = _hosts_taken(taker.hosts, other.hosts)
    if methods is None or hosts is None:
        return None
    paths = tuple(path for path in other.paths if any(own.covers(path) for own in taker.paths))
    if not paths:
        return None
    is_all = (hosts, methods, paths) == (other.hosts, other.methods, other.paths)
    return Portion(hosts=hosts, methods=methods, paths=paths, is_all=is_all)


def accidental_meetings(
    earlier: Selector, later: Selector
) -> tuple[tuple[PathTemplate, PathTemplate], ...]:
    """Return the pairs of paths at which two rules meet, though neither reads as an exception.

    An exception is a path within that of the later rule: ``/docs/public`` before
    ``/docs/**``. So is the same path with narrower hosts, methods, context or
    headers. But ``/*/public`` before ``/docs/**`` opens a part of the latter that
    neither names.
    """
    if not (
        _methods_meet(earlier.methods, later.methods)
        and _hosts_meet(earlier.hosts, later.hosts)
        and _contexts_meet(earlier.context, later.context)
    ):
        return ()
    return tuple(
        (own, other)
        for own in earlier.paths
        for other in later.paths
        if own.meets(other) and not _is_exception(own, other, earlier, later)
    )


def _is_exception(
    own: PathTemplate, other: PathTemplate, earlier: Selector, later: Selector
) -> bool:
    if not other.covers(own):
        return False
    return not own.covers(other) or _covers_beside_paths(later, earlier)


def _covers_beside_paths(taker: Selector, other: Selector) -> bool:
    return (
        _context_covers(taker.context, other.context)
        and set(taker.headers) <= set(other.headers)
        and _methods_taken(taker.methods, other.methods) == other.methods
        and _hosts_taken(taker.hosts, other.hosts) == other.hosts
    )


def _methods_taken(taker: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    if not taker:
        return other
    return tuple(method for method in other if method in taker) or None


def _hosts_taken(
    taker: tuple[HostPattern, ...], other: tuple[HostPattern, ...]
) -> tuple[HostPattern, ...] | None:
    if not taker:
        return other
    return tuple(host for host in other if any(own.covers(host) for own in taker)) or None


def _context_covers(
    taker: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> bool:
    return all(key in other and other[key] <= values for key, values in taker.items())


def _methods_meet(own: Iterable[str], other: Iterable[str]) -> bool:
    own, other = set(own), set(other)
    return not own or not other or not own.isdisjoint(other)


def _hosts_meet(own: tuple[HostPattern, ...], other: tuple[HostPattern, ...]) -> bool:
    # Two patterns meet only where one is below the other.
    pairs = ((mine, theirs) for mine in own for theirs in other)
    return (
        not own
        or not other
        or any(mine.covers(theirs) or theirs.covers(mine) for mine, theirs in pairs)
    )


def _contexts_meet(own: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> bool:
    return not any(values.isdisjoint(other[key]) for key, values in own.items() if key in other)
