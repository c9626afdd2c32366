"""An instant, as RFC 3339 writes it.

Counted by hand: the standard library's way goes through a module that also has
a clock, and the core has none.

Source: RFC 3339 section 5.6 (``date-time``) and appendix C (leap years).
"""

import re
from typing import Final

EXPECTED: Final = "expected a date and a time with an offset, such as 2027-01-01T00:00:00Z"

_INSTANT: Final = re.compile(
    r"""
    (?P<year>[0-9]{4}) - (?P<month>0[1-9]|1[0-2]) - (?P<day>0[1-9]|[12][0-9]|3[01])
    [Tt]
    (?P<hour>[01][0-9]|2[0-3]) : (?P<minute>[0-5][0-9]) : (?P<second>[0-5][0-9])
    (?P<fraction>\.[0-9]{1,9})?
    (?: [Zz] | (?P<sign>[+-]) (?P<ahead_hours>[01][0-9]|2[0-3]) : (?P<ahead_minutes>[0-5][0-9]) )
    """,
    re.VERBOSE | re.ASCII,
)
_DAY: Final = 86_400
_HOUR: Final = 3_600
_MINUTE: Final = 60
_END: Final = 253_402_300_800
"""The first second of the year 10000."""
_DAYS_BEFORE_1970: Final = 719_468
"""From the first of March of the year 0."""


def parse_instant(text: str) -> float:
    """Return the POSIX seconds of an instant from 1970 to 9999.

    A leap second (``23:59:60``) is refused: POSIX time has no number for it.

    Raises:
        ValueError: what was expected.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(EXPECTED)
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    days = _days_until(year, month, day)
    if days >= _days_until(year + month // 12, month % 12 + 1, 1):
        msg = f"expected a day that there is; {found['year']}-{found['month']} is shorter"
        raise ValueError(msg)
    seconds = days * _DAY + _seconds(found["hour"], found["minute"]) + int(found["second"])
    if found["sign"] is not None:
        ahead = _seconds(found["ahead_hours"], found["ahead_minutes"])
        seconds += ahead if found["sign"] == "-" else -ahead
    instant = seconds + float(found["fraction"] or 0)
    if not 0 <= instant < _END:
        msg = "expected an instant from 1970 to 9999"
        raise ValueError(msg)
    return instant


def _days_until(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 until a day of the Gregorian calendar."""
    # Years begin in March here, so that the leap day comes last and every month's
    # place in the year is a multiple of 30.6 days.
    months = (month - 3) % 12
    year -= month < 3  # noqa: PLR2004 - January and February end the year before
    leap_days = year // 4 - year // 100 + year // 400
    return year * 365 + leap_days + (months * 153 + 2) // 5 + day - 1 - _DAYS_BEFORE_1970


def _seconds(hours: str, minutes: str) -> int:
    return int(hours) * _HOUR + int(minutes) * _MINUTE
