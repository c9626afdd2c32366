"""What is kept of a decision: an allowlist of fields, so there is nothing to redact."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from wicketgate.core.decision import Allow, Anonymous, Principal, Service, User, Verdict
from wicketgate.core.request import HttpRequest

ALLOWED: Final = "allowed"
"""What stands in for a reason when there was none to deny."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class DecisionLog(StrEnum):
    """Which decisions get a log line."""

    ALL = "all"
    DENIED = "denied"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One decision, as logs and metrics may know it.

    Attributes:
        decision_id: Unique to this decision; a denied caller was told it.
        request_id: Envoy's ``x-request-id``, empty when absent or not plain.
        verdict: ``allow`` or ``deny``.
        reason: `ALLOWED` or the value of a `Reason`.
        principal: ``user``, ``service``, ``anonymous``, or ``none`` when unknown.
        rule: The rule that decided, empty when it did not get that far.
        detail: For the operator; empty unless the configuration or the gate is at fault.
        seconds: From reading the request to having its answer.
    """

    decision_id: str
    request_id: str
    verdict: str
    reason: str
    principal: str
    rule: str
    detail: str
    seconds: float


def record_of(
    verdict: Verdict, request: HttpRequest | None, *, decision_id: str, seconds: float
) -> Record:
    """Return what is kept of `verdict`; `request` is `None` when it could not be read."""
    if isinstance(verdict, Allow):
        word, reason, detail = "allow", ALLOWED, ""
    else:
        word, reason, detail = "deny", str(verdict.reason), verdict.detail
    return Record(
        decision_id=decision_id,
        request_id=_request_id(request),
        verdict=word,
        reason=reason,
        principal=_kind(verdict.principal),
        rule=verdict.rule.name if verdict.rule else "",
        detail=detail,
        seconds=seconds,
    )


def _request_id(request: HttpRequest | None) -> str:
    request_id = "" if request is None else request.headers.get("x-request-id", "")
    return request_id if _REQUEST_ID.fullmatch(request_id) else ""


def _kind(principal: Principal | None) -> str:
    match principal:
        case User():
            return "user"
        case Service():
            return "service"
        case Anonymous():
            return "anonymous"
        case None:
            return "none"
        case _:
            assert_never(principal)
