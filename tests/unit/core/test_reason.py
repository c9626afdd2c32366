"""One reason, one answer."""

import re

import pytest

from wicketgate.core.reason import ANSWERS, PUBLIC_WORD, Reason

# envoy.type.v3.StatusCode without 0: Envoy takes no other status from a gate.
ENVOY_STATUSES = {
    *(100, *range(200, 209), 226, *range(300, 306), 307, 308),
    *(*range(400, 418), 421, 422, 423, 424, 426, 428, 429, 431),
    *(*range(500, 509), 510, 511),
}

STATUS_OF = {
    Reason.NO_CREDENTIAL: 401,
    Reason.AUTHORIZATION_MALFORMED: 401,
    Reason.COOKIE_AMBIGUOUS: 401,
    Reason.COOKIE_CROSS_SITE: 403,
    Reason.TOKEN_TOO_LARGE: 401,
    Reason.TOKEN_MALFORMED: 401,
    Reason.TOKEN_ALGORITHM: 401,
    Reason.TOKEN_TYPE: 401,
    Reason.TOKEN_HEADER_UNSUPPORTED: 401,
    Reason.TOKEN_CLASS: 401,
    Reason.TEMPLATE_TOKEN: 401,
    Reason.MACHINE_TOKEN: 401,
    Reason.KEY_ID_INVALID: 401,
    Reason.KEY_UNKNOWN: 401,
    Reason.SIGNATURE_INVALID: 401,
    Reason.CLAIMS_MALFORMED: 401,
    Reason.ISSUER_MISMATCH: 401,
    Reason.SUBJECT_INVALID: 401,
    Reason.SESSION_MISSING: 401,
    Reason.SESSION_PENDING: 401,
    Reason.TOKEN_EXPIRED: 401,
    Reason.TOKEN_NOT_YET_VALID: 401,
    Reason.TOKEN_ISSUED_IN_FUTURE: 401,
    Reason.TOKEN_LIFETIME: 401,
    Reason.PARTY_MISSING: 401,
    Reason.PARTY_MISMATCH: 401,
    Reason.AUDIENCE_MISMATCH: 401,
    Reason.IMPERSONATION: 403,
    Reason.USER_REVOKED: 401,
    Reason.SESSION_REVOKED: 401,
    Reason.USER_NOT_ADMITTED: 403,
    Reason.SERVICE_NOT_ADMITTED: 403,
    Reason.SERVICE_TOKEN_EXPOSED: 401,
    Reason.SERVICE_TOKEN_EXPIRED: 401,
    Reason.SERVICE_PRINCIPAL_MISMATCH: 403,
    Reason.SERVICE_SCOPE: 403,
    Reason.NOBODY_ADMITTED: 403,
    Reason.ORGANIZATION_NOT_ADMITTED: 403,
    Reason.ROLE_NOT_ADMITTED: 403,
    Reason.PERMISSION_MISSING: 403,
    Reason.PERMISSIONS_UNDECODABLE: 403,
    Reason.SESSION_TOO_OLD: 403,
    Reason.SECOND_FACTOR_TOO_OLD: 403,
    Reason.CONDITION_NOT_MET: 403,
    Reason.CONDITION_FAILED: 403,
    Reason.CLAIM_UNUSABLE: 403,
    Reason.AMBIGUOUS_PATH: 400,
    Reason.AMBIGUOUS_METHOD: 400,
    Reason.AMBIGUOUS_HOST: 400,
    Reason.KEYS_UNAVAILABLE: 503,
    Reason.REVOCATIONS_UNAVAILABLE: 503,
    Reason.ROUTE_MISCONFIGURED: 503,
    Reason.REQUEST_UNREADABLE: 400,
    Reason.PEER_NOT_ALLOWED: 503,
    Reason.INTERNAL_ERROR: 503,
}


def test_every_reason_has_an_answer_and_a_row_here() -> None:
    assert set(Reason) == set(STATUS_OF) == set(ANSWERS)


@pytest.mark.parametrize(("reason", "status"), STATUS_OF.items())
def test_each_reason_earns_its_status(reason: Reason, status: int) -> None:
    assert status == ANSWERS[reason].status


@pytest.mark.parametrize("reason", Reason)
def test_every_status_is_a_denial_that_envoy_knows(reason: Reason) -> None:
    """
    One outside the enumeration (418, 425, 451) would make Envoy refuse the answer.
    """
    assert ANSWERS[reason].status in ENVOY_STATUSES
    assert 400 <= ANSWERS[reason].status <= 599


@pytest.mark.parametrize("reason", Reason)
def test_the_error_code_is_one_of_rfc_6750(reason: Reason) -> None:
    assert ANSWERS[reason].error in {"", "invalid_request", "invalid_token", "insufficient_scope"}


@pytest.mark.parametrize("reason", Reason)
def test_every_title_is_one_plain_sentence(reason: Reason) -> None:
    """
    It goes into a quoted string and onto one line: no quote, backslash or line break.
    """
    assert re.fullmatch(r"[A-Z][A-Za-z0-9' .-]+\.", ANSWERS[reason].title)


@pytest.mark.parametrize("reason", Reason)
def test_every_word_is_stable_and_plain(reason: Reason) -> None:
    assert reason.name.lower() == reason.value


def test_only_an_exposed_service_token_goes_by_another_word() -> None:
    assert {Reason.SERVICE_TOKEN_EXPOSED: Reason.TOKEN_MALFORMED} == PUBLIC_WORD


@pytest.mark.parametrize(("true", "told"), PUBLIC_WORD.items())
def test_a_reason_by_another_word_has_that_word_s_whole_answer(true: Reason, told: Reason) -> None:
    assert ANSWERS[told] == ANSWERS[true]
