"""Judge one request.

`decide` is a pure function of the request and of everything that is known at
that moment. It falls through to a denial: there is one arm for each way of
being let in, and none that lets the rest pass.
"""

from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from wicketgate.core.claims import Claims
from wicketgate.core.credential import (
    BearerToken,
    CookieRules,
    CookieTokens,
    Credential,
    NoCredential,
    credential_of,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy import Admission, Exposure, Misconfigured, Rule, Targets
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous
from wicketgate.core.revocation import Revocations
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import MissingKey, TokenVerifier


@dataclass(frozen=True, slots=True)
class User:
    """A Clerk user, let in by a session token."""

    claims: Claims


@dataclass(frozen=True, slots=True)
class Service:
    """An internal service, let in by a service token."""

    name: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular."""


Principal = User | Service | Anonymous

ANONYMOUS: Final = Anonymous()
STATIC_SERVICE: Final = Service("static")
"""Whoever holds a value of ``SERVICE_AUTH_TOKEN``; those tokens carry no names."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Let the request pass.

    Attributes:
        principal: As whom.
        rule: The rule that decided.
        carries_service_token: The request holds a secret that upstream has no use for.
    """

    principal: Principal
    rule: Rule
    carries_service_token: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse the request.

    Attributes:
        reason: Why.
        rule: The rule that decided, when it got that far.
        detail: What the operator must know. Never shown to the caller.
        principal: Who was refused, when that is known beyond doubt.
    """

    reason: Reason
    rule: Rule | None = None
    detail: str = ""
    principal: Principal | None = None


@dataclass(frozen=True, slots=True)
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


class Policy(Protocol):
    """Whatever finds the rule for a request."""

    def match(self, request: HttpRequest) -> Rule | Misconfigured:
        """Return the one rule that decides `request`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What stays the same from one request to the next.

    Attributes:
        verifier: Verifies session tokens.
        service_tokens: The service tokens in force.
        cookies: How session cookies are read; `None` ignores them.
    """

    verifier: TokenVerifier
    service_tokens: ServiceTokens
    cookies: CookieRules | None = None


def decide(
    request: HttpRequest,
    *,
    judge: Judge,
    policy: Policy,
    keys: KeySet,
    revocations: Revocations,
    now: float,
) -> Decision:
    """Judge `request`.

    Args:
        request: The request as Envoy describes it.
        judge: Verifier, service tokens and cookie rules.
        policy: Finds the rule.
        keys: The verification keys, as they are now.
        revocations: Who no longer counts, as it is now.
        now: POSIX seconds.

    Returns:
        `Allow`, `Deny`, or `NeedKey` when newer keys could change the answer.
        Nothing is raised for any request.
    """
    rule = policy.match(request)
    if isinstance(rule, Misconfigured):
        return Deny(Reason.ROUTE_MISCONFIGURED, detail=rule.detail)
    if rule.targets is Targets.STRICT and is_ambiguous(request.path):
        return Deny(Reason.AMBIGUOUS_PATH, rule)
    credential = credential_of(request, judge.cookies)
    if _is_service(credential, judge.service_tokens):
        return _judge_service(rule)
    if rule.admission is Admission.ANONYMOUS:
        return Allow(ANONYMOUS, rule)
    if isinstance(credential, Reason):
        return Deny(credential, rule)
    if isinstance(credential, NoCredential):
        if rule.admission is Admission.OPTIONAL:
            return Allow(ANONYMOUS, rule)
        return Deny(Reason.NO_CREDENTIAL, rule)
    outcome = _verify(credential, judge.verifier, keys, now)
    if isinstance(outcome, Claims):
        return _judge_user(outcome, rule, revocations)
    if isinstance(outcome, MissingKey):
        return NeedKey(
            outcome.kid,
            if_current=Deny(outcome.if_current, rule),
            if_stale=Deny(outcome.if_stale, rule),
        )
    return Deny(outcome, rule)


def _is_service(credential: Credential | Reason, tokens: ServiceTokens) -> bool:
    return isinstance(credential, BearerToken) and tokens.recognise(credential.token)


def _judge_service(rule: Rule) -> Verdict:
    if rule.exposure is not Exposure.INTERNAL:
        return Deny(Reason.SERVICE_TOKEN_EXPOSED, rule, principal=STATIC_SERVICE)
    if rule.admission.admits_services:
        return Allow(STATIC_SERVICE, rule, carries_service_token=True)
    if rule.admission is Admission.ANONYMOUS:
        return Allow(ANONYMOUS, rule, carries_service_token=True)
    return Deny(Reason.SERVICE_NOT_ADMITTED, rule, principal=STATIC_SERVICE)


def _judge_user(claims: Claims, rule: Rule, revocations: Revocations) -> Verdict:
    user = User(claims)
    revoked = revocations.refuses(claims)
    if revoked is not None:
        return Deny(revoked, rule, principal=user)
    if rule.admission.admits_users:
        return Allow(user, rule)
    return Deny(Reason.USER_NOT_ADMITTED, rule, principal=user)


def _verify(
    credential: BearerToken | CookieTokens, verifier: TokenVerifier, keys: KeySet, now: float
) -> Claims | Reason | MissingKey:
    match credential:
        case BearerToken(token):
            return verifier.verify(token, keys=keys, now=now)
        case CookieTokens(tokens):
            outcomes = [verifier.verify(token, keys=keys, now=now) for token in tokens]
            verified = [outcome for outcome in outcomes if isinstance(outcome, Claims)]
            if len({claims.user_id for claims in verified}) > 1:
                # A sibling domain may have written one of them.
                return Reason.COOKIE_AMBIGUOUS
            wishes = [outcome for outcome in outcomes if isinstance(outcome, MissingKey)]
            # Both cookies verify while Clerk migrates to suffixes: the newer one counts.
            # Neither does: newer keys may help the one, whatever is wrong with the other.
            otherwise = [*wishes, *outcomes][0]
            return max(verified, key=lambda claims: claims.issued_at, default=otherwise)
        case _:
            assert_never(credential)
