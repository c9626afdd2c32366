"""One Check from bytes to bytes: what every transport calls.

This is the only caller of `decide`. It gathers one snapshot of everything that
can change, asks, fetches a key when that is the answer, and records the
verdict. Whatever goes wrong in here is a denial: an exception that reached the
transport would become a gRPC error, and what Envoy does with those is up to
``failure_mode_allow``.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from wicketgate.adapters.envoy import Responses, UnreadableError, request_from
from wicketgate.core.claims import UserId
from wicketgate.core.decision import (
    Judge,
    decide,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.rule import Policy
from wicketgate.core.reason import Reason
from wicketgate.core.record import Record, record_of
from wicketgate.core.replay_record import Replay, Sampling, make_replay
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS, RevocationSource
from wicketgate.core.trace_span import Wait, Waited
from wicketgate.core.verdict import (
    Allow,
    Decision,
    Deny,
    NeedKey,
    User,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What a reload replaces, in one assignment.

    Attributes:
        judge: Verifier, service tokens and cookie rules.
        policy: Finds the rule for a request.
        claims: Claims that the policy reads beside those of Clerk.
    """

    judge: Judge
    policy: Policy
    claims: frozenset[str] = frozenset()


class KeySource(Protocol):
    """Where the verification keys come from."""

    @property
    def snapshot(self) -> KeySet:
        """The keys in force now; the same object until they change."""

    async def refresh(self, kid: str) -> bool:
        """Try to learn about `kid`; tell whether the keys are now known to be current."""


class Recorder(Protocol):
    """Whoever keeps records of decisions: log, metrics."""

    def count(self, verdict: Verdict, seconds: float) -> bool:
        """Count a decision that took so long, and tell whether a record of it is to be kept."""

    def record(self, record: Record) -> None:
        """Keep one record."""


class Denials(Protocol):
    """Whoever shows the newest denials, also those that no record is kept of."""

    def keep(self, verdict: Deny, decision_id: str) -> None:
        """Keep one."""


class Traces(Protocol):
    """Whoever tells traces about decisions."""

    def checked(
        self,
        verdict: Verdict,
        request: HttpRequest,
        *,
        decision_id: str,
        seconds: float,
        waits: tuple[Wait, ...],
    ) -> None:
        """Take a decision that was just made."""


class Users(Protocol):
    """Our own table of users, whom a gate may meet before anybody has told of them."""

    def meet(self, user_id: UserId) -> Callable[[], Awaitable[None]] | None:
        """See to it that a user who is let in has a row.

        Returns:
            What to wait for before the answer, which never raises; `None` for nothing.
        """

    def local_id(self, user_id: UserId) -> str:
        """Return the id of the row, to tell upstreams; empty when there is none to tell."""


