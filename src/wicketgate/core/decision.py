"""Judge one request.

`decide` is a pure function of the request and of everything that is known at
that moment. It falls through to a denial: there is one arm for each way of
being let in, and none that lets the rest pass.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from wicketgate.core.claims import Claims
from wicketgate.core.credential import (
    NO_CREDENTIAL,
    BearerToken,
    CookieRules,
    CookieTokens,
    Credential,
    NoCredential,
    credential_of,
    without_session_cookies,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.claim_header import header_values
from wicketgate.core.policy.rule import Credentials, Exposure, Match, Policy, Refusal, Rule
from wicketgate.core.policy.terms import refused_service, refused_user
from wicketgate.core.policy.variables import variables_of
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS, RevocationSource
from wicketgate.core.service_token import ServiceToken, ServiceTokens
from wicketgate.core.token import MissingKey, TokenVerifier
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Caller,
    Decision,
    Deny,
    NeedKey,
    Principal,
    Service,
    Shadow,
    User,
    Verdict,
    Verified,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What stays the same from one request to the next.

    Attributes:
        verifier: Verifies session tokens.
        service_tokens: The service tokens in force.
        cookies: How session cookies are read; `None` ignores them.
        always_identify: Look at the credential also where the rule does not care,
            so that a record of the decision tells who asked.
    """

    verifier: TokenVerifier
    service_tokens: ServiceTokens
    cookies: CookieRules | None = None
    always_identify: bool = False


