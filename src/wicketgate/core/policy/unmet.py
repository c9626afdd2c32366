"""Which demands of a rule somebody does not meet, in words for the operator."""

from collections.abc import Iterable
from typing import Final

from wicketgate.core.claims import Claims
from wicketgate.core.policy.rule import Rule, ServiceTerms, UserTerms
from wicketgate.core.policy.terms import refused_user
from wicketgate.core.reason import Reason
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.user_facts import UserFacts

_SECONDS_PER_MINUTE: Final = 60


def unmet_by_user(rule: Rule, claims: Claims, *, now: float) -> tuple[str, ...]:
    """Return for each alternative that admits users what keeps this one out.

    Args:
        rule: The rule. None of its alternatives is met.
        claims: The user's.
        now: POSIX seconds.
    """
    facts, elapsed = claims.facts, max(now - claims.issued_at, 0.0)
    refusals = ((terms, refused_user((terms,), claims, now=now)) for terms in rule.users)
    return tuple(_sentence(reason, terms, facts, elapsed) for terms, reason in refusals)


def unmet_by_service(rule: Rule, token: ServiceToken) -> tuple[str, ...]:
    """Return for each alternative that admits services what keeps this one out, as above."""
    return tuple(_service_sentence(terms, rule, token) for terms in rule.services)


def _sentence(reason: Reason | None, terms: UserTerms, facts: UserFacts, elapsed: float) -> str:
    match reason:
        case Reason.SESSION_PENDING:
            return "pending: the session is pending, and pending ones are not admitted"
        case Reason.IMPERSONATION:
            return f"actor: {facts.actor_id or 'somebody'} acts as the user, and may not"
        case Reason.ORGANIZATION_NOT_ADMITTED:
            return f"org_id: {facts.org_id or 'no organization'} is not {_any(terms.org_ids)}"
        case Reason.ROLE_NOT_ADMITTED:
            return f"org_role: {facts.org_role or 'no role'} is not {_any(terms.org_roles)}"
        case Reason.PERMISSION_MISSING:
            held = ", ".join(sorted(facts.org_permissions or ())) or "nothing"
            return f"org_permission: has {held}, not {_any(terms.org_permissions)}"
        case Reason.PERMISSIONS_UNDECODABLE:
            return "org_permission: those of the token cannot be read"
        case Reason.SESSION_TOO_OLD:
            found = _age(facts.first_factor_minutes, elapsed)
            return f"session_age: {found}, not at most {terms.session_age:g}s"
        case _:
            found = _age(facts.second_factor_minutes, elapsed)
            return f"second_factor_age: {found}, not at most {terms.second_factor_age:g}s"


def _service_sentence(terms: ServiceTerms, rule: Rule, token: ServiceToken) -> str:
    if terms.names and token.name not in terms.names:
        return f"name: {token.name} is not {_any(terms.names)}"
    held = ", ".join(sorted(token.scopes)) or "nothing"
    return f"scope: has {held}, not {_any(terms.scopes or {rule.name})}"


def _any(expected: Iterable[str]) -> str:
    names = sorted(expected)
    return names[0] if len(names) == 1 else f"any of {', '.join(names)}"


def _age(minutes: int | None, elapsed: float) -> str:
    return "not known" if minutes is None else f"{minutes * _SECONDS_PER_MINUTE + int(elapsed)}s"
