"""The explanation of a request as plain values: what a program reads, and a person is shown."""

from dataclasses import dataclass
from typing import Any, Final

from wicketgate.core.claims import Claims
from wicketgate.core.credential import NoCredential
from wicketgate.core.policy.explain import Explanation, Step
from wicketgate.core.policy.variables import HIDDEN_HEADERS
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.verdict import (
    Allow,
    Caller,
    Principal,
    Service,
    User,
)
from wicketgate.tools.caller import KnownCaller

SHOWN: Final = 20
"""So many rules are shown, all of them. Of more, those that are near are: a path fits."""
NOT_SHOWN: Final = "(not shown)"
ALLOWED: Final = "allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An explanation, and what it is about.

    Attributes:
        request: The request as it was judged.
        known: Who sends it.
        now: POSIX seconds.
        policy: The policy file; `None` for the words beside the routes.
        explanation: What becomes of it.
    """

    request: HttpRequest
    known: KnownCaller
    now: float
    policy: str | None
    explanation: Explanation

    @property
    def shown_steps(self) -> tuple[Step, ...]:
        """The rules to show; of too many near ones, those nearest to the end."""
        steps = self.explanation.steps
        if len(steps) <= SHOWN:
            return steps
        return tuple(step for step in steps if step.fits_path)[-SHOWN:]

    @property
    def shown_headers(self) -> dict[str, str]:
        """The headers of the request, without credentials."""
        return {
            name: NOT_SHOWN if name in HIDDEN_HEADERS else value
            for name, value in self.request.headers.items()
        }

    def would_have(self, step: Step) -> str | None:
        """Return what a shadow rule would have said; `None` when it was not asked."""
        for shadow in self.explanation.verdict.shadows:
            if shadow.rule == step.rule.name:
                return shadow.reason or ALLOWED
        return None


def document_of(found: Explained) -> dict[str, Any]:
    """Return the explanation as one JSON object."""
    request, explanation = found.request, found.explanation
    headers = explanation.headers
    return {
        "request": {
            "method": request.method,
            "host": request.host,
            "path": request.target,
            "context": dict(request.context),
            "headers": found.shown_headers,
            "source": request.source_principal,
        },
        "caller": {"who": who(found.known.caller), "notes": list(found.known.notes)},
        "now": found.now,
        "policy": found.policy,
        "rules": [_rule(step, found) for step in found.shown_steps],
        "rules_not_shown": len(explanation.steps) - len(found.shown_steps),
        "rules_not_asked": explanation.untried,
        **_decision(explanation),
        "parameters": dict(explanation.parameters),
        "because": list(explanation.unmet),
        "headers": headers and {"set": dict(headers.set), "removed": list(headers.remove)},
    }


def _rule(step: Step, found: Explained) -> dict[str, Any]:
    return {
        "number": step.index + 1,
        "name": step.rule.name,
        "decides": step.decides,
        "mismatches": list(step.mismatches),
        "shadow": found.would_have(step),
    }


def _decision(explanation: Explanation) -> dict[str, Any]:
    verdict = explanation.verdict
    decided = {
        "rule": verdict.rule.name if verdict.rule else None,
        "template": verdict.template or None,
        "principal": principal_of(verdict.principal),
    }
    if isinstance(verdict, Allow):
        return {"decision": "allow", **decided}
    told = PUBLIC_WORD.get(verdict.reason, verdict.reason)
    return {
        "decision": "deny",
        "reason": verdict.reason,
        "told": told,
        "status": ANSWERS[told].status,
        "title": ANSWERS[told].title,
        **decided,
    }


def who(caller: Caller) -> str:
    """Return who somebody is, in a few words."""
    if isinstance(caller, Claims):
        return f"user:{caller.user_id}"
    if isinstance(caller, ServiceToken):
        return f"service:{caller.name} for {', '.join(sorted(caller.scopes))}"
    return "nobody" if isinstance(caller, NoCredential) else "refused"


def principal_of(principal: Principal | None) -> str | None:
    """Return a principal as upstreams are told it."""
    match principal:
        case None:
            return None
        case User(claims):
            return f"user:{claims.user_id}"
        case Service(name):
            return f"service:{name}"
        case _:
            return "anonymous"
