"""The Checks that are asked: as Envoy makes them, some 1.9 KB each.

They are written with Envoy's published Python package, and hold everything that Envoy
1.40 sends. No two in a row are the same: Envoy's ids, ports and times differ.

Source: a ``CheckRequest`` recorded from Envoy 1.40 behind the project's envoy.yaml.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from envoy_data_plane.envoy.config.core.v3 import Address, SocketAddress
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    CheckRequest,
)

from suite.load.messages import Message
from wicketgate.local.clerk_instance import USER, ClerkInstance

LIFETIME_SECONDS: Final = 6 * 3600
"""Longer than a whole run of the suite; the gate takes up to a day."""
PATH: Final = "/v1/meetings?limit=20"
VARIANTS: Final = 256
"""Messages that go round; they differ in what Envoy numbers."""

_ID: Final = b"1220055335354900206"
_REQUEST_ID: Final = b"cde47963-cfca-4b49-9c10-b3f7bb2b59a6"
_BROWSER: Final = {
    "accept": "application/json, text/plain, */*",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9,de;q=0.8",
    "cache-control": "no-cache",
    "content-type": "application/json",
    "dnt": "1",
    "origin": "http://localhost:3000",
    "pragma": "no-cache",
    "referer": "http://localhost:3000/",
    "sec-ch-ua": '"Chromium";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile": "?0",
    "sec-fetch-dest": "empty",
    "sec-fetch-mode": "cors",
    "sec-fetch-site": "cross-site",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "x-forwarded-for": "192.0.2.2",
    "x-forwarded-proto": "http",
}
_PSEUDO: Final = {
    ":authority": "api.example.com",
    ":method": "GET",
    ":path": PATH,
    ":scheme": "http",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token, or without one."""

    token: str
    user: str = USER


def mint(clerk: ClerkInstance, *, user: str = USER, number: int = 0) -> str:
    """Return a token that lasts for all of the suite, of an active organization."""
    return clerk.mint(
        now=time.time(),
        claims={
            "exp": int(time.time()) + LIFETIME_SECONDS,
            "sub": user,
            "sid": f"sess_2x{number:025d}",
            "o": {"id": "org_2xLkB2c3D4e5F6g7H8i9J0k1LmN", "rol": "admin", "slg": "example"},
        },
    )


def tampered(token: str) -> str:
    """Return the token with another user in it, under the old signature."""
    header, payload, signature = token.split(".")
    # Some letters within the payload, so that it stays JSON or not; either is refused.
    changed = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    return f"{header}.{changed}.{signature}"


def check_request(token: str, *, path: str = PATH) -> bytes:
    """Return a serialised ``CheckRequest``; without `token` it carries no credential."""
    headers = {**_PSEUDO, ":path": path, **_BROWSER, "x-request-id": _REQUEST_ID.decode()}
    if token:
        headers["authorization"] = f"Bearer {token}"
    http = AttributeContextHttpRequest(
        id=_ID.decode(),
        method="GET",
        headers=headers,
        path=path,
        host=_PSEUDO[":authority"],
        scheme="http",
        protocol="HTTP/1.1",
        size=-1,
    )
    request = AttributeContextRequest(time=datetime.now(UTC), http=http)
    attributes = AttributeContext(
        source=_peer(38_018),
        destination=_peer(8_000),
        request=request,
        context_extensions={"policy": "user", "exposure": "public"},
    )
    return bytes(CheckRequest(attributes=attributes))


def check_messages(caller: Caller) -> Iterator[Message]:
    """Yield `VARIANTS` Checks of one caller."""
    raw = check_request(caller.token)
    for number in range(VARIANTS):
        yield Message(_numbered(raw, number), caller.user.encode())


def check_messages_of(callers: Iterator[Caller]) -> Iterator[Message]:
    """Yield one Check for each caller; all tokens are of one length."""
    first = next(callers)
    raw, written = check_request(first.token), first.token.encode()
    yield Message(raw, first.user.encode())
    for number, caller in enumerate(callers):
        token = caller.token.encode()
        assert len(token) == len(written), "tokens of different length"
        yield Message(_numbered(raw.replace(written, token), number), caller.user.encode())


def _numbered(raw: bytes, number: int) -> bytes:
    """Return the Check with other ids, of the same length."""
    return raw.replace(_ID, b"%019d" % (number + 10**18)).replace(
        _REQUEST_ID, _REQUEST_ID[:-8] + b"%08x" % number
    )


def _peer(port: int) -> AttributeContextPeer:
    where = SocketAddress(address="127.0.0.1", port_value=port)
    return AttributeContextPeer(address=Address(socket_address=where))


def http_request(token: str) -> bytes:
    """Return a whole HTTP/1.1 request of a browser."""
    lines = {"host": _PSEUDO[":authority"], **_BROWSER, "authorization": f"Bearer {token}"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {_PSEUDO[':path']} HTTP/1.1\r\n{head}\r\n".encode()
