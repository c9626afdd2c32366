"""Why a request was denied, and the answer that each reason earns.

Every denial carries exactly one `Reason`. Its value is stable: it is the
``reason`` of the problem document, the label of the metric and the field of the
decision log. `ANSWERS` is the one place where a reason becomes a status.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """A stable word for one way of being denied."""

    NO_CREDENTIAL = "no_credential"
    """The rule wants a credential and the request carries none."""
    AUTHORIZATION_MALFORMED = "authorization_malformed"
    """``Authorization`` is empty, repeated, or not ``Bearer <token>``."""
    COOKIE_AMBIGUOUS = "cookie_ambiguous"
    """A session cookie appears twice with different values, or two name two users."""
    COOKIE_CROSS_SITE = "cookie_cross_site"
    """A cookie was sent without proof that our own origin made the request."""

    TOKEN_TOO_LARGE = "token_too_large"
    """The token is longer than the limit; it was not decoded."""
    TOKEN_MALFORMED = "token_malformed"
    """Not a compact JWS of canonical base64url and strict JSON objects."""
    TOKEN_ALGORITHM = "token_algorithm"
    """``alg`` is not RS256."""
    TOKEN_TYPE = "token_type"
    """``typ`` is neither absent nor ``JWT``."""
    TOKEN_HEADER_UNSUPPORTED = "token_header_unsupported"
    """The header asks for processing that is not done: ``crit``, ``b64``, ``zip``."""
    TOKEN_CLASS = "token_class"
    """``cat`` names a class of token that is not known to be a session token."""
    TEMPLATE_TOKEN = "template_token"
    """Minted from a JWT template, and template tokens are not enabled."""
    MACHINE_TOKEN = "machine_token"
    """A Clerk machine credential: M2M, API key or OAuth access token."""
    KEY_ID_INVALID = "key_id_invalid"
    """``kid`` is missing or not a plain identifier."""
    KEY_UNKNOWN = "key_unknown"
    """No key of this Clerk instance has the token's ``kid``."""
    SIGNATURE_INVALID = "signature_invalid"
    """The signature was not made by the key that the token names."""

    CLAIMS_MALFORMED = "claims_malformed"
    """A claim that is read is missing or has the wrong type."""
    ISSUER_MISMATCH = "issuer_mismatch"
    """``iss`` is not one of the configured issuers."""
    SUBJECT_INVALID = "subject_invalid"
    """``sub`` is not a Clerk user id."""
    SESSION_MISSING = "session_missing"
    """``sid`` is not a Clerk session id."""
    SESSION_PENDING = "session_pending"
    """``sts`` says that the session is not active yet."""
    TOKEN_EXPIRED = "token_expired"
    """``exp`` has passed."""
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    """``nbf`` is in the future."""
    TOKEN_ISSUED_IN_FUTURE = "token_issued_in_future"
    """``iat`` is in the future."""
    TOKEN_LIFETIME = "token_lifetime"
    """``exp - iat`` exceeds the longest lifetime that is accepted."""
    PARTY_MISSING = "party_missing"
    """``azp`` is absent and required."""
    PARTY_MISMATCH = "party_mismatch"
    """``azp`` is not an authorized party."""
    AUDIENCE_MISMATCH = "audience_mismatch"
    """``aud`` names none of the configured audiences."""
    IMPERSONATION = "impersonation"
    """``act`` is present and impersonated sessions are refused."""

    USER_REVOKED = "user_revoked"
    """The user was banned, locked or deleted after the token was issued."""
    SESSION_REVOKED = "session_revoked"
    """The session ended, was removed or was revoked."""

    USER_NOT_ADMITTED = "user_not_admitted"
    """A valid user, where the rule admits services only."""
    SERVICE_NOT_ADMITTED = "service_not_admitted"
    """A valid service token, where the rule does not admit services, or not this one."""
    SERVICE_TOKEN_EXPOSED = "service_token_exposed"
    """A valid service token arrived on a public route."""
    SERVICE_TOKEN_EXPIRED = "service_token_expired"
    """A service token after its ``not_after``."""
    SERVICE_PRINCIPAL_MISMATCH = "service_principal_mismatch"
    """A service token that only a certain mesh principal may use, used by another."""
    SERVICE_SCOPE = "service_scope"
    """A service token without a scope that the rule asks for."""
    NOBODY_ADMITTED = "nobody_admitted"
    """A valid credential, where the rule, or the policy's default, lets nobody in."""
    ORGANIZATION_NOT_ADMITTED = "organization_not_admitted"
    """The user's active organisation is not one that the rule admits."""
    ROLE_NOT_ADMITTED = "role_not_admitted"
    """The user's role in the active organisation is not one that the rule admits."""
    PERMISSION_MISSING = "permission_missing"
    """The user lacks the permission that the rule asks for."""
    PERMISSIONS_UNDECODABLE = "permissions_undecodable"
    """The token's packed permissions are of a kind that Clerk's own SDKs read differently."""
    SESSION_TOO_OLD = "session_too_old"
    """The first factor was too long ago, or the token does not say when."""
    SECOND_FACTOR_TOO_OLD = "second_factor_too_old"
    """The second factor was too long ago, or there was none."""
    CONDITION_NOT_MET = "condition_not_met"
    """The rule's condition is false."""
    CONDITION_FAILED = "condition_failed"
    """The rule's condition could not be evaluated: a missing claim, a wrong type."""
    CLAIM_UNUSABLE = "claim_unusable"
    """A claim that the rule sends upstream cannot be written into a header."""
    AMBIGUOUS_PATH = "ambiguous_path"
    """Two readers of the request target could disagree about what it names."""
    AMBIGUOUS_METHOD = "ambiguous_method"
    """The method has lower-case letters, which some upstreams raise and others do not."""
    AMBIGUOUS_HOST = "ambiguous_host"
    """Two readers of the host could disagree about what it names."""

    KEYS_UNAVAILABLE = "keys_unavailable"
    """The key needed to verify the token could not be fetched in time."""
    REVOCATIONS_UNAVAILABLE = "revocations_unavailable"
    """It has not been known for too long who was revoked."""
    ROUTE_MISCONFIGURED = "route_misconfigured"
    """The route's ``context_extensions`` hold a word that is not understood."""
    REQUEST_UNREADABLE = "request_unreadable"
    """What the proxy sent is no ``CheckRequest``, or holds more headers than are looked at."""
    PEER_NOT_ALLOWED = "peer_not_allowed"
    """The caller of the gate presented a certificate that is not on the list."""
    INTERNAL_ERROR = "internal_error"
    """The gate failed. The request is denied, because it was not decided."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a denied caller is told.

    Attributes:
        status: HTTP status; every value is in ``envoy.type.v3.StatusCode``.
        title: One sentence for a person, free of anything from the request.
        error: RFC 6750 section 3.1 error code; empty where that section asks
            for none (no credential was presented, or the status is 503).
    """

    status: int
    title: str
    error: str = ""


