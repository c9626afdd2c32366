"""Tokens, keys and requests that tests share; everything valid until a test spoils it.

`NOW` is the time of every test that does not need another. Keys are generated
once for the whole run: an RSA key costs a tenth of a second.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fakes import FixedPolicy
from wicketgate.core.claims import Claims, SessionId, TokenRules, UserId
from wicketgate.core.credential import CookieRules
from wicketgate.core.decision import (
    Judge,
    decide,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.routes import Admission, route_rule
from wicketgate.core.policy.rule import Exposure, Match, Policy, Refusal, Rule
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS, RevocationSource
from wicketgate.core.service_token import ServiceToken, ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.core.verdict import (
    Allow,
    Decision,
    Deny,
    NeedKey,
    Service,
    Verdict,
)
from wicketgate.local.clerk_instance import SESSION, USER, ClerkInstance, new_key

NOW: Final = 1_790_000_000.0
"""POSIX seconds; a whole number, as ``iat`` is."""
ORIGIN: Final = "http://localhost:3000"
"""The ``azp`` of every token that `ClerkInstance` mints."""
SERVICE_TOKEN: Final = "an-internal-service-token-of-41-characters"
CLERK_HOST: Final = "able-mole-1.clerk.accounts.dev"
ISSUER: Final = f"https://{CLERK_HOST}"
USER_RULE: Final = route_rule(Admission.USER, Exposure.PUBLIC)
STATIC_SERVICE: Final = Service("static")
"""Whoever shows `SERVICE_TOKEN`."""
BILLING_TOKEN: Final = "a-token-of-the-tokens-file-for-billing"
BILLING: Final = Service("billing")
"""Whoever shows `BILLING_TOKEN`, where the judge knows `billing_token`."""


@cache
def clerk() -> ClerkInstance:
    """Return the instance whose tokens are accepted. Never rotate it."""
    return ClerkInstance(host=CLERK_HOST)


@cache
def stranger_key() -> RSAPrivateKey:
    """Return a sound key that is nobody's."""
    return new_key()


@cache
def keys() -> KeySet:
    """Return the key set of `clerk`."""
    return KeySet.from_jwks(clerk().jwks())


@cache
def valid_token() -> str:
    """Return a token that is valid at `NOW`."""
    return clerk().mint(now=NOW)


def token(
    claims: Mapping[str, object] | None = None, header: Mapping[str, object] | None = None
) -> str:
    """Return a token minted at `NOW` with these claims and header members replaced."""
    return clerk().mint(now=NOW, claims=claims, header=header)


def claims_of(document: Mapping[str, Any]) -> Claims:
    """Return verified claims of a token from `NOW` that says, beside who it is, `document`."""
    return Claims(
        user_id=UserId(USER),
        session_id=SessionId(SESSION),
        issued_at=NOW,
        not_before=NOW,
        expires_at=NOW + 60,
        document=document,
    )


def rules(**overrides: Any) -> TokenRules:  # noqa: ANN401 - any field of the record
    """Return the default rules for `clerk`, with these fields replaced."""
    return TokenRules(**{"issuers": frozenset({ISSUER}), **overrides})


def billing_token(**overrides: Any) -> ServiceToken:  # noqa: ANN401 - any field of the record
    """Return what the tokens file says about `BILLING_TOKEN`, with these fields replaced."""
    known = {
        "name": BILLING.name,
        "digest": sha256(BILLING_TOKEN.encode()).digest(),
        "scopes": frozenset({"invoices"}),
    }
    return ServiceToken(**{**known, **overrides})


def judge(
    token_rules: TokenRules | None = None,
    *,
    named: tuple[ServiceToken, ...] = (),
    cookies: CookieRules | None = None,
    always_identify: bool = False,
) -> Judge:
    """Return a judge with an empty cache, who knows `SERVICE_TOKEN` and the `named`."""
    return Judge(
        verifier=TokenVerifier(token_rules or rules()),
        service_tokens=ServiceTokens([SERVICE_TOKEN], named),
        cookies=cookies,
        always_identify=always_identify,
    )


def route(admission: Admission, exposure: Exposure = Exposure.PUBLIC) -> Match:
    """Return what a route with these words comes to."""
    return Match(route_rule(admission, exposure), exposure)


def request(
    bearer: str | None = None,
    *,
    method: str = "GET",
    host: str = "api.example.com",
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, str] | None = None,
    source_principal: str = "",
) -> HttpRequest:
    """Return a request; with `bearer`, that token is its credential."""
    credential = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    return HttpRequest(
        method=method,
        host=host,
        target=target,
        headers={**credential, **(headers or {})},
        context=context or {},
        source_principal=source_principal,
    )


def decision_on(
    asked: HttpRequest,
    *,
    by: Judge | None = None,
    rule: Rule | Match | Refusal = USER_RULE,
    policy: Policy | None = None,
    key_set: KeySet | None = None,
    revocations: RevocationSource = NO_REVOCATIONS,
    now: float = NOW,
) -> Decision:
    """Decide `asked` under `rule`, or what `policy` finds; all else is as it should be."""
    return decide(
        asked,
        judge=by or judge(),
        policy=policy or FixedPolicy(rule),
        keys=keys() if key_set is None else key_set,
        revocations=revocations,
        now=now,
    )


def settled(decision: Decision, *, keys_are_current: bool = True) -> Verdict:
    """Return the verdict once fetching keys turned out to be of no use."""
    if isinstance(decision, NeedKey):
        return decision.if_current if keys_are_current else decision.if_stale
    return decision


def refusal(decision: Decision) -> str | None:
    """Return the reason of a denial, current keys assumed, or `None` when allowed."""
    verdict = settled(decision)
    match verdict:
        case Allow():
            return None
        case Deny(reason):
            return reason
