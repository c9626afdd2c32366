"""The request that is judged, and whether its target can be judged at all.

Two readers that disagree about a path let a request past the rule that was
written for it. A target over which they could disagree is refused rather than
interpreted: nothing here decodes, resolves or rewrites a path.

Source: RFC 3986 sections 3.3 and 6.2.2; CVE-2019-9901, CVE-2021-29492,
CVE-2021-32779, CVE-2026-26205 and CVE-2026-32811.
"""

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, field
from typing import Final
from urllib.parse import unquote_to_bytes

from wicketgate.core.value import value


@value
class HttpRequest:
    """One HTTP request as Envoy describes it.

    Attributes:
        method: The method, upper case as sent.
        host: The authority, with its port when it has one.
        target: The request target: path and query, exactly what upstream gets.
        headers: Names in lower case. A repeated header is one value joined by
            commas, as Envoy joins it.
        context: The route's ``context_extensions``, written by the operator.
        source_principal: The client certificate's identity, empty without mTLS.
    """

    _: KW_ONLY
    method: str = "GET"
    host: str = ""
    target: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)
    source_principal: str = ""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def is_grpc(self) -> bool:
        """Whether the caller speaks gRPC (Envoy's ``isGrpcRequestHeaders``)."""
        content_type = self.headers.get("content-type", "")
        return content_type == "application/grpc" or content_type.startswith("application/grpc+")


_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?")
"""Paths that are unambiguous at a glance: nothing encoded, no segment begins with a dot."""

MAX_PATH: Final = 4096
"""Looking at a path costs in proportion to its length, and it comes from anyone."""

_UNSAFE_ESCAPE: Final = re.compile(
    r"%(?:[01][0-9a-f]|7f"  # controls, NUL first
    r"|2f|5c|3b|3f|23"  # delimiters: / \ ; ? #
    r"|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|3[0-9]|2d|2e|5f|7e"  # unreserved: a-z 0-9 - . _ ~
    r"|(?![0-9a-f]{2}))",  # an escape without its two digits
    re.IGNORECASE,
)
_ESCAPED_OCTET: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNSAFE_CHARACTERS: Final = re.compile(r"[^!-~]|[\\;#]")


def is_ambiguous(path: str) -> bool:
    """Tell whether two readers could take `path` for different resources.

    Ambiguous are: a path that does not begin with ``/``; an empty, ``.`` or ``..``
    segment; ``;`` parameters; a backslash, a fragment, a control or non-ASCII
    character; an encoded delimiter or control, or an encoded character that needs
    no encoding (RFC 3986 section 2.3: the same path to some, another to others);
    an escape that is malformed, encodes an escape, or does not add up to UTF-8.
    So is, unless it is plain, a path that is too long to be looked at.
    """
    if _PLAIN.fullmatch(path):
        return not path
    if len(path) > MAX_PATH or not path.startswith("/"):
        return True
    if _UNSAFE_CHARACTERS.search(path) or _UNSAFE_ESCAPE.search(path):
        return True
    decoded = _decoded(path)
    # An escape that is left after decoding is another name to whoever decodes twice.
    if decoded is None or _ESCAPED_OCTET.search(decoded):
        return True
    segments = path.split("/")[1:]
    # An empty last segment is a trailing slash; any other is a doubled one.
    return any(segment in {".", ".."} for segment in segments) or "" in segments[:-1]


def _decoded(path: str) -> str | None:
    try:
        return unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return None
