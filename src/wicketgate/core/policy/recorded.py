"""Decisions as the log has them, read back; `wicketgate.core.replay_record` writes them.

A log comes from anywhere, so nothing in it is believed to have the right form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from wicketgate.core.policy.words import Words
from wicketgate.core.reason import Reason
from wicketgate.core.rfc3339 import parse_instant
from wicketgate.core.strict_json import NotStrictJsonError, parse_object


class RecordedUser(Words):
    """A user, by some of the token's claims."""

    kind: Literal["user"]
    claims: dict[str, Any]


class RecordedService(Words):
    """A service, by what is known of its token."""

    kind: Literal["service"]
    name: str
    scopes: list[str]
    not_after: float | None = None
    principal: str = ""


class RecordedNobody(Words):
    """A request without a credential."""

    kind: Literal["none"]


class RecordedRefusal(Words):
    """A credential that is refused whatever the rule says."""

    kind: Literal["refused"]
    reason: str


class RecordedUnread(Words):
    """A credential that was not looked at, or not kept."""

    kind: Literal["unread"]


RecordedCaller = RecordedUser | RecordedService | RecordedNobody | RecordedRefusal | RecordedUnread


class RecordedRequest(Words):
    """A request and who sent it; see `wicketgate.core.replay_record.Replay`."""

    method: str
    host: str
    path: str
    path_cut: bool = False
    context: Annotated[dict[str, str], Field(default_factory=dict)]
    headers: Annotated[list[str], Field(default_factory=list)]
    headers_cut: bool = False
    source: str = ""
    claims: Annotated[list[str], Field(default_factory=list)]
    caller: Annotated[RecordedCaller, Field(discriminator="kind")]


class _DecisionLine(BaseModel):
    """The fields of the line that matter here, among others."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    timestamp: str
    verdict: Literal["allow", "deny"]
    reason: str
    replay: RecordedRequest


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One decision that can be made again.

    Attributes:
        now: When it was made, POSIX seconds.
        verdict: ``allow`` or ``deny``.
        reason: ``allowed``, or why it was denied.
        request: What was asked, and by whom.
    """

    now: float
    verdict: str
    reason: str
    request: RecordedRequest

    @property
    def principal(self) -> str:
        """Who asked: ``user:<id>``, ``service:<name>``, ``anonymous`` or ``unknown``."""
        match self.request.caller:
            case RecordedUser(claims=claims):
                return f"user:{claims.get('sub')}"
            case RecordedService(name=name):
                return f"service:{name}"
            case RecordedNobody():
                return "anonymous"
            case RecordedRefusal() | RecordedUnread():
                return "unknown"
            case _:
                assert_never(self.request.caller)


class Skipped(StrEnum):
    """Why there is nothing to judge in a line."""

    OTHER = "other"
    """It is no decision."""
    NO_REPLAY = "no_replay"
    """It is a decision, without what a replay needs."""
    BROKEN = "broken"
    """It is not a line of this log, or a damaged one."""


_REASONS: Final = frozenset(map(str, Reason))


def read_line(line: bytes) -> RecordedDecision | Skipped:
    """Return the decision in one line of a log. Nothing is raised, whatever it holds."""
    if not line.strip():
        return Skipped.OTHER
    try:
        document = parse_object(line)
    except NotStrictJsonError:
        return Skipped.BROKEN
    if document.get("event") != "decision":
        return Skipped.OTHER
    if "replay" not in document:
        return Skipped.NO_REPLAY
    return _decision(document)


def _decision(document: Mapping[str, Any]) -> RecordedDecision | Skipped:
    try:
        found = _DecisionLine.model_validate(document)
        now = parse_instant(found.timestamp)
    except ValueError:
        return Skipped.BROKEN
    caller = found.replay.caller
    if isinstance(caller, RecordedRefusal) and caller.reason not in _REASONS:
        # Of another version, which knows more.
        return Skipped.BROKEN
    return RecordedDecision(now, found.verdict, found.reason, found.replay)