def _invalid_token(title: str) -> Answer:
    return Answer(401, title, "invalid_token")


def _forbidden(title: str) -> Answer:
    return Answer(403, title, "insufficient_scope")


def _undecided(title: str) -> Answer:
    return Answer(503, title)


ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.NO_CREDENTIAL: Answer(401, "A bearer token is required."),
    Reason.AUTHORIZATION_MALFORMED: Answer(
        401, "The Authorization header must be one bearer token.", "invalid_request"
    ),
    Reason.COOKIE_AMBIGUOUS: Answer(
        401, "The session cookies contradict each other.", "invalid_request"
    ),
    Reason.COOKIE_CROSS_SITE: Answer(
        403, "The session cookie was sent by another site.", "invalid_request"
    ),
    Reason.TOKEN_TOO_LARGE: _invalid_token("The token is too large."),
    Reason.TOKEN_MALFORMED: _invalid_token("The token is malformed."),
    Reason.TOKEN_ALGORITHM: _invalid_token("The token's algorithm is not accepted."),
    Reason.TOKEN_TYPE: _invalid_token("The token is not a session token."),
    Reason.TOKEN_HEADER_UNSUPPORTED: _invalid_token("The token's header is not supported."),
    Reason.TOKEN_CLASS: _invalid_token("The token is not a session token."),
    Reason.TEMPLATE_TOKEN: _invalid_token("Tokens from JWT templates are not accepted."),
    Reason.MACHINE_TOKEN: _invalid_token("Machine tokens are not accepted."),
    Reason.KEY_ID_INVALID: _invalid_token("The token does not name a key."),
    Reason.KEY_UNKNOWN: _invalid_token("The token was signed by an unknown key."),
    Reason.SIGNATURE_INVALID: _invalid_token("The token's signature is invalid."),
    Reason.CLAIMS_MALFORMED: _invalid_token("The token's claims are malformed."),
    Reason.ISSUER_MISMATCH: _invalid_token("The token was issued by another party."),
    Reason.SUBJECT_INVALID: _invalid_token("The token does not name a user."),
    Reason.SESSION_MISSING: _invalid_token("The token does not name a session."),
    Reason.SESSION_PENDING: _invalid_token("The session is not active yet."),
    Reason.TOKEN_EXPIRED: _invalid_token("The token has expired."),
    Reason.TOKEN_NOT_YET_VALID: _invalid_token("The token is not valid yet."),
    Reason.TOKEN_ISSUED_IN_FUTURE: _invalid_token("The token was issued in the future."),
    Reason.TOKEN_LIFETIME: _invalid_token("The token lives too long."),
    Reason.PARTY_MISSING: _invalid_token("The token does not name an authorized party."),
    Reason.PARTY_MISMATCH: _invalid_token("The token was issued for another application."),
    Reason.AUDIENCE_MISMATCH: _invalid_token("The token was issued for another audience."),
    Reason.IMPERSONATION: _forbidden("Impersonated sessions are not accepted."),
    Reason.USER_REVOKED: _invalid_token("The user's access was revoked."),
    Reason.SESSION_REVOKED: _invalid_token("The session was revoked."),
    Reason.USER_NOT_ADMITTED: _forbidden("Users are not admitted here."),
    Reason.SERVICE_NOT_ADMITTED: _forbidden("Services are not admitted here."),
    Reason.SERVICE_TOKEN_EXPOSED: _invalid_token("The token is malformed."),
    Reason.SERVICE_TOKEN_EXPIRED: _invalid_token("The token has expired."),
    Reason.SERVICE_PRINCIPAL_MISMATCH: _forbidden("The token may not be used from here."),
    Reason.SERVICE_SCOPE: _forbidden("The token may not be used here."),
    Reason.NOBODY_ADMITTED: _forbidden("Nobody is admitted here."),
    Reason.ORGANIZATION_NOT_ADMITTED: _forbidden("The active organization is not admitted here."),
    Reason.ROLE_NOT_ADMITTED: _forbidden("The role in the organization is not admitted here."),
    Reason.PERMISSION_MISSING: _forbidden("A permission is missing."),
    Reason.PERMISSIONS_UNDECODABLE: _forbidden("The token's permissions cannot be read."),
    Reason.SESSION_TOO_OLD: _forbidden("A more recent sign-in is required."),
    Reason.SECOND_FACTOR_TOO_OLD: _forbidden("A more recent second factor is required."),
    Reason.CONDITION_NOT_MET: _forbidden("A condition for access is not met."),
    Reason.CONDITION_FAILED: _forbidden("A condition for access is not met."),
    Reason.CLAIM_UNUSABLE: _forbidden("A claim of the token cannot be used."),
    Reason.AMBIGUOUS_PATH: Answer(400, "The request target is ambiguous."),
    Reason.AMBIGUOUS_METHOD: Answer(400, "The method is ambiguous."),
    Reason.AMBIGUOUS_HOST: Answer(400, "The host is ambiguous."),
    Reason.KEYS_UNAVAILABLE: _undecided("Tokens cannot be verified at the moment."),
    Reason.REVOCATIONS_UNAVAILABLE: _undecided("Sessions cannot be checked at the moment."),
    Reason.ROUTE_MISCONFIGURED: _undecided("This route's authorization is misconfigured."),
    # No 503: what a caller can bring about must not be left to failure_mode_allow.
    Reason.REQUEST_UNREADABLE: Answer(400, "The request cannot be read."),
    Reason.PEER_NOT_ALLOWED: _undecided("This proxy may not ask for authorization."),
    Reason.INTERNAL_ERROR: _undecided("The request could not be authorized."),
}

PUBLIC_WORD: Final[dict[Reason, Reason]] = {
    # A stranger who holds a leaked service token must not learn from the public
    # edge that it works: the answer is the one that any opaque string earns.
    Reason.SERVICE_TOKEN_EXPOSED: Reason.TOKEN_MALFORMED,
}
"""Reasons that callers are told under another word; logs and metrics keep the true one."""
