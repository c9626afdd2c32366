"""What a Check costs: CPU µs of the server's process, for the numbers in the README.

Three servers run side by side and are loaded in turns over gRPC, so the
machine's mood falls on all alike: a bare ``grpc.aio`` server that answers with
fixed bytes, and the product as it is installed, once remembering verified
tokens and once verifying every signature. CPU time is the servers' own, user
and system, as Linux accounts it. The decision alone, bytes to bytes without a
transport or a log, is measured in this process.

    make bench
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc

from wicketgate._gen.ext_authz_pb2 import AttributeContext, CheckRequest, CheckResponse
from wicketgate.adapters.envoy import SERVICE, Responses
from wicketgate.adapters.pem_keys import PemKeys
from wicketgate.core.claims import TokenRules
from wicketgate.core.decision import (
    Judge,
)
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.record import Record
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.gate import Gate, Rulebook
from wicketgate.local.clerk_instance import USER, ClerkInstance
from wicketgate.local.ports import free_ports

ROUNDS = 5
CHECKS = 3_200
CONCURRENCY = 16
CACHE = {"cached": 10_000, "verified": 0}
TICKS = os.sysconf("SC_CLK_TCK")
HEADERS = {
    ":authority": "api.example.com",
    ":method": "GET",
    ":path": "/v1/meetings?limit=20",
    ":scheme": "https",
    "content-type": "application/json",
    "origin": "http://localhost:3000",
    "x-request-id": "cde47963-cfca-4b49-9c10-b3f7bb2b59a6",
}


@dataclass
class Subject:
    """One server under load, and what a Check cost it in each round."""

    name: str
    pid: int
    channel: grpc.aio.Channel
    costs: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used (proc(5), fields 14 and 15)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


class Silent:
    """Keeps no record."""

    def record(self, record: Record) -> None:
        """Forget it."""


def check_request(token: str) -> bytes:
    """Return a Check as Envoy makes it."""
    http = AttributeContext.HttpRequest(
        method="GET",
        path=HEADERS[":path"],
        host="api.example.com",
        headers={**HEADERS, "authorization": f"Bearer {token}"},
    )
    attributes = AttributeContext(request=AttributeContext.Request(http=http))
    attributes.context_extensions.update({"policy": "user", "exposure": "public"})
    return CheckRequest(attributes=attributes).SerializeToString()


def require_allowed(raw: bytes) -> None:
    """Stop unless `raw` allows the user: a fast wrong answer is not worth a number."""
    response = CheckResponse.FromString(raw)
    headers = {option.header.key: option.header.value for option in response.ok_response.headers}
    assert response.status.code == 0, response
    assert headers["clerk_user_id"] == USER, response


def gate_in_process(clerk: ClerkInstance, cache: int) -> Gate:
    """Return a gate without a transport and without a log."""
    rules = TokenRules(issuers=frozenset({clerk.issuer}))
    return Gate(
        rulebook=Rulebook(
            Judge(
                verifier=TokenVerifier(rules, cache_limit=cache), service_tokens=ServiceTokens()
            ),
            RoutePolicy(),
        ),
        keys=PemKeys(KeySet.from_pem(clerk.public_pem)),
        responses=Responses(IdentityHeaders()),
        recorder=Silent(),
        clock=time.time,
        timer=time.perf_counter,
        decision_ids=(f"bench-{number:x}" for number in count()),
    )


def answer_of(gate: Gate, raw: bytes) -> bytes:
    """Return the gate's answer, checked."""
    answer = gate.check(raw)
    assert isinstance(answer, bytes)
    require_allowed(answer)
    return answer


def surroundings() -> dict[str, str]:
    """Return our environment without settings that would change what is measured."""
    ours = ("CLERK_", "WICKETGATE_", "SERVICE_AUTH_TOKEN", "DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@asynccontextmanager
async def server(name: str, port: int, *command: str, **settings: str) -> AsyncIterator[Subject]:
    """Run a server on `port` for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *command),
        env=surroundings() | settings,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            yield Subject(name, process.pid, channel)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def load(subject: Subject, raw: bytes) -> None:
    """Put one round of Checks to `subject` and note what each cost."""
    check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = subject.channel.unary_unary(
        f"/{SERVICE}/Check"
    )

    async def worker() -> None:
        for _ in range(CHECKS // CONCURRENCY):
            await check(raw)

    require_allowed(await check(raw))
    before = subject.cpu_seconds()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    subject.costs.append((subject.cpu_seconds() - before) / CHECKS * 1e6)
    require_allowed(await check(raw))


def decision_alone(gate: Gate, raw: bytes) -> float:
    """Return the CPU µs of a Check without a transport."""
    answer_of(gate, raw)
    before = time.process_time()
    for _ in range(CHECKS):
        gate.check(raw)
    return (time.process_time() - before) / CHECKS * 1e6


async def main() -> None:
    """Measure in turns and print medians and ratios."""
    clerk = ClerkInstance()
    raw = check_request(clerk.mint(now=time.time(), claims={"exp": int(time.time()) + 3600}))
    gates = {name: gate_in_process(clerk, cache) for name, cache in CACHE.items()}
    alone: dict[str, list[float]] = {name: [] for name in gates}
    answer = answer_of(gates["cached"], raw).hex()
    ports = free_ports(1 + 2 * len(CACHE))
    async with AsyncExitStack() as stack:
        bare = ("benchmarks/bare_server.py", str(ports[0]), answer)
        subjects = [await stack.enter_async_context(server("bare", ports[0], *bare))]
        for number, (name, cache) in enumerate(CACHE.items()):
            checks, admin = ports[1 + 2 * number : 3 + 2 * number]
            product = server(
                name,
                checks,
                *("-m", "wicketgate", "authz"),
                CLERK_JWT_KEY=clerk.public_pem,
                CLERK_ISSUER=clerk.issuer,
                WICKETGATE_AUTHZ_ADDRESS=f"127.0.0.1:{checks}",
                WICKETGATE_ADMIN_ADDRESS=f"127.0.0.1:{admin}",
                WICKETGATE_TOKEN_CACHE_SIZE=str(cache),
                WICKETGATE_DRAIN_SECONDS="0",
            )
            subjects.append(await stack.enter_async_context(product))
        for number in range(1, ROUNDS + 1):
            print(f"round {number} of {ROUNDS} ...", file=sys.stderr)
            for subject in subjects:
                await load(subject, raw)
            for name, gate in gates.items():
                alone[name].append(decision_alone(gate, raw))
    report(subjects, alone)


def report(subjects: list[Subject], alone: dict[str, list[float]]) -> None:
    """Print the table."""
    print(f"CPU µs per Check, median of {ROUNDS} rounds of {CHECKS} at {CONCURRENCY} in flight")
    print(f"{'server':<22}{'median':>8}{'min-max':>14}{'/ bare':>8}{'decision alone':>16}")
    base = statistics.median(subjects[0].costs)
    for subject in subjects:
        cost = statistics.median(subject.costs)
        spread = f"{min(subject.costs):.0f}-{max(subject.costs):.0f}"
        own = f"{statistics.median(alone[subject.name]):.0f}" if subject.name in alone else "-"
        label = "grpc.aio, bare" if subject.name == "bare" else f"gate, token {subject.name}"
        print(f"{label:<22}{cost:>8.0f}{spread:>14}{cost / base:>8.2f}{own:>16}")


if __name__ == "__main__":
    asyncio.run(main())
