"""HTTP listeners: one for what the process is for, one for its operators."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from wicketgate.adapters.admin import State, admin_app
from wicketgate.errors import EnvironmentFaultError
from wicketgate.settings import Address, TcpAddress


@asynccontextmanager
async def admin_listener(
    address: Address,
    *,
    setting: str,
    components: Mapping[str, Callable[[], State]],
    exposition: Callable[[], bytes],
) -> AsyncIterator[str]:
    """Serve health and metrics for as long as the context lasts; yields the address.

    Raises:
        EnvironmentFaultError: `address` cannot be listened on.
    """
    application = admin_app(
        components=lambda: {name: state() for name, state in components.items()},
        exposition=exposition,
    )
    runner = web.AppRunner(application, access_log=None)
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
