"""What grows with what there is: cached tokens, connections, rules.

Each row is a gate of its own, on the wire transport, that stays as it is while all are measured
in turns. Tokens are those of distinct users, each asked about in turn, so that nothing is fresh
in the processor's caches. Connections have as many Checks in flight as there is room for at 64
together, and at least one each: 64 and 1,000 connections differ in nothing but their number.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from suite.bench import Bench
from suite.checks import check_request
from suite.load.generator import Generator, Stream, generator
from suite.load.grpc_load import GrpcLoad
from suite.load.messages import Message
from suite.policies import asked_rules, path_for, policy_text
from suite.probe import require_gate
from suite.result import Row
from suite.rounds import Subject
from suite.servers.process import GateOptions, Server, gate
from wicketgate.local.clerk_instance import USER

TITLE = "cost growth, on wire, log off"
TOKENS: Final = (10, 1_000, 100_000)
CONNECTIONS: Final = (1, 8, 64, 1_000)
RULES: Final = (10, 1_000, 10_000)
IN_FLIGHT: Final = 64


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(generator())
        return [
            *await bench.interleave(await _tokens(bench, stack, load)),
            *await bench.interleave(await _connections(bench, stack, load)),
            *await bench.interleave(await _rules(bench, stack, load)),
        ]


async def _tokens(bench: Bench, stack: AsyncExitStack, load: Generator) -> list[Subject]:
    subjects = []
    for count in TOKENS:
        server = await _gate(bench, stack, cache=2 * count)
        await require_gate(server.port, bench.token)
        asked = GrpcLoad(
            port=server.port, messages=await bench.crowd(count), connections=1, depth=IN_FLIGHT
        )
        stream = await load.open(asked)
        bench.report(f"having {count:,} tokens remembered")
        await stream.run(answers=count)
        subjects.append(_subject(bench, load, server, f"{count:,} cached tokens", stream))
    return subjects


async def _connections(bench: Bench, stack: AsyncExitStack, load: Generator) -> list[Subject]:
    messages, subjects = bench.checks(), []
    for count in CONNECTIONS:
        server = await _gate(bench, stack)
        await require_gate(server.port, bench.token)
        depth = max(1, IN_FLIGHT // count)
        asked = GrpcLoad(port=server.port, messages=messages, connections=count, depth=depth)
        stream = await load.open(asked)
        name = f"connections: {count:,}, of {depth} in flight"
        subjects.append(_subject(bench, load, server, name, stream))
    return subjects


async def _rules(bench: Bench, stack: AsyncExitStack, load: Generator) -> list[Subject]:
    subjects = []
    for count in RULES:
        policy = bench.directory / f"policy-{count}.yaml"
        policy.write_text(policy_text(count), "utf-8")
        settings = {"WICKETGATE_POLICY_FILE": str(policy)}
        server = await _gate(bench, stack, settings=settings)
        await require_gate(server.port, bench.token, path=path_for(0))
        raw = (check_request(bench.token, path=path_for(rule)) for rule in asked_rules(count))
        messages = bench.file(f"rules-{count}", (Message(each, USER.encode()) for each in raw))
        asked = GrpcLoad(port=server.port, messages=messages, connections=2, depth=32)
        stream = await load.open(asked)
        subjects.append(_subject(bench, load, server, f"{count:,} rules", stream))
    return subjects


async def _gate(
    bench: Bench,
    stack: AsyncExitStack,
    *,
    cache: int = 10_000,
    settings: Mapping[str, str] | None = None,
) -> Server:
    options = GateOptions(transport="wire", cache=cache, settings=settings or {})
    return await stack.enter_async_context(gate(bench.clerk, options))


def _subject(bench: Bench, load: Generator, server: Server, name: str, stream: Stream) -> Subject:
    pids = {"server": server.pid, "load": load.pid}
    return Subject(name, partial(stream.run, seconds=bench.seconds), pids)
