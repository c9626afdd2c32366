"""Users and sessions that no longer count."""

import pytest

from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.reason import Reason
from wicketgate.core.revocation import NO_REVOCATIONS, Revocations

ISSUED_AT = 1_000.0
USER = UserId("user_1")
SESSION = SessionId("sess_1")


def claims(session_id: SessionId | None = SESSION) -> Claims:
    return Claims(
        user_id=USER,
        session_id=session_id,
        issued_at=ISSUED_AT,
        not_before=ISSUED_AT,
        expires_at=ISSUED_AT + 60,
        document={},
    )


@pytest.mark.parametrize(
    ("revoked_at", "reason"),
    [
        (ISSUED_AT + 1, Reason.USER_REVOKED),
        (ISSUED_AT, Reason.USER_REVOKED),
        (ISSUED_AT + 0.5, Reason.USER_REVOKED),
        (ISSUED_AT - 1, None),
    ],
)
def test_tokens_issued_up_to_the_second_of_revocation_are_refused(
    revoked_at: float, reason: Reason | None
) -> None:
    assert reason == Revocations(users={USER: revoked_at}).refuses(claims())


def test_another_user_s_revocation_is_none_of_ours() -> None:
    revocations = Revocations(users={UserId("user_2"): ISSUED_AT + 1})

    assert revocations.refuses(claims()) is None


def test_a_session_that_ended_is_refused() -> None:
    revocations = Revocations(sessions={SESSION})

    assert revocations.refuses(claims()) is Reason.SESSION_REVOKED


@pytest.mark.parametrize("session_id", [SESSION, None])
def test_another_session_is_not_refused(session_id: SessionId | None) -> None:
    revocations = Revocations(sessions={SessionId("sess_2")})

    assert revocations.refuses(claims(session_id)) is None


def test_the_user_is_named_before_the_session() -> None:
    revocations = Revocations(users={USER: ISSUED_AT}, sessions={SESSION})

    assert revocations.refuses(claims()) is Reason.USER_REVOKED


def test_without_revocations_nobody_is_refused() -> None:
    assert NO_REVOCATIONS.refuses(claims()) is None
