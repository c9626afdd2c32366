"""What to do about a denial, a delivery that was not taken, or a component that is not ready.

It is a sentence for whoever runs us. docs/reasons.md says of reasons more than fits beside a row.
"""

from typing import Final

from wicketgate.core.reason import Reason
from wicketgate.core.receipt import Failure, Refusal
from wicketgate.core.webhook import Rejection

_ANOTHER_INSTANCE: Final = (
    "A token of another Clerk instance, often development against production: compare "
    "CLERK_PUBLISHABLE_KEY on both sides."
)
_NOT_CLERK_S: Final = "The caller sends something that is no session token of Clerk's."
_CLOCKS: Final = "A clock is off: check NTP here and at the caller."
_PARTIES: Final = "Add the front end's origin to CLERK_AUTHORIZED_PARTIES, if it is one of yours."
_ORGANIZATION: Final = (
    "The user may have another organization active, or lacks what the rule asks for in it."
)
_WRONG_DOOR: Final = "The right identity at the wrong door: compare the rule with who calls."
_FACTOR: Final = "The front end asks the user to verify again."
_SPELLING: Final = "Mend the URL, or list the host under any_targets if its upstream needs it."
_SEEN_IN_LIST: Final = "As it should be; wicketgate revocations list says why."

ADVICE: Final[dict[Reason, str]] = {
    Reason.NO_CREDENTIAL: "The caller is signed out, or a proxy on the way drops Authorization.",
    Reason.AUTHORIZATION_MALFORMED: "Send one Authorization header: Bearer, a space, the token.",
    Reason.COOKIE_AMBIGUOUS: "Delete session cookies that were set for a wider domain.",
    Reason.COOKIE_CROSS_SITE: _PARTIES,
    Reason.TOKEN_TOO_LARGE: "Take custom claims out of the session token in Clerk's dashboard.",
    Reason.TOKEN_MALFORMED: "The token was cut short on its way, or is none.",
    Reason.TOKEN_ALGORITHM: _NOT_CLERK_S,
    Reason.TOKEN_TYPE: _NOT_CLERK_S,
    Reason.TOKEN_HEADER_UNSUPPORTED: _NOT_CLERK_S,
    Reason.TOKEN_CLASS: _NOT_CLERK_S,
    Reason.TEMPLATE_TOKEN: "Send the session token, or set WICKETGATE_TEMPLATE_TOKENS=true.",
    Reason.MACHINE_TOKEN: "Clerk's machine tokens do not count here: use a service token.",
    Reason.KEY_ID_INVALID: _NOT_CLERK_S,
    Reason.KEY_UNKNOWN: _ANOTHER_INSTANCE,
    Reason.SIGNATURE_INVALID: "Many of them: somebody tries, or the keys here are out of date.",
    Reason.CLAIMS_MALFORMED: _NOT_CLERK_S,
    Reason.ISSUER_MISMATCH: _ANOTHER_INSTANCE,
    Reason.SUBJECT_INVALID: _NOT_CLERK_S,
    Reason.SESSION_MISSING: _NOT_CLERK_S,
    Reason.SESSION_PENDING: "The user has a task of Clerk's to finish, such as to choose a team.",
    Reason.TOKEN_EXPIRED: "The front end holds on to tokens, which live 60 s: ask Clerk's SDK "
    "for one at each request.",
    Reason.TOKEN_NOT_YET_VALID: _CLOCKS,
    Reason.TOKEN_ISSUED_IN_FUTURE: _CLOCKS,
    Reason.TOKEN_LIFETIME: "The token lives longer than WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS.",
    Reason.PARTY_MISSING: "A token that a backend minted has no azp: "
    "WICKETGATE_AZP_CHECK=if-present admits those.",
    Reason.PARTY_MISMATCH: _PARTIES,
    Reason.AUDIENCE_MISMATCH: "Compare aud of the token with CLERK_AUDIENCE.",
    Reason.IMPERSONATION: "Somebody acts as this user, which WICKETGATE_IMPERSONATION or the "
    "rule forbids.",
    Reason.USER_REVOKED: _SEEN_IN_LIST,
    Reason.SESSION_REVOKED: _SEEN_IN_LIST,
    Reason.USER_NOT_ADMITTED: _WRONG_DOOR,
    Reason.SERVICE_NOT_ADMITTED: _WRONG_DOOR,
    Reason.SERVICE_TOKEN_EXPOSED: "A live service token came in from outside: find the caller; "
    "if it is not yours, replace the token now.",
    Reason.SERVICE_TOKEN_EXPIRED: "wicketgate service-token check lists what has ended; "
    "give the service a new one.",
    Reason.SERVICE_PRINCIPAL_MISMATCH: "Another mesh principal uses this token than may: "
    "find out who has it.",
    Reason.SERVICE_SCOPE: "wicketgate service-token check lists scopes; give it the one that the "
    "rule asks for.",
    Reason.NOBODY_ADMITTED: "No rule is about this request, or one that admits nobody: "
    "wicketgate policy explain shows which were near.",
    Reason.ORGANIZATION_NOT_ADMITTED: _ORGANIZATION,
    Reason.ROLE_NOT_ADMITTED: _ORGANIZATION,
    Reason.PERMISSION_MISSING: _ORGANIZATION,
    Reason.PERMISSIONS_UNDECODABLE: "Clerk's SDKs read these permissions differently: "
    "check roles instead.",
    Reason.SESSION_TOO_OLD: _FACTOR,
    Reason.SECOND_FACTOR_TOO_OLD: _FACTOR,
    Reason.CONDITION_NOT_MET: "wicketgate policy explain shows the rule's condition.",
    Reason.CONDITION_FAILED: "The condition reads a claim that is not there: guard it with has().",
    Reason.CLAIM_UNUSABLE: "A claim does not fit into the header that the rule makes of it.",
    Reason.AMBIGUOUS_PATH: _SPELLING,
    Reason.AMBIGUOUS_METHOD: "Methods are written in capitals: mend the caller.",
    Reason.AMBIGUOUS_HOST: _SPELLING,
    Reason.KEYS_UNAVAILABLE: "The gate cannot get Clerk's keys: see Keys, and the log.",
    Reason.REVOCATIONS_UNAVAILABLE: "Postgres has been away for too long: see Revocations.",
    Reason.ROUTE_MISCONFIGURED: "An unknown word in the route's context_extensions: mend Envoy's "
    "configuration.",
    Reason.REQUEST_UNREADABLE: "What Envoy sent is no Check: look at Envoy and its version.",
    Reason.PEER_NOT_ALLOWED: "An Envoy whose certificate is not in WICKETGATE_TLS_ALLOWED_SANS.",
    Reason.INTERNAL_ERROR: "A defect: please report it with what stands beside it.",
}

