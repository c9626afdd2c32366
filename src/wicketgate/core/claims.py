"""What a verified Clerk session token must say, and when it may say it.

Two kinds of check, kept apart because a cache may remember the first and never
the second: what the token *is* does not change, what *time* it is does.

Source: Clerk, "Session tokens" and "Manual JWT verification"; RFC 7519
section 4.1; RFC 8725 section 3.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, Final, NewType

from wicketgate.core.reason import Reason
from wicketgate.core.user_facts import UserFacts, facts_of
from wicketgate.core.value import value

UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)

SKEW_SECONDS: Final = 5.0
"""Clerk's own SDKs tolerate 5 s; their users' complaints begin at 0 s."""
MAX_LIFETIME_SECONDS: Final = 86_400.0
"""A session token lives 60 s and a template token hours; beyond a day is a mistake in units."""

_USER_ID: Final = re.compile(r"user_[A-Za-z0-9]{1,64}")
_SESSION_ID: Final = re.compile(r"sess_[A-Za-z0-9]{1,64}")

SESSION_CATEGORIES: Final = frozenset({"cl_B7d4PD111AAA", "cl_I7d4PD111III"})
"""``cat`` of a session token, and the constant that says nothing."""
TEMPLATE_CATEGORY: Final = "cl_B7d4PD222AAA"
MACHINE_CATEGORY: Final = "cl_B7d4PD333AAA"


class PartyCheck(StrEnum):
    """How ``azp`` is held against the authorized parties."""

    OFF = "off"
    """Never looked at."""
    IF_PRESENT = "if-present"
    """Must match when the token carries one (tokens minted on a navigation do not)."""
    REQUIRED = "required"
    """Must be there and match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which session tokens are acceptable.

    Attributes:
        issuers: Exact values of ``iss``, never empty.
        party_check: What to do about ``azp``.
        authorized_parties: Exact origins, compared with ``azp``.
        audiences: When not empty, ``aud`` must name one of them.
        template_tokens: Accept tokens minted from a JWT template (no ``sid``).
        pending_sessions: Accept sessions whose ``sts`` is ``pending``.
        impersonation: Accept tokens with an ``act`` claim.
        max_lifetime_seconds: The longest ``exp - iat``.
        skew_seconds: Tolerance of every comparison with the clock.
    """

    issuers: frozenset[str]
    party_check: PartyCheck = PartyCheck.OFF
    authorized_parties: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    template_tokens: bool = False
    pending_sessions: bool = False
    impersonation: bool = True
    max_lifetime_seconds: float = MAX_LIFETIME_SECONDS
    skew_seconds: float = SKEW_SECONDS

    def __post_init__(self) -> None:
        """Refuse rules that read as a check and would check nothing."""
        if not self.issuers:
            msg = "at least one issuer is needed"
            raise ValueError(msg)
        if self.party_check is not PartyCheck.OFF and not self.authorized_parties:
            msg = "checking azp needs at least one authorized party"
            raise ValueError(msg)


@value
class Claims:
    """The claims of a token whose signature and static claims were verified.

    Attributes:
        user_id: ``sub``, safe to write into a header.
        session_id: ``sid``; `None` only for template tokens.
        issued_at: ``iat``, POSIX seconds.
        not_before: ``nbf``, POSIX seconds; ``iat`` when the token has none.
        expires_at: ``exp``, POSIX seconds.
        document: Every claim as it came, for policy conditions.
    """

    _: KW_ONLY
    user_id: UserId
    session_id: SessionId | None
    issued_at: float
    not_before: float
    expires_at: float
    document: Mapping[str, Any] = field(compare=False, repr=False)
    _facts: UserFacts | None = field(init=False, default=None, compare=False, repr=False)

    @property
    def facts(self) -> UserFacts:
        """What the document says about the user; read when it is first asked for."""
        facts = self._facts
        if facts is None:
            facts = facts_of(self.document)
            object.__setattr__(self, "_facts", facts)
        return facts


def check_claims(
    claims: Mapping[str, Any], *, category: object, rules: TokenRules
) -> Claims | Reason:
    """Apply every check that does not depend on the time.

    Args:
        claims: The payload, its signature verified.
        category: The ``cat`` header, `None` when absent.
        rules: What is acceptable.

    Returns:
        The typed claims, or the reason for the first check that fails.
    """
    issuer = claims.get("iss")
    if type(issuer) is not str or issuer not in rules.issuers:
        return Reason.ISSUER_MISMATCH
    refusal = (
        _refused_class(category, claims, rules)
        or _refused_party(claims.get("azp"), rules)
        or _refused_audience(claims.get("aud"), rules)
        or _refused_state(claims, rules)
    )
    if refusal is not None:
        return refusal
    return _typed(claims, rules)


def check_time(claims: Claims, *, now: float, rules: TokenRules) -> Reason | None:
    """Hold verified claims against the clock.

    Args:
        claims: Verified claims.
        now: POSIX seconds.
        rules: Where the tolerance comes from.

    Returns:
        The reason why the token is not valid at `now`, or `None`.
    """
    if claims.expires_at <= now - rules.skew_seconds:
        return Reason.TOKEN_EXPIRED
    if claims.not_before > now + rules.skew_seconds:
        return Reason.TOKEN_NOT_YET_VALID
    if claims.issued_at > now + rules.skew_seconds:
        return Reason.TOKEN_ISSUED_IN_FUTURE
    return None


def _refused_class(
    category: object, claims: Mapping[str, Any], rules: TokenRules
) -> Reason | None:
    subject = claims.get("sub")
    if category == MACHINE_CATEGORY or (type(subject) is str and subject.startswith("mch_")):
        return Reason.MACHINE_TOKEN
    if category == TEMPLATE_CATEGORY:
        return None if rules.template_tokens else Reason.TEMPLATE_TOKEN
    # A list would be unhashable, and is no category either.
    if category is None or (type(category) is str and category in SESSION_CATEGORIES):
        return None
    return Reason.TOKEN_CLASS


def _refused_party(party: object, rules: TokenRules) -> Reason | None:
    if rules.party_check is PartyCheck.OFF:
        return None
    if party is None or party == "":
        return Reason.PARTY_MISSING if rules.party_check is PartyCheck.REQUIRED else None
    if type(party) is str and party in rules.authorized_parties:
        return None
    return Reason.PARTY_MISMATCH


def _refused_audience(audience: object, rules: TokenRules) -> Reason | None:
    if not rules.audiences:
        return None
    named = audience if type(audience) is list else [audience]
    # RFC 7519 section 4.1.3: strings, all of them. PyJWT refuses the rest as well.
    if any(type(name) is not str for name in named) or rules.audiences.isdisjoint(named):
        return Reason.AUDIENCE_MISMATCH
    return None


def _refused_state(claims: Mapping[str, Any], rules: TokenRules) -> Reason | None:
    status = claims.get("sts", "active")
    if status != "active" and not (status == "pending" and rules.pending_sessions):
        return Reason.SESSION_PENDING
    if claims.get("act") is not None and not rules.impersonation:
        return Reason.IMPERSONATION
    return None


def _typed(claims: Mapping[str, Any], rules: TokenRules) -> Claims | Reason:
    subject, session = claims.get("sub"), claims.get("sid")
    if type(subject) is not str or _USER_ID.fullmatch(subject) is None:
        return Reason.SUBJECT_INVALID
    if session is None:
        if not rules.template_tokens:
            return Reason.SESSION_MISSING
    elif type(session) is not str or _SESSION_ID.fullmatch(session) is None:
        return Reason.SESSION_MISSING
    issued_at, expires_at = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    not_before = _seconds(claims.get("nbf", claims.get("iat")))
    if issued_at is None or expires_at is None or not_before is None:
        return Reason.CLAIMS_MALFORMED
    if expires_at <= issued_at:
        return Reason.CLAIMS_MALFORMED
    if expires_at - issued_at > rules.max_lifetime_seconds:
        return Reason.TOKEN_LIFETIME
    return Claims(
        user_id=UserId(subject),
        session_id=None if session is None else SessionId(session),
        issued_at=issued_at,
        not_before=not_before,
        expires_at=expires_at,
        document=claims,
    )


def _seconds(value: object) -> float | None:
    """Return a NumericDate (RFC 7519 section 2), or `None` for anything else.

    ``True`` is an `int` to Python, and ``1e400`` is infinity: neither is a date.
    """
    if type(value) is not int and type(value) is not float:
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if isfinite(seconds) else None
