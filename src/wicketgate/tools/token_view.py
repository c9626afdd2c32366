"""What may be shown of a token: an allowlist, so that there is nothing to redact.

The token is never shown, nor any part of it as it was written. Of header and claims only
what the checks look at is, and that only in the form that it should have: what stands
where an id belongs may be an address. Ids of users and sessions are shortened, so that
a report can be passed on: who it is can be told by those who know already.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from wicketgate.core.jws import MACHINE_PREFIXES, MAX_TOKEN_BYTES
from wicketgate.core.strict_json import NotStrictJsonError, parse_object

Shown = str | int | float | list[str]
"""What stands in a report: a value that may, or words in its place."""

PRESENT: Final = "present"
NOT_SHOWN: Final = "not shown"

_PARTS: Final = ("header", "payload", "signature")
_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*")
_CUT: Final = 1
"""Of four characters of base64, one alone holds no octet."""

_WORD: Final = re.compile(r"[A-Za-z0-9_+./-]{1,40}")
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]{0,20}://[A-Za-z0-9.:\[\]-]{1,253}(?:/[A-Za-z0-9._~/-]{0,100})?"
)
_NAME: Final = re.compile(r"[!-?A-~]{1,100}")
"""Visible ASCII without the ``@`` of addresses."""
_ID: Final = re.compile(r"(?P<kind>user|sess|mch)_(?P<rest>[A-Za-z0-9]{1,64})")
_LONG_ID: Final = 12
_SHOWN_OF_ID: Final = 4
_LIMIT: Final = 10**15
_MAX_NAMES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token as it may be shown. Nothing in here is verified.

    Attributes:
        characters: Its length.
        parts: How many there are between dots.
        complaints: What is wrong with its form, in words; empty when nothing is.
        header: Members of its header.
        claims: Members of its payload.
    """

    characters: int
    parts: int
    complaints: tuple[str, ...] = ()
    header: Mapping[str, Shown] = field(default_factory=dict)
    claims: Mapping[str, Shown] = field(default_factory=dict)


def view_of(token: str) -> TokenView:
    """Return what may be shown of `token`; nothing is raised, whatever it is."""
    segments = token.split(".")
    whole = _complaint_about_whole(token, len(segments))
    if whole is not None:
        return TokenView(characters=len(token), parts=len(segments), complaints=(whole,))
    complaints: list[str] = []
    raw = [
        _decoded(segment, name, complaints) for segment, name in zip(segments, _PARTS, strict=True)
    ]
    header = _members(raw[0], "header", complaints)
    claims = _members(raw[1], "payload", complaints)
    return TokenView(
        characters=len(token),
        parts=len(segments),
        complaints=tuple(complaints),
        header=_shown(header, _HEADER),
        claims=_shown(claims, _CLAIMS),
    )


def _complaint_about_whole(token: str, parts: int) -> str | None:
    if token.startswith(MACHINE_PREFIXES):
        return "it begins like an opaque machine credential of Clerk's"
    if len(token) > MAX_TOKEN_BYTES:
        return "it is too long, and was not decoded"
    if not token.isascii():
        return "it has characters outside ASCII"
    if parts != len(_PARTS):
        return f"expected {len(_PARTS)} parts, with a dot between each and the next"
    return None


def _decoded(segment: str, name: str, complaints: list[str]) -> bytes | None:
    if _ALPHABET.fullmatch(segment) is None:
        complaints.append(f"the {name} has characters that are not of base64url, = among them")
        return None
    if len(segment) % 4 == _CUT:
        complaints.append(f"the {name} was cut short")
        return None
    raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(raw).decode().rstrip("=") != segment:
        complaints.append(f"the {name} has stray bits at its end")
    return raw


def _members(raw: bytes | None, name: str, complaints: list[str]) -> Mapping[str, Any]:
    if raw is None:
        return {}
    try:
        return parse_object(raw)
    except NotStrictJsonError as error:
        complaints.append(f"the {name} is {error}")
        return {}


def _shown(
    members: Mapping[str, Any], readers: "Mapping[str, Callable[[Any], Shown]]"
) -> dict[str, Shown]:
    return {name: read(members[name]) for name, read in readers.items() if name in members}


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], Shown]:
    def read(value: Any) -> Shown:  # noqa: ANN401 - untyped JSON
        if type(value) is str and pattern.fullmatch(value):
            return value
        return _kind(value)

    return read


def _id(value: Any) -> Shown:  # noqa: ANN401 - untyped JSON
    found = _ID.fullmatch(value) if type(value) is str else None
    if found is None:
        return _kind(value)
    rest = found["rest"]
    return f"{found['kind']}_{rest[:_SHOWN_OF_ID] if len(rest) >= _LONG_ID else ''}..."


def _number(value: Any) -> Shown:  # noqa: ANN401 - untyped JSON
    # By type, because true is an int as well; 1e400 is infinity.
    is_number = type(value) is int or (type(value) is float and isfinite(value))
    if is_number and abs(value) < _LIMIT:
        number: int | float = value
        return number
    return _kind(value)


def _names(value: Any) -> Shown:  # noqa: ANN401 - untyped JSON
    read = _matching(_NAME)
    if type(value) is not list:
        return read(value)
    shown = [str(read(each)) for each in value[:_MAX_NAMES]]
    return shown + ([f"{len(value) - _MAX_NAMES} more"] if len(value) > _MAX_NAMES else [])


def _presence(value: Any) -> Shown:  # noqa: ANN401 - untyped JSON
    return "null" if value is None else PRESENT


def _kind(value: Any) -> str:  # noqa: ANN401 - untyped JSON
    """Return words for a value that is not shown."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case str():
            return f"a string of {len(value)} characters, {NOT_SHOWN}" if value else "empty"
        case int() | float():
            return f"a number out of range, {NOT_SHOWN}"
        case list():
            return f"a list of {len(value)}, {NOT_SHOWN}"
        case _:
            return f"an object, {NOT_SHOWN}"


_HEADER: Final[Mapping[str, Callable[[Any], Shown]]] = {
    "alg": _matching(_WORD),
    "typ": _matching(_WORD),
    "kid": _matching(_KEY_ID),
    "cat": _matching(_WORD),
    "crit": _presence,
    "b64": _presence,
    "zip": _presence,
}
_CLAIMS: Final[Mapping[str, Callable[[Any], Shown]]] = {
    "iss": _matching(_ORIGIN),
    "azp": _matching(_ORIGIN),
    "aud": _names,
    "sub": _id,
    "sid": _id,
    "sts": _matching(_WORD),
    "v": _number,
    "iat": _number,
    "nbf": _number,
    "exp": _number,
    "act": _presence,
}
