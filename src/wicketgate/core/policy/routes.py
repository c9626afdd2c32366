"""The built-in policy: each route says what it asks of its callers.

The operator writes it beside the route, in Envoy's ``context_extensions``:
``policy`` says who is admitted, ``exposure`` who can reach the listener. A word
that is not understood is a fault of the configuration and lets nobody in.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

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

# Faster than asking the enum, and every request asks.
_ADMISSIONS: Final = {str(word): word for word in Admission}
_EXPOSURES: Final = {str(word): word for word in Exposure}
_TARGETS: Final = {str(word): word for word in Targets}

_QUOTED: Final = 40
_KEYS: Final = frozenset({"policy", "exposure", "targets"})


def route_rule(admission: Admission, exposure: Exposure) -> Rule:
    """Return the rule of a route with these words."""
    return Rule(
        name=f"{exposure}:{admission}",
        anonymous=admission in _ANYONE,
        users=(ANY_USER,) if admission in _USERS else (),
        services=(ANY_SERVICE,) if admission in _SERVICES else (),
    )


_MATCHES: Final = {
    (admission, exposure): Match(route_rule(admission, exposure), exposure)
    for admission in Admission
    for exposure in Exposure
}


class RoutePolicy:
    """The policy that reads its rules from the routes themselves."""

    def match(self, request: HttpRequest) -> Match | Refusal:
        """Return the rule that decides `request`."""
        context = request.context
        unknown = context.keys() - _KEYS
        if unknown:
            # Most likely a word misspelt, and then its default is not what was meant.
            expected = ", ".join(sorted(_KEYS))
            found = min(unknown)[:_QUOTED]
            detail = f"context_extensions has {found!r}; expected {expected}"
            return Refusal(Reason.ROUTE_MISCONFIGURED, detail=detail)
        try:
            admission = _word(context, "policy", _ADMISSIONS, Admission.USER)
            exposure = exposure_of(context)
            targets = _word(context, "targets", _TARGETS, Targets.STRICT)
        except UnknownWordError as error:
            return Refusal(Reason.ROUTE_MISCONFIGURED, detail=str(error))
        match = _MATCHES[admission, exposure]
        if targets is Targets.STRICT and is_ambiguous(request.path):
            return Refusal(Reason.AMBIGUOUS_PATH, match.rule)
        return match


class UnknownWordError(ValueError):
    """A word of ``context_extensions`` that is not understood; says which, for the operator."""


def exposure_of(context: Mapping[str, str]) -> Exposure:
    """Return who can reach the route.

    Raises:
        UnknownWordError: the word is not understood.
    """
    return _word(context, "exposure", _EXPOSURES, Exposure.PUBLIC)


Word = TypeVar("Word", bound=StrEnum)


def _word(context: Mapping[str, str], key: str, words: Mapping[str, Word], default: Word) -> Word:
    value = context.get(key)
    if value is None:
        return default
    word = words.get(value)
    if word is None:
        expected = ", ".join(words)
        msg = f"context_extensions.{key} is {value[:_QUOTED]!r}; expected one of {expected}"
        raise UnknownWordError(msg)
    return word
