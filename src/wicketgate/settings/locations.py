"""Where things are: addresses to listen on, URLs, origins, and Clerk's own host.

Pure, and of the same rule as `settings.values`: a text that cannot be used
raises `InvalidValueError`. Every text is matched whole against a grammar, so
that what is accepted here is read alike by whoever uses it.

Source: RFC 3986 section 3 (URLs); RFC 6454 section 6.2 (origins); RFC 1123
section 2.1 (host names); Clerk, "Publishable key".
"""

import re
from base64 import b64decode
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from wicketgate.settings.values import InvalidValueError, is_visible, quoted


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host, without brackets even when it is IPv6, and a port; 0 is any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The absolute path of a Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class PublishableKey:
    """A Clerk publishable key, and the Frontend API host that it encodes."""

    text: str
    host: str

    @property
    def issuer(self) -> str:
        """The ``iss`` of the instance's tokens."""
        return f"https://{self.host}"

    @property
    def jwks_url(self) -> str:
        """Where the instance publishes its keys."""
        return f"https://{self.host}/.well-known/jwks.json"


_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PORT: Final = r"0|[1-9][0-9]{0,4}"
_MAX_PORT: Final = 65_535
_MAX_SOCKET_PATH: Final = 107
"""Bytes in Linux's ``sun_path`` (unix(7)), less the NUL that ends it."""

_TCP: Final = re.compile(
    rf"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>{_PORT})"
)
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<userinfo>[^/?#]*)@)?"
    rf"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]/?#:]+))(?::(?P<port>{_PORT}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_URI: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,512}")
"""RFC 3986 section 2: all that a URI is made of."""
_URL_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._-]{1,64}){1,8}")
_DATABASE_URL: Final = re.compile(r"postgres(?:ql)?://[!-~]{1,4096}")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def address(text: str) -> Address:
    """Read ``host:port``, ``[ipv6]:port`` or ``unix:/path``."""
    if text.startswith("unix:"):
        return _unix_address(text)
    found = _TCP.fullmatch(text)
    host = "" if found is None else _host_in(found)
    if found is None or not host or int(found["port"]) > _MAX_PORT:
        msg = (
            f"is {quoted(text)}; expected host:port with a port from 0 to {_MAX_PORT}, "
            "[ipv6]:port or unix:/path"
        )
        raise InvalidValueError(msg)
    return TcpAddress(host, int(found["port"]))


def _unix_address(text: str) -> UnixAddress:
    where = text.removeprefix("unix:")
    if (
        not where.startswith("/")
        or where.endswith("/")
        or not where.isprintable()
        or len(where.encode()) > _MAX_SOCKET_PATH
    ):
        msg = (
            f"is {quoted(text)}; expected unix: and the absolute path of a socket, "
            f"at most {_MAX_SOCKET_PATH} bytes long"
        )
        raise InvalidValueError(msg)
    return UnixAddress(where)


def publishable_key(text: str) -> PublishableKey:
    """Read a Clerk publishable key.

    The key is never quoted, although it is public: what is pasted here by
    mistake is the secret key beside it.
    """
    expected = "expected the key that begins with pk_test_ or pk_live_ in Clerk's dashboard"
    if text.startswith("sk_"):
        msg = f"is a secret key, which does not belong here; {expected}"
        raise InvalidValueError(msg)
    parts = text.split("_")
    if len(parts) != 3 or parts[0] != "pk" or parts[1] not in {"test", "live"}:  # noqa: PLR2004 - pk, test or live, host
        msg = f"is not a publishable key; {expected}"
        raise InvalidValueError(msg)
    encoded = parts[2].rstrip("=")
    try:
        decoded = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("ascii")
    except ValueError:
        decoded = ""
    host = decoded.removesuffix("$")
    if host == decoded or "." not in host or _HOST.fullmatch(host) is None:
        msg = f"does not decode to a host name (was it cut short?); {expected}, whole"
        raise InvalidValueError(msg)
    return PublishableKey(text, host)


