"""So many in a second, and no more."""

from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.allowance import Allowance


def test_a_second_s_worth_goes_at_once_and_then_no_more() -> None:
    allowance = Allowance(3)

    assert [allowance.take(10.0) for _ in range(5)] == [True, True, True, False, False]


def test_what_was_taken_comes_back_steadily() -> None:
    allowance = Allowance(4)
    for _ in range(4):
        allowance.take(10.0)

    assert [allowance.take(10.0 + quarter / 8) for quarter in range(1, 6)] == [
        *(False, True, False, True, False)
    ]


def test_a_long_rest_gives_no_more_than_a_second_s_worth() -> None:
    allowance = Allowance(2)
    allowance.take(0.0)

    assert [allowance.take(1_000.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    allowance = Allowance(2)
    allowance.take(10.0)

    assert [allowance.take(5.0) for _ in range(2)] == [True, False]
    assert allowance.take(5.5)


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=200))
@example([0.0] * 11)
def test_however_they_come_there_are_never_more(pauses: list[float]) -> None:
    allowance, now, taken = Allowance(10), 0.0, 0

    for pause in pauses:
        now += pause
        taken += allowance.take(now)

    assert taken <= 10 + 10 * now + 1e-6
