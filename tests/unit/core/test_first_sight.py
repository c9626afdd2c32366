"""Who is known, and what came of meeting somebody."""

import pytest

from wicketgate.core.claims import UserId
from wicketgate.core.first_sight import KnownUsers, Sighting, UserRow

ADA, MINA, JO = UserId("user_ada"), UserId("user_mina"), UserId("user_jo")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (UserRow("7a1c"), Sighting.KNOWN),
        (UserRow("7a1c", is_new=True), Sighting.INSERTED),
        (UserRow("7a1c", is_buried=True), Sighting.TOMBSTONE),
    ],
)
def test_what_came_of_it(row: UserRow, expected: Sighting) -> None:
    assert expected is row.sighting


@pytest.mark.parametrize(
    ("keeps_ids", "row", "expected"),
    [
        (True, UserRow("7a1c"), "7a1c"),
        (True, UserRow("7a1c", is_new=True), "7a1c"),
        (True, UserRow("7a1c", is_buried=True), ""),
        (False, UserRow("7a1c"), ""),
    ],
)
def test_only_the_id_of_a_living_user_is_told_and_only_if_ids_are(
    row: UserRow, expected: str, *, keeps_ids: bool
) -> None:
    known = KnownUsers(keeps_ids=keeps_ids)

    known.add(ADA, row)

    assert ADA in known
    assert expected == known.id_of(ADA)


def test_nobody_is_known_who_was_not_met() -> None:
    known = KnownUsers(keeps_ids=True)
    known.add(ADA, UserRow("7a1c"))

    assert MINA not in known
    assert known.id_of(MINA) == ""


@pytest.mark.parametrize(("limit", "expected"), [(3, [ADA, MINA, JO]), (2, [MINA, JO]), (1, [JO])])
def test_who_was_met_first_is_forgotten_first(limit: int, expected: list[UserId]) -> None:
    known = KnownUsers(limit=limit, keeps_ids=True)

    for user_id in (ADA, MINA, JO):
        known.add(user_id, UserRow(f"id of {user_id}"))

    assert expected == [user_id for user_id in (ADA, MINA, JO) if user_id in known]
    assert len(expected) == len(known)


def test_who_is_met_again_does_not_crowd_out_another() -> None:
    known = KnownUsers(limit=2, keeps_ids=True)
    known.add(ADA, UserRow("1"))
    known.add(MINA, UserRow("2"))

    known.add(MINA, UserRow("2"))

    assert ADA in known
