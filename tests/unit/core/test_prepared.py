"""Answers that lack nothing but what differs each time."""

import json
from collections.abc import Callable
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.prepared import Blanks, PreparedAnswers

TEXTS = st.text(st.sampled_from("-0aDUL%{}"), max_size=5)
BLANKS = st.builds(Blanks, TEXTS.filter(bool), TEXTS, TEXTS)
FIRST, SECOND = Blanks("d-1", "user_1", "l1"), Blanks("d-2", "user_2", "l2")


def maker(answer: str) -> tuple[Callable[[Blanks], bytes], list[Blanks]]:
    """Return what makes `answer`, and the blanks that it was asked to fill in."""
    asked: list[Blanks] = []

    def make(blanks: Blanks) -> bytes:
        asked.append(blanks)
        filled = "".join(
            {"D": blanks.decision_id, "U": blanks.user_id, "L": blanks.local_id}.get(each, each)
            for each in answer
        )
        # Like Protocol Buffers: the length comes before what it is the length of.
        return bytes([len(filled.encode()) % 256]) + filled.encode()

    return make, asked


@given(st.text(st.sampled_from("aDUL%{} \x00é"), max_size=12), BLANKS, BLANKS)
def test_a_kept_answer_is_the_one_that_would_have_been_made(
    answer: str, first: Blanks, second: Blanks
) -> None:
    prepared = PreparedAnswers()
    make, _ = maker(answer)

    kept = prepared.keep("key", make, first, pinned=None)
    found = prepared.find("key", second)

    assert kept == make(first)
    is_alike = [len(text) for text in first] == [len(text) for text in second]
    assert found in ({make(second), None} if is_alike else {None})


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        ("D for U", True),
        ("D for UL", True),
        ("D", False),
        ("UU", False),
        ("aaD" * 42, False),
    ],
)
def test_what_cannot_be_told_from_a_blank_is_not_kept(answer: str, *, is_kept: bool) -> None:
    """
    The length of these is the octet that stands for a blank of one character.
    """
    prepared = PreparedAnswers()
    make, _ = maker(answer)
    blanks = Blanks("d", "u", "l")

    assert prepared.keep("key", make, blanks, pinned=None) == make(blanks)
    assert is_kept == (prepared.find("key", blanks) is not None)


def test_an_id_within_json_can_be_filled_in() -> None:
    """
    The body of a denial is such a text.
    """
    prepared = PreparedAnswers()

    def make(blanks: Blanks) -> bytes:
        return json.dumps({"decision_id": blanks.decision_id}).encode()

    prepared.keep("key", make, FIRST, pinned=None)

    assert prepared.find("key", SECOND) == make(SECOND)


def test_what_was_not_kept_is_not_found() -> None:
    prepared = PreparedAnswers()

    prepared.keep(("rule", 1), maker("D")[0], FIRST, pinned=None)

    assert prepared.find(("rule", 2), FIRST) is None


def test_the_answer_that_is_kept_is_about_nobody() -> None:
    prepared = PreparedAnswers()
    make, asked = maker("DUL")

    prepared.keep("key", make, FIRST, pinned=None)
    seen = set(asked) - {FIRST}

    assert seen
    assert not {text for blanks in seen for text in blanks} & set(FIRST)


def test_filling_in_one_leaves_the_next_as_it_was() -> None:
    prepared = PreparedAnswers()
    make, _ = maker("U asks for D as L, and U again")
    prepared.keep("key", make, FIRST, pinned=None)

    answers = [prepared.find("key", blanks) for blanks in (SECOND, FIRST, SECOND)]

    assert answers == [make(SECOND), make(FIRST), make(SECOND)]


@pytest.mark.parametrize(("max_bytes", "is_kept"), [(10_000, True), (5_000, False)])
def test_too_many_bytes_are_forgotten(max_bytes: int, *, is_kept: bool) -> None:
    prepared = PreparedAnswers(max_bytes)
    make, _ = maker("x" * 3_000)

    prepared.keep(1, make, FIRST, pinned=None)
    prepared.keep(2, make, FIRST, pinned=None)

    assert is_kept == (prepared.find(1, FIRST) is not None)
    assert prepared.find(2, FIRST) is not None


class Pinned:
    """Something that can be seen to live."""


def test_an_object_whose_id_is_in_the_key_lives_as_long_as_the_answer() -> None:
    """
    Otherwise another rule could come to have its id, and its answers.
    """
    prepared = PreparedAnswers(max_bytes=2_000)
    pinned = Pinned()
    alive = ref(pinned)

    prepared.keep(id(pinned), maker("D")[0], FIRST, pinned=pinned)
    del pinned
    before = alive() is not None
    prepared.keep(2, maker("x" * 900)[0], FIRST, pinned=None)

    assert before
    assert alive() is None
