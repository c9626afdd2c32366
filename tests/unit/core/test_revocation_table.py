"""Revocations that come, are lifted, and stop to matter."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.revocation_table import (
    MINUTE,
    MOST_DROPPED,
    Kind,
    Revocation,
    RevocationTable,
)

NOW = 6_000.0
"""The beginning of a minute."""
KINDS = list(Kind)


def row(
    revoked_at: float = NOW,
    expires_at: float = NOW + 60,
    *,
    kind: Kind = Kind.USER,
    row_id: str = "user_1",
    is_lifted: bool = False,
) -> Revocation:
    return Revocation(kind, row_id, revoked_at, expires_at, is_lifted)


def table_of(*rows: Revocation) -> RevocationTable:
    table = RevocationTable()
    for each in rows:
        table.apply(each)
    return table


@pytest.mark.parametrize("kind", KINDS)
def test_it_holds_what_is_revoked_and_nothing_else(kind: Kind) -> None:
    table = table_of(row(kind=kind, row_id="id_1"))

    assert [each for each in KINDS if table.holds((each, "id_1"))] == [kind]
    assert not table.holds((kind, "id_2"))


@pytest.mark.parametrize("known", [[], [row(NOW - 9, NOW + 9)], [row(NOW + 200, NOW + 200)]])
def test_what_replaces_another_counts_as_it_is_and_ends_then(known: list[Revocation]) -> None:
    table = table_of(*known)
    table.replace(row(NOW, NOW + 60))
    before = dict(table.users)
    table.expire(NOW + 60 + MINUTE)

    assert before == {"user_1": (NOW, NOW + 60)}
    assert table.users == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_revocation_is_kept_under_its_kind(kind: Kind) -> None:
    table = table_of(row(NOW, NOW + 60, kind=kind, row_id="id_1"))

    assert {kind: 1} == {each: table.count(each) for each in KINDS if table.count(each)}
    assert table.users | table.sessions == {"id_1": (NOW, NOW + 60)}


@pytest.mark.parametrize("order", [*permutations([row(NOW, NOW + 9), row(NOW + 5), row(NOW + 2)])])
def test_the_later_moments_count_in_every_order(order: tuple[Revocation, ...]) -> None:
    assert table_of(*order).users == {"user_1": (NOW + 5, NOW + 60)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lifted_counts_no_more(kind: Kind) -> None:
    table = table_of(row(kind=kind), row(kind=kind, is_lifted=True))

    assert table.count(kind) == 0


def test_what_was_lifted_can_be_revoked_again_and_for_less() -> None:
    table = table_of(row(NOW + 5, NOW + 90), row(is_lifted=True), row(NOW, NOW + 60))

    assert table.users == {"user_1": (NOW, NOW + 60)}


def test_to_lift_what_was_not_revoked_changes_nothing() -> None:
    assert table_of(row(is_lifted=True)).users == {}


@pytest.mark.parametrize(
    ("late", "left"), [(-1, 1), (MINUTE - 1, 1), (MINUTE, 0), (10 * MINUTE, 0)]
)
def test_what_ended_is_dropped_within_a_minute_and_never_before(late: float, left: int) -> None:
    table = table_of(row(expires_at=NOW + 120))

    table.expire(NOW + 120 + late)

    assert left == table.count(Kind.USER)


def test_only_what_ended_is_dropped() -> None:
    table = table_of(
        row(expires_at=NOW + 5),
        row(expires_at=NOW + 500, row_id="user_2"),
        row(expires_at=NOW + 5, kind=Kind.SESSION, row_id="sess_1"),
        row(expires_at=NOW + 500, kind=Kind.SESSION, row_id="sess_2"),
    )

    table.expire(NOW + 100)

    assert list(table.users) == ["user_2"]
    assert list(table.sessions) == ["sess_2"]


def test_what_was_prolonged_stays_until_its_later_end() -> None:
    table = table_of(row(expires_at=NOW + 5), row(expires_at=NOW + 500))

    table.expire(NOW + 300)
    before = table.count(Kind.USER)
    table.expire(NOW + 600)

    assert (before, table.count(Kind.USER)) == (1, 0)


def test_what_was_lifted_and_revoked_again_is_dropped_once() -> None:
    table = table_of(row(), row(is_lifted=True), row())

    table.expire(NOW + 200)

    assert table.users == {}


def test_what_was_lifted_is_not_there_to_be_dropped() -> None:
    table = table_of(row(), row(is_lifted=True))

    table.expire(NOW + 200)

    assert table.users == {}


def test_what_never_ends_is_kept() -> None:
    table = table_of(row(expires_at=float("inf")))

    table.expire(NOW + 1e9)

    assert table.count(Kind.USER) == 1


@pytest.mark.parametrize(
    ("known", "told", "agrees"),
    [
        ((), row(), False),
        ((), row(is_lifted=True), True),
        ((row(),), row(is_lifted=True), False),
        ((row(),), row(), True),
        ((row(NOW + 1),), row(), True),
        ((row(),), row(NOW + 1), False),
        ((row(),), row(expires_at=NOW + 61), False),
        ((row(expires_at=float("inf")),), row(expires_at=float("inf")), True),
        ((row(),), row(kind=Kind.SESSION), False),
    ],
)
def test_it_is_known_whether_a_row_would_change_anything(
    known: tuple[Revocation, ...], told: Revocation, *, agrees: bool
) -> None:
    assert agrees == table_of(*known).agrees_with(told)


@pytest.mark.parametrize(
    ("known", "told", "is_stricter"),
    [
        ((), row(), False),
        ((row(),), row(), False),
        ((row(NOW + 1),), row(), True),
        ((row(expires_at=NOW + 61),), row(expires_at=NOW + 60), True),
        ((row(),), row(NOW + 1), False),
        ((row(NOW + 1),), row(is_lifted=True), False),
        ((row(NOW + 1),), row(kind=Kind.SESSION), False),
        ((row(expires_at=float("inf")),), row(expires_at=float("inf")), False),
    ],
)
def test_it_is_known_whether_more_is_refused_than_a_row_says(
    known: tuple[Revocation, ...], told: Revocation, *, is_stricter: bool
) -> None:
    assert is_stricter == table_of(*known).is_stricter_than(told)


rows = st.builds(
    Revocation,
    st.sampled_from(KINDS),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 300).map(float),
    st.integers(0, 300).map(float),
    st.booleans(),
)


@given(st.lists(rows, max_size=20), rows)
def test_a_row_that_was_applied_agrees_with_the_table(
    history: list[Revocation], last: Revocation
) -> None:
    table = table_of(*history, last)
    again = table_of(*history, last, last)

    assert table.agrees_with(last)
    assert (again.users, again.sessions) == (table.users, table.sessions)


@given(st.lists(rows, max_size=20), st.integers(0, 500))
def test_nothing_that_ended_a_minute_ago_is_left_and_nothing_else_is_gone(
    history: list[Revocation], now: int
) -> None:
    table = table_of(*history)
    before = table.users | {f"s{row_id}": each for row_id, each in table.sessions.items()}

    table.expire(float(now))

    after = table.users | {f"s{row_id}": each for row_id, each in table.sessions.items()}
    gone = {row_id: each for row_id, each in before.items() if row_id not in after}
    assert all(ends <= now for _, ends in gone.values())
    assert all(ends > now - MINUTE for _, ends in after.values())
    assert after.items() <= before.items()


def test_where_many_end_together_the_next_call_goes_on_with_them() -> None:
    table = table_of(*(row(row_id=f"user_{number}") for number in range(MOST_DROPPED + 1)))

    counts = []
    for _ in range(3):
        table.expire(NOW + 60 + MINUTE)
        counts.append(table.count(Kind.USER))

    assert counts == [1, 0, 0]


def test_what_is_revoked_and_lifted_again_and_again_takes_no_more_room() -> None:
    """
    As many calls as there were changes would be needed if each were kept.
    """
    table = table_of(row(row_id="user_2"))
    for _ in range(MOST_DROPPED):
        table.apply(row())
        table.apply(row(is_lifted=True))
    table.apply(row(row_id="user_3"))

    table.expire(NOW + 60 + MINUTE)

    assert table.count(Kind.USER) == 0
