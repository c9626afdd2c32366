"""The status page of a process: from what it knows to what is served."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from wicketgate.adapters.status_feed import Source, StatusFeed
from wicketgate.app.tasks import running
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.status.access import Access, Place
from wicketgate.settings import Address, TcpAddress
from wicketgate.settings.locations import is_loopback


def place_of(address: Address) -> Place:
    """Return from where `address` can be reached, by what the operator wrote."""
    if not isinstance(address, TcpAddress):
        return Place.SOCKET
    return Place.LOOPBACK if is_loopback(address.host) else Place.NETWORK


def access_of(address: Address, tokens: Sequence[str]) -> Access:
    """Return who may read a status page at `address`."""
    return Access(place_of(address), ServiceTokens(tokens))


@asynccontextmanager
async def status_feed(
    source: Source,
    log: structlog.typing.FilteringBoundLogger,
    *,
    timer: Callable[[], float] = time.monotonic,
) -> AsyncIterator[StatusFeed]:
    """Sample `source` for as long as the context lasts."""

    def failed(error: str) -> None:
        log.error("status page failed", error=error)

    feed = StatusFeed(source, timer=timer, failed=failed)
    async with running(feed.run()):
        yield feed
