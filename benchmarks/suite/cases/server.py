"""The server alone: both transports as installed, beside a ``grpc.aio`` server that only echoes.

``hit``: one token, remembered. ``verify``: the same with nothing remembered, so that every
signature is verified. ``deny``: no token. c is the number of Checks in flight, on two
connections, as an Envoy of two workers has them; c=1 is one connection.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product

from suite.bench import Bench
from suite.load.generator import Generator, generator
from suite.load.grpc_load import GrpcLoad
from suite.probe import require_gate
from suite.result import Row
from suite.rounds import Subject
from suite.servers.process import GateOptions, Server, answering, gate

TITLE = "server alone, over HTTP/2"
TRANSPORTS = ("wire", "grpcio")
LOGS = ("off", "all")
IN_FLIGHT = (1, 16, 64)
MODES = ("hit", "verify", "deny")
ECHO = "grpc.aio echo"
DENIED = 16


def row_name(transport: str, log: str, mode: str, in_flight: int) -> str:
    """Return the name of a row, for who looks for it."""
    return f"{transport}, log {log}, {mode}, c={in_flight}"


@dataclass(frozen=True, slots=True)
class Target:
    """A server and how it is asked."""

    label: str
    server: Server
    messages: str
    code: int = 0


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(generator())
        targets = await _targets(bench, stack)
        subjects = [
            await _subject(bench, load, target, in_flight)
            for in_flight, target in product(IN_FLIGHT, targets)
        ]
        return await bench.interleave(subjects)


async def _targets(bench: Bench, stack: AsyncExitStack) -> list[Target]:
    valid, none = bench.checks(), bench.checks_without_token()
    targets, answer = [], b""
    for transport, log in product(TRANSPORTS, LOGS):
        bench.report(f"starting {transport}, log {log}")
        hit = await stack.enter_async_context(
            gate(bench.clerk, GateOptions(transport=transport, log=log))
        )
        verify = await stack.enter_async_context(
            gate(bench.clerk, GateOptions(transport=transport, log=log, cache=0))
        )
        answer = await require_gate(hit.port, bench.token)
        await require_gate(verify.port, bench.token)
        where = f"{transport}, log {log}"
        targets += [
            Target(f"{where}, hit", hit, valid),
            Target(f"{where}, verify", verify, valid),
            Target(f"{where}, deny", hit, none, DENIED),
        ]
    echo = await stack.enter_async_context(answering("echo", answer))
    return [*targets, Target(ECHO, echo, valid)]


async def _subject(bench: Bench, load: Generator, target: Target, in_flight: int) -> Subject:
    connections = min(2, in_flight)
    asked = GrpcLoad(
        port=target.server.port,
        messages=target.messages,
        connections=connections,
        depth=in_flight // connections,
        code=target.code,
        has_user=not target.code,
    )
    stream = await load.open(asked)
    return Subject(
        f"{target.label}, c={in_flight}",
        partial(stream.run, seconds=bench.seconds),
        {"server": target.server.pid, "load": load.pid},
    )
