"""Which check a token fails.

Nothing here judges: the reason is that of the gate's own reader of credentials, its own
verifier and its own revocations, asked in its order. What is added is the place of each
reason in that order, so that what passed before it can be told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wicketgate.core.claims import Claims, TokenRules
from wicketgate.core.credential import BearerToken, credential_of
from wicketgate.core.jws import MACHINE_PREFIXES, parse_jws
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import RevocationSource
from wicketgate.core.service_token import ServiceToken, ServiceTokens
from wicketgate.core.token import MissingKey, TokenVerifier


class Check(StrEnum):
    """What a credential goes through, in order."""

    CREDENTIAL = "credential"
    SERVICE = "service"
    FORM = "form"
    HEADER = "header"
    KEY = "key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    CLASS = "class"
    PARTY = "party"
    AUDIENCE = "audience"
    STATE = "state"
    SUBJECT = "subject"
    SESSION = "session"
    TIMES = "times"
    CLOCK = "clock"
    REVOCATION = "revocation"


class Result(StrEnum):
    """What came of a check."""

    PASSED = "ok"
    FAILED = "FAILED"
    NOT_REACHED = "not reached"
    NOT_ASKED = "not asked"


OF_SERVICES: Final = (Check.CREDENTIAL, Check.SERVICE)
OF_USERS: Final = tuple(check for check in Check if check is not Check.SERVICE)

_FAILS: Final[Mapping[Reason, Check]] = {
    Reason.AUTHORIZATION_MALFORMED: Check.CREDENTIAL,
    Reason.SERVICE_TOKEN_EXPIRED: Check.SERVICE,
    Reason.TOKEN_TOO_LARGE: Check.FORM,
    Reason.TOKEN_MALFORMED: Check.FORM,
    Reason.TOKEN_ALGORITHM: Check.HEADER,
    Reason.TOKEN_TYPE: Check.HEADER,
    Reason.TOKEN_HEADER_UNSUPPORTED: Check.HEADER,
    Reason.KEY_ID_INVALID: Check.HEADER,
    Reason.KEY_UNKNOWN: Check.KEY,
    Reason.KEYS_UNAVAILABLE: Check.KEY,
    Reason.SIGNATURE_INVALID: Check.SIGNATURE,
    Reason.ISSUER_MISMATCH: Check.ISSUER,
    Reason.TEMPLATE_TOKEN: Check.CLASS,
    Reason.TOKEN_CLASS: Check.CLASS,
    Reason.PARTY_MISSING: Check.PARTY,
    Reason.PARTY_MISMATCH: Check.PARTY,
    Reason.AUDIENCE_MISMATCH: Check.AUDIENCE,
    Reason.SESSION_PENDING: Check.STATE,
    Reason.IMPERSONATION: Check.STATE,
    Reason.SUBJECT_INVALID: Check.SUBJECT,
    Reason.SESSION_MISSING: Check.SESSION,
    Reason.CLAIMS_MALFORMED: Check.TIMES,
    Reason.TOKEN_LIFETIME: Check.TIMES,
    Reason.TOKEN_EXPIRED: Check.CLOCK,
    Reason.TOKEN_NOT_YET_VALID: Check.CLOCK,
    Reason.TOKEN_ISSUED_IN_FUTURE: Check.CLOCK,
    Reason.USER_REVOKED: Check.REVOCATION,
    Reason.SESSION_REVOKED: Check.REVOCATION,
}
"""Where each reason is found; `Reason.MACHINE_TOKEN` is in three places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What becomes of a token.

    Attributes:
        reason: Why it is refused; `None` when it is accepted.
        failed: The check that it fails; `None` when it is accepted.
        claims: What is verified, once all but revocations have passed.
        service: The service token that it is; `None` for none.
        asked_revocations: Whether revocations were asked.
    """

    reason: Reason | None = None
    failed: Check | None = None
    claims: Claims | None = None
    service: ServiceToken | None = None
    asked_revocations: bool = False

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks that such a token goes through, in order."""
        return OF_USERS if self.service is None else OF_SERVICES

    @property
    def is_signed(self) -> bool:
        """Whether the signature was found good."""
        return self.service is None and self.result(Check.SIGNATURE) is Result.PASSED

    def result(self, check: Check) -> Result:
        """Return what came of one of `checks`."""
        if check is self.failed:
            return Result.FAILED
        if self.failed is not None:
            is_before = self.checks.index(check) < self.checks.index(self.failed)
            return Result.PASSED if is_before else Result.NOT_REACHED
        if check is Check.REVOCATION and not self.asked_revocations:
            return Result.NOT_ASKED
        return Result.PASSED


def trace_of(
    token: str,
    *,
    rules: TokenRules,
    services: ServiceTokens,
    keys: KeySet,
    keys_are_current: bool,
    now: float,
    revocations: RevocationSource | None = None,
) -> Trace:
    """Return what becomes of ``Authorization: Bearer <token>``.

    Args:
        token: What stands behind ``Bearer``.
        rules: Which session tokens are acceptable.
        services: The service tokens in force.
        keys: The keys at hand.
        keys_are_current: Whether a key that is not among them is taken not to exist.
        now: POSIX seconds.
        revocations: Who no longer counts; `None` does not ask.
    """
    request = HttpRequest(headers={"authorization": f"Bearer {token}"})
    credential = credential_of(request, None)
    if not isinstance(credential, BearerToken):
        return Trace(reason=Reason.AUTHORIZATION_MALFORMED, failed=Check.CREDENTIAL)
    service = services.recognise(credential.token)
    if service is not None:
        return _of_service(service, now)
    verifier = TokenVerifier(rules, cache_limit=0)
    outcome = verifier.verify(credential.token, keys=keys, now=now)
    if isinstance(outcome, MissingKey):
        outcome = outcome.if_current if keys_are_current else outcome.if_stale
    if isinstance(outcome, Reason):
        return Trace(reason=outcome, failed=failed_check(outcome, credential.token))
    if revocations is None:
        return Trace(claims=outcome)
    refused = revocations.refuses(outcome)
    failed = None if refused is None else failed_check(refused, credential.token)
    return Trace(reason=refused, failed=failed, claims=outcome, asked_revocations=True)


def failed_check(reason: Reason, token: str) -> Check:
    """Return the check that `token` fails when it is refused for `reason`."""
    if reason is not Reason.MACHINE_TOKEN:
        return _FAILS[reason]
    if token.startswith(MACHINE_PREFIXES):
        return Check.FORM
    return Check.HEADER if isinstance(parse_jws(token), Reason) else Check.CLASS


def _of_service(service: ServiceToken, now: float) -> Trace:
    if service.not_after is not None and now > service.not_after:
        return Trace(service=service, reason=Reason.SERVICE_TOKEN_EXPIRED, failed=Check.SERVICE)
    return Trace(service=service)
