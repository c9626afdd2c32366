"""Who may read the status page.

The page itself holds nothing. What it shows is open to whoever can reach a loopback
address or a Unix socket, and to nobody else unless there is a token; a token that is
set is demanded everywhere. A browser can reach loopback on behalf of any page that it
shows, so requests that another page causes are refused: by what the browser says of
their origin, and where no token is demanded, by the name that they were sent to, which
DNS rebinding cannot choose.

Source: RFC 6750 section 3; Fetch Metadata (``Sec-Fetch-Site``); RFC 6454 section 7.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from wicketgate.core.service_token import ServiceTokens

_BEARER: Final = re.compile(r"bearer +(?P<token>[!-~]+)", re.IGNORECASE | re.ASCII)
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII
)
_OUR_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""``none``: somebody typed the address. ``same-site`` is any port of the same host."""


class Place(StrEnum):
    """From where the admin address can be reached."""

    SOCKET = "socket"
    """By whoever may open the file."""
    LOOPBACK = "loopback"
    """From this machine."""
    NETWORK = "network"
    """From elsewhere, as far as the process knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request for the data says of itself; `None` for a header that it lacks.

    Attributes:
        host: ``Host``.
        origin: ``Origin``.
        site: ``Sec-Fetch-Site``.
        authorization: ``Authorization``.
    """

    host: str | None = None
    origin: str | None = None
    site: str | None = None
    authorization: str | None = None


@dataclass(frozen=True, slots=True)
class NoEntry:
    """Why something is not shown.

    Attributes:
        status: Of the answer: 401 when a token would help, otherwise 403.
        text: What to do about it; holds nothing of the request.
    """

    status: int
    text: str


OFF: Final = NoEntry(
    403,
    "The status page is off, because this address can be reached from other machines. "
    "Set WICKETGATE_STATUS_TOKEN, or WICKETGATE_STATUS_TOKEN_FILE, to 32 random characters "
    "or more to have it here, or serve the admin address on 127.0.0.1 or on a Unix socket.\n",
)
NO_TOKEN: Final = NoEntry(
    401, "A value of WICKETGATE_STATUS_TOKEN is required, as a bearer token.\n"
)
OTHER_SITE: Final = NoEntry(403, "Pages of other sites do not get to read this.\n")
OTHER_NAME: Final = NoEntry(
    403,
    "This is answered under localhost or an IP address only. To use another name, "
    "set WICKETGATE_STATUS_TOKEN.\n",
)


class Access:
    """Decides who may read.

    Attributes:
        tokens: Those that count now; a reload replaces them.
    """

    def __init__(self, place: Place, tokens: ServiceTokens) -> None:
        """Decide for an admin address at `place`."""
        self.tokens = tokens
        self._place = place

    def to_page(self) -> NoEntry | None:
        """Return why the page itself, which holds nothing, is not shown; `None` if it is."""
        return OFF if self._place is Place.NETWORK and not self.tokens else None

    def to_data(self, asked: Asked) -> NoEntry | None:
        """Return why the data is not shown; `None` if it is."""
        if self.to_page() is not None:
            return OFF
        if _is_of_another_site(asked):
            return OTHER_SITE
        if self.tokens:
            return None if self._knows(asked.authorization) else NO_TOKEN
        if self._place is Place.LOOPBACK and not _is_local(asked.host):
            return OTHER_NAME
        return None

    def _knows(self, authorization: str | None) -> bool:
        bearer = _BEARER.fullmatch(authorization or "")
        return bearer is not None and self.tokens.recognise(bearer["token"]) is not None


def _is_of_another_site(asked: Asked) -> bool:
    if asked.site is not None and asked.site not in _OUR_OWN_SITES:
        return True
    if asked.origin is None:
        return False
    # Whether it was https is known to a proxy in front of us at best.
    return asked.origin.partition("://")[2].lower() != (asked.host or "").lower()


def _is_local(host: str | None) -> bool:
    found = _AUTHORITY.fullmatch(host or "")
    if found is None:
        return False
    name = found["host"].lower()
    if name == "localhost":
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
