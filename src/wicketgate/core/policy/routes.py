"""The built-in policy: each route says what it asks of its callers.

The operator writes it beside the route, in Envoy's ``context_extensions``:
``policy`` says who is admitted, ``exposure`` who can reach the listener. A word
that is not understood is a fault of the configuration and lets nobody in.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import product
from typing import Final, NamedTuple

from wicketgate.core.policy.rule import (
    ANY_SERVICE,
    ANY_USER,
    Exposure,
    Match,
    Refusal,
    Rule,
)
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous


class Admission(StrEnum):
    """Whom a route admits; the values of ``policy``."""

    USER = "user"
    """A signed-in user. The default."""
    OPTIONAL = "optional"
    """A signed-in user, or nobody in particular; a bad credential is still refused."""
    ANONYMOUS = "anonymous"
    """Anyone; credentials are not looked at and nobody is named upstream."""
    SERVICE = "service"
    """A service with a service token."""
    USER_OR_SERVICE = "user-or-service"
    """Either."""


class Targets(StrEnum):
    """Which request targets are judged; the values of ``targets``."""

    STRICT = "strict"
    """Ambiguous targets are refused. The default."""
    ANY = "any"
    """Every target is judged as it is, for upstreams that use encoded slashes."""


_USERS: Final = frozenset({Admission.USER, Admission.OPTIONAL, Admission.USER_OR_SERVICE})
_SERVICES: Final = frozenset({Admission.SERVICE, Admission.USER_OR_SERVICE})
_ANYONE: Final = frozenset({Admission.OPTIONAL, Admission.ANONYMOUS})

_EXPOSURES: Final = {str(word): word for word in Exposure}
_WORDS: Final[Mapping[str, Collection[str]]] = {
    "policy": tuple(Admission),
    "exposure": tuple(Exposure),
    "targets": tuple(Targets),
}

_QUOTED: Final = 40


def route_rule(admission: Admission, exposure: Exposure) -> Rule:
    """Return the rule of a route with these words."""
    return Rule(
        name=f"{exposure}:{admission}",
        anonymous=admission in _ANYONE,
        users=(ANY_USER,) if admission in _USERS else (),
        services=(ANY_SERVICE,) if admission in _SERVICES else (),
    )


RULE_NAMES: Final = tuple(
    route_rule(admission, exposure).name for exposure in Exposure for admission in Admission
)
"""What the rules of all routes can be called."""


class _Route(NamedTuple):
    """What the words of a route come to.

    Attributes:
        match: The answer.
        is_strict: Whether ambiguous targets are refused.
        words: How many there are.
    """

    match: Match
    is_strict: bool
    words: int


def _routes() -> Iterator[tuple[tuple[str | None, str | None, str | None], _Route]]:
    """Yield what each combination of words comes to; `None` stands for one left out."""
    matches = {
        (admission, exposure): Match(route_rule(admission, exposure), exposure)
        for admission in Admission
        for exposure in Exposure
    }
    for words in product((None, *Admission), (None, *Exposure), (None, *Targets)):
        admission, exposure, targets = words
        match = matches[admission or Admission.USER, exposure or Exposure.PUBLIC]
        yield words, _Route(match, targets is not Targets.ANY, 3 - words.count(None))


# One look-up for every request, and not one for each word.
_ROUTES: Final = dict(_routes())


class RoutePolicy:
    """The policy that reads its rules from the routes themselves."""

    def match(self, request: HttpRequest) -> Match | Refusal:
        """Return the rule that decides `request`."""
        context = request.context
        route = _ROUTES.get(
            (context.get("policy"), context.get("exposure"), context.get("targets"))
        )
        if route is None or route.words != len(context):
            return Refusal(Reason.ROUTE_MISCONFIGURED, detail=_complaint_about(context))
        if route.is_strict and is_ambiguous(request.path):
            return Refusal(Reason.AMBIGUOUS_PATH, route.match.rule)
        return route.match


def _complaint_about(context: Mapping[str, str]) -> str:
    """Return what the operator has to mend in the words of a route that is no route."""
    unknown = context.keys() - _WORDS.keys()
    if unknown:
        # Most likely a word misspelt, and then its default is not what was meant.
        expected = ", ".join(sorted(_WORDS))
        return f"context_extensions has {min(unknown)[:_QUOTED]!r}; expected {expected}"
    key = next(
        key for key, words in _WORDS.items() if key in context and context[key] not in words
    )
    return _misspelt(key, context[key], _WORDS[key])


class UnknownWordError(ValueError):
    """A word of ``context_extensions`` that is not understood; says which, for the operator."""


def exposure_of(context: Mapping[str, str]) -> Exposure:
    """Return who can reach the route.

    Raises:
        UnknownWordError: the word is not understood.
    """
    value = context.get("exposure")
    if value is None:
        return Exposure.PUBLIC
    exposure = _EXPOSURES.get(value)
    if exposure is None:
        raise UnknownWordError(_misspelt("exposure", value, _EXPOSURES))
    return exposure


def _misspelt(key: str, value: str, words: Iterable[str]) -> str:
    expected = ", ".join(words)
    return f"context_extensions.{key} is {value[:_QUOTED]!r}; expected one of {expected}"
