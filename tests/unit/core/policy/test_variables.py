"""What a condition can see of a request, and what it cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW, billing_token, claims_of, request
from wicketgate.core.claims import Claims
from wicketgate.core.policy.condition import VARIABLES, compile_condition
from wicketgate.core.policy.variables import USER_FIELDS, variables_of
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.local.clerk_instance import SESSION, USER

PRINCIPAL = "spiffe://mesh/edge"
ASKED = request(
    "a-secret",
    method="POST",
    host="API.example.com:8443",
    target="/orgs/org_1?token=a-secret",
    headers={
        ":path": "/orgs/org_1?token=a-secret",
        "cookie": "__session=a-secret",
        "proxy-authorization": "a-secret",
        "x-debug": "1",
    },
    context={"tier": "gold"},
    source_principal=PRINCIPAL,
)
MEMBER = {
    "v": 2,
    "o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"},
    "fea": "o:invoices",
    "fva": [10, 5],
    "act": {"sub": "user_9"},
    "sts": "pending",
}


def values(
    name: str,
    *fields: str,
    asked: HttpRequest = ASKED,
    claims: Claims | None = None,
    service: ServiceToken | None = None,
    now: float = NOW,
) -> dict[str, Any]:
    """Return the value of one variable; without `fields`, of all its fields."""
    found = variables_of(
        {name: frozenset(fields) or None},
        request=asked,
        parameters={"org_id": "org_1"},
        claims=claims,
        service=service,
        now=now,
    )
    assert {name} == found.keys()
    return dict(found[name])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "request",
            {
                "method": "POST",
                "host": "api.example.com",
                "path": "/orgs/org_1",
                "headers": {"x-debug": "1"},
            },
        ),
        ("path", {"org_id": "org_1"}),
        ("context", {"tier": "gold", "exposure": "public"}),
        ("source", {"principal": PRINCIPAL}),
        ("claims", {}),
        ("user", {}),
        ("service", {}),
    ],
)
def test_what_every_request_shows(name: str, expected: dict[str, object]) -> None:
    assert expected == values(name)


@pytest.mark.parametrize("name", VARIABLES)
def test_no_credential_and_no_query_is_shown(name: str) -> None:
    found = values(name, claims=claims_of(MEMBER), service=billing_token())

    assert "a-secret" not in repr(found)


def test_a_host_that_is_none_is_empty() -> None:
    assert values("request", asked=request(host="a b"))["host"] == ""


def test_claims_are_those_of_the_token() -> None:
    found = values("claims", "o", "fva", claims=claims_of(MEMBER))

    assert (MEMBER["o"], MEMBER["fva"]) == (found["o"], found["fva"])


def test_a_user_is_described_by_the_facts_of_the_token() -> None:
    assert values("user", claims=claims_of(MEMBER), now=NOW + 30) == {
        "id": USER,
        "session_id": SESSION,
        "org_id": "org_1",
        "org_slug": "acme",
        "org_role": "org:admin",
        "org_permissions": ["org:invoices:manage", "org:invoices:read"],
        "session_age": 630,
        "second_factor_age": 330,
        "actor_id": "user_9",
        "is_impersonated": True,
        "is_pending": True,
    }


def test_what_the_token_does_not_say_is_not_there() -> None:
    assert values("user", claims=claims_of({})) == {
        "id": USER,
        "session_id": SESSION,
        "org_permissions": [],
        "is_impersonated": False,
        "is_pending": False,
    }


def test_permissions_that_cannot_be_read_are_not_there() -> None:
    claims = claims_of({**MEMBER, "fea": "x:invoices"})

    assert "org_permissions" not in values("user", claims=claims)


@pytest.mark.parametrize("name", USER_FIELDS)
def test_each_field_of_a_user_is_there_when_it_is_read(name: str) -> None:
    found = values("user", name, "no_such_field", claims=claims_of(MEMBER))

    assert {name: values("user", claims=claims_of(MEMBER))[name]} == found


def test_an_age_counts_from_the_token_and_never_backwards() -> None:
    claims = claims_of({"fva": [1, 0]})
    ages = [values("user", "session_age", claims=claims, now=NOW + t) for t in (-5, 0, 0.9, 59)]

    assert ages == [{"session_age": 60}] * 3 + [{"session_age": 119}]


def test_a_service_is_its_name_and_its_scopes() -> None:
    service = billing_token(scopes=frozenset({"b", "a"}))

    assert values("service", service=service) == {"name": "billing", "scopes": ["a", "b"]}


def test_only_what_is_wanted_is_made() -> None:
    found = variables_of({}, request=ASKED, parameters={}, claims=None, service=None, now=NOW)

    assert found == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("request.method == 'POST' && request.host == 'api.example.com'", None),
        ("has(request.headers.authorization)", Reason.CONDITION_NOT_MET),
        ("'cookie' in request.headers", Reason.CONDITION_NOT_MET),
        ("request.headers.exists(name, name.startsWith(':'))", Reason.CONDITION_NOT_MET),
        ("path.org_id == user.org_id", None),
        ("user.session_age <= 600 && user.second_factor_age < 600", None),
        ("'org:invoices:read' in user.org_permissions", None),
        ("user.exists(name, name == 'org_slug')", None),
        ("user.is_impersonated && user.actor_id == 'user_9'", None),
        ("claims.sts == 'pending'", None),
        ("service.name == ''", Reason.CONDITION_FAILED),
        ("source.principal.startsWith('spiffe://mesh/')", None),
        ("context.tier == 'gold'", None),
        ("context.exposure == 'public'", None),
    ],
)
def test_conditions_read_these_values(source: str, expected: Reason | None) -> None:
    condition = compile_condition(source)
    found = variables_of(
        condition.fields,
        request=ASKED,
        parameters={"org_id": "org_1"},
        claims=claims_of(MEMBER),
        service=None,
        now=NOW,
    )

    assert expected == condition.refusal(found)


SECRETS = st.text("QXZ", min_size=8)


@given(
    SECRETS,
    st.sampled_from(["authorization", "cookie", "proxy-authorization", ":path", ":x", "query"]),
)
def test_a_secret_in_its_usual_place_is_never_shown(secret: str, place: str) -> None:
    asked = HttpRequest(
        target=f"/?{secret}" if place == "query" else "/",
        headers={} if place == "query" else {place: secret},
    )
    found = variables_of(
        dict.fromkeys(VARIABLES),
        request=asked,
        parameters={},
        claims=claims_of({}),
        service=billing_token(),
        now=NOW,
    )

    assert VARIABLES.keys() == found.keys()
    assert secret not in repr(found)
