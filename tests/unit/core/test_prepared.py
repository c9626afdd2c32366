"""Answers that lack nothing but the decision's id."""

from collections.abc import Callable
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import bounded
from wicketgate.core.prepared import PreparedAnswers


def maker(answer: str) -> tuple[Callable[[str], bytes], list[str]]:
    """Return what makes `answer` of an id, and the ids that it was asked to."""
    asked: list[str] = []

    def make(decision_id: str) -> bytes:
        asked.append(decision_id)
        # Like Protocol Buffers: the length comes before what it is the length of.
        whole = answer.replace("ID", decision_id)
        return f"{len(whole)} {whole}".encode()

    return make, asked


@bounded
@given(
    st.text(st.sampled_from("aID \x00é"), max_size=12),
    st.text(st.sampled_from("-0aID"), min_size=1, max_size=5),
    st.text(st.sampled_from("-0aID"), min_size=1, max_size=5),
)
def test_a_kept_answer_is_the_one_that_would_have_been_made(
    answer: str, first: str, second: str
) -> None:
    prepared = PreparedAnswers()
    make, _ = maker(answer)

    kept = prepared.keep("key", make, first, pinned=None)
    found = prepared.find("key", second)

    assert kept == make(first)
    assert found == (make(second) if len(first) == len(second) else None)


def test_what_was_not_kept_is_not_found() -> None:
    prepared = PreparedAnswers()

    prepared.keep(("user", 1), maker("ID")[0], "d-1", pinned=None)

    assert prepared.find(("user", 2), "d-1") is None


def test_the_answer_that_is_kept_holds_no_id() -> None:
    prepared = PreparedAnswers()
    make, asked = maker("decision ID")

    prepared.keep("key", make, "d-1", pinned=None)

    assert "d-1" not in asked


@pytest.mark.parametrize(("max_bytes", "is_kept"), [(10_000, True), (5_000, False)])
def test_too_many_bytes_are_forgotten(max_bytes: int, *, is_kept: bool) -> None:
    prepared = PreparedAnswers(max_bytes)
    make, _ = maker("x" * 3_000)

    prepared.keep(1, make, "d-1", pinned=None)
    prepared.keep(2, make, "d-1", pinned=None)

    assert is_kept == (prepared.find(1, "d-1") is not None)
    assert prepared.find(2, "d-1") is not None


class Pinned:
    """Something that can be seen to live."""


def test_an_object_whose_id_is_in_the_key_lives_as_long_as_the_answer() -> None:
    """
    Otherwise another rule could come to have its id, and its answers.
    """
    prepared = PreparedAnswers(max_bytes=1_000)
    pinned = Pinned()
    alive = ref(pinned)

    prepared.keep(id(pinned), maker("ID")[0], "d-1", pinned=pinned)
    del pinned
    before = alive() is not None
    prepared.keep(2, maker("x" * 900)[0], "d-1", pinned=None)

    assert before
    assert alive() is None
