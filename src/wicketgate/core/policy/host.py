"""The host that a request is for, and the patterns that rules name hosts by.

Source: RFC 9110 section 7.2; RFC 3986 section 3.2.2; RFC 1034 section 3.1.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

MAX_HOST: Final = 255
"""RFC 1035 section 2.3.4."""

_AUTHORITY: Final = re.compile(
    r"(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])\.?(?::[0-9]{1,5})?",
    re.IGNORECASE | re.ASCII,
)
_LABELS: Final = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*", re.ASCII
)
_LITERAL: Final = re.compile(r"\[[0-9a-f:.]+\]", re.ASCII)


@lru_cache(maxsize=1024)
def canonical_host(authority: str) -> str | None:
    """Return the host in `authority`: lower case, no port, no final dot.

    Returns:
        The host; empty when `authority` is; `None` when it is not a host that all
        readers would read alike.
    """
    if not authority:
        return ""
    if len(authority) > MAX_HOST:
        return None
    found = _AUTHORITY.fullmatch(authority)
    if found is None or ".." in found["host"]:
        return None
    return _one_address(found["host"].lower())


def _one_address(host: str) -> str | None:
    """Return an IPv6 literal in one spelling (RFC 5952), and any other host as it is."""
    if not host.startswith("["):
        return host
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One host, or with ``*.`` before it every host below it.

    Attributes:
        text: The pattern as the operator wrote it, in lower case.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Read a pattern.

        Raises:
            ValueError: what was expected.
        """
        name = text.lower()
        below = name.removeprefix("*.")
        is_name = _LABELS.fullmatch(below) is not None
        is_address = below == name and _LITERAL.fullmatch(name) is not None
        if not (is_name or is_address) or len(name) > MAX_HOST:
            msg = "expected a host such as api.example.com or *.example.com, without a port"
            raise ValueError(msg)
        canonical = _one_address(name)
        if canonical is None:
            msg = f"expected an address instead of {name}"
            raise ValueError(msg)
        return cls(canonical)

    def matches(self, host: str) -> bool:
        """Tell whether a canonical host fits."""
        if self.text.startswith("*."):
            return host.endswith(self.text[1:]) and len(host) >= len(self.text)
        return host == self.text

    def covers(self, other: "HostPattern") -> bool:
        """Tell whether every host that fits `other` fits this."""
        return self.matches(other.text) or self == other

    @property
    def expression(self) -> str:
        """The same as an RE2 expression over a canonical host."""
        if self.text.startswith("*."):
            return r"[^\n]+" + re.escape(self.text[1:])
        return re.escape(self.text)
