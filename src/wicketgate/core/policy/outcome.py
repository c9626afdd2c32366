"""What a verdict comes to, in the words of tests and reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from wicketgate.core.answer import answer_to
from wicketgate.core.identity import HeaderPlan, IdentityHeaders
from wicketgate.core.record import ALLOWED
from wicketgate.core.verdict import (
    Allow,
    Anonymous,
    Principal,
    Service,
    User,
    Verdict,
)

OK: Final = 200
NO_RULE: Final = "none"
"""Stands for the rule when none was asked; no rule that is asked has no name."""

_IDENTITY: Final = IdentityHeaders()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of a request.

    Attributes:
        decision: ``allow`` or ``deny``.
        rule: The rule that decided, or `NO_RULE`.
        reason: ``allowed``, or the value of a `Reason`.
        status: The HTTP status of a denial; `OK` otherwise, whatever the upstream says.
        principal: ``user:<id>``, ``service:<name>``, ``anonymous``, or ``none``.
        headers: What is done to the headers; `None` when the upstream is not reached.
        shadows: Shadow rules, and what they would have said: a reason, or ``allowed``.
    """

    decision: str
    rule: str
    reason: str
    status: int
    principal: str
    headers: HeaderPlan | None
    shadows: Mapping[str, str]


def outcome_of(verdict: Verdict) -> Outcome:
    """Return what `verdict` comes to; without any settings about headers."""
    if isinstance(verdict, Allow):
        decision, reason, status = "allow", ALLOWED, OK
        headers = _IDENTITY.plan(verdict)
    else:
        decision, reason, headers = "deny", str(verdict.reason), None
        status = answer_to(verdict.reason, decision_id="", is_grpc=False).status
    return Outcome(
        decision=decision,
        rule=verdict.rule.name if verdict.rule else NO_RULE,
        reason=reason,
        status=status,
        principal=_named(verdict.principal),
        headers=headers,
        shadows={shadow.rule: str(shadow.reason or ALLOWED) for shadow in verdict.shadows},
    )


def _named(principal: Principal | None) -> str:
    match principal:
        case User(claims):
            return f"user:{claims.user_id}"
        case Service(name):
            return f"service:{name}"
        case Anonymous():
            return "anonymous"
        case None:
            return "none"
        case _:
            assert_never(principal)
