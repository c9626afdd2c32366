"""Headers made of a token: what is sent, what is taken away, and what denies."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import claims_of
from wicketgate.core.policy.claim_header import MAX_VALUE, WORDS, HeaderValues, header_values
from wicketgate.core.policy.rule import ClaimHeader
from wicketgate.local.clerk_instance import SESSION, USER

MEMBER = {
    "v": 2,
    "o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"},
    "fea": "o:invoices",
    "act": {"sub": "user_9"},
}


def made_of(source: str, document: dict[str, Any]) -> HeaderValues | str:
    """Return what becomes of the header ``x`` that is made of `source`."""
    return header_values([ClaimHeader("x", source)], claims_of(document))


def sent(value: str) -> HeaderValues:
    return HeaderValues(set=(("x", value),))


MISSING = HeaderValues(missing=("x",))
UNUSABLE = "x"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("user_id", USER),
        ("session_id", SESSION),
        ("org_id", "org_1"),
        ("org_slug", "acme"),
        ("org_role", "org:admin"),
        ("org_permissions", "org:invoices:manage,org:invoices:read"),
        ("actor_id", "user_9"),
    ],
)
def test_each_word_tells_its_fact(source: str, expected: str) -> None:
    assert sent(expected) == made_of(source, MEMBER)


def test_every_word_has_a_row_above() -> None:
    rows = {"user_id", "session_id", "org_id", "org_slug", "org_role", "org_permissions"}

    assert {*rows, "actor_id"} == WORDS.keys()


@pytest.mark.parametrize("source", sorted(WORDS.keys() - {"user_id", "session_id"}))
def test_a_fact_that_the_token_does_not_tell_is_missing(source: str) -> None:
    assert made_of(source, {}) == MISSING


def test_the_session_of_a_template_token_is_missing() -> None:
    claims = replace(claims_of({}), session_id=None)

    assert header_values([ClaimHeader("x", "session_id")], claims) == MISSING


def test_permissions_that_cannot_be_read_are_unusable_and_not_merely_missing() -> None:
    assert made_of("org_permissions", {**MEMBER, "fea": "x:invoices"}) == UNUSABLE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pro", sent("pro")),
        ("two words", sent("two words")),
        ('a,b;c="d"', sent('a,b;c="d"')),
        ("~!", sent("~!")),
        ("a" * MAX_VALUE, sent("a" * MAX_VALUE)),
        ("a" * (MAX_VALUE + 1), UNUSABLE),
        ("", MISSING),
        (" ", UNUSABLE),
        (" a", UNUSABLE),
        ("a ", UNUSABLE),
        ("a\r\nx-admin: 1", UNUSABLE),
        ("a\n", UNUSABLE),
        ("a\r", UNUSABLE),
        ("a\tb", UNUSABLE),
        ("a\x00", UNUSABLE),
        ("a\x7f", UNUSABLE),
        ("caf\u00e9", UNUSABLE),
        ("\udcff", UNUSABLE),
        (True, sent("true")),
        (False, sent("false")),
        (None, MISSING),
        (0, sent("0")),
        (-7, sent("-7")),
        (2**63 - 1, sent("9223372036854775807")),
        (1 - 2**63, sent("-9223372036854775807")),
        (2**63, UNUSABLE),
        (-(2**63), UNUSABLE),
        (10**400, UNUSABLE),
        (0.0, UNUSABLE),
        (1.5, UNUSABLE),
        (float("nan"), UNUSABLE),
        ([], MISSING),
        (["a"], sent("a")),
        (["a", "b c"], sent("a,b c")),
        (["a,b"], UNUSABLE),
        (["a", ""], UNUSABLE),
        ([""], UNUSABLE),
        (["a", 1], UNUSABLE),
        (["a", None], UNUSABLE),
        ([["a"]], UNUSABLE),
        ([[]], UNUSABLE),
        (["a", "\n"], UNUSABLE),
        ([" a", "b"], UNUSABLE),
        (["a", " b"], UNUSABLE),
        (["a ", "b"], UNUSABLE),
        (["a" * MAX_VALUE, "b"], UNUSABLE),
        ({}, UNUSABLE),
        ({"a": 1}, UNUSABLE),
    ],
)
def test_what_becomes_of_a_claim(value: object, expected: HeaderValues | str) -> None:
    assert expected == made_of("claims.plan", {"plan": value})


def test_a_claim_that_is_not_there_is_missing() -> None:
    assert made_of("claims.plan", {}) == MISSING


@pytest.mark.parametrize("name", ["https://a.example/plan", "a.b", "claims.a", "user_id"])
def test_the_name_of_a_claim_is_all_that_follows(name: str) -> None:
    """
    Nothing is looked up inside a claim, and no word of ours is a claim.
    """
    assert sent("pro") == made_of(f"claims.{name}", {name: "pro"})
    assert made_of(f"claims.{name}", {"a": {"b": "pro"}}) == MISSING


def test_several_headers_keep_their_order() -> None:
    headers = [
        ClaimHeader("x-plan", "claims.plan"),
        ClaimHeader("x-team", "claims.team"),
        ClaimHeader("x-org", "org_id"),
        ClaimHeader("x-tier", "claims.tier"),
    ]
    expected = HeaderValues((("x-plan", "pro"), ("x-org", "org_1")), ("x-team", "x-tier"))

    assert expected == header_values(headers, claims_of({**MEMBER, "plan": "pro"}))


def test_the_first_header_that_cannot_be_sent_is_named() -> None:
    headers = [ClaimHeader(f"x-{name}", f"claims.{name}") for name in "abc"]

    assert header_values(headers, claims_of({"b": 1.5, "c": "\n"})) == "x-b"


def test_for_anyone_but_a_user_every_header_is_missing() -> None:
    headers = [ClaimHeader("x-plan", "claims.plan"), ClaimHeader("x-user", "user_id")]

    assert HeaderValues(missing=("x-plan", "x-user")) == header_values(headers, None)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(
    st.sampled_from([*WORDS, "claims.o", "claims.plan"]),
    st.dictionaries(
        st.sampled_from(["v", "o", "org_id", "org_permissions", "act", "plan"]), JSON | st.just(2)
    ),
)
def test_whatever_a_token_holds_a_header_is_plain_or_not_sent(
    source: str, document: dict[str, Any]
) -> None:
    found = made_of(source, document)

    if isinstance(found, HeaderValues):
        assert [*(name for name, _ in found.set), *found.missing] == ["x"]
        for _, value in found.set:
            assert 0 < len(value) <= MAX_VALUE
            assert set(value) <= {chr(code) for code in range(0x20, 0x7F)}
    else:
        assert found == UNUSABLE


@given(st.lists(st.text("ab ,\n", max_size=3) | st.integers(0, 9), max_size=4))
def test_a_list_that_is_sent_can_be_taken_apart_again(items: list[str | int]) -> None:
    found = made_of("claims.plan", {"plan": json.loads(json.dumps(items))})

    if isinstance(found, HeaderValues) and found.set:
        assert items == [item.strip() for item in found.set[0][1].split(",")]
