"""What is said on the channel, and what is made of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.revocation_notice import MalformedNoticeError, parse_notice
from wicketgate.core.revocation_table import Kind, Revocation

NOTICE = {
    "schema": "wicketgate",
    "kind": "user",
    "id": "user_1",
    "revoked_at": 1_790_000_000.123456,
    "expires_at": 1_790_087_000,
    "is_lifted": False,
}

WRONG: dict[str, list[object]] = {
    "schema": [1, "", []],
    "kind": ["org", "USER", "", 1, []],
    # Postgres could not be asked about some of these.
    "id": ["", 1, ["user_1"], "x" * 129, "user\x00", "user\udc80", "us\u00e9r", "user\n"],
    "revoked_at": ["1", True, [], float("inf"), float("nan")],
    "expires_at": ["1", True, [], 10**400],
    "is_lifted": [0, 1, "false", []],
}


def notice(**members: object) -> str:
    """Return a notice with these members replaced; `None` leaves one out."""
    return json.dumps(
        {name: each for name, each in {**NOTICE, **members}.items() if each is not None}
    )


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("is_lifted", [False, True])
def test_a_notice_is_read(kind: Kind, *, is_lifted: bool) -> None:
    row = parse_notice(notice(kind=kind, is_lifted=is_lifted), schema="wicketgate")

    expected = Revocation(kind, "user_1", 1_790_000_000.123456, 1_790_087_000.0, is_lifted)
    assert expected == row


@pytest.mark.parametrize("row_id", ["x", "x" * 128, "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0"])
def test_an_id_is_as_long_as_the_column_at_most(row_id: str) -> None:
    row = parse_notice(notice(id=row_id), schema="wicketgate")

    assert row is not None
    assert row_id == row.id


def test_a_member_that_is_not_known_changes_nothing() -> None:
    text = notice(reason="banned")

    assert parse_notice(text, schema="wicketgate") == parse_notice(notice(), schema="wicketgate")


@pytest.mark.parametrize("text", [notice(schema="other"), '{"schema":"other"}'])
def test_what_another_schema_says_is_none_of_ours(text: str) -> None:
    assert parse_notice(text, schema="wicketgate") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "[]", "null", "{", '{"schema":"wicketgate"}', "[" * 20_000, "\udcff"),
        notice()[:-1] + ',"id":"user_2"}',
        *(notice(**{name: None}) for name in NOTICE),
        *(notice(**{name: each}) for name, wrong in WRONG.items() for each in wrong),
        notice(revoked_at=0).replace('"revoked_at": 0', '"revoked_at": 1e400'),
    ],
)
def test_whatever_else_is_said_is_malformed(text: str) -> None:
    with pytest.raises(MalformedNoticeError) as raised:
        parse_notice(text, schema="wicketgate")

    assert "user_1" not in str(raised.value)


@given(
    st.dictionaries(
        st.sampled_from(sorted(NOTICE)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]),
        max_size=2,
    )
)
def test_nothing_but_a_row_a_refusal_or_nothing_comes_of_spoilt_members(
    members: dict[str, object],
) -> None:
    try:
        row = parse_notice(notice(**members), schema="wicketgate")
    except MalformedNoticeError:
        return
    assert row is None or isinstance(row, Revocation)


@given(st.text())
def test_nothing_but_malformed_comes_of_any_text(text: str) -> None:
    try:
        row = parse_notice(text, schema="wicketgate")
    except MalformedNoticeError:
        return
    assert row is None
