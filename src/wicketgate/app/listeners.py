"""HTTP listeners: one for what the process is for, one for its operators."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from wicketgate.adapters.admin import State, admin_app
from wicketgate.adapters.status_page import Feed, add_status_page
from wicketgate.core.status.access import Access
from wicketgate.errors import EnvironmentFaultError
from wicketgate.settings import Address, TcpAddress

ADMIN_SECONDS: Final = 1.0
"""For what is being answered when the process ends; streams end before that."""


@asynccontextmanager
async def admin_listener(
    address: Address,
    *,
    setting: str,
    components: Mapping[str, Callable[[], State]],
    exposition: Callable[[], bytes],
    access: Access,
    feed: Feed,
) -> AsyncIterator[str]:
    """Serve health, metrics and the status page for as long as the context lasts.

    Args:
        address: Where.
        setting: The variable that it came from.
        components: Each component's state, by its name.
        exposition: The metrics.
        access: Who may read the status page.
        feed: What it shows.

    Yields:
        The address as it turned out to be.

    Raises:
        EnvironmentFaultError: `address` cannot be listened on.
    """
    application = admin_app(
        components=lambda: {name: state() for name, state in components.items()},
        exposition=exposition,
    )
    add_status_page(application, access, feed)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=ADMIN_SECONDS)
    await runner.setup()
    try:
        yield await listen(runner, address, setting=setting)
    finally:
        await runner.cleanup()


async def listen(runner: web.BaseRunner, address: Address, *, setting: str) -> str:
    """Start to listen, and return the address as it turned out to be.

    Args:
        runner: What answers there, set up already.
        address: Where.
        setting: The variable that the address came from, for the complaint.

    Raises:
        EnvironmentFaultError: `address` cannot be listened on.
    """
    try:
        if isinstance(address, TcpAddress):
            await web.TCPSite(runner, address.host, address.port).start()
            host, port, *_ = runner.addresses[0]
            return str(TcpAddress(host, port))
        await web.UnixSite(runner, address.path).start()
    except OSError as error:
        # asyncio's own text repeats the address; the system's says what is wrong.
        why = os.strerror(error.errno).lower() if error.errno else "not an address"
        msg = f"cannot listen on {address}: {why}; set {setting} to another"
        raise EnvironmentFaultError(msg) from None
    return str(address)
