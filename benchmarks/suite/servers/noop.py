"""The wire transport, answering every Check with the same bytes: the floor for any gate on it.

python -m suite.servers.noop PORT ANSWER_IN_HEX
"""

import asyncio
import sys

import uvloop

from wicketgate.adapters.wire_server import WireGrpcServer


class NoOp:
    """Decides nothing."""

    def __init__(self, answer: bytes) -> None:
        """Answer `answer`."""
        self._answer = answer

    def check(self, _: bytes) -> bytes:
        """Answer."""
        return self._answer

    def refuse_peer(self) -> bytes:
        """Answer."""
        return self._answer


class Unobserved:
    """Counts no connections."""

    def opened(self) -> None:
        """Let it pass."""

    def closed(self, fault: str) -> None:
        """Let it pass."""


async def main(port: str, answer: bytes) -> None:
    """Serve until the process is ended."""
    server = WireGrpcServer(NoOp(answer), address=f"127.0.0.1:{port}", observer=Unobserved())
    await server.start()
    await server.set_serving(serving=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], bytes.fromhex(sys.argv[2])))
