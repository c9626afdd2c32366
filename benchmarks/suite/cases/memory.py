"""The resident memory of a gate with its default settings, as distinct tokens come by.

Default settings remember 10,000 tokens and log every decision. Every token is sent once,
and each is of another user, so that whatever is kept for a user or a token is kept as often
as it can be. Gates are one after another, and each has what came before behind it.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from suite.bench import Bench
from suite.crowd import write_crowd
from suite.load.generator import Generator, generator
from suite.load.grpc_load import GrpcLoad
from suite.probe import require_gate
from suite.processes import resident_mib
from suite.result import Row
from suite.servers.process import GateOptions, Server, gate
from suite.statistic import Spread

TITLE = "resident memory, default settings"
MIB: Final = "MiB"
BATCH: Final = 100_000
LONG_BATCHES: Final = 10
GRPCIO_TOKENS: Final = 20_000
"""Twice the cache; grpcio takes five times as long for each."""
STEADY: Final = "wire, steady state"


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    batches = LONG_BATCHES if bench.is_long else 1
    rows = []
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(generator())
        options = GateOptions(transport="wire", log="all")
        server = await stack.enter_async_context(gate(bench.clerk, options))
        await require_gate(server.port, bench.token)
        rows.append(_row("wire, after its start", server))
        tokens = await _cross(bench, load, server, await bench.crowd(GRPCIO_TOKENS))
        rows.append(_row(f"wire, {tokens:,} distinct tokens", server))
        for number in range(batches):
            tokens += await _cross(bench, load, server, await _batch(bench, number))
            rows.append(_row(f"wire, {tokens:,} distinct tokens", server))
        await _steady(bench, load, server)
        rows.append(_row(STEADY, server, note=f"after {tokens:,} tokens, then one token"))
        options = GateOptions(transport="grpcio", log="all")
        server = await stack.enter_async_context(gate(bench.clerk, options))
        await require_gate(server.port, bench.token)
        rows.append(_row("grpcio, after its start", server))
        tokens = await _cross(bench, load, server, await bench.crowd(GRPCIO_TOKENS))
        rows.append(_row(f"grpcio, {tokens:,} distinct tokens", server))
    return rows


async def _batch(bench: Bench, number: int) -> str:
    """Return the next hundred thousand; the first is what other cases use, too."""
    if not number:
        return await bench.crowd(BATCH)
    path = bench.directory / "batch"
    bench.report(f"minting {BATCH:,} more tokens")
    await write_crowd(bench.clerk, path, first=(number + 1) * BATCH, count=BATCH)
    return str(path)


async def _cross(bench: Bench, load: Generator, server: Server, messages: str) -> int:
    """Send each message of a file once, and return how many there were."""
    count = Path(messages).name.rpartition("-")[2]
    tokens = int(count) if count.isdigit() else BATCH
    bench.report(f"sending {tokens:,} tokens to {server.port}")
    # One connection, so that it goes through the file from its beginning to its end.
    asked = GrpcLoad(port=server.port, messages=messages, connections=1, depth=64)
    stream = await load.open(asked)
    await stream.run(answers=tokens)
    await stream.close()
    return tokens


async def _steady(bench: Bench, load: Generator, server: Server) -> None:
    asked = GrpcLoad(port=server.port, messages=bench.checks(), connections=2, depth=32)
    stream = await load.open(asked)
    await stream.run(seconds=5 * bench.seconds)
    await stream.close()


def _row(name: str, server: Server, note: str = "") -> Row:
    return Row(name, {MIB: Spread.of([resident_mib(server.pid)])}, note)