def issuer(text: str) -> str:
    """Read an exact ``iss``: an https URL without trailing slash, query or fragment."""
    expected = "expected the exact iss of the tokens: an https:// URL without a trailing slash"
    url = _url(text, expected)
    if url["scheme"] != "https":
        msg = f"is {quoted(text)}, which is not https; {expected}"
    elif url["query"] or url["fragment"]:
        msg = f"is {quoted(text)}, which has a query or a fragment; {expected}"
    elif text.endswith("/"):
        msg = f"is {quoted(text)}, which ends with a slash; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def jwks_url(text: str) -> str:
    """Read where the keys are: https, or http on this machine only."""
    expected = "expected an https:// URL (http:// only to a loopback host)"
    url = _url(text, expected)
    if url["fragment"]:
        msg = f"is {quoted(text)}, which has a fragment; {expected}"
    elif url["scheme"] != "https" and not (url["scheme"] == "http" and is_loopback(_host_in(url))):
        # Whoever can change the keys on their way decides who is let in.
        msg = f"is {quoted(text)}; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def origin(text: str) -> str:
    """Read an origin exactly as browsers send it, and hence as ``azp`` holds it."""
    expected = "expected an exact origin, scheme://host[:port]"
    url = _url(text, expected)
    if url["path"] or url["query"] or url["fragment"]:
        msg = f"is {quoted(text)}, which has a slash, path or query after the host; {expected}"
    elif text != text.lower():
        msg = f"is {quoted(text)}, but browsers send origins in lower case; {expected}"
    elif url["port"] == _DEFAULT_PORTS.get(url["scheme"], ""):
        msg = f"is {quoted(text)}, but browsers leave out the default port; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def api_url(text: str) -> str:
    """Read where an API is: https, or http on this machine only. Returned without a slash."""
    expected = "expected an https:// URL (http:// only to a loopback host)"
    url = _url(text, expected)
    if url["query"] or url["fragment"]:
        msg = f"is {quoted(text)}, which has a query or a fragment; {expected}"
    elif url["scheme"] != "https" and not (url["scheme"] == "http" and is_loopback(_host_in(url))):
        # What is sent there opens everything that Clerk knows.
        msg = f"is {quoted(text)}; {expected}"
    else:
        return text.rstrip("/")
    raise InvalidValueError(msg)


def type_base(text: str) -> str:
    """Read what the types of problem documents begin with; a reason comes behind it."""
    expected = (
        "expected the https:// URL of a page (http:// only to a loopback host), such that "
        "a reason behind it leads to its section"
    )
    url = _url(text, expected)
    if _URI.fullmatch(text) is None:
        msg = f"is {quoted(text)}, which is no URI, or has more than 512 characters; {expected}"
    elif not text.endswith(("#", "/", "=")):
        msg = f"is {quoted(text)}, which ends with none of # / =; {expected}"
    elif url["scheme"] != "https" and not (url["scheme"] == "http" and is_loopback(_host_in(url))):
        # What a developer is led to must not be written by whoever is on the way.
        msg = f"is {quoted(text)}; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def traces_url(text: str) -> str:
    """Read where traces are told: any host, because a collector is often in the cluster."""
    expected = "expected the http:// or https:// URL that takes OTLP over HTTP, with its path"
    url = _url(text, expected)
    if url["scheme"] not in {"http", "https"} or url["fragment"]:
        msg = f"is {quoted(text)}; {expected}"
    elif (url["path"] or "/") == "/":
        # OpenTelemetry's own variables take the path for granted; here nothing is added.
        msg = f"is {quoted(text)}, which has no path; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def database_url(text: str) -> str:
    """Read where Postgres is, as far as libpq does not read it better; it is never quoted."""
    if _DATABASE_URL.fullmatch(text) is None or not _is_password_closed(text):
        msg = (
            "is not the URL of a Postgres database (is every special character of the "
            "password percent-encoded?); expected postgresql://user:password@host:port/database"
        )
        raise InvalidValueError(msg)
    return text


def _is_password_closed(text: str) -> bool:
    """Tell whether libpq takes nothing of the password for a host, which it would name.

    It reads user and password up to the first ``@``, unless there is a ``/`` before it.
    """
    rest = text.partition("://")[2]
    credentials, _, behind = rest.partition("@")
    places = rest if "/" in credentials else behind
    return "@" not in places.partition("?")[0]


def url_path(text: str) -> str:
    """Read the path of a URL that is spelled in one way only."""
    segments = text.split("/")[1:]
    if _URL_PATH.fullmatch(text) is None or {".", ".."} & set(segments):
        msg = (
            f"is {quoted(text)}; expected a path such as /webhooks/clerk, "
            "made of /, letters, digits, -, . and _"
        )
        raise InvalidValueError(msg)
    return text


def _url(text: str, expected: str) -> re.Match[str]:
    # urlsplit would silently drop tabs and newlines, and knows no wrong host name.
    url = _URL.fullmatch(text) if is_visible(text) else None
    if url is not None and url["userinfo"] is not None:
        msg = f"has a user name or password in it; {expected}"
        raise InvalidValueError(msg)
    if url is None or not _host_in(url) or not 0 < int(url["port"] or 1) <= _MAX_PORT:
        msg = f"is {quoted(text)}, which is not a URL; {expected}"
        raise InvalidValueError(msg)
    return url


def _host_in(found: re.Match[str]) -> str:
    """Return the host that was found, without brackets; empty when it is none."""
    if found["ipv6"] is not None:
        return found["ipv6"] if _is_ip(IPv6Address, found["ipv6"]) else ""
    host = found["host"]
    if not host.strip("0123456789."):
        return host if _is_ip(IPv4Address, host) else ""
    return host if _HOST.fullmatch(host) else ""


def _is_ip(family: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        family(text)
    except AddressValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether `host`, a name or an address without brackets, is this machine to itself."""
    # By the parsed address, never by its beginning: 127.0.0.1.example.com is not.
    if _is_ip(IPv4Address, host):
        return IPv4Address(host).is_loopback
    return host == "localhost" or (_is_ip(IPv6Address, host) and IPv6Address(host).is_loopback)
