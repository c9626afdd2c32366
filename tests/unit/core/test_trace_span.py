"""What a trace is told about a Check."""

import pytest

from tokens import STATIC_SERVICE, USER_RULE, claims_of
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.trace_context import TraceContext
from wicketgate.core.trace_span import CheckTrace, Span, Wait, Waited, trace_of
from wicketgate.core.verdict import ANONYMOUS, Allow, Deny, User, Verdict

CONTEXT = TraceContext(trace_id="a" * 32, parent_id="b" * 16, flags=1)
STATE = (("vendor", "x"),)
NOW = 1_790_000_000_000_000_000
OPEN = Rule(name="open", anonymous=True)


def told(verdict: Verdict, *waits: Wait) -> CheckTrace:
    return trace_of(
        verdict, CONTEXT, state=STATE, decision_id="d-1", seconds=0.25, waits=waits, now=NOW
    )


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Allow(User(claims_of({})), USER_RULE), ("allow", "allowed", "user", "public:user")),
        (Allow(STATIC_SERVICE, OPEN), ("allow", "allowed", "service", "open")),
        (Allow(ANONYMOUS, OPEN), ("allow", "allowed", "anonymous", "open")),
        (Deny(Reason.TOKEN_EXPIRED, OPEN), ("deny", "token_expired", "none", "open")),
        (Deny(Reason.AMBIGUOUS_PATH), ("deny", "ambiguous_path", "none", None)),
    ],
)
def test_a_check_is_told_in_words_of_the_program(
    verdict: Verdict, expected: tuple[str, str, str, str | None]
) -> None:
    names = ("verdict", "reason", "principal", "rule")
    words = {
        f"wicketgate.{name}": word
        for name, word in zip(names, expected, strict=True)
        if word is not None
    }

    trace = told(verdict)

    assert dict(trace.check.attributes) == words | {"wicketgate.decision_id": "d-1"}


def test_a_check_continues_the_trace_and_ends_now() -> None:
    trace = told(Allow(ANONYMOUS, OPEN))

    assert (trace.context, trace.state, trace.below) == (CONTEXT, STATE, ())
    assert (trace.check.name, trace.size) == ("wicketgate.check", 1)
    assert (trace.check.began, trace.check.ended) == (NOW - 250_000_000, NOW)


def test_a_wait_is_a_span_of_its_own_within_the_check() -> None:
    trace = told(
        Deny(Reason.KEY_UNKNOWN), Wait(Waited.JWKS, 0.125, 0.1875), Wait(Waited.ROW, 0.1875, 0.25)
    )

    assert trace.size == 3
    assert trace.below == (
        Span("jwks.refresh", NOW - 125_000_000, NOW - 62_500_000),
        Span("users.first_sight", NOW - 62_500_000, NOW),
    )


@pytest.mark.parametrize("reason", Reason)
def test_an_error_is_what_the_gate_could_not_decide_and_not_who_was_refused(
    reason: Reason,
) -> None:
    is_ours = reason in {
        *(Reason.INTERNAL_ERROR, Reason.KEYS_UNAVAILABLE, Reason.REVOCATIONS_UNAVAILABLE),
        *(Reason.ROUTE_MISCONFIGURED, Reason.PEER_NOT_ALLOWED),
    }

    assert told(Deny(reason)).check.error == (reason.value if is_ours else "")
    assert is_ours == (ANSWERS[reason].status >= 500)


def test_who_is_let_in_is_no_error() -> None:
    assert told(Allow(ANONYMOUS, OPEN)).check.error == ""
