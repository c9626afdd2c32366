"""Users and sessions that no longer count."""

import pytest

from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.reason import Reason
from wicketgate.core.revocation import NO_REVOCATIONS, Revocations, RevocationSet
from wicketgate.core.revocation_table import Kind, Revocation, RevocationTable

ISSUED_AT = 1_000.0
LATER = ISSUED_AT + 3_600
USER = UserId("user_1")
SESSION = SessionId("sess_1")


def claims(session_id: SessionId | None = SESSION, user_id: UserId = USER) -> Claims:
    return Claims(
        user_id=user_id,
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


def kept(*rows: Revocation) -> RevocationSet:
    revocations = RevocationSet()
    for row in rows:
        revocations.table.apply(row)
    return revocations


@pytest.mark.parametrize(
    ("revoked_at", "reason"),
    [
        (ISSUED_AT + 1, Reason.USER_REVOKED),
        (ISSUED_AT, Reason.USER_REVOKED),
        # ``iat`` is whole seconds: a token of this second may be older than the revocation.
        (ISSUED_AT + 0.9, Reason.USER_REVOKED),
        (ISSUED_AT - 0.1, None),
    ],
)
def test_a_set_refuses_a_user_s_old_tokens_and_none_of_a_later_sign_in(
    revoked_at: float, reason: Reason | None
) -> None:
    revocations = kept(Revocation(Kind.USER, USER, revoked_at, LATER))

    assert reason == revocations.refuses(claims())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Revocation(Kind.SESSION, SESSION, ISSUED_AT - 900, LATER), Reason.SESSION_REVOKED),
        (Revocation(Kind.SESSION, "sess_2", ISSUED_AT, LATER), None),
        (Revocation(Kind.USER, "user_2", ISSUED_AT, LATER), None),
        # One kind's ids mean nothing to the other.
        (Revocation(Kind.SESSION, USER, ISSUED_AT, LATER), None),
        (Revocation(Kind.USER, SESSION, ISSUED_AT, LATER), None),
    ],
)
def test_a_set_refuses_a_session_with_every_token_and_nobody_else(
    row: Revocation, reason: Reason | None
) -> None:
    assert reason == kept(row).refuses(claims())


def test_a_token_without_a_session_is_of_no_session_that_was_revoked() -> None:
    revocations = kept(Revocation(Kind.SESSION, SESSION, ISSUED_AT, LATER))

    assert revocations.refuses(claims(session_id=None)) is None


def test_the_set_names_the_user_before_the_session() -> None:
    revocations = kept(
        Revocation(Kind.SESSION, SESSION, ISSUED_AT, LATER),
        Revocation(Kind.USER, USER, ISSUED_AT, LATER),
    )

    assert revocations.refuses(claims()) is Reason.USER_REVOKED


def test_without_trust_everybody_is_refused_and_the_revoked_for_the_better_reason() -> None:
    revocations = kept(Revocation(Kind.USER, "user_2", ISSUED_AT, LATER))
    revocations.is_trusted = False

    assert revocations.refuses(claims()) is Reason.REVOCATIONS_UNAVAILABLE
    assert revocations.refuses(claims(user_id=UserId("user_2"))) is Reason.USER_REVOKED


def test_a_table_replaces_the_other_one_whole() -> None:
    revocations = kept(Revocation(Kind.USER, USER, ISSUED_AT, LATER))
    revocations.table = RevocationTable()

    assert revocations.refuses(claims()) is None
