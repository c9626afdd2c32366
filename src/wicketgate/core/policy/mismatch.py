"""Why a rule is not about a request, in words for the operator."""

from collections.abc import Iterable, Iterator
from typing import Final

from wicketgate.core.policy.rule import Selector
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.policy.variables import UNSAID
from wicketgate.core.request import HttpRequest

MAX_NAMED: Final = 5
"""What was expected is named this many times; whoever expects more begins with these."""


def fitting_path(selector: Selector, request: HttpRequest) -> PathTemplate | None:
    """Return the first path template of `selector` that fits."""
    path = request.path
    return next((each for each in selector.paths if each.matches(path)), None)


def mismatches(selector: Selector, request: HttpRequest, host: str) -> tuple[str, ...]:
    """Return everything about `request` that does not fit; nothing when the rule is about it.

    Args:
        selector: What the rule is about.
        request: The request.
        host: Its canonical host.
    """
    return tuple(_mismatches(selector, request, host))


def _mismatches(selector: Selector, request: HttpRequest, host: str) -> Iterator[str]:
    if selector.methods and request.method not in selector.methods:
        yield f"method {request.method} is {_not(selector.methods)}"
    if selector.hosts and not any(pattern.matches(host) for pattern in selector.hosts):
        yield f"host {host or '(none)'} is {_not(each.text for each in selector.hosts)}"
    if fitting_path(selector, request) is None:
        yield f"path {request.path} is {_not(each.text for each in selector.paths)}"
    for key, values in selector.context.items():
        found = request.context.get(key, UNSAID.get(key))
        if found is None:
            yield f"context {key} is absent, {_not(map(repr, sorted(values)))}"
        elif found not in values:
            yield f"context {key} is {found!r}, {_not(map(repr, sorted(values)))}"
    for name in selector.headers:
        if name not in request.headers:
            yield f"header {name} is absent"


def _not(expected: Iterable[str]) -> str:
    names = list(expected)
    more = len(names) - MAX_NAMED
    if len(names) == 1:
        return f"not {names[0]}"
    return f"none of {', '.join(names[:MAX_NAMED])}" + (f" and {more} more" if more > 0 else "")
