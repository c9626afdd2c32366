"""The HTTP listener for operators: how it ends."""

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wicketgate.app.listeners import admin_listener
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import Access, Place
from wicketgate.settings import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wicketgate.adapters.status_page import Watcher

MORE_THAN_BUFFERS_TAKE = b"x" * 64_000_000
LONG = 20.0
"""Seconds; aiohttp itself would wait for 60."""


class NoFeed:
    """Has nothing to tell."""

    def snapshot(self) -> str:
        return "{}"

    @contextmanager
    def watching(self) -> "Iterator[Watcher | None]":
        yield None

    def close(self) -> None:
        pass


async def test_the_end_does_not_wait_for_whoever_reads_no_metrics() -> None:
    listener = admin_listener(
        TcpAddress("127.0.0.1", 0),
        setting="WICKETGATE_ADMIN_ADDRESS",
        components={},
        exposition=lambda: MORE_THAN_BUFFERS_TAKE,
        access=Access(Place.LOOPBACK, ServiceTokens()),
        feed=NoFeed(),
    )
    address = await listener.__aenter__()
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_024)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"xxx")

    async with asyncio.timeout(LONG):
        await listener.__aexit__(None, None, None)

    writer.transport.abort()
