"""Counts, second by second, and the rates that they come to."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.status.history import (
    KEPT,
    WINDOW_SECONDS,
    History,
    Rates,
    Sample,
    milliseconds,
    quantile,
)

BOUNDS = (0.001, 0.01, 0.1)


def sample(moment: float, **counted: Any) -> Sample:  # noqa: ANN401 - any field of it
    counts: dict[str, Any] = {"good": 0, "bad": 0, "durations": (0, 0, 0, 0), "words": {}}
    return Sample(at=1_000.0 + moment, moment=moment, **{**counts, **counted})


def history(*samples: Sample) -> History:
    kept = History(BOUNDS)
    for each in samples:
        kept.add(each)
    return kept


# --- rates -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [history(), history(sample(5.0, good=7))])
def test_before_a_second_has_passed_there_is_no_rate(kept: History) -> None:
    nothing = Rates(seconds=0.0, good=0.0, bad=0.0, p50=None, p99=None, words={})

    assert nothing == kept.rates()


def test_a_rate_is_what_was_counted_in_a_second_of_the_last_minute() -> None:
    kept = history(
        sample(0.0, good=100, bad=50),
        sample(10.0, good=110, bad=50, words={"token_expired": 3}),
        sample(70.0, good=230, bad=56, words={"token_expired": 9}, durations=(120, 120, 126, 126)),
    )

    rates = kept.rates()

    assert rates.seconds == WINDOW_SECONDS
    assert (rates.good, rates.bad) == (2.0, 0.1)
    assert rates.words == {"token_expired": 0.1}


def test_a_gap_longer_than_a_minute_leaves_no_rate() -> None:
    """
    The process was suspended: what came before says nothing about now.
    """
    assert history(sample(0.0), sample(500.0, good=10)).rates().good == 0.0


def test_a_reason_that_did_not_come_in_the_last_minute_has_no_rate() -> None:
    old = {"token_expired": 3}
    kept = history(sample(0.0, words=old), sample(1.0, words=old | {"no_credential": 2}))

    assert kept.rates().words == {"no_credential": 2.0}


def test_the_newest_sample_is_at_hand() -> None:
    kept = history()
    assert kept.newest is None

    kept.add(sample(1.0))
    assert sample(1.0) == kept.newest


# --- quantiles ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "before", "after", "expected"),
    [
        (0.5, (0, 0, 0, 0), (0, 0, 0, 0), None),
        (0.5, (4, 4, 4, 4), (4, 4, 4, 4), None),
        # In the first bucket, from nothing on; halfway through it.
        (0.5, (0, 0, 0, 0), (10, 10, 10, 10), 0.0005),
        # The one in the second bucket is at its end.
        (1.0, (0, 0, 0, 0), (1, 2, 2, 2), 0.01),
        # An empty bucket in between is passed over.
        (0.99, (0, 0, 0, 0), (0, 0, 100, 100), 0.01 + 0.09 * 0.99),
        # Beyond the last bound nothing more is known.
        (0.99, (0, 0, 0, 0), (1, 1, 1, 2), 0.1),
        # What was there before does not count.
        (0.5, (1_000, 1_000, 1_000, 1_000), (1_000, 1_010, 1_010, 1_010), 0.0055),
    ],
)
def test_a_quantile_is_read_off_the_buckets(
    share: float, before: tuple[int, ...], after: tuple[int, ...], expected: float | None
) -> None:
    assert expected == pytest.approx(quantile(share, BOUNDS, before, after))


@given(
    st.lists(st.integers(0, 50), min_size=4, max_size=4),
    st.lists(st.integers(0, 50), min_size=4, max_size=4),
    st.floats(0.01, 1.0),
)
def test_a_quantile_is_within_the_bounds_and_grows_with_the_share(
    first: list[int], then: list[int], share: float
) -> None:
    before = [sum(first[: number + 1]) for number in range(4)]
    after = [each + sum(then[: number + 1]) for number, each in enumerate(before)]

    found, greater = (quantile(each, BOUNDS, before, after) for each in (share / 2, share))

    assert (found is None) is (sum(then) == 0) is (greater is None)
    if found is not None and greater is not None:
        assert 0.0 <= found <= greater <= BOUNDS[-1]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, None), (0.000_123_45, 0.123), (1.5, 1500.0), (0.0, 0.0)]
)
def test_milliseconds_have_three_digits(seconds: float | None, expected: float | None) -> None:
    assert expected == milliseconds(seconds)


# --- second by second --------------------------------------------------------------


def seconds_of(number: int) -> History:
    return history(*(sample(float(each), good=each * 3, bad=each) for each in range(number)))


def numbers_in(series: Mapping[str, Any]) -> tuple[int, int]:
    return series["first"], len(series["good"])


@pytest.mark.parametrize("number", [0, 1])
def test_one_sample_is_no_second(number: int) -> None:
    series: Mapping[str, Any] = seconds_of(number).series()

    assert series["good"] == series["bad"] == series["p99_ms"] == []


def test_each_second_has_its_rates() -> None:
    kept = history(
        sample(0.0),
        sample(2.0, good=6, bad=1, durations=(0, 7, 7, 7)),
        sample(3.0, good=6, bad=1, durations=(0, 7, 7, 7)),
    )

    assert kept.series() == {
        "first": 2,
        "good": [3.0, 0.0],
        "bad": [0.5, 0.0],
        "p99_ms": [9.91, None],
    }


def test_whoever_has_read_some_gets_the_rest() -> None:
    kept = seconds_of(10)

    assert numbers_in(kept.series(after=8)) == (9, 2)
    assert numbers_in(kept.series(after=10)) == (11, 0)
    assert numbers_in(kept.series(after=1)) == (2, 9)


def test_no_more_than_five_minutes_are_kept() -> None:
    kept = seconds_of(KEPT + 50)

    assert numbers_in(kept.series()) == (52, KEPT - 1)
    assert numbers_in(kept.series(after=3)) == (52, KEPT - 1)
    assert numbers_in(kept.series(after=KEPT + 48)) == (KEPT + 49, 2)
