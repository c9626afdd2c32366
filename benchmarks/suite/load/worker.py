"""The load generator's process: takes orders as lines of JSON, answers each with one.

``open`` connects and checks two answers in full; ``run`` asks for some time; ``close``
hangs up. Whatever goes wrong is answered as ``{"wrong": ...}``, and what was measured
is then void. It ends when its standard input does.
"""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

import uvloop

from suite.load.grpc_load import GrpcLoad, GrpcSession
from suite.load.http_load import HttpLoad, HttpSession


class Worker:
    """Holds the sessions of one process."""

    def __init__(self) -> None:
        self._sessions: dict[int, GrpcSession | HttpSession] = {}

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order and return the answer to it."""
        try:
            return await self._obey(order)
        except Exception as error:  # noqa: BLE001 - whatever it was, the case is void
            return {"wrong": f"{type(error).__name__}: {error}"}

    async def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        number = order["session"]
        match order["do"]:
            case "open":
                load = order["load"]
                session = (
                    HttpSession(HttpLoad(**load))
                    if order["protocol"] == "http"
                    else GrpcSession(GrpcLoad(**load))
                )
                self._sessions[number] = session
                await session.open()
                return {}
            case "run":
                run = self._sessions[number].run
                return asdict(await run(seconds=order["seconds"], answers=order["answers"]))
            case _:
                self._sessions.pop(number).close()
                return {}


async def main() -> None:
    """Obey until there are no more orders."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    worker = Worker()
    while line := await reader.readline():
        print(json.dumps(await worker.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
