"""Headers that differ from Check to Check, beside headers that never do.

Envoy sends ``grpc-timeout`` with every Check, and ``traceparent`` and ``x-request-id``
where tracing is on. `suite.load.blocks` says how they are made.
"""

from contextlib import AsyncExitStack
from functools import partial

from suite.bench import Bench
from suite.load.generator import generator
from suite.load.grpc_load import GrpcLoad
from suite.probe import require_gate
from suite.result import Row
from suite.rounds import Subject
from suite.servers.process import GateOptions, gate

TITLE = "varying headers: 64 in flight on 2 connections, token cached"
KINDS = {"fixed": False, "varying": True}


def row_name(transport: str, kind: str) -> str:
    """Return the name of a row, for who looks for it."""
    return f"{transport}, {kind} headers"


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(generator())
        messages = bench.checks()
        subjects = []
        for transport in ("wire", "grpcio"):
            options = GateOptions(transport=transport)
            server = await stack.enter_async_context(gate(bench.clerk, options))
            await require_gate(server.port, bench.token)
            for kind, varying in KINDS.items():
                asked = GrpcLoad(
                    port=server.port,
                    messages=messages,
                    connections=2,
                    depth=32,
                    varying=varying,
                )
                stream = await load.open(asked)
                run_once = partial(stream.run, seconds=bench.seconds)
                pids = {"server": server.pid, "load": load.pid}
                subjects.append(Subject(row_name(transport, kind), run_once, pids))
        return await bench.interleave(subjects)
