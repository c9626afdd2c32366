"""What a denied caller is told, and what not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import SERVICE_TOKEN, decision_on, request, settled
from wicketgate.core.answer import HttpAnswer, answer_to
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD, Reason
from wicketgate.core.verdict import (
    Deny,
)

DECISION_ID = "d-1"


def answer(reason: Reason, *, is_grpc: bool = False) -> HttpAnswer:
    return answer_to(reason, decision_id=DECISION_ID, is_grpc=is_grpc)


def headers(reason: Reason, *, is_grpc: bool = False) -> dict[str, str]:
    found = answer(reason, is_grpc=is_grpc).headers
    assert len(found) == len(dict(found))
    return dict(found)


def test_a_problem_document_says_why() -> None:
    expected = {
        "type": "urn:wicketgate:reason:token_expired",
        "title": "The token has expired.",
        "status": 401,
        "reason": "token_expired",
        "decision_id": "d-1",
    }

    assert expected == json.loads(answer(Reason.TOKEN_EXPIRED).body)
    assert headers(Reason.TOKEN_EXPIRED)["content-type"] == "application/problem+json"


@pytest.mark.parametrize("reason", Reason)
def test_a_type_leads_to_the_section_of_the_word_that_the_caller_is_told(reason: Reason) -> None:
    base = "https://docs.example.com/reasons#"
    told = PUBLIC_WORD.get(reason, reason)

    found = answer_to(reason, decision_id=DECISION_ID, is_grpc=False, type_base=base)
    default = answer(reason)

    assert json.loads(found.body) == json.loads(default.body) | {"type": f"{base}{told}"}
    assert (found.status, found.headers) == (default.status, default.headers)


def test_grpc_callers_are_led_nowhere() -> None:
    base = "https://docs.example.com/reasons#"

    assert answer(Reason.TOKEN_EXPIRED, is_grpc=True) == answer_to(
        Reason.TOKEN_EXPIRED, decision_id=DECISION_ID, is_grpc=True, type_base=base
    )


def test_grpc_callers_are_told_in_one_line_of_text() -> None:
    assert (
        answer(Reason.TOKEN_EXPIRED, is_grpc=True).body == "token_expired: The token has expired."
    )
    assert headers(Reason.TOKEN_EXPIRED, is_grpc=True)["content-type"] == (
        "text/plain; charset=utf-8"
    )


@pytest.mark.parametrize("is_grpc", [False, True])
@pytest.mark.parametrize("reason", Reason)
def test_every_denial_carries_its_status_its_id_and_is_not_stored(
    reason: Reason, *, is_grpc: bool
) -> None:
    found = answer(reason, is_grpc=is_grpc)

    assert ANSWERS[reason].status == found.status
    assert dict(found.headers)["cache-control"] == "no-store"
    assert dict(found.headers)["x-wicketgate-decision"] == DECISION_ID
    assert "\n" not in found.body


@pytest.mark.parametrize("reason", Reason)
def test_a_challenge_comes_with_401_and_with_insufficient_scope_only(reason: Reason) -> None:
    """
    RFC 9110 section 11.6.1 demands it of 401; RFC 6750 section 3.1 of insufficient_scope.
    """
    earns = ANSWERS[reason].status == 401 or ANSWERS[reason].error == "insufficient_scope"

    assert earns == ("www-authenticate" in headers(reason))


@pytest.mark.parametrize(
    ("reason", "challenge"),
    [
        (Reason.NO_CREDENTIAL, 'Bearer realm="wicketgate"'),
        (
            Reason.TOKEN_EXPIRED,
            (
                'Bearer realm="wicketgate", error="invalid_token",'
                ' error_description="The token has expired."'
            ),
        ),
        (
            Reason.USER_NOT_ADMITTED,
            (
                'Bearer realm="wicketgate", error="insufficient_scope",'
                ' error_description="Users are not admitted here."'
            ),
        ),
    ],
)
def test_the_challenge_names_the_error_unless_nothing_was_presented(
    reason: Reason, challenge: str
) -> None:
    assert challenge == headers(reason)["www-authenticate"]


@pytest.mark.parametrize("reason", Reason)
def test_only_what_may_pass_by_itself_is_worth_a_retry(reason: Reason) -> None:
    assert (ANSWERS[reason].status == 503) == ("retry-after" in headers(reason))


@pytest.mark.parametrize("is_grpc", [False, True])
def test_an_exposed_service_token_is_answered_like_any_opaque_string(*, is_grpc: bool) -> None:
    """
    Whoever found one must not learn from the public edge that it works.
    """
    assert answer(Reason.TOKEN_MALFORMED, is_grpc=is_grpc) == answer(
        Reason.SERVICE_TOKEN_EXPOSED, is_grpc=is_grpc
    )
    opaque = settled(decision_on(request("an-opaque-string-of-about-the-same-length")))
    exposed = settled(decision_on(request(SERVICE_TOKEN)))
    assert isinstance(opaque, Deny)
    assert isinstance(exposed, Deny)
    assert opaque.reason != exposed.reason
    assert answer(opaque.reason, is_grpc=is_grpc) == answer(exposed.reason, is_grpc=is_grpc)


# Longer than any word of an answer, so that finding it means that it was copied.
SECRETS = st.text(st.sampled_from("QXZ"), min_size=12, max_size=40)


@given(SECRETS, st.sampled_from(["bearer", "header", "target", "policy", "cookie", "jwt"]))
def test_nothing_of_the_request_is_in_the_answer(secret: str, place: str) -> None:
    asked = {
        "bearer": request(secret),
        "header": request(headers={"authorization": secret, "x-request-id": secret}),
        "target": request(target=f"//{secret}"),
        "policy": request(context={"policy": secret}),
        "cookie": request(headers={"cookie": f"__session={secret}"}),
        "jwt": request(f"{secret}.{secret}.{secret}"),
    }[place]
    verdict = settled(decision_on(asked, policy=RoutePolicy()))

    assert isinstance(verdict, Deny)
    for is_grpc in (False, True):
        given_answer = answer(verdict.reason, is_grpc=is_grpc)
        assert secret not in given_answer.body
        assert all(secret not in name + value for name, value in given_answer.headers)
