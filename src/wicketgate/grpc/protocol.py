"""One connection of the server: moves bytes between asyncio and the HTTP/2 half.

Every request that came with one read is answered with one write. An answer that has
to be waited for holds up nothing else. A connection takes its turn with the others,
and whoever does not read its answers is not read from.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol, cast

from wicketgate.grpc.budget import FREE_BYTES, Budget
from wicketgate.grpc.calls import Calls
from wicketgate.grpc.frames import ErrorCode
from wicketgate.grpc.headers import HeaderCache, RequestBlocks
from wicketgate.grpc.http2 import Connection
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.outgoing import bytes_on_their_way
from wicketgate.grpc.service import Method

WRITE_BUFFER_BYTES: Final = 1024 * 1024
"""Unread answers beyond this stop the reading: whoever does not read cannot ask."""
TURN_BYTES: Final = 98_304
"""What is taken from one connection before the others have their turn: forty Checks, or a
millisecond. The shortest requests that there can be make it fifty times as long. An event
loop may hand over 256 KiB."""
SILENCE_SECONDS: Final = 60.0
"""After this the peer is asked for a sign of life; half-open connections give none."""
PATIENCE_SECONDS: Final = 20.0
"""... and after this without one the connection is closed. So it is with a peer that
takes none of its answers for so long."""
LINGER_SECONDS: Final = 1.0
"""How long a peer has to hang up, so that it can read why it should."""
LOST: Final = "lost"


class Observer(Protocol):
    """Whoever counts connections and faults."""

    def opened(self) -> None:
        """Take note of a connection."""

    def closed(self, fault: str) -> None:
        """Take note that it is over.

        Args:
            fault: Empty when it ended well; the name of an error code when the peer was
                to blame; ``lost`` when it gave no sign of life.
        """


class Connections(Protocol):
    """Whoever keeps all connections of a server."""

    def enter(self, connection: "WireProtocol") -> bool:
        """Take note of a new one, and tell whether there is room for it."""

    def leave(self, connection: "WireProtocol") -> None:
        """Take note that it is over."""


class WireProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        methods_for: Callable[[asyncio.BaseTransport], Mapping[bytes, Method]],
        *,
        limits: Limits,
        cache: HeaderCache,
        budget: Budget,
        observer: Observer,
        connections: Connections,
    ) -> None:
        """Serve what the peer can call.

        Args:
            methods_for: Returns that, by path, for a connected transport.
            limits: What the peer may cost.
            cache: Header blocks that were seen before, of all connections.
            budget: What all connections may have kept for them.
            observer: Told of faults.
            connections: Told when the connection is open, and when it no longer is.
        """
        self._loop = asyncio.get_running_loop()
        self._methods_for = methods_for
        self._limits = limits
        self._budget = budget
        self._observer = observer
        self._connections = connections
        blocks = RequestBlocks(cache, max_bytes=limits.header_bytes)
        self._connection = Connection(blocks, limits=limits, now=self._loop.time())
        self._calls = Calls(self._connection, limits=limits, loop=self._loop, write=self._write)
        self._transport: asyncio.Transport | None = None
        self._held = b""
        self._counted = 0
        self._heard = 0.0
        self._asked_for_life = False
        self._stalled_since: float | None = None
        self._has_hung_up = False
        self._is_lost = False

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # A cast, because uvloop's transports are not asyncio's by descent.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._heard = self._loop.time()
        self._calls.methods = self._methods_for(transport)
        self._observer.opened()
        if not self._connections.enter(self):
            self._connection.give_up(ErrorCode.ENHANCE_YOUR_CALM, "too many connections")
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self._connection.give_up(ErrorCode.INADEQUATE_SECURITY, "ALPN did not select h2")
        self._write()

    def data_received(self, data: bytes) -> None:
        """Take what arrived, in turns."""
        if self._held or len(data) > TURN_BYTES:
            if not self._held:
                self._pause_reading()
                self._loop.call_soon(self._take_turn)
            self._held += data
        else:
            self._take(data)

    def eof_received(self) -> bool:
        """Close when the peer has said its last."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget everything."""
        self._transport = None
        self._held = b""
        self._calls.cancel_all()
        self._budget.hold(self, 0)
        self._connections.leave(self)
        fault = self._connection.fault
        self._observer.closed(fault.code.name.lower() if fault else LOST if self._is_lost else "")

    def pause_writing(self) -> None:
        """Stop reading: the peer does not take its answers."""
        self._stalled_since = self._loop.time()
        self._pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._stalled_since = None
        self._go_on()

    # ------------------------------------------------------------------ the server's side

    def tick(self) -> None:
        """Let time pass: give up what takes too long, and ask silent peers for a sign of life."""
        if self._has_hung_up:
            return
        now = self._loop.time()
        silence = now - self._heard
        self._calls.handle(self._connection.tick(now))
        if self._stalled_since is not None and now - self._stalled_since > PATIENCE_SECONDS:
            self._connection.give_up(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
            self.abort()
            return
        if silence > SILENCE_SECONDS + PATIENCE_SECONDS:
            self._is_lost = True
            self.abort()
            return
        if silence > SILENCE_SECONDS and not self._asked_for_life:
            self._asked_for_life = True
            self._connection.ping()
        self._write()

    def close_softly(self) -> None:
        """Ask the peer to open no more streams."""
        self._connection.close()
        self._write()

    def close_now(self) -> None:
        """Take no more streams, and hang up when those that are open are answered."""
        self._connection.close_now()
        self._write()

    def abort(self) -> None:
        """Hang up, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    def make_room(self) -> None:
        """End, because all connections together hold too much, and this one most."""
        self._counted = 0
        self._connection.give_up(ErrorCode.ENHANCE_YOUR_CALM, "too much is held")
        self._held = b""
        self._write()
        if self._is_stalled:
            self.abort()

    # ------------------------------------------------------------------ bytes

    def _take(self, data: bytes) -> None:
        """Take bytes, answer what can be answered, write once."""
        if self._has_hung_up:
            return
        self._heard = self._loop.time()
        self._asked_for_life = False
        try:
            self._calls.handle(self._connection.receive(data, self._heard))
        except Exception as error:  # noqa: BLE001 - a defect ends one connection, and not in silence
            self._loop.call_exception_handler(
                {"message": "a defect in the gRPC transport", "exception": error}
            )
            self._connection.give_up(ErrorCode.INTERNAL_ERROR, "internal error")
        self._write()

    def _take_turn(self) -> None:
        """Take some of what is held; the rest when the others had their turn."""
        if self._is_stalled:
            return
        data, self._held = self._held[:TURN_BYTES], self._held[TURN_BYTES:]
        self._take(data)
        if not self._is_stalled:
            self._go_on()

    def _go_on(self) -> None:
        if self._held:
            self._loop.call_soon(self._take_turn)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def _is_stalled(self) -> bool:
        return self._stalled_since is not None

    def _write(self) -> None:
        transport = self._transport
        if transport is None or self._has_hung_up or transport.is_closing():
            return
        data = self._connection.data_to_send()
        if data:
            transport.write(data)
        if self._connection.is_over:
            self._hang_up(transport)
        self._count(transport)

    def _count(self, transport: asyncio.Transport) -> None:
        """Tell the budget what is kept, where that is more or less than it was."""
        held = self._connection.held_bytes + len(self._held) + transport.get_write_buffer_size()
        if held > FREE_BYTES or self._counted:
            self._counted = held if held > FREE_BYTES else 0
            self._budget.hold(self, held)

    def _hang_up(self, transport: asyncio.Transport) -> None:
        """Close; but a peer that is still sending would lose what it has not read yet."""
        self._has_hung_up = True
        self._calls.cancel_all()
        if transport.can_write_eof():
            # A peer that is gone already has no half to close.
            with suppress(OSError):
                transport.write_eof()
        else:
            transport.close()
        patience = LINGER_SECONDS if self._connection.fault else PATIENCE_SECONDS
        self._loop.call_later(LINGER_SECONDS, self._linger, self._loop.time() + patience)

    def _linger(self, until: float) -> None:
        """Abort; but who only was told to leave may still take the answers it was promised."""
        transport = self._transport
        if transport is None:
            return
        if bytes_on_their_way(transport) and self._loop.time() < until:
            self._loop.call_later(LINGER_SECONDS, self._linger, until)
        else:
            transport.abort()

    def _pause_reading(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()
