"""The credential that a request carries, if it carries exactly one.

The ``Authorization`` header wins over cookies, and a header that is not plainly
one bearer token is refused rather than skipped: falling through to a weaker
credential is how requests are let in under the wrong name.

Source: RFC 9110 sections 11.1 and 11.4; RFC 6750 section 2.1; Clerk, "Session
tokens" (cookies ``__session`` and ``__session_<suffix>``).
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.value import value


@dataclass(frozen=True, slots=True)
class NoCredential:
    """The request carries no credential."""


@value
class BearerToken:
    """A bearer token from the ``Authorization`` header, unverified."""

    token: str


@dataclass(frozen=True, slots=True)
class CookieTokens:
    """Session cookies, unverified; one, or one of each name while Clerk migrates."""

    tokens: tuple[str, ...]


Credential = NoCredential | BearerToken | CookieTokens

NO_CREDENTIAL: Final = NoCredential()

_WORD: Final = bytes(octet for octet in range(0x21, 0x7F) if octet != ord(","))
"""Visible ASCII without the comma."""
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SUFFIX_LENGTH: Final = 8

MAX_COOKIES: Final = 1_000
"""To look at one costs half a microsecond, and all other Checks wait; Envoy takes 60 KiB of
them from anyone. Browsers keep fewer than 200 for a site."""
_SEPARATORS: Final = re.compile(r"[;,]")


@dataclass(frozen=True, slots=True)
class CookieRules:
    """Which cookies are session cookies, and which sites may send them.

    Attributes:
        names: Exactly ``__session`` and ``__session_<suffix>``.
        origins: Origins that may send a cookie with an unsafe method.
    """

    names: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of_instance(cls, publishable_key: str, origins: frozenset[str]) -> "CookieRules":
        """Return the rules of the Clerk instance with this publishable key."""
        # The suffix is a name, not a secret: SHA-1 is what Clerk chose for it.
        digest = sha1(publishable_key.encode(), usedforsecurity=False).digest()
        suffix = urlsafe_b64encode(digest).decode()[:_SUFFIX_LENGTH]
        return cls(frozenset({"__session", f"__session_{suffix}"}), origins)


def credential_of(request: HttpRequest, cookies: CookieRules | None) -> Credential | Reason:
    """Return the one credential of `request`, or the reason why it is refused.

    Args:
        request: The request.
        cookies: How to read session cookies; `None` ignores them.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _bearer(authorization)
    if cookies is None or "cookie" not in request.headers:
        return NO_CREDENTIAL
    return _from_cookies(request, cookies)


def _bearer(authorization: str) -> Credential | Reason:
    """Read the scheme in any case, spaces, and one word of visible ASCII without a comma."""
    scheme, space, rest = authorization.partition(" ")
    token = rest.lstrip(" ")
    if scheme.lower() != "bearer" or not space or not _is_word(token):
        return Reason.AUTHORIZATION_MALFORMED
    return BearerToken(token)


def _is_word(token: str) -> bool:
    # Four times as fast on a thousand characters as an expression is, or isprintable().
    return token.isascii() and bool(token) and not token.encode().translate(None, _WORD)


def without_session_cookies(request: HttpRequest, rules: CookieRules) -> str | None:
    """Return the ``Cookie`` header without session cookies; `None` when it has none.

    Of one with more than `MAX_COOKIES` nothing is left, when it may have any.
    """
    header = request.headers.get("cookie")
    if header is None or not _may_hold(header, rules.names):
        return None
    if _are_too_many(header):
        return ""
    pairs = [pair.strip(" \t") for pair in _SEPARATORS.split(header)]
    others = [pair for pair in pairs if pair.partition("=")[0].rstrip(" \t") not in rules.names]
    return None if len(others) == len(pairs) else "; ".join(others)


def _from_cookies(request: HttpRequest, rules: CookieRules) -> Credential | Reason:
    header = request.headers["cookie"]
    if not _may_hold(header, rules.names):
        return NO_CREDENTIAL
    if _are_too_many(header):
        return Reason.COOKIE_AMBIGUOUS
    found: dict[str, str] = {}
    # Envoy joins repeated Cookie headers with a comma; a token has neither.
    for pair in _SEPARATORS.split(header):
        name, separator, value = pair.strip(" \t").partition("=")
        if not separator or name not in rules.names or not value:
            continue
        if found.setdefault(name, value) != value:
            return Reason.COOKIE_AMBIGUOUS
    if not found:
        return NO_CREDENTIAL
    if not _is_same_site(request.method, request.headers, rules.origins):
        return Reason.COOKIE_CROSS_SITE
    # Distinct values, the longer name first: the suffixed cookie is the one that
    # no other Clerk instance on this domain can have written.
    return CookieTokens(tuple(dict.fromkeys(found[name] for name in sorted(found, reverse=True))))


def _may_hold(header: str, names: frozenset[str]) -> bool:
    """Tell whether a ``Cookie`` header says any of `names`, as a cookie or within another."""
    return any(name in header for name in names)


def _are_too_many(header: str) -> bool:
    return header.count(";") + header.count(",") >= MAX_COOKIES


def _is_same_site(method: str, headers: Mapping[str, str], origins: frozenset[str]) -> bool:
    """Tell whether a browser sent this from a page of ours.

    A browser adds cookies to whatever any page asks for; it also says which page
    that was. ``Origin`` comes with every WebSocket handshake, CORS request and
    unsafe method; only a plain read may come without it.
    """
    origin = headers.get("origin")
    if origin is not None:
        return origin in origins
    return method in _SAFE_METHODS or headers.get("sec-fetch-site") == "same-origin"