class Gate:
    """Answers Checks."""

    def __init__(
        self,
        *,
        rulebook: Rulebook,
        keys: KeySource,
        responses: Responses,
        recorder: Recorder,
        clock: Callable[[], float],
        timer: Callable[[], float],
        decision_ids: Iterator[str],
        replays: Sampling | None = None,
    ) -> None:
        """Make a gate.

        Args:
            rulebook: What is judged by, until it is replaced.
            keys: The source of verification keys.
            responses: Serialises verdicts.
            recorder: Keeps a record of each.
            clock: POSIX seconds.
            timer: Monotonic seconds.
            decision_ids: Endless and unique.
            replays: Tells whether what a replay needs is recorded as well; asked once
                for each record. `None` for never.
        """
        self.rulebook = rulebook
        self.revocations: RevocationSource = NO_REVOCATIONS
        self.users: Users | None = None
        self.traces: Traces | None = None
        self.denials: Denials | None = None
        self._keys = keys
        self._responses = responses
        self._recorder = recorder
        self._clock = clock
        self._timer = timer
        self._decision_ids = decision_ids
        self._replays = replays
        self._last_resort = responses.serialise(
            Deny(Reason.INTERNAL_ERROR), decision_id="none", is_grpc=False
        )

    def check(self, raw: bytes) -> bytes | Awaitable[bytes]:
        """Answer a serialised ``CheckRequest`` with a serialised ``CheckResponse``.

        Returns:
            The answer; or, only when a key has to be fetched or a user met first, an
            awaitable of it. Neither raises.
        """
        started = self._timer()
        request = None
        try:
            request = request_from(raw)
            decision = self._decide(request)
            if isinstance(decision, NeedKey):
                return self._check_again(request, decision, started)
            meeting = None if self.users is None else _met(self.users, decision)
            if meeting is not None:
                return self._answer_after(meeting, request, started)
            return self._answer(decision, request, started)
        except UnreadableError as error:
            return self._answer(Deny(Reason.REQUEST_UNREADABLE, detail=str(error)), None, started)
        except Exception as error:  # noqa: BLE001 - whatever it was, the request is denied
            return self._fail(error, request, started)

    def refuse_peer(self) -> bytes:
        """Answer a caller whose certificate is not on the list."""
        return self._answer(Deny(Reason.PEER_NOT_ALLOWED), None, self._timer())

    async def _check_again(self, request: HttpRequest, asked: NeedKey, started: float) -> bytes:
        waits: tuple[Wait, ...] = ()
        try:
            began = self._timer() - started
            is_current = await self._keys.refresh(asked.kid)
            waits = (Wait(Waited.JWKS, began, self._timer() - started),)
            decision = self._decide(request)
            if isinstance(decision, NeedKey):
                decision = decision.if_current if is_current else decision.if_stale
            meeting = None if self.users is None else _met(self.users, decision)
            if meeting is not None:
                return await self._answer_after(meeting, request, started, waits)
            return self._answer(decision, request, started, waits)
        except Exception as error:  # noqa: BLE001 - as above
            return self._fail(error, request, started, waits)

    async def _answer_after(
        self,
        meeting: Callable[[], Awaitable[None]],
        request: HttpRequest,
        started: float,
        waits: tuple[Wait, ...] = (),
    ) -> bytes:
        try:
            began = self._timer() - started
            await meeting()
            waits = (*waits, Wait(Waited.ROW, began, self._timer() - started))
            # Meanwhile the user may have been revoked, or the policy changed.
            decision = self._decide(request)
            if isinstance(decision, NeedKey):
                # The key was there a moment ago: to ask for it again is up to the caller.
                decision = decision.if_stale
            return self._answer(decision, request, started, waits)
        except Exception as error:  # noqa: BLE001 - as above
            return self._fail(error, request, started, waits)

    def _decide(self, request: HttpRequest) -> Decision:
        rulebook = self.rulebook
        return decide(
            request,
            judge=rulebook.judge,
            policy=rulebook.policy,
            keys=self._keys.snapshot,
            revocations=self.revocations,
            now=self._clock(),
        )

    def _fail(
        self,
        error: Exception,
        request: HttpRequest | None,
        started: float,
        waits: tuple[Wait, ...] = (),
    ) -> bytes:
        try:
            return self._answer(_broken(error), request, started, waits)
        except Exception:  # noqa: BLE001 - even then, an answer and not a gRPC error
            return self._last_resort

    def _answer(
        self,
        verdict: Verdict,
        request: HttpRequest | None,
        started: float,
        waits: tuple[Wait, ...] = (),
    ) -> bytes:
        decision_id = next(self._decision_ids)
        denied = verdict if isinstance(verdict, Deny) else None
        answer = self._responses.serialise(
            verdict,
            decision_id=decision_id,
            # Who is let in gets no body, in whatever language.
            is_grpc=denied is not None and request is not None and request.is_grpc,
            local_id="" if self.users is None else _local_id(self.users, verdict),
        )
        # A full disk or a closed pipe must not close the mesh. To suppress() takes 0.5 µs.
        try:
            seconds = self._timer() - started
            if denied is not None and self.denials is not None:
                self.denials.keep(denied, decision_id)
            if self._recorder.count(verdict, seconds):
                self._recorder.record(
                    record_of(
                        verdict,
                        request,
                        decision_id=decision_id,
                        seconds=seconds,
                        replay=self._replay(verdict, request),
                    )
                )
            if self.traces is not None and request is not None:
                self.traces.checked(
                    verdict, request, decision_id=decision_id, seconds=seconds, waits=waits
                )
        except Exception:  # noqa: BLE001, S110 - there is nobody left to tell
            pass
        return answer

    def _replay(self, verdict: Verdict, request: HttpRequest | None) -> Replay | None:
        if self._replays is None or request is None or not self._replays():
            return None
        return make_replay(verdict, request, self.rulebook.claims)


def _met(users: Users, verdict: Verdict) -> Callable[[], Awaitable[None]] | None:
    user_id = _user_let_in(verdict)
    return None if user_id is None else users.meet(user_id)


def _local_id(users: Users, verdict: Verdict) -> str:
    user_id = _user_let_in(verdict)
    return "" if user_id is None else users.local_id(user_id)


def _user_let_in(verdict: Verdict) -> UserId | None:
    if isinstance(verdict, Allow) and isinstance(verdict.principal, User):
        return verdict.principal.claims.user_id
    return None


def _broken(error: Exception) -> Deny:
    """Return the denial for a defect; its message could quote a token, its place cannot."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = ""
    if traceback is not None:
        code = traceback.tb_frame.f_code
        place = f" in {code.co_qualname} line {traceback.tb_lineno}"
    return Deny(Reason.INTERNAL_ERROR, detail=f"{type(error).__name__}{place}")
