"""Whether a user or a service is one that a rule admits."""

from collections.abc import Sequence
from typing import Final

from wicketgate.core.claims import Claims
from wicketgate.core.policy.rule import ANY_USER, Rule, ServiceTerms, UserTerms
from wicketgate.core.reason import Reason
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.user_facts import UserFacts

_SECONDS_PER_MINUTE: Final = 60


def refused_user(terms: Sequence[UserTerms], claims: Claims, *, now: float) -> Reason | None:
    """Return why none of `terms` admits the user: the first one's reason. `None` admits.

    Args:
        terms: Alternatives.
        claims: Verified claims.
        now: POSIX seconds; the ages in a token are those at its ``iat``.
    """
    if ANY_USER in terms:
        return None
    elapsed = now - claims.issued_at
    reasons = [_refusal(each, claims.facts, elapsed) for each in terms]
    if not reasons:
        return Reason.USER_NOT_ADMITTED
    return None if None in reasons else reasons[0]


def refused_service(rule: Rule, token: ServiceToken) -> Reason | None:
    """Return why `rule` does not admit the bearer of a valid service token; `None` admits."""
    reasons = [_service_refusal(terms, rule, token) for terms in rule.services]
    if not reasons:
        return Reason.SERVICE_NOT_ADMITTED
    return None if None in reasons else reasons[0]


def _service_refusal(terms: ServiceTerms, rule: Rule, token: ServiceToken) -> Reason | None:
    if terms.names and token.name not in terms.names:
        return Reason.SERVICE_NOT_ADMITTED
    if not token.has_scope(terms.scopes or {rule.name}):
        return Reason.SERVICE_SCOPE
    return None


def _refusal(terms: UserTerms, facts: UserFacts, elapsed: float) -> Reason | None:
    if facts.is_pending and not terms.pending:
        return Reason.SESSION_PENDING
    if facts.is_impersonated and not terms.actor:
        return Reason.IMPERSONATION
    if terms.org_ids and facts.org_id not in terms.org_ids:
        return Reason.ORGANIZATION_NOT_ADMITTED
    if terms.org_roles and facts.org_role not in terms.org_roles:
        return Reason.ROLE_NOT_ADMITTED
    if terms.org_permissions:
        if facts.org_permissions is None:
            return Reason.PERMISSIONS_UNDECODABLE
        if terms.org_permissions.isdisjoint(facts.org_permissions):
            return Reason.PERMISSION_MISSING
    if _is_older(facts.first_factor_minutes, elapsed, terms.session_age):
        return Reason.SESSION_TOO_OLD
    if _is_older(facts.second_factor_minutes, elapsed, terms.second_factor_age):
        return Reason.SECOND_FACTOR_TOO_OLD
    return None


def _is_older(minutes: int | None, elapsed: float, limit: float | None) -> bool:
    """Tell whether a factor is older than `limit` seconds, or is not there."""
    if limit is None:
        return False
    # Integers on the left: a float has no room for the largest that a token can hold.
    return minutes is None or minutes * _SECONDS_PER_MINUTE > limit - max(elapsed, 0.0)