_NOT_SVIX: Final = (
    "Clerk never sends this: a stranger, or a proxy on the way that changes requests."
)
_BODY: Final = "The body was cut on its way: compare limits and timeouts of what stands before us."

DELIVERY_ADVICE: Final[dict[Refusal | Rejection | Failure, str]] = {
    Refusal.NOT_HTTP: _NOT_SVIX,
    Refusal.NOT_FOUND: "Compare the path of Clerk's endpoint with WICKETGATE_WEBHOOKS_PATH.",
    Refusal.METHOD_NOT_ALLOWED: _NOT_SVIX,
    Refusal.CONTENT_ENCODING: _NOT_SVIX,
    Refusal.TOO_LARGE: _NOT_SVIX,
    Refusal.TOO_SLOW: _BODY,
    Refusal.BROKEN_BODY: _BODY,
    Rejection.MISSING_HEADER: _NOT_SVIX,
    Rejection.REPEATED_HEADER: _NOT_SVIX,
    Rejection.BAD_MESSAGE_ID: _NOT_SVIX,
    Rejection.BAD_TIMESTAMP: _NOT_SVIX,
    Rejection.OUTSIDE_TOLERANCE: "A replay, or the clock here is off by minutes: check NTP.",
    Rejection.BAD_SIGNATURE_HEADER: _NOT_SVIX,
    Rejection.UNKNOWN_SCHEME: _NOT_SVIX,
    Rejection.NO_MATCHING_SIGNATURE: "A forgery, or CLERK_WEBHOOK_SIGNING_SECRET is that of "
    "another endpoint; two count while one is replaced.",
    Failure.STORE_UNAVAILABLE: "Postgres refuses, or cannot be reached. They come again.",
    Failure.STORE_TIMEOUT: "Postgres is slow: look at its locks and load. They come again.",
    Failure.BUSY: "More arrive than the pool writes; Svix spreads them out by sending them again.",
    Failure.INTERNAL: "A defect: please report it with what stands beside it. They come again.",
}
"""None has a page of its own to lead to."""

COMPONENT_ADVICE: Final[dict[str, str]] = {
    "keys": "Users are refused, with 503, until Clerk's keys are there: see whether their URL can "
    "be reached from here.",
    "accepting": "It does not listen yet, or no longer.",
    "policy": "What was written last cannot be used, and the old stays in force: the log says "
    "why.",
    "revocations": "It does not hear for certain who is revoked: see whether Postgres can be "
    "reached from here, without a pooler between.",
    "first sight": "Users whom it has not seen before get no row, and are let in: see whether "
    "Postgres can be reached from here.",
    "store": "Deliveries are refused, with 503, and come again by themselves: see whether "
    "Postgres can be reached from here, and whether wicketgate migrate was run.",
    "secrets": "What was written last cannot be used, and the old secrets stay in force: the log "
    "says why.",
}
"""By the name of the component, as in ``/readyz``: what it means, and what to do."""
