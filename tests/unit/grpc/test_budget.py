"""What all connections together may hold: whoever holds most goes, and nobody else."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from wicketgate.grpc.budget import FREE_BYTES, Budget

LIMIT = 1_000


@dataclass(eq=False)
class Hoard:
    """Holds bytes until it is told to let go."""

    budget: Budget
    ended: list["Hoard"] = field(default_factory=list)
    size: int = 0

    def hold(self, size: int) -> None:
        """Hold so many, beyond what is free."""
        self.size = size
        self.budget.hold(self, FREE_BYTES + size)

    def make_room(self) -> None:
        """Let go, and tell the budget so, as connections do."""
        self.size = 0
        self.ended.append(self)
        self.budget.hold(self, 0)


def test_as_much_as_there_is_may_be_held() -> None:
    budget = Budget(LIMIT)
    one, other = Hoard(budget), Hoard(budget)

    one.hold(400)
    other.hold(600)

    assert budget.held_bytes == LIMIT
    assert one.ended == other.ended == []


def test_who_holds_most_is_ended_and_not_who_asks() -> None:
    budget = Budget(LIMIT)
    greedy, modest = Hoard(budget), Hoard(budget)
    greedy.hold(900)

    modest.hold(101)

    assert greedy.ended == [greedy]
    assert modest.ended == []
    assert budget.held_bytes == 101


def test_who_asks_is_ended_when_it_holds_most() -> None:
    budget = Budget(LIMIT)
    greedy, modest = Hoard(budget), Hoard(budget)
    modest.hold(400)
    greedy.hold(300)

    greedy.hold(601)

    assert (greedy.ended, modest.ended) == ([greedy], [])
    assert budget.held_bytes == 400


def test_what_every_connection_needs_is_not_counted() -> None:
    budget = Budget(0)
    hoards = [Hoard(budget) for _ in range(1_000)]

    for each in hoards:
        each.hold(0)

    assert budget.held_bytes == 0
    assert not any(each.ended for each in hoards)


def test_what_is_let_go_is_there_for_others() -> None:
    budget = Budget(LIMIT)
    one, other = Hoard(budget), Hoard(budget)
    one.hold(900)
    one.hold(0)

    other.hold(1_000)

    assert other.ended == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 700)), max_size=60))
def test_the_sum_is_right_and_never_too_much(steps: list[tuple[int, int]]) -> None:
    budget = Budget(LIMIT)
    hoards = [Hoard(budget) for _ in range(6)]

    for which, size in steps:
        hoards[which].hold(size)

        assert budget.held_bytes == sum(each.size for each in hoards) <= LIMIT
