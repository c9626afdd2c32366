"""Lifts wait for the table's word, and are overtaken by what is told meanwhile."""

import pytest

from wicketgate.core.revocation_lifts import MOST_ASKED, MOST_WAITING, Lifts
from wicketgate.core.revocation_table import Key, Kind, Revocation, RevocationTable

ONE: Key = (Kind.USER, "user_1")
SAME_ID: Key = (Kind.SESSION, "user_1")


def holding(*keys: Key) -> RevocationTable:
    table = RevocationTable()
    for kind, row_id in keys:
        table.apply(Revocation(kind, row_id, 0, 1e9))
    return table


def lifts_of(*keys: Key) -> Lifts:
    lifts = Lifts()
    for key in keys:
        lifts.add(key, is_told=True)
    return lifts


def users(number: int) -> list[Key]:
    return [(Kind.USER, f"user_{each}") for each in range(number)]


def test_what_was_asked_about_is_answered_once() -> None:
    lifts = lifts_of(ONE)

    assert lifts.ask(holding(ONE)) == [ONE]
    assert lifts.answered() == [(ONE, True)]
    assert lifts.ask(holding(ONE)) == []
    assert lifts.answered() == []


def test_of_what_is_not_revoked_nothing_is_asked() -> None:
    lifts = lifts_of(ONE, SAME_ID)

    assert lifts.ask(holding(SAME_ID)) == [SAME_ID]
    assert len(lifts) == 0


@pytest.mark.parametrize("is_told", [False, True])
def test_an_answer_is_void_for_whoever_is_revoked_meanwhile_and_it_is_asked_again(
    *, is_told: bool
) -> None:
    lifts = Lifts()
    lifts.add(ONE, is_told=is_told)
    lifts.add(SAME_ID, is_told=is_told)
    table = holding(ONE, SAME_ID)
    lifts.ask(table)
    lifts.overtake(ONE)

    assert lifts.answered() == [(SAME_ID, is_told)]
    assert lifts.ask(table) == [ONE]
    assert lifts.answered() == [(ONE, is_told)]


def test_whoever_nothing_is_asked_about_overtakes_nothing() -> None:
    lifts = lifts_of(ONE)
    lifts.overtake(SAME_ID)

    assert lifts.ask(holding(ONE, SAME_ID)) == [ONE]


@pytest.mark.parametrize(
    ("words", "is_told"),
    [([True], True), ([False], False), ([False, True], True), ([True, False], True)],
)
def test_it_is_known_whether_a_lift_was_told_or_found(words: list[bool], *, is_told: bool) -> None:
    lifts = Lifts()
    for word in words:
        lifts.add(ONE, is_told=word)
    lifts.ask(holding(ONE))

    assert lifts.answered() == [(ONE, is_told)]


def test_a_question_is_bounded_and_the_rest_waits_for_the_next() -> None:
    keys = users(MOST_ASKED + 1)
    lifts = lifts_of(*keys)
    table = holding(*keys)

    assert lifts.ask(table) == keys[:-1]
    assert len(lifts.answered()) == MOST_ASKED
    assert lifts.ask(table) == keys[-1:]


def test_what_waits_is_bounded_and_more_is_an_overrun() -> None:
    keys = users(MOST_WAITING + 1)
    lifts = lifts_of(*keys[:-1], keys[0])
    before = lifts.is_overrun
    lifts.add(keys[-1], is_told=True)

    assert not before
    assert lifts.is_overrun
    assert len(lifts) == MOST_WAITING


def test_after_an_overrun_nothing_that_is_found_passes_for_untold() -> None:
    keys = users(MOST_WAITING + 1)
    lifts = lifts_of(*keys)
    lifts.ask(holding())
    lifts.add(keys[-1], is_told=False)
    lifts.ask(holding(*keys))

    assert lifts.answered() == [(keys[-1], True)]


def test_a_load_answers_everything() -> None:
    lifts = lifts_of(*users(MOST_WAITING + 1))
    lifts.clear()

    assert not lifts.is_overrun
    assert len(lifts) == 0
    assert lifts.answered() == []
