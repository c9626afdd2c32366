"""What is kept of a decision, and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import (
    BILLING,
    BILLING_TOKEN,
    SERVICE_TOKEN,
    STATIC_SERVICE,
    USER_RULE,
    billing_token,
    claims_of,
    decision_on,
    judge,
    request,
    settled,
    valid_token,
)
from wicketgate.core.reason import Reason
from wicketgate.core.record import MAX_SHADOWS, MAX_TEMPLATE, Record, fields_of, record_of
from wicketgate.core.request import HttpRequest
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Anonymous,
    Caller,
    Deny,
    Principal,
    Service,
    Shadow,
    User,
    Verdict,
)


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
    assert kind == kept(Allow(principal, USER_RULE)).principal


def test_a_denial_that_knows_neither_rule_nor_principal_says_so() -> None:
    record = kept(Deny(Reason.INTERNAL_ERROR))

    assert (record.rule, record.principal) == ("", "none")


@pytest.mark.parametrize(
    ("caller", "principal", "service"),
    [
        (billing_token(), BILLING, "billing"),
        (billing_token(), None, "billing"),
        (billing_token(), ANONYMOUS, "billing"),
        (Reason.TOKEN_EXPIRED, None, ""),
        (None, None, ""),
    ],
)
def test_the_name_of_a_service_token_is_kept_whatever_came_of_it(
    caller: Caller | None, principal: Service | Anonymous | None, service: str
) -> None:
    verdict = Deny(Reason.SERVICE_SCOPE, USER_RULE, principal=principal, caller=caller)

    assert service == kept(verdict).service


def test_a_user_is_not_named() -> None:
    claims = claims_of({})
    verdict = Allow(User(claims), USER_RULE, caller=claims)

    assert claims.user_id not in repr(kept(verdict))


def test_a_service_token_that_is_refused_is_kept_by_its_name() -> None:
    asked = request(BILLING_TOKEN)
    verdict = settled(decision_on(asked, by=judge(named=(billing_token(),))))

    assert (kept(verdict, asked).service, verdict.principal) == ("billing", BILLING)


@pytest.mark.parametrize(
    "verdict",
    [
        Allow(ANONYMOUS, USER_RULE, template="/orgs/{id}"),
        Deny(Reason.NOBODY_ADMITTED, USER_RULE, template="/orgs/{id}"),
    ],
)
def test_the_template_of_the_path_is_kept(verdict: Verdict) -> None:
    asked = request(target="/orgs/secret")

    assert kept(verdict, asked).template == "/orgs/{id}"


def test_what_shadow_rules_would_have_said_is_kept_in_their_order() -> None:
    shadows = (Shadow("strict", Reason.SESSION_TOO_OLD), Shadow("mild", None))

    record = kept(Allow(ANONYMOUS, USER_RULE, shadows=shadows))

    assert record.shadows == (("strict", "session_too_old"), ("mild", "allowed"))


def test_the_fields_of_a_line_leave_out_what_is_empty() -> None:
    assert fields_of(kept(Deny(Reason.INTERNAL_ERROR))) == {
        "decision_id": "d-1",
        "verdict": "deny",
        "reason": "internal_error",
        "principal": "none",
        "milliseconds": 250.0,
    }


def test_the_fields_of_a_line_are_all_there_is_to_say() -> None:
    verdict = Deny(
        Reason.SERVICE_SCOPE,
        USER_RULE,
        detail="told",
        principal=BILLING,
        template="/jobs/**",
        shadows=(Shadow("mild", None),),
        caller=billing_token(),
    )

    fields = fields_of(kept(verdict, request(headers={"x-request-id": "r-1"})))

    assert fields == {
        "decision_id": "d-1",
        "verdict": "deny",
        "reason": "service_scope",
        "principal": "service",
        "milliseconds": 250.0,
        "request_id": "r-1",
        "service": "billing",
        "rule": "public:user",
        "template": "/jobs/**",
        "shadows": {"mild": "allowed"},
        "detail": "told",
    }


@pytest.mark.parametrize(
    ("count", "left_out"), [(1, None), (MAX_SHADOWS, None), (MAX_SHADOWS + 3, 3)]
)
def test_a_line_has_room_for_some_shadow_rules(count: int, left_out: int | None) -> None:
    shadows = tuple(Shadow(f"s{number}", None) for number in range(count))

    fields = fields_of(kept(Allow(ANONYMOUS, USER_RULE, shadows=shadows)))

    assert fields["shadows"] == {f"s{n}": "allowed" for n in range(min(count, MAX_SHADOWS))}
    assert left_out == fields.get("shadows_left_out")


def test_a_line_has_room_for_the_beginning_of_a_template() -> None:
    fields = fields_of(kept(Allow(ANONYMOUS, USER_RULE, template="/" + "a" * 10_000)))

    assert fields["template"] == "/" + "a" * (MAX_TEMPLATE - 1)


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

    assert request_id == kept(Allow(ANONYMOUS, USER_RULE), asked).request_id


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
