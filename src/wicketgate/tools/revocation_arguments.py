"""What an operator may say about a revocation, and what is expected where it cannot be used.

Nothing is quoted: what is pasted where an id belongs may be a token.
"""

import re
from typing import Final

from wicketgate.core.revocation_table import Kind

DEFAULT_REASON: Final = "revoked by an operator"
MAX_REASON_LENGTH: Final = 200
"""What the table takes."""
SKEW_SECONDS: Final = 5.0
"""What the clocks of Clerk and of Postgres may differ, as a gate assumes by default."""

_IDS: Final = {
    Kind.USER: (re.compile(r"user_[A-Za-z0-9]{1,64}"), "user_"),
    Kind.SESSION: (re.compile(r"sess_[A-Za-z0-9]{1,64}"), "sess_"),
}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_DAYS: Final = 365


def complaint_about_id(kind: Kind, text: str) -> str | None:
    """Return what is wrong with an id, or `None`."""
    pattern, prefix = _IDS[kind]
    if pattern.fullmatch(text):
        return None
    return (
        f"the ID is not of a {kind}; expected {prefix} and letters and digits, as Clerk shows it"
    )


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``15m``.

    Raises:
        ValueError: what was expected.
    """
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST_DAYS * _SECONDS["d"]:
        msg = f"expected a time such as 90s, 15m, 1h or 7d, {_LONGEST_DAYS}d at most"
        raise ValueError(msg)
    return float(seconds)


def parse_reason(text: str) -> str:
    """Return the reason without space around it.

    Raises:
        ValueError: what was expected.
    """
    reason = text.strip()
    if not reason or not reason.isprintable() or len(reason) > MAX_REASON_LENGTH:
        msg = f"expected a line of printable characters, {MAX_REASON_LENGTH} at most"
        raise ValueError(msg)
    return reason
