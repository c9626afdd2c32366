"""Values that are frozen for whoever checks types."""

from dataclasses import KW_ONLY, replace

import pytest

from wicketgate.core.value import value


@value
class Point:
    """Something with a default and something that needs its name said."""

    left: int
    top: int = 2
    _: KW_ONLY
    name: str = ""


def test_equal_values_are_equal_and_have_one_hash() -> None:
    assert Point(1, name="a") == Point(1, 2, name="a")
    assert hash(Point(1)) == hash(Point(1, 2))
    assert Point(1) != Point(2)


def test_a_value_has_no_attributes_but_its_own() -> None:
    with pytest.raises(AttributeError):
        Point(1).right = 3  # type: ignore[attr-defined] # that is the point


def test_a_value_can_be_taken_apart_and_replaced() -> None:
    match replace(Point(1), top=3):
        case Point(left, top):
            assert (left, top) == (1, 3)


def test_mypy_refuses_an_assignment() -> None:
    """
    Were this not an error to mypy, the comment that silences it would be one.
    """
    point = Point(1)

    point.left = 2  # type: ignore[misc] # frozen

    assert point.left == 2