def decide(
    request: HttpRequest,
    *,
    judge: Judge,
    policy: Policy,
    keys: KeySet,
    revocations: RevocationSource,
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
    match = policy.match(request)
    if isinstance(match, Refusal):
        return Deny(match.reason, match.rule, detail=match.detail)
    authorization = request.headers.get("authorization", "")
    known = judge.verifier.recall(authorization, keys=keys, now=now)
    if known is not None:
        # It was taken apart when it was verified; and with its two dots, no service
        # token is like it.
        service: ServiceToken | None = None
        verify: Callable[[], Verified] = partial(_given, known)
    else:
        credential = credential_of(request, judge.cookies)
        service = _service_token(credential, judge.service_tokens)
        verify = partial(_verify, credential, judge.verifier, keys, now)
    case = _Case(
        request,
        service=service,
        verify=verify,
        cookies=judge.cookies,
        always_identify=judge.always_identify,
        revocations=revocations,
        now=now,
    )
    return _decision(case, match)


def judge_known(
    request: HttpRequest,
    *,
    caller: Caller,
    policy: Policy,
    now: float,
    revocations: RevocationSource = NO_REVOCATIONS,
) -> Verdict:
    """Judge `request` as `decide` does, but for who sent it, which is given.

    Args:
        request: The request. Its own credential is not looked at.
        caller: Who sent it, or why that is not known; a key that is missing is
            taken not to exist.
        policy: Finds the rule.
        now: POSIX seconds.
        revocations: Who no longer counts.
    """
    match = policy.match(request)
    if isinstance(match, Refusal):
        return Deny(match.reason, match.rule, detail=match.detail)
    service, verified = _known(caller)
    case = _Case(
        request,
        service=service,
        verify=partial(_given, verified),
        cookies=None,
        always_identify=False,
        revocations=revocations,
        now=now,
    )
    decision = _decision(case, match)
    return decision.if_current if isinstance(decision, NeedKey) else decision


def _known(caller: Caller) -> tuple[ServiceToken | None, Verified]:
    return (caller, NO_CREDENTIAL) if isinstance(caller, ServiceToken) else (None, caller)


def _decision(case: "_Case", match: Match) -> Decision:
    decision = case.judge(match)
    if match.shadows:
        return _with_shadows(decision, tuple(map(case.shadow, match.shadows)))
    return decision


class _Case:
    """One request, and who sent it; the credential is verified at most once."""

    __slots__ = (
        "_always_identify",
        "_cookies",
        "_now",
        "_request",
        "_revocations",
        "_service",
        "_verified",
        "_verify_anew",
    )

    def __init__(
        self,
        request: HttpRequest,
        *,
        service: ServiceToken | None,
        verify: Callable[[], Verified],
        cookies: CookieRules | None,
        always_identify: bool,
        revocations: RevocationSource,
        now: float,
    ) -> None:
        self._request = request
        self._service = service
        self._verify_anew = verify
        self._cookies = cookies
        self._always_identify = always_identify
        self._revocations = revocations
        self._now = now
        self._verified: Verified | None = None

    def judge(self, match: Match) -> Decision:
        """Return what `match` makes of the request."""
        rule = match.rule
        if self._service is not None:
            return self._judge_service(match, self._service)
        if rule.ignores_credentials:
            return self._conclude(match, ANONYMOUS)
        # Also where nobody is admitted: otherwise a leaked service token could be told
        # from noise there, and rules from each other by whoever is signed out.
        caller = self._verify()
        if isinstance(caller, Claims):
            return self._judge_user(match, caller)
        if isinstance(caller, NoCredential):
            if rule.anonymous:
                return self._conclude(match, ANONYMOUS)
            return self._deny(match, Reason.NO_CREDENTIAL)
        if isinstance(caller, MissingKey):
            return NeedKey(
                caller.kid,
                if_current=self._deny(match, caller.if_current),
                if_stale=self._deny(match, caller.if_stale),
            )
        return self._deny(match, caller)

    def shadow(self, match: Match) -> Shadow:
        """Return what a shadow rule would have made of it; it waits for no key."""
        decision = self.judge(match)
        if isinstance(decision, NeedKey):
            decision = decision.if_current
        return Shadow(match.rule.name, decision.reason if isinstance(decision, Deny) else None)

    def _verify(self) -> Verified:
        if self._verified is None:
            self._verified = self._verify_anew()
        return self._verified

    def _judge_user(self, match: Match, claims: Claims) -> Verdict:
        user = User(claims)
        revoked = self._revocations.refuses(claims)
        if revoked is not None:
            return self._deny(match, revoked, user)
        if match.rule.admits_nobody:
            return self._deny(match, Reason.NOBODY_ADMITTED, user)
        refused = refused_user(match.rule.users, claims, now=self._now)
        if refused is None:
            return self._conclude(match, user, claims)
        if match.rule.anonymous:
            return self._conclude(match, ANONYMOUS)
        return self._deny(match, refused, user)

    def _judge_service(self, match: Match, token: ServiceToken) -> Verdict:
        rule, service = match.rule, Service(token.name)
        is_vouched_for = (
            bool(token.principal) and token.principal == self._request.source_principal
        )
        if match.exposure is not Exposure.INTERNAL and not is_vouched_for:
            return self._deny(match, Reason.SERVICE_TOKEN_EXPOSED, service)
        if rule.admits_nobody:
            return self._deny(match, Reason.NOBODY_ADMITTED, service)
        if rule.ignores_credentials:
            return self._conclude(match, ANONYMOUS)
        if token.not_after is not None and self._now > token.not_after:
            return self._deny(match, Reason.SERVICE_TOKEN_EXPIRED, service)
        if token.principal and not is_vouched_for:
            return self._deny(match, Reason.SERVICE_PRINCIPAL_MISMATCH, service)
        refused = refused_service(rule, token)
        if refused is None:
            return self._conclude(match, service)
        return self._deny(match, refused, service)

    def _conclude(
        self, match: Match, principal: Principal, claims: Claims | None = None
    ) -> Verdict:
        """Return the verdict on somebody whom the rule admits, as far as its terms go."""
        rule = match.rule
        if rule.condition is not None:
            values = variables_of(
                rule.condition.fields,
                request=self._request,
                parameters=_parameters(match, self._request),
                claims=claims,
                service=self._service if isinstance(principal, Service) else None,
                now=self._now,
            )
            refusal = rule.condition.refusal(values)
            if refusal is not None:
                return self._unmet(match, refusal, principal)
        headers = header_values(rule.headers, claims) if rule.headers else None
        if isinstance(headers, str):
            detail = f"the value for the header {headers} cannot be sent"
            return replace(self._deny(match, Reason.CLAIM_UNUSABLE, principal), detail=detail)
        return Allow(
            principal,
            rule,
            carries_service_token=self._service is not None,
            set_headers=headers.set if headers else (),
            removed_headers=rule.removed_headers + (headers.missing if headers else ()),
            cookie=self._cookie(rule) if rule.credentials is not None else None,
            template=match.template.text if match.template else "",
            caller=self._known_caller(),
        )

    def _unmet(self, match: Match, refusal: Reason, principal: Principal) -> Deny:
        is_signed_out = isinstance(self._verified, NoCredential)
        if principal is not ANONYMOUS:
            return self._deny(match, refusal, principal)
        if refusal is Reason.CONDITION_NOT_MET and is_signed_out and _could_sign_in(match.rule):
            return self._deny(match, Reason.NO_CREDENTIAL)
        return self._deny(match, refusal)

    def _cookie(self, rule: Rule) -> str | None:
        if rule.credentials is not Credentials.STRIP or self._cookies is None:
            return None
        return without_session_cookies(self._request, self._cookies)

    def _known_caller(self) -> Caller | None:
        if self._service is not None:
            return self._service
        return self._verify() if self._always_identify else self._verified

    def _deny(self, match: Match, reason: Reason, principal: Principal | None = None) -> Deny:
        return Deny(
            reason,
            match.rule,
            principal=principal,
            template=match.template.text if match.template else "",
            caller=self._known_caller(),
        )


def _parameters(match: Match, request: HttpRequest) -> dict[str, str]:
    return {} if match.template is None else match.template.parameters(request.path)


def _could_sign_in(rule: Rule) -> bool:
    return bool(rule.users or rule.services)


def _with_shadows(decision: Decision, shadows: tuple[Shadow, ...]) -> Decision:
    if isinstance(decision, NeedKey):
        return replace(
            decision,
            if_current=replace(decision.if_current, shadows=shadows),
            if_stale=replace(decision.if_stale, shadows=shadows),
        )
    return replace(decision, shadows=shadows)


def _given(verified: Verified) -> Verified:
    return verified


def _service_token(credential: Credential | Reason, tokens: ServiceTokens) -> ServiceToken | None:
    return tokens.recognise(credential.token) if isinstance(credential, BearerToken) else None


def _verify(
    credential: Credential | Reason, verifier: TokenVerifier, keys: KeySet, now: float
) -> Verified:
    match credential:
        case BearerToken():
            return verifier.verify(credential.token, keys=keys, now=now)
        case NoCredential() | Reason():
            return credential
        case CookieTokens(tokens):
            return _verify_all(tokens, verifier, keys, now)
        case _:
            assert_never(credential)


def _verify_all(
    tokens: Iterable[str], verifier: TokenVerifier, keys: KeySet, now: float
) -> Claims | Reason | MissingKey:
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
