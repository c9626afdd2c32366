"""The status page over HTTP: its files, one document, one stream.

The files hold no data. The document and the stream are the same data, for machines and
for the page; who may read them is `Access`' business. Nothing here can be changed by a
request: GET and HEAD are all there is.

Source: HTML, "Server-sent events"; CSP Level 3; Fetch, ``Cross-Origin-Resource-Policy``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from typing import Final, Protocol

from aiohttp import hdrs, web

from wicketgate.core.status.access import Access, Asked, NoEntry
from wicketgate.status import ASSETS, Asset

DOCUMENT: Final = "/status.json"
STREAM: Final = "/status/events"

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
TOO_MANY: Final = NoEntry(
    503, "As many people as may are watching already. The same data is at /status.json.\n"
)


class Watcher(Protocol):
    """One stream that is open.

    Attributes:
        is_slow: It does not take what it is given.
    """

    is_slow: bool

    async def next(self) -> bytes:
        """Return the next message."""

    async def until_over(self) -> None:
        """Wait until it is to end."""


class Feed(Protocol):
    """Whoever has something to tell."""

    def snapshot(self) -> str:
        """Return all of it, as JSON."""

    def watching(self) -> AbstractContextManager[Watcher | None]:
        """Watch for as long as the context lasts; `None` when too many do."""

    def close(self) -> None:
        """Let everybody go."""


def add_status_page(application: web.Application, access: Access, feed: Feed) -> None:
    """Serve the page from `application`, and let its streams end when that shuts down."""
    page = _Page(access, feed)
    for asset in ASSETS:
        application.router.add_get(asset.path, page.file(asset))
    application.router.add_get(DOCUMENT, page.document)
    application.router.add_get(STREAM, page.stream)
    application.on_shutdown.append(page.close)


class _Page:
    def __init__(self, access: Access, feed: Feed) -> None:
        self._access = access
        self._feed = feed

    def file(self, asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
        body = asset.read()

        async def serve(_: web.Request) -> web.Response:
            refused = self._access.to_page()
            if refused is not None:
                return _refusal(refused)
            return web.Response(
                body=body, content_type=asset.content_type, charset="utf-8", headers=HEADERS
            )

        return serve

    async def document(self, request: web.Request) -> web.Response:
        refused = self._access.to_data(_asked(request))
        if refused is not None:
            return _refusal(refused)
        return web.Response(
            text=self._feed.snapshot(), content_type="application/json", headers=HEADERS
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        refused = self._access.to_data(_asked(request))
        if refused is not None:
            return _refusal(refused)
        # nginx would keep messages back until it has a buffer full of them.
        response = web.StreamResponse(headers={**HEADERS, "x-accel-buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        if request.method == hdrs.METH_HEAD:
            return response
        with self._feed.watching() as watcher:
            if watcher is None:
                return _refusal(TOO_MANY)
            await response.prepare(request)
            await _tell(response, watcher)
            if watcher.is_slow and request.transport is not None:
                # What is buffered for it would be held until it is read.
                request.transport.abort()
        return response

    async def close(self, _: web.Application) -> None:
        self._feed.close()


async def _tell(response: web.StreamResponse, watcher: Watcher) -> None:
    """Write messages until the watcher is over, or gone."""

    async def write() -> None:
        with suppress(ConnectionError):
            while True:
                await response.write(await watcher.next())

    # A write may wait for a reader for ever; the watcher's end does not wait for it.
    tasks = {asyncio.create_task(write()), asyncio.create_task(watcher.until_over())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _asked(request: web.Request) -> Asked:
    def told(name: str) -> str | None:
        # One that comes twice is no value that counts, whichever of them would.
        values = request.headers.getall(name, None)
        return None if values is None else ", ".join(values)

    return Asked(
        host=told(hdrs.HOST),
        origin=told(hdrs.ORIGIN),
        site=told("sec-fetch-site"),
        authorization=told(hdrs.AUTHORIZATION),
    )


def _refusal(refused: NoEntry) -> web.Response:
    headers = dict(HEADERS)
    if refused.status == web.HTTPUnauthorized.status_code:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="wicketgate status"'
    elif refused is TOO_MANY:
        headers[hdrs.RETRY_AFTER] = "10"
    return web.Response(status=refused.status, text=refused.text, headers=headers)
