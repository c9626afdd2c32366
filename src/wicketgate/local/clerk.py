"""One Clerk instance on loopback: its keys, and its users.

As faithful as clients can tell: the Frontend API gives the keys to anyone, the
Backend API keys and users to holders of a secret key.

Source: Clerk Frontend API, ``/.well-known/jwks.json``; Backend API, ``/v1/jwks``.
"""

import asyncio
from collections import Counter
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from wicketgate.local.clerk_answers import answer, error
from wicketgate.local.clerk_backend import ClerkBackend, Handler
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.local.ports import LOOPBACK, port_of

PUBLIC_PATH: Final = "/.well-known/jwks.json"
BACKEND_PATH: Final = "/v1/jwks"

SECRET_KEY: Final = "sk_test_wicketgate0local0double0of0clerk0000"
"""The one secret key that its Backend API takes."""


class Mode(StrEnum):
    """How it behaves."""

    OK = "ok"
    """As Clerk does on a good day."""
    ERROR = "error500"
    """Every answer is a 500."""
    DOWN = "down"
    """Connections are cut before an answer."""
    SLOW = "slow"
    """Answers come after `ClerkDouble.slow_seconds`."""


class ClerkDouble:
    """Serves the keys and the users of one `ClerkInstance`, and counts who fetches keys.

    Attributes:
        instance: Whose keys; rotate it and the next fetch gets the new key.
        backend: The users.
        mode: How to behave; may be changed at any time.
        slow_seconds: How long `Mode.SLOW` takes.
        fetches: Requests by path, refused and failed ones included.
    """

    def __init__(self, instance: ClerkInstance | None = None) -> None:
        """Make a double that does not listen yet."""
        self.instance = instance or ClerkInstance()
        self.backend = ClerkBackend(secret_key=SECRET_KEY, instance_id=self.instance.kid)
        self.mode = Mode.OK
        self.slow_seconds = 30.0
        self.fetches: Counter[str] = Counter()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def jwks_url(self) -> str:
        """Where anyone may fetch the keys."""
        return f"{self.url}{PUBLIC_PATH}"

    async def __aenter__(self) -> Self:
        """Listen on a free port of loopback."""
        application = web.Application()
        application.router.add_get(PUBLIC_PATH, self._serve_public)
        application.router.add_get(BACKEND_PATH, self._serve_backend)
        self.backend.add_to(application, self._unless_misbehaving)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.port = port_of(self._runner.addresses[0])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve_public(self, request: web.Request) -> web.Response:
        self.fetches[PUBLIC_PATH] += 1
        return await self._misbehaviour(request) or self._keys()

    async def _serve_backend(self, request: web.Request) -> web.Response:
        self.fetches[BACKEND_PATH] += 1
        misbehaviour = await self._misbehaviour(request)
        if misbehaviour is not None:
            return misbehaviour
        if request.headers.get("authorization") != f"Bearer {SECRET_KEY}":
            return error(401, "clerk_key_invalid", "The provided Clerk Secret Key is invalid.")
        return self._keys()

    def _unless_misbehaving(self, handler: Handler) -> Handler:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._misbehaviour(request) or await handler(request)

        return serve

    async def _misbehaviour(self, request: web.Request) -> web.Response | None:
        match self.mode:
            case Mode.ERROR:
                return error(500, "internal_clerk_error", "Something went wrong on our end.")
            case Mode.DOWN:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()  # never sent: the connection is gone
            case Mode.SLOW:
                await asyncio.sleep(self.slow_seconds)
        return None

    def _keys(self) -> web.Response:
        return answer(200, self.instance.jwks())
