"""Requests that try to get past the gate at an edge, octet for octet, and what must come of them.

The same for every edge: a host whose requests are judged, and a host with one path that nobody is
asked about.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from deploy.edges import IMPOSTOR, Edge
from wicketgate.local.ports import LOOPBACK
from wicketgate.local.upstream import Seen

APP, HOOKS = "app.example.com", "hooks.example.com"
HOOK: Final = "/webhooks/clerk"

_TARGETS: Final = (
    *("/webhooks/clerk", "//webhooks/clerk", "/webhooks//clerk", "/webhooks/clerk/"),
    *("/webhooks/clerk/.", "/webhooks/clerk/..", "/webhooks/./clerk", "/x/../webhooks/clerk"),
    *("/webhooks/clerk?x", "/webhooks/clerk?/../../v1/me", "/webhooks/clerk;x"),
    *("/webhooks/clerk;/../../v1/me", "/Webhooks/Clerk", "/webhooks%2fclerk", "/webhooks%2Fclerk"),
    *("/webhooks/clerk%2f..%2f..%2fv1", "/webhooks/%63lerk", "/%77ebhooks/clerk"),
    *("/webhooks/clerk/%2e%2e/%2e%2e/v1/me", "/webhooks/clerk%00", "/webhooks/clerk%20"),
    *("/webhooks/clerk#x", "/webhooks/clerk#/../../v1/me", "/webhooks/clerk%23", "*"),
    *("/webhooks\\clerk", "/webhooks/clerk\\..\\..\\v1", "webhooks/clerk", "/webhooks/clerk%3fx"),
    *(f"http://{host}{path}" for host in (APP, HOOKS) for path in (HOOK, "/v1/me")),
)
_METHODS: Final = ("POST", "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "post")
_HOSTS: Final = (
    *(f"{HOOKS}:443", f"{HOOKS}.", f"x@{HOOKS}", f"{HOOKS}, {APP}", f"{HOOKS}\r\nhost: {APP}"),
    *(f"{APP}\r\nhost: {HOOKS}", f"{HOOKS}/v1", f"{HOOKS}#{APP}", ""),
)
_FORGED: Final = f"clerk-user-id: {IMPOSTOR}"
_WEBSOCKET: Final = f"connection: upgrade\r\nupgrade: websocket\r\n{_FORGED}\r\n"
_STEERED: Final = (
    "x-original-url: /v1/me\r\nx-rewrite-url: /v1/me\r\nx-envoy-original-path: /v1/me\r\n"
    f"x-forwarded-host: {APP}\r\nx-envoy-internal: true\r\nx-http-method-override: GET\r\n"
)
_CLOSE: Final = f"connection: close\r\nclerk_user_id: {IMPOSTOR}\r\nclerk.user.id: {IMPOSTOR}\r\n"

FORGERIES: Final = (
    f"clerk_user_id : {IMPOSTOR}",
    f"clerk_user_id\t: {IMPOSTOR}",
    f"clerk\xffuser\xffid: {IMPOSTOR}",
    f"clerk.user.id: {IMPOSTOR}\r\nclerk!user!id: {IMPOSTOR}",
    f"clerk_user_id:\r\n {IMPOSTOR}",
    f"x-innocent: 1\r\n clerk_user_id: {IMPOSTOR}",
    f"x-innocent: 1\nclerk_user_id: {IMPOSTOR}",
    f"x-innocent: 1\rclerk_user_id: {IMPOSTOR}",
    f"Clerk_User_Id: {IMPOSTOR}\r\nclerk_user_id: {IMPOSTOR}\r\nCLERK-USER-ID: {IMPOSTOR}",
    f"{_WEBSOCKET}connection: clerk_user_id, wicketgate-principal",
    f"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n{_FORGED}",
    "connection: close, clerk_user_id, wicketgate-principal",
)
"""Lines of a request that carries a token besides."""


def unasked() -> Iterator[str]:
    """Yield requests without a token, of which none may reach more than the receiver."""
    for target, host in product(_TARGETS, (HOOKS, APP)):
        yield f"POST {target} HTTP/1.1\r\nhost: {host}\r\n{_CLOSE}\r\n"
    for method in _METHODS:
        yield f"{method} {HOOK} HTTP/1.1\r\nhost: {HOOKS}\r\n{_CLOSE}\r\n"
    for host, path in product(_HOSTS, (HOOK, "/v1/me")):
        yield f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{_CLOSE}\r\n"
    for host, path in product((HOOKS, APP), (HOOK, "/v1/me")):
        yield f"POST {path} HTTP/1.0\r\nhost: {host}\r\n{_CLOSE}\r\n"
        yield f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{_STEERED}{_CLOSE}\r\n"
        hidden = f"GET /v1/me HTTP/1.1\r\nhost: {APP}\r\n\r\n"
        for method in ("GET", "POST"):
            yield f"{method} {path} HTTP/1.1\r\nhost: {host}\r\n{_WEBSOCKET}\r\n{hidden}"
    yield "GET /v1/me HTTP/1.0\r\n\r\n"
    yield "GET /v1/me\r\n\r\n"


def with_token(token: str) -> Iterator[str]:
    """Yield requests that carry a token, and say besides who the user is."""
    head = f"HTTP/1.1\r\nhost: {APP}\r\nauthorization: Bearer {token}\r\n"
    for lines in FORGERIES:
        yield f"GET /v1/me {head}{lines}\r\n\r\n"
    yield (
        f"POST /v1/me {head}transfer-encoding: chunked\r\ntrailer: clerk_user_id\r\n\r\n"
        f"1\r\nx\r\n0\r\nclerk_user_id: {IMPOSTOR}\r\nclerk-user-id: {IMPOSTOR}\r\n\r\n"
    )


async def arriving(edge: Edge, place: str, requests: Iterable[str]) -> list[Seen]:
    """Send all of them at once, each on a connection of its own, and return what arrived."""
    port = int(edge.urls[place].rpartition(":")[2])
    await asyncio.gather(*(_send(port, each.encode("latin-1")) for each in requests))
    return edge.upstream.take()


def is_delivery(seen: Seen) -> bool:
    """Tell whether a request is one that the receiver is there for, and names nobody."""
    return (
        seen.method == "POST"
        and seen.path.partition("?")[0] == HOOK
        and seen.values("host")[0].removesuffix(":443") == HOOKS
        and IMPOSTOR not in [value for _, value in seen.headers]
    )


async def _send(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            # Whoever is let through has arrived before there is an answer.
            octets = b""
            while b"\r\n\r\n" not in octets and (more := await reader.read(65536)):
                octets += more
    finally:
        writer.close()
