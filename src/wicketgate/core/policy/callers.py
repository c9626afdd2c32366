"""Users whose claims are taken as verified: those of tests, and those that a log kept."""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from wicketgate.core.claims import Claims, TokenRules, check_claims
from wicketgate.core.reason import Reason

USER: Final = "user_test"
SESSION: Final = "sess_test"
ISSUER: Final = "https://clerk.test"

_LIFETIME: Final = 60
"""Seconds; Clerk's default."""
_VERSION: Final = 2


def with_usual_claims(given: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """Return `given` beside the claims of a user of whom nothing else is known.

    Args:
        given: Claims; they win.
        now: POSIX seconds at which the token is issued, if `given` does not say.
    """
    issued_at = given.get("iat", int(now))
    is_number = type(issued_at) is int or type(issued_at) is float
    usual = {
        "iss": ISSUER,
        "sub": USER,
        "sid": SESSION,
        "iat": issued_at,
        "exp": issued_at + _LIFETIME if is_number else None,
        "sts": "active",
        # The first version spells the organisation out.
        **({} if any(name.startswith("org_") for name in given) else {"v": _VERSION}),
    }
    return usual | dict(given)


def taken_as_verified(document: Mapping[str, Any]) -> Claims | Reason:
    """Return the claims in `document`, whoever issued them and whenever.

    Returns:
        The claims, or the reason for which no gate could take them for a user's.
    """
    rules = TokenRules(
        issuers=frozenset({str(document.get("iss"))}),
        template_tokens=True,
        pending_sessions=True,
        max_lifetime_seconds=inf,
    )
    return check_claims(document, category=None, rules=rules)
