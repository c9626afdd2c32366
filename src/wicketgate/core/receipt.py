"""What became of one request to the receiver of webhooks, and its status.

Like a decision's record, it is an allowlist: whatever logs and metrics may know
of a request is here, so there is nothing to redact.

Source: RFC 9110 section 15 (statuses); RFC 9457 (problem details); Svix, "Retry
schedule" (any 2xx is success, anything else is tried again).
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from wicketgate.core.answer import HttpAnswer
from wicketgate.core.delivery import Outcome
from wicketgate.core.event import Event, Milliseconds
from wicketgate.core.webhook import Rejection

RETRY_AFTER_SECONDS: Final = 5
"""Svix' own first pause; a longer one it would only honour later on."""

KNOWN_TYPES: Final = frozenset(
    {
        *("user.created", "user.updated", "user.deleted"),
        *("session.ended", "session.removed", "session.revoked"),
        *("organization.created", "organization.updated", "organization.deleted"),
        *("organizationMembership.created", "organizationMembership.updated"),
        "organizationMembership.deleted",
    }
)
"""The types of events that are read; logs and metrics call every other one `OTHER_TYPE`."""
OTHER_TYPE: Final = "other"


_TITLES: Final = {
    400: "This is not a delivery from Clerk.",
    404: "There is nothing here.",
    405: "Deliveries are POSTed.",
    408: "The body took too long to arrive.",
    413: "The body is too large for a delivery.",
    503: "The delivery cannot be taken now; send it again.",
}


class Refusal(StrEnum):
    """Why a request was not even looked at as a delivery. All are the sender's fault."""

    NOT_HTTP = "not_http"
    """The bytes are not a request."""
    NOT_FOUND = "not_found"
    """Another path."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    """Anything but POST."""
    CONTENT_ENCODING = "content_encoding"
    """Compressed, which Svix never does; the signature is over what was written."""
    TOO_LARGE = "too_large"
    """The body is longer than any delivery."""
    TOO_SLOW = "too_slow"
    """The body took too long to arrive."""
    BROKEN_BODY = "broken_body"
    """The body did not arrive whole."""


class Failure(StrEnum):
    """Why a delivery, perhaps authentic, could not be taken. Svix will try again."""

    STORE_UNAVAILABLE = "store_unavailable"
    """Postgres refused or is not there."""
    STORE_TIMEOUT = "store_timeout"
    """Postgres did not commit in time."""
    BUSY = "busy"
    """Too many deliveries are under way already."""
    INTERNAL = "internal"
    """A defect of ours. A later version may take the delivery: it must not be lost."""


Verdict = Outcome | Rejection | Refusal | Failure


@dataclass(frozen=True, slots=True)
class Receipt:
    """One request, as logs and metrics may know it.

    Attributes:
        verdict: What became of it.
        message_id: Its ``svix-id``, empty when it could not be read. It is the
            sender's word unless the verdict is an `Outcome`.
        type: A member of `KNOWN_TYPES`, or `OTHER_TYPE`; empty unless the signature
            was verified.
        event_at: When Clerk made the event, 0 when not known.
        why: A word on why there was nothing to apply, safe to tell the sender.
        detail: For the operator; empty unless the verdict is a `Failure`.
    """

    verdict: Verdict
    message_id: str = ""
    type: str = ""
    event_at: Milliseconds = 0
    why: str = ""
    detail: str = ""

    @property
    def status(self) -> int:
        """The HTTP status that answers the request."""
        return status_of(self.verdict)


def type_of(event: Event) -> str:
    """Return the event's type, as logs and metrics may know it."""
    return event.type if event.type in KNOWN_TYPES else OTHER_TYPE


def status_of(verdict: Verdict) -> int:
    """Return the HTTP status for `verdict`; never 500, nor any 3xx."""
    match verdict:
        case Outcome.APPLIED | Outcome.STALE | Outcome.RECORDED:
            return 204
        case Outcome.IGNORED | Outcome.DEAD:
            return 200
        case Refusal.NOT_FOUND:
            return 404
        case Refusal.METHOD_NOT_ALLOWED:
            return 405
        case Refusal.TOO_SLOW:
            return 408
        case Refusal.TOO_LARGE:
            return 413
        case Refusal.NOT_HTTP | Refusal.CONTENT_ENCODING | Refusal.BROKEN_BODY:
            return 400
        case Rejection():
            return 400
        case Failure():
            return 503
        case _:
            assert_never(verdict)


def answer_to(receipt: Receipt) -> HttpAnswer:
    """Return what the sender is told: a word at most, and nothing that it sent."""
    headers = [("cache-control", "no-store")]
    said: dict[str, str | int]
    match receipt.status:
        case 204:
            return HttpAnswer(204, tuple(headers), "")
        case 200:
            # Clerk's dashboard shows this beside the delivery.
            said = {"outcome": receipt.verdict, "why": receipt.why}
            headers.append(("content-type", "application/json"))
        case status:
            said = {
                "type": f"urn:wicketgate:reason:{receipt.verdict}",
                "title": _TITLES[status],
                "status": status,
                "reason": receipt.verdict,
            }
            headers.append(("content-type", "application/problem+json"))
    if receipt.verdict is Refusal.METHOD_NOT_ALLOWED:
        headers.append(("allow", "POST"))
    if isinstance(receipt.verdict, Failure):
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    return HttpAnswer(receipt.status, tuple(headers), json.dumps(said, separators=(",", ":")))
