"""One rule: what it is about, and what it demands.

The first rule whose `Selector` fits a request decides it, and nothing falls
through: its terms are met, or the request is denied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest

if TYPE_CHECKING:
    # CEL takes 5 MiB, and a gate without a policy file needs none of them.
    from wicketgate.core.policy.condition import Condition


class Exposure(StrEnum):
    """Who can reach the route; the values of ``exposure``."""

    PUBLIC = "public"
    """The internet. The default, because forgetting the word must not expose anything."""
    INTERNAL = "internal"
    """Only workloads of the mesh. Service tokens count here and nowhere else."""


class Credentials(StrEnum):
    """What becomes of the credential of an allowed request."""

    FORWARD = "forward"
    """The upstream gets it."""
    STRIP = "strip"
    """It ends at the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which requests a rule is about; every part has to fit, an empty one fits all.

    Attributes:
        hosts: Any of them.
        methods: Any of them, upper case.
        paths: Any of them; never empty.
        context: The route's ``context_extensions``: for each key, any of the values.
        headers: Names in lower case, all of them present.
    """

    hosts: tuple[HostPattern, ...] = ()
    methods: tuple[str, ...] = ()
    paths: tuple[PathTemplate, ...] = (PathTemplate.parse("/**"),)
    context: Mapping[str, frozenset[str]] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTerms:
    """What a user must be; every part has to hold, an empty one always does.

    Attributes:
        org_ids: The active organisation is one of these.
        org_roles: The role in it is one of these, with the prefix ``org:``.
        org_permissions: At least one of these is held in it.
        session_age: Seconds at most since the first factor.
        second_factor_age: Seconds at most since the second factor.
        actor: Impersonated users count.
        pending: Pending sessions count.
    """

    org_ids: frozenset[str] = frozenset()
    org_roles: frozenset[str] = frozenset()
    org_permissions: frozenset[str] = frozenset()
    session_age: float | None = None
    second_factor_age: float | None = None
    actor: bool = True
    pending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTerms:
    """What a service must be.

    Attributes:
        names: Its token bears one of these names; empty for any.
        scopes: Its token has one of these scopes; empty for one with the rule's name.
    """

    names: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClaimHeader:
    """A header that tells the upstream something from the token.

    Attributes:
        name: The header, in lower case.
        source: A word of `wicketgate.core.policy.claim_header`, or ``claims.<name>``.
    """

    name: str
    source: str


ANY_USER: Final = UserTerms()
"""Whoever the mesh-wide rules about tokens let through."""
ANY_SERVICE: Final = ServiceTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The requirement that decides one request.

    Attributes:
        name: A bounded label for logs and metrics.
        selector: The requests that it is about.
        anonymous: Anyone is admitted.
        users: Users who meet any of these are admitted.
        services: Services that meet any of these are admitted.
        condition: What must be true beside that.
        headers: What the upstream is told about the user.
        removed_headers: What it must not be told by the client: headers that other
            rules set, in every spelling.
        credentials: What becomes of the credential; `None` for the usual.
        is_shadow: Never decides; what it would have said is recorded.
    """

    name: str
    selector: Selector = field(default_factory=Selector)
    anonymous: bool = False
    users: tuple[UserTerms, ...] = ()
    services: tuple[ServiceTerms, ...] = ()
    condition: "Condition | None" = None
    headers: tuple[ClaimHeader, ...] = ()
    removed_headers: tuple[str, ...] = ()
    credentials: Credentials | None = None
    is_shadow: bool = False

    @property
    def ignores_credentials(self) -> bool:
        """Whether credentials are not even looked at."""
        return self.anonymous and not self.users and not self.services

    @property
    def admits_nobody(self) -> bool:
        """Whether there is no way to be let in."""
        return not (self.anonymous or self.users or self.services)


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that decides a request, and what was found on the way to it.

    Attributes:
        rule: The rule.
        exposure: Who can reach the route.
        template: The path template that fitted; `None` when no path was asked about.
        shadows: Shadow rules that fitted before the rule did, in their order.
    """

    rule: Rule
    exposure: Exposure = Exposure.PUBLIC
    template: PathTemplate | None = None
    shadows: "tuple[Match, ...]" = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request is denied before any rule is asked.

    Attributes:
        reason: Why.
        rule: The rule of the route, when the route itself names one.
        detail: What the operator must know. Never shown to the caller.
    """

    reason: Reason
    rule: Rule | None = None
    detail: str = ""


class Policy(Protocol):
    """Whatever finds the rule for a request."""

    def match(self, request: HttpRequest) -> Match | Refusal:
        """Return the one rule that decides `request`, or why none may."""
