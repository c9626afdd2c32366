"""What is kept of a decision, and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import SERVICE_TOKEN, USER_RULE, bounded, decision_on, request, settled, valid_token
from wicketgate.core.decision import ANONYMOUS, STATIC_SERVICE, Allow, Deny, Principal, Verdict
from wicketgate.core.policy import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.record import Record, record_of
from wicketgate.core.request import HttpRequest


def kept(verdict: Verdict, asked: HttpRequest | None = None) -> Record:
    return record_of(verdict, asked, decision_id="d-1", seconds=0.25)


def test_an_allowed_request_leaves_who_and_why() -> None:
    verdict = settled(decision_on(request(valid_token())))

    assert kept(verdict, request(headers={"x-request-id": "r-1"})) == Record(
        decision_id="d-1",
        request_id="r-1",
        verdict="allow",
        reason="allowed",
        principal="user",
        rule="public:user",
        detail="",
        seconds=0.25,
    )


def test_a_denied_request_leaves_the_true_reason_and_the_detail() -> None:
    verdict = Deny(Reason.SERVICE_TOKEN_EXPOSED, USER_RULE, "told", STATIC_SERVICE)

    assert kept(verdict) == Record(
        decision_id="d-1",
        request_id="",
        verdict="deny",
        reason="service_token_exposed",
        principal="service",
        rule="public:user",
        detail="told",
        seconds=0.25,
    )


@pytest.mark.parametrize(
    ("principal", "kind"),
    [(ANONYMOUS, "anonymous"), (STATIC_SERVICE, "service")],
)
def test_the_kind_of_principal_is_kept_and_not_its_name(principal: Principal, kind: str) -> None:
    assert kind == kept(Allow(principal, Rule("r"))).principal


def test_a_denial_that_knows_neither_rule_nor_principal_says_so() -> None:
    record = kept(Deny(Reason.INTERNAL_ERROR))

    assert (record.rule, record.principal) == ("", "none")


@pytest.mark.parametrize(
    ("sent", "request_id"),
    [
        ("6f1c2d3e-0000-4000-8000-000000000000", "6f1c2d3e-0000-4000-8000-000000000000"),
        ("A.b_c-1", "A.b_c-1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, ""),
        ("a b", ""),
        ("a\n", ""),
        ('a"', ""),
        ("", ""),
    ],
)
def test_only_a_plain_request_id_is_kept(sent: str, request_id: str) -> None:
    asked = request(headers={"x-request-id": sent})

    assert request_id == kept(Allow(ANONYMOUS, Rule("r")), asked).request_id


@bounded
@given(st.text(st.sampled_from("QXZ"), min_size=12), st.sampled_from(["bearer", "path", "query"]))
def test_nothing_secret_is_kept(secret: str, place: str) -> None:
    asked = {
        "bearer": request(secret),
        "path": request(SERVICE_TOKEN, target=f"/{secret}"),
        "query": request(valid_token(), target=f"/?{secret}"),
    }[place]
    record = repr(kept(settled(decision_on(asked)), asked))

    assert secret not in record
    assert SERVICE_TOKEN not in record
    assert valid_token() not in record
