"""What is kept of a decision: an allowlist of fields, so there is nothing to redact."""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY
from enum import StrEnum
from typing import Final

from wicketgate.core.replay_record import Replay
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.value import value
from wicketgate.core.verdict import (
    Allow,
    Anonymous,
    Service,
    Shadow,
    User,
    Verdict,
)

ALLOWED: Final = "allowed"
"""What stands in for a reason when there was none to deny."""

ALLOW: Final = "allow"
DENY: Final = "deny"
PRINCIPALS: Final[Mapping[type, str]] = {
    User: "user",
    Service: "service",
    Anonymous: "anonymous",
    type(None): "none",
}
"""The words for kinds of principals."""

MAX_TEMPLATE: Final = 256
MAX_SHADOWS: Final = 16
"""A line that is too long for a pipe is lost; metrics count every shadow rule."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class DecisionLog(StrEnum):
    """Which decisions get a log line."""

    ALL = "all"
    DENIED = "denied"
    OFF = "off"


class DecisionDetail(StrEnum):
    """What the log line of a decision holds."""

    STANDARD = "standard"
    """Nothing about the request, beside the template of its path."""
    REPLAY = "replay"
    """Also what another policy would need to judge it."""


@value
class Record:
    """One decision, as logs and metrics may know it.

    Attributes:
        decision_id: Unique to this decision; a denied caller was told it.
        request_id: Envoy's ``x-request-id``, empty when absent or not plain.
        verdict: ``allow`` or ``deny``.
        reason: `ALLOWED` or the value of a `Reason`.
        principal: ``user``, ``service``, ``anonymous``, or ``none`` when unknown.
        service: The name of the service token that was shown, whether or not it was
            of any use; empty when there was none.
        rule: The rule that decided, empty when it did not get that far.
        template: The path template that fitted, as the operator wrote it; never a path.
        shadows: Pairs of a shadow rule, and `ALLOWED` or the value of a `Reason`.
        detail: For the operator; empty unless the configuration or the gate is at fault.
        seconds: From reading the request to having its answer.
        replay: What another policy would need; `None` unless it was asked for.
    """

    _: KW_ONLY
    decision_id: str
    request_id: str
    verdict: str
    reason: str
    principal: str
    service: str = ""
    rule: str
    template: str = ""
    shadows: tuple[tuple[str, str], ...] = ()
    detail: str
    seconds: float
    replay: Replay | None = None


def record_of(
    verdict: Verdict,
    request: HttpRequest | None,
    *,
    decision_id: str,
    seconds: float,
    replay: Replay | None = None,
) -> Record:
    """Return what is kept of a decision.

    Args:
        verdict: What was decided.
        request: The request; `None` when it could not be read.
        decision_id: Unique to this decision.
        seconds: What it took.
        replay: What another policy would need to judge the request, if that is kept.
    """
    if isinstance(verdict, Allow):
        word, reason, detail = ALLOW, ALLOWED, ""
    else:
        word, reason, detail = DENY, str(verdict.reason), verdict.detail
    return Record(
        decision_id=decision_id,
        request_id=_request_id(request),
        verdict=word,
        reason=reason,
        principal=PRINCIPALS[type(verdict.principal)],
        service=verdict.caller.name if isinstance(verdict.caller, ServiceToken) else "",
        rule=verdict.rule.name if verdict.rule else "",
        template=verdict.template,
        shadows=tuple(map(_said, verdict.shadows)) if verdict.shadows else (),
        detail=detail,
        seconds=seconds,
        replay=replay,
    )


def fields_of(record: Record) -> dict[str, object]:
    """Return the fields of the log line for `record`, all but those of a replay."""
    optional: dict[str, object] = {
        "request_id": record.request_id,
        "service": record.service,
        "rule": record.rule,
        "template": record.template[:MAX_TEMPLATE],
        "shadows": dict(record.shadows[:MAX_SHADOWS]),
        "shadows_left_out": max(len(record.shadows) - MAX_SHADOWS, 0),
        "detail": record.detail,
    }
    return {
        "decision_id": record.decision_id,
        "verdict": record.verdict,
        "reason": record.reason,
        "principal": record.principal,
        "milliseconds": round(record.seconds * 1000, 3),
        **{name: value for name, value in optional.items() if value},
    }


def _said(shadow: Shadow) -> tuple[str, str]:
    return shadow.rule, ALLOWED if shadow.reason is None else str(shadow.reason)


def _request_id(request: HttpRequest | None) -> str:
    request_id = "" if request is None else request.headers.get("x-request-id", "")
    return request_id if _REQUEST_ID.fullmatch(request_id) else ""
