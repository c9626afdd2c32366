"""JSON read so that no two readers can disagree about it.

RFC 8259 leaves duplicate names, NaN and lone encodings to the reader; a token
whose ``sub`` appears twice means one user to one library and another user to
the next. Here such text is not an object at all.
"""

import json
from typing import Any, NoReturn


class NotStrictJsonError(ValueError):
    """The bytes are not one JSON object that every reader understands alike."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "duplicate member"
        raise NotStrictJsonError(msg)
    return members


def _refuse_constant(_: str) -> NoReturn:
    msg = "not a JSON number"
    raise NotStrictJsonError(msg)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant).decode


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that `raw` holds.

    The values are untyped JSON, hence `Any`: each is checked where it is read.

    Args:
        raw: UTF-8 without a byte order mark.

    Raises:
        NotStrictJsonError: not UTF-8, not JSON, not an object, a repeated member at
            any depth, ``NaN`` or ``Infinity``, an integer too long to be read,
            or nesting too deep. No other exception escapes.
    """
    try:
        value = _decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        # From None: the decoder's message quotes the document.
        msg = "not strict JSON"
        raise NotStrictJsonError(msg) from None
    if type(value) is not dict:
        msg = "not an object"
        raise NotStrictJsonError(msg)
    return value
