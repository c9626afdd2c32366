"""The window for requests: what is done with is given back, in time and in few pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.grpc.peer import story
from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import DEFAULT_WINDOW
from wicketgate.grpc.inflow import Inflow

SIZE = 100_000


def window() -> tuple[Inflow, list[bytes]]:
    """Return a window, and what is said about it."""
    out: list[bytes] = []
    inflow = Inflow(SIZE, out)
    out.clear()
    return inflow, out


def test_half_a_window_at_a_time() -> None:
    inflow, out = window()
    for _ in range(50):
        inflow.take(1_000)
        inflow.give(1_000)
    before = list(out)
    inflow.take(1_000)
    inflow.give(1_000)

    assert before == []
    assert story(b"".join(out)) == ["WINDOW 0 50000"]


def test_requests_that_do_not_end_leave_the_rest_of_the_window_to_others() -> None:
    """
    However small that rest is, what is done with comes back into it.
    """
    inflow, out = window()
    inflow.take(70_000)

    for _ in range(100):
        inflow.take(10_000)
        inflow.give(10_000)

    assert 30 < len(out) < 70


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40_000)), max_size=60))
def test_a_peer_never_waits_while_there_is_something_to_return(
    steps: list[tuple[bool, int]],
) -> None:
    """
    A peer that uses up its window is out of it only for what is really held.
    """
    inflow, out = window()
    held, left = 0, SIZE
    for takes, size in steps:
        if takes:
            amount = min(size, left)
            inflow.take(amount)
            held, left = held + amount, left - amount
        else:
            amount = min(size, held)
            inflow.give(amount)
            held -= amount
        increments = [int(line.split()[2]) for line in story(b"".join(out))]
        out.clear()
        left += sum(increments)

        assert 0 not in increments
        assert held + left <= SIZE
        assert left * 2 >= SIZE - held - 1


def test_it_is_tight_when_three_quarters_are_really_held() -> None:
    """
    Not when little is left only because it was not given back yet.
    """
    inflow, _ = window()
    inflow.take(65_000)
    inflow.take(15_000)
    inflow.give(15_000)
    states = [inflow.is_tight]
    inflow.take(10_000)
    states.append(inflow.is_tight)
    inflow.take(1)
    states.append(inflow.is_tight)

    assert states == [False, False, True]


def test_more_than_the_window_is_a_fault() -> None:
    inflow, _ = window()
    inflow.take(SIZE)
    with pytest.raises(Fault) as fault:
        inflow.take(1)

    assert fault.value.code.name == "FLOW_CONTROL_ERROR"


def test_it_is_never_smaller_than_the_one_that_peers_begin_with() -> None:
    out: list[bytes] = []

    Inflow(10, out).take(DEFAULT_WINDOW)

    assert out == []
