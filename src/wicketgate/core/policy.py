"""What a route asks of its callers.

The operator writes it beside the route, in Envoy's ``context_extensions``:
``policy`` says who is admitted, ``exposure`` who can reach the listener. A word
that is not understood is a fault of the configuration and lets nobody in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from wicketgate.core.request import HttpRequest


class Admission(StrEnum):
    """Whom a rule admits; the values of ``policy``."""

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

    @property
    def admits_users(self) -> bool:
        """Whether a valid user token satisfies the rule."""
        return self is not Admission.SERVICE

    @property
    def admits_services(self) -> bool:
        """Whether a valid service token satisfies the rule, on an internal route."""
        return self in {Admission.SERVICE, Admission.USER_OR_SERVICE}


class Exposure(StrEnum):
    """Who can reach the route; the values of ``exposure``."""

    PUBLIC = "public"
    """The internet. The default, because forgetting the word must not expose anything."""
    INTERNAL = "internal"
    """Only workloads of the mesh. Service tokens count here and nowhere else."""


class Targets(StrEnum):
    """Which request targets are judged; the values of ``targets``."""

    STRICT = "strict"
    """Ambiguous targets are refused. The default."""
    ANY = "any"
    """Every target is judged as it is, for upstreams that use encoded slashes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The requirement that decides one request.

    Attributes:
        name: A bounded label for logs and metrics.
        admission: Whom it admits.
        exposure: Who can reach it.
        targets: Whether an ambiguous target is refused.
    """

    name: str
    admission: Admission = Admission.USER
    exposure: Exposure = Exposure.PUBLIC
    targets: Targets = Targets.STRICT


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """The route's own configuration cannot be understood.

    Attributes:
        detail: Which word, and what was expected; for the operator's log.
    """

    detail: str


_QUOTED: Final = 40
_KEYS: Final = frozenset({"policy", "exposure", "targets"})


class RoutePolicy:
    """The policy that reads its rules from the routes themselves."""

    def match(self, request: HttpRequest) -> Rule | Misconfigured:
        """Return the rule that decides `request`."""
        context = request.context
        unknown = context.keys() - _KEYS
        if unknown:
            # Most likely a word misspelt, and then its default is not what was meant.
            expected = ", ".join(sorted(_KEYS))
            found = min(unknown)[:_QUOTED]
            return Misconfigured(f"context_extensions has {found!r}; expected {expected}")
        try:
            admission = _word(context, "policy", Admission, Admission.USER)
            exposure = _word(context, "exposure", Exposure, Exposure.PUBLIC)
            targets = _word(context, "targets", Targets, Targets.STRICT)
        except _UnknownWordError as error:
            return Misconfigured(str(error))
        return Rule(f"{exposure}:{admission}", admission, exposure, targets)


Word = TypeVar("Word", bound=StrEnum)


class _UnknownWordError(ValueError):
    pass


def _word(context: Mapping[str, str], key: str, words: type[Word], default: Word) -> Word:
    value = context.get(key)
    if value is None:
        return default
    try:
        return words(value)
    except ValueError:
        expected = ", ".join(words)
        msg = f"context_extensions.{key} is {value[:_QUOTED]!r}; expected one of {expected}"
        raise _UnknownWordError(msg) from None
