"""What Postgres says when a revocation changes: one JSON object for each row.

Its form is that of the trigger ``tell_revocation`` of migration 4. The channel is the
database's, and whoever may connect may speak on it: what is said is believed only
as far as it has this form, and the table itself is asked about the rest. So it must be
possible to ask about the id: one that no token has, or that not every database can
store, is no id.
"""

from math import isfinite
from typing import Any, Final

from wicketgate.core.revocation_table import Kind, Revocation
from wicketgate.core.strict_json import NotStrictJsonError, parse_object

MAX_ID_LENGTH: Final = 128
"""That of the column."""


class MalformedNoticeError(ValueError):
    """The text is no notice of a revocation. The message does not quote it."""


def parse_notice(text: str, *, schema: str) -> Revocation | None:
    """Return the row that a notice is about.

    Args:
        text: The payload of the notification.
        schema: The schema of the tables that are followed.

    Returns:
        The row as it became; `None` when it is one of another schema.

    Raises:
        MalformedNoticeError: a member is missing or of the wrong type, or the text
            is no JSON object. No other exception escapes.
    """
    try:
        notice = parse_object(text.encode("utf-8", "replace"))
    except NotStrictJsonError:
        msg = "not a JSON object"
        raise MalformedNoticeError(msg) from None
    if _text(notice, "schema") != schema:
        return None
    try:
        kind = Kind(_text(notice, "kind"))
    except ValueError:
        msg = "kind is neither user nor session"
        raise MalformedNoticeError(msg) from None
    is_lifted = notice.get("is_lifted")
    if type(is_lifted) is not bool:
        msg = "is_lifted is not a truth value"
        raise MalformedNoticeError(msg)
    return Revocation(
        kind,
        _id(notice),
        _seconds(notice, "revoked_at"),
        _seconds(notice, "expires_at"),
        is_lifted,
    )


def _text(notice: dict[str, Any], name: str) -> str:
    text = notice.get(name)
    if type(text) is not str or not text:
        msg = f"{name} is not a text"
        raise MalformedNoticeError(msg)
    return text


def _id(notice: dict[str, Any]) -> str:
    text = _text(notice, "id")
    if len(text) > MAX_ID_LENGTH or not (text.isascii() and text.isprintable()):
        msg = "id is not the id of a user or a session"
        raise MalformedNoticeError(msg)
    return text


def _seconds(notice: dict[str, Any], name: str) -> float:
    number = notice.get(name)
    if type(number) is int or type(number) is float:
        # An integer can be beyond every float, and 1e400 is infinity.
        try:
            seconds = float(number)
        except OverflowError:
            seconds = float("inf")
        if isfinite(seconds):
            return seconds
    msg = f"{name} is not a number of seconds"
    raise MalformedNoticeError(msg)
