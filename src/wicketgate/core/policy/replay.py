"""Judge once more what a log kept of a request, as far as that can be done.

A log does not keep everything, and a policy may ask for the rest: the value of a
header, a claim that the policy of that time did not read. Such a question is noticed,
and the answer that the policy came to without it is not believed.
"""

from dataclasses import replace
from enum import StrEnum
from typing import assert_never

from wicketgate.core.claims import Claims
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.policy.callers import taken_as_verified
from wicketgate.core.policy.kept import KeptClaims, KeptHeaders
from wicketgate.core.policy.outcome import Outcome, outcome_of
from wicketgate.core.policy.recorded import (
    RecordedDecision,
    RecordedNobody,
    RecordedRefusal,
    RecordedRequest,
    RecordedService,
    RecordedUnread,
    RecordedUser,
)
from wicketgate.core.policy.rule import Match, Policy, Refusal
from wicketgate.core.reason import Reason
from wicketgate.core.replay_record import ACTOR, CLERK_CLAIMS
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.verdict import (
    Caller,
)


class Undetermined(StrEnum):
    """Why it cannot be told what a policy would have said."""

    CALLER = "caller"
    """Who asked was not kept, and a rule would have asked."""
    CLAIMS = "claims"
    """A claim that was not kept is read."""
    HEADERS = "headers"
    """The value of a header is read, or a header that was not kept is asked for."""
    PATH = "path"
    """The path was too long to be kept."""


def judge_again(recorded: RecordedDecision, policy: Policy) -> Outcome | Undetermined:
    """Return what `policy` makes of a recorded request, at the time of the record.

    Shadow rules are not asked, and nobody is revoked.
    """
    asked = recorded.request
    if asked.path_cut:
        return Undetermined.PATH
    headers = KeptHeaders(asked.headers, is_cut=asked.headers_cut)
    claims = _kept_claims(asked)
    deciding = _Deciding(policy)
    request = HttpRequest(
        method=asked.method,
        host=asked.host,
        target=asked.path,
        headers=headers,
        context=asked.context,
        source_principal=asked.source,
    )
    caller = _caller(asked, claims)
    verdict = judge_known(
        request, caller=caller or NO_CREDENTIAL, policy=deciding, now=recorded.now
    )
    if headers.is_doubtful or (headers.is_copied and deciding.reads_headers):
        return Undetermined.HEADERS
    if caller is None and isinstance(deciding.found, Match):
        return Undetermined.CALLER
    return Undetermined.CLAIMS if claims.is_doubtful else outcome_of(verdict)


def _kept_claims(asked: RecordedRequest) -> KeptClaims:
    claims = asked.caller.claims if isinstance(asked.caller, RecordedUser) else {}
    # Of the actor there is only a part, unless the policy read it.
    return KeptClaims(claims, known=(CLERK_CLAIMS - {ACTOR}) | frozenset(asked.claims))


def _caller(asked: RecordedRequest, claims: KeptClaims) -> Caller | None:
    match asked.caller:
        case RecordedUser():
            found = taken_as_verified(claims)
            if not isinstance(found, Claims):
                # A gate keeps claims only of those whom it verified; others were not kept.
                return None
            # Read now: of what they ask for, what was not kept makes no difference.
            _ = found.facts
            claims.begin()
            return found
        case RecordedService() as token:
            return ServiceToken(
                name=token.name,
                digest=b"",
                scopes=frozenset(token.scopes),
                not_after=token.not_after,
                principal=token.principal,
            )
        case RecordedRefusal(reason=reason):
            return Reason(reason)
        case RecordedNobody():
            return NO_CREDENTIAL
        case RecordedUnread():
            return None
        case _:
            assert_never(asked.caller)


class _Deciding:
    """A policy without its shadow rules; remembers what it found."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.found: Match | Refusal | None = None

    def match(self, request: HttpRequest) -> Match | Refusal:
        found = self._policy.match(request)
        if isinstance(found, Match) and found.shadows:
            found = replace(found, shadows=())
        self.found = found
        return found

    @property
    def reads_headers(self) -> bool:
        """Whether the condition of the rule that decides reads headers."""
        condition = self.found.rule.condition if isinstance(self.found, Match) else None
        fields = frozenset() if condition is None else condition.fields.get("request", frozenset())
        return fields is None or "headers" in fields
