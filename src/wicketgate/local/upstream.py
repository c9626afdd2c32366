"""An upstream that answers with what it was asked, to the letter.

Whatever the gate promises about headers is a promise about what arrives here,
so nothing is folded, joined, renamed or left out; only names become lower case,
as Envoy sends them.
"""

import json
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from wicketgate.local.ports import LOOPBACK, port_of

REMEMBERED: Final = 4096
"""Requests that are kept; the oldest go first."""
_MAX_HEADER_BYTES: Final = 64 * 1024
"""Above Envoy's own limit: what Envoy lets through must be seen, not refused."""
_KEEP_ALIVE_SECONDS: Final = 7200.0
"""Longer than Envoy keeps an idle connection (1 h), so that it never reuses a dead one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived.

    Attributes:
        method: The method.
        path: The request target, undecoded.
        headers: Every header line in order; names in lower case.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the value of every line called `name`."""
        return [value for each, value in self.headers if each == name]


class EchoUpstream:
    """Answers every request with its method, path and headers as JSON."""

    def __init__(self) -> None:
        """Make an upstream that does not listen yet."""
        self.seen: deque[Seen] = deque(maxlen=REMEMBERED)
        """What has arrived, oldest first."""
        self.port = 0
        self._runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen on a free port of loopback."""
        # The low-level server: it has no router, so no path is refused or rewritten.
        server = web.Server(
            self._answer,
            max_field_size=_MAX_HEADER_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.5)
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

    def take(self) -> list[Seen]:
        """Return what has arrived since the last call, oldest first."""
        taken = list(self.seen)
        self.seen.clear()
        return taken

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        headers = tuple(
            (name.lower().decode("latin-1"), value.decode("latin-1"))
            for name, value in request.raw_headers
        )
        seen = Seen(request.method, request.raw_path, headers)
        self.seen.append(seen)
        document = {"method": seen.method, "path": seen.path, "headers": headers}
        return web.Response(body=json.dumps(document).encode(), content_type="application/json")
