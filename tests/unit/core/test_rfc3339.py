"""Instants: those of RFC 3339, as the standard library counts them, and no others."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.rfc3339 import EXPECTED, parse_instant

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

# Numbers up to and a little beyond what fits their place; but the standard library
# takes an offset of 60 minutes, which RFC 3339 does not know.
DATES = st.tuples(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))
TIMES = st.tuples(st.integers(0, 23), st.integers(0, 60), st.integers(0, 60))
OFFSETS = st.tuples(st.sampled_from("+-"), st.integers(0, 24), st.integers(0, 59))


def standard(text: str) -> float | None:
    """Return what the standard library makes of `text`, if that is from 1970 to 9999."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if FIRST <= moment <= LAST else None
    except (ValueError, OverflowError):
        return None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("2027-01-01t00:00:00z", 1_798_761_600),
        ("2027-01-01T01:30:00+01:30", 1_798_761_600),
        ("2026-12-31T19:00:00-05:00", 1_798_761_600),
        ("2027-01-01T00:00:00-00:00", 1_798_761_600),
        ("2027-01-01T00:00:00.25Z", 1_798_761_600.25),
        ("2000-02-29T00:00:00Z", 951_782_400),
        ("2028-02-29T23:59:59Z", 1_835_481_599),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
        ("1969-12-31T23:00:00-01:00", 0),
    ],
)
def test_an_instant_is_so_many_seconds(text: str, seconds: float) -> None:
    assert seconds == parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-01-01 00:00:00Z",
        "2027-01-01T00:00Z",
        "2027-1-1T00:00:00Z",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2027-00-01T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-01-00T00:00:00Z",
        "2027-01-32T00:00:00Z",
        "2027-01-01T00:00:00+0100",
        "2027-01-01T00:00:00+24:00",
        "2027-01-01T00:00:00+01:60",
        "2027-01-01T00:00:00.Z",
        "2027-01-01T00:00:00,5Z",
        "2027-01-01T00:00:00Z\n",
        " 2027-01-01T00:00:00Z",
        "\u0662\u0660\u0662\u0667-01-01T00:00:00Z",
    ],
)
def test_what_is_not_written_so_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=EXPECTED):
        parse_instant(text)


@pytest.mark.parametrize(
    "day", ["2027-02-29", "2100-02-29", "2028-02-30", "2027-04-31", "2027-11-31"]
)
def test_a_day_that_there_is_not_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match="expected a day that there is"):
        parse_instant(f"{day}T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:00-00:01",
        "9999-12-31T23:59:59.999999999Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_an_instant_that_others_could_not_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="from 1970 to 9999"):
        parse_instant(text)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - given one below
    st.integers(-1439, 1439),
)
def test_every_instant_is_counted_as_the_standard_library_counts(
    local: datetime, minutes: int
) -> None:
    moment = local.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))

    assert moment.timestamp() == parse_instant(moment.isoformat())


@example((2100, 2, 29), (0, 0, 0), ("+", 0, 0))
@given(DATES, TIMES, OFFSETS)
def test_what_the_standard_library_refuses_is_refused(
    date: tuple[int, int, int], time: tuple[int, int, int], offset: tuple[str, int, int]
) -> None:
    text = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{:02}:{:02}".format(*date, *time, *offset)
    expected = standard(text)

    if expected is not None:
        assert expected == parse_instant(text)
    else:
        with pytest.raises(ValueError, match="expected"):
            parse_instant(text)


@given(st.text())
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    try:
        seconds = parse_instant(text)
    except ValueError as refused:
        assert str(refused).startswith("expected ")  # noqa: PT017 - either is fine
    else:
        assert seconds >= 0
