"""A compact JWS taken apart, strictly, before any of it is believed.

The rules are narrower than RFC 7515 where a session token never needs the
width: canonical unpadded base64url only, RS256 only, no header that asks for
processing. Everything returned from here is still unverified.

Source: RFC 7515 sections 4.1, 5.2 and 7.1; RFC 8725 sections 3.1 and 3.11.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from wicketgate.core.reason import Reason
from wicketgate.core.strict_json import NotStrictJsonError, parse_object
from wicketgate.core.value import value

MAX_TOKEN_BYTES: Final = 8192
"""Clerk keeps session tokens under 4 KiB, the size of a cookie; twice that is ample."""

MACHINE_PREFIXES: Final = ("mt_", "m2m_", "ak_", "oat_")
"""Opaque Clerk machine credentials: M2M (two spellings), API key, OAuth access token."""

_SEGMENTS: Final = 3
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PROCESSING: Final = frozenset({"crit", "b64", "zip"})
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PADDING: Final = (b"", b"", b"==", b"=")
_LAST: Final = (b"", b"", _ALPHABET[::16], _ALPHABET[::4])
"""By how many characters are over after fours: how the last of them leaves no stray bits."""


@value
class UnverifiedJws:
    """The parts of a well-formed token whose signature nobody has checked.

    Attributes:
        kid: The key that the token claims to be signed with.
        category: Clerk's ``cat`` header, `None` when absent.
        unverified_claims: The payload. Not to be read before the signature is
            verified.
        signing_input: The bytes under the signature.
        signature: The signature, decoded.
    """

    kid: str
    category: object
    unverified_claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


def parse_jws(token: str, *, limit: int = MAX_TOKEN_BYTES) -> UnverifiedJws | Reason:
    """Take a compact JWS apart.

    Args:
        token: The bearer token as the client sent it.
        limit: The longest token, in bytes, that is decoded.

    Returns:
        The parts, or the reason why the token is refused. Nothing is raised.
    """
    if token.startswith(MACHINE_PREFIXES):
        return Reason.MACHINE_TOKEN
    if len(token) > limit:
        return Reason.TOKEN_TOO_LARGE
    if not token.isascii():
        return Reason.TOKEN_MALFORMED
    segments = token.encode("ascii").split(b".")
    if len(segments) != _SEGMENTS:
        return Reason.TOKEN_MALFORMED
    try:
        header = _header(segments[0])
        claims = parse_object(_decode(segments[1]))
        signature = _decode(segments[2])
    except (Base64Error, NotStrictJsonError, _NotCanonicalError):
        return Reason.TOKEN_MALFORMED
    if isinstance(header, Reason):
        return header
    return UnverifiedJws(
        kid=header.kid,
        category=header.category,
        unverified_claims=claims,
        signing_input=segments[0] + b"." + segments[1],
        signature=signature,
    )


class _Header(NamedTuple):
    """What a header says that asks for nothing unheard of."""

    kid: str
    category: object


# Until Clerk takes another key, all tokens of an instance begin with the same header.
@lru_cache(maxsize=64)
def _header(segment: bytes) -> _Header | Reason:
    header = parse_object(_decode(segment))
    refusal = _refused_header(header)
    return _Header(header["kid"], header.get("cat")) if refusal is None else refusal


class _NotCanonicalError(ValueError):
    """The segment is base64url that a strict encoder would have written otherwise."""


def _decode(segment: bytes) -> bytes:
    # The decoder forgives padding, the standard alphabet, foreign characters, white space
    # and stray trailing bits.
    over = len(segment) % 4
    if segment.translate(None, _ALPHABET) or (over and segment[-1:] not in _LAST[over]):
        raise _NotCanonicalError
    return a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[over])


def _refused_header(header: Mapping[str, Any]) -> Reason | None:
    if header.get("alg") != "RS256":
        return Reason.TOKEN_ALGORITHM
    if not _PROCESSING.isdisjoint(header):
        return Reason.TOKEN_HEADER_UNSUPPORTED
    if header.get("typ", "JWT") != "JWT":
        return Reason.MACHINE_TOKEN if header["typ"] in _OAUTH_TYPES else Reason.TOKEN_TYPE
    kid = header.get("kid")
    if type(kid) is not str or _KEY_ID.fullmatch(kid) is None:
        return Reason.KEY_ID_INVALID
    return None


_OAUTH_TYPES: Final = ("at+jwt", "application/at+jwt")
