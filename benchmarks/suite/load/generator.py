"""A load generator as the suite sees it: a process that is given orders.

Source: `suite.load.worker`, which is what runs there.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from suite.load.grpc_load import GrpcLoad
from suite.load.http_load import HttpLoad
from suite.load.session import Sample

BENCHMARKS: Final = Path(__file__).parents[2]
STOP_SECONDS: Final = 10.0


class VoidError(Exception):
    """A server answered wrongly, or not at all: the case says nothing."""


class Generator:
    """A running load generator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Give orders to `process`."""
        self._process = process
        self._sessions = 0

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def open(self, load: GrpcLoad | HttpLoad) -> "Stream":
        """Connect to a server and have two of its answers checked in full.

        Raises:
            VoidError: they are not what is expected.
        """
        self._sessions += 1
        stream = Stream(self, self._sessions)
        protocol = "http" if isinstance(load, HttpLoad) else "grpc"
        await self.order(do="open", session=self._sessions, protocol=protocol, load=asdict(load))
        return stream

    async def order(self, **order: object) -> dict[str, Any]:
        """Give an order and return the answer.

        Raises:
            VoidError: it could not be carried out.
        """
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        writer.write(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline() or b'{"wrong": "it ended"}')
        if "wrong" in answer:
            raise VoidError(answer["wrong"])
        return answer


@dataclass(frozen=True, slots=True)
class Stream:
    """Connections that a generator has to one server."""

    generator: Generator
    session: int

    async def run(self, *, seconds: float = 0.0, answers: int = 0) -> Sample:
        """Ask for `seconds`, or until there are so many answers.

        Raises:
            VoidError: an answer was wrong, or did not come.
        """
        order = {"session": self.session, "seconds": seconds, "answers": answers}
        return Sample(**await self.generator.order(do="run", **order))

    async def close(self) -> None:
        """Hang up."""
        await self.generator.order(do="close", session=self.session)


@asynccontextmanager
async def generator() -> AsyncIterator[Generator]:
    """Run a load generator for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "suite.load.worker"),
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Generator(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
