"""What can come of a request: let in, refused, or judged once more when a key is there."""

from dataclasses import dataclass
from typing import Final

from wicketgate.core.claims import Claims
from wicketgate.core.credential import NoCredential
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.token import MissingKey
from wicketgate.core.value import value


@value
class User:
    """A Clerk user, let in by a session token."""

    claims: Claims


@value
class Service:
    """An internal service, let in by a service token."""

    name: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular."""


Principal = User | Service | Anonymous

ANONYMOUS: Final = Anonymous()

Verified = Claims | NoCredential | Reason | MissingKey
"""What came of a credential that is no service token."""

Caller = ServiceToken | Verified
"""Who asks, as far as the credential tells: also why it does not."""


@value
class Shadow:
    """What a shadow rule would have said.

    Attributes:
        rule: Its name.
        reason: Why it would have denied; `None` when it would have allowed.
    """

    rule: str
    reason: Reason | None


@value
class Allow:
    """Let the request pass.

    Attributes:
        principal: As whom.
        rule: The rule that decided.
        carries_service_token: The request holds a secret that upstream has no use for.
        set_headers: Names and values to tell the upstream.
        removed_headers: Names that the upstream must not see.
        cookie: The ``Cookie`` header without session cookies; `None` leaves it alone.
        template: The path template that fitted, empty when there was none.
        shadows: What shadow rules would have said.
        caller: Who asked; `None` when the rule did not care.
    """

    principal: Principal
    rule: Rule
    carries_service_token: bool = False
    set_headers: tuple[tuple[str, str], ...] = ()
    removed_headers: tuple[str, ...] = ()
    cookie: str | None = None
    template: str = ""
    shadows: tuple[Shadow, ...] = ()
    caller: Caller | None = None


@value
class Deny:
    """Refuse the request.

    Attributes:
        reason: Why.
        rule: The rule that decided, when it got that far.
        detail: What the operator must know. Never shown to the caller.
        principal: Who was refused, when that is known beyond doubt.
        template: The path template that fitted, empty when there was none.
        shadows: What shadow rules would have said.
        caller: Who asked; `None` when that was not looked at.
    """

    reason: Reason
    rule: Rule | None = None
    detail: str = ""
    principal: Principal | None = None
    template: str = ""
    shadows: tuple[Shadow, ...] = ()
    caller: Caller | None = None


@value
class NeedKey:
    """Fetch the key `kid` and ask again; these are the denials if that is of no use.

    Attributes:
        kid: The key that the token names. Unverified.
        if_current: For when the keys are known to be current.
        if_stale: For when they could not be brought up to date.
    """

    kid: str
    if_current: Deny
    if_stale: Deny


Verdict = Allow | Deny
Decision = Allow | Deny | NeedKey
