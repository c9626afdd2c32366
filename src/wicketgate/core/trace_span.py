"""What a trace is told about a Check: an allowlist, as for logs, and less than there.

One span for the Check, which continues the request's own trace, and one below it for
each wait on the way. No user, path or token is in either.

Source: OpenTelemetry, "Trace API" (span kinds; a server's own failures are errors, and
what its caller did wrong is not).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from wicketgate.core.reason import ANSWERS
from wicketgate.core.record import ALLOW, ALLOWED, DENY, PRINCIPALS
from wicketgate.core.trace_context import TraceContext
from wicketgate.core.value import value
from wicketgate.core.verdict import Allow, Verdict

CHECK: Final = "wicketgate.check"
_SERVER_ERROR: Final = 500
_NANOSECONDS: Final = 1_000_000_000


class Waited(StrEnum):
    """What a Check had to wait for; the names of the spans."""

    JWKS = "jwks.refresh"
    """A fetch of Clerk's keys, which others may have waited for as well."""
    ROW = "users.first_sight"
    """The row of a user whom the gate had not seen before."""


@value
class Wait:
    """One wait.

    Attributes:
        what: For what.
        began: Seconds from the beginning of the Check.
        ended: The same, for the end.
    """

    what: Waited
    began: float
    ended: float


@value
class Span:
    """One piece of work.

    Attributes:
        name: What is done.
        began: In nanoseconds since the epoch.
        ended: The same, for the end.
        attributes: Words about it.
        error: The reason, when it is a failure of ours; empty otherwise.
    """

    name: str
    began: int
    ended: int
    attributes: tuple[tuple[str, str], ...] = ()
    error: str = ""


@value
class CheckTrace:
    """What the trace of one request is told.

    Attributes:
        context: Where in that trace the request is.
        state: What tracing systems keep beside it.
        check: The Check.
        below: What it consisted of.
    """

    context: TraceContext
    state: tuple[tuple[str, str], ...]
    check: Span
    below: tuple[Span, ...] = ()

    @property
    def size(self) -> int:
        """How many spans there are."""
        return 1 + len(self.below)


def trace_of(
    verdict: Verdict,
    context: TraceContext,
    *,
    state: tuple[tuple[str, str], ...],
    decision_id: str,
    seconds: float,
    waits: Iterable[Wait],
    now: int,
) -> CheckTrace:
    """Return what a trace is told about a Check that has just ended.

    Args:
        verdict: What came of it.
        context: Where in the trace the request is.
        state: What tracing systems keep beside it.
        decision_id: Unique to this decision; the log has it as well.
        seconds: What it took.
        waits: What it waited for.
        now: Nanoseconds since the epoch.
    """
    began = now - _nanoseconds(seconds)
    reason = None if isinstance(verdict, Allow) else verdict.reason
    is_failure = reason is not None and ANSWERS[reason].status >= _SERVER_ERROR
    words = [
        ("wicketgate.verdict", ALLOW if reason is None else DENY),
        ("wicketgate.reason", ALLOWED if reason is None else str(reason)),
        ("wicketgate.principal", PRINCIPALS[type(verdict.principal)]),
        ("wicketgate.decision_id", decision_id),
    ]
    if verdict.rule is not None:
        words.append(("wicketgate.rule", verdict.rule.name))
    check = Span(CHECK, began, now, tuple(words), str(reason) if is_failure else "")
    return CheckTrace(
        context,
        state,
        check,
        tuple(
            Span(wait.what, began + _nanoseconds(wait.began), began + _nanoseconds(wait.ended))
            for wait in waits
        ),
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * _NANOSECONDS)
