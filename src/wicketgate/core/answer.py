"""What a denied caller is told.

Nothing from the request or the token goes into an answer: it is made of the reason, of
the decision's own id, and of where the operator says that reasons are explained.

Source: RFC 9457 (problem details); RFC 6750 section 3 (``WWW-Authenticate``);
RFC 9110 section 10.2.3 (``Retry-After``).
"""

import json
from dataclasses import dataclass
from typing import Final

from wicketgate.core.reason import ANSWERS, PUBLIC_WORD, Reason

RETRY_AFTER_SECONDS: Final = 1
"""Long enough to spare a gate that is starting, short enough not to be noticed."""

TYPE_BASE: Final = "urn:wicketgate:reason:"
"""What a problem's type begins with; the reason ends it. It identifies and leads nowhere."""

UNAVAILABLE: Final = 503
UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete HTTP answer: status, headers in order, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


def answer_to(
    reason: Reason, *, decision_id: str, is_grpc: bool, type_base: str = TYPE_BASE
) -> HttpAnswer:
    """Return the answer to a request denied for `reason`.

    Args:
        reason: Why.
        decision_id: The id under which the decision is logged.
        is_grpc: The caller speaks gRPC: Envoy makes the body its
            ``grpc-message``, so it is one line of plain text.
        type_base: What the problem's type begins with, the operator's word.
    """
    word = PUBLIC_WORD.get(reason, reason)
    answer = ANSWERS[word]
    headers = [("cache-control", "no-store"), ("x-wicketgate-decision", decision_id)]
    if answer.status == UNAUTHORIZED or answer.error == "insufficient_scope":
        headers.append(("www-authenticate", _challenge(answer.error, answer.title)))
    if answer.status == UNAVAILABLE:
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    if is_grpc:
        headers.append(("content-type", "text/plain; charset=utf-8"))
        return HttpAnswer(answer.status, tuple(headers), f"{word}: {answer.title}")
    headers.append(("content-type", "application/problem+json"))
    problem = {
        "type": type_base + word,
        "title": answer.title,
        "status": answer.status,
        "reason": word,
        "decision_id": decision_id,
    }
    return HttpAnswer(answer.status, tuple(headers), json.dumps(problem, separators=(",", ":")))


def _challenge(error: str, description: str) -> str:
    if not error:
        return 'Bearer realm="wicketgate"'
    return f'Bearer realm="wicketgate", error="{error}", error_description="{description}"'
