"""What a Check costs: CPU µs of the gate's process, for the numbers in the README.

Two gates run side by side, the product as it is installed: one remembers
verified tokens, one verifies every signature. Both are loaded in turns over
gRPC, and the CPU time is the gates' own, user and system, as their metrics
report it; so the machine's mood falls on both alike. The decision alone, bytes
to bytes without a transport, is measured in this process for comparison.

    make bench
"""

import asyncio
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import grpc

from wicketgate._gen.ext_authz_pb2 import AttributeContext, CheckRequest, CheckResponse
from wicketgate.adapters.envoy import Responses
from wicketgate.core.claims import TokenRules
from wicketgate.core.decision import Judge
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy import RoutePolicy
from wicketgate.core.record import Record
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.gate import Gate
from wicketgate.local.clerk_instance import USER, ClerkInstance
from wicketgate.local.ports import free_ports

ROUNDS = 5
CHECKS = 3_000
CONCURRENCY = 16
LIFETIME = {"exp": int(time.time()) + 3600}
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
    """One gate under load, and what it cost in each round."""

    name: str
    checks: int
    admin: int
    channel: grpc.aio.Channel
    costs: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the gate's process has used."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as response:
            text = response.read().decode()
        (line,) = [line for line in text.splitlines() if line.startswith("process_cpu_sec")]
        return float(line.split()[1])


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


@asynccontextmanager
async def gate_process(name: str, clerk: ClerkInstance, cache: int) -> AsyncIterator[Subject]:
    """Run ``wicketgate authz`` for as long as the context lasts."""
    checks, admin = free_ports(2)
    environ = os.environ | {
        "CLERK_JWT_KEY": clerk.public_pem,
        "CLERK_ISSUER": clerk.issuer,
        "WICKETGATE_AUTHZ_ADDRESS": f"127.0.0.1:{checks}",
        "WICKETGATE_ADMIN_ADDRESS": f"127.0.0.1:{admin}",
        "WICKETGATE_TOKEN_CACHE_SIZE": str(cache),
        "WICKETGATE_DRAIN_SECONDS": "0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wicketgate", "authz"),
        env=environ,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{checks}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            yield Subject(name, checks, admin, channel)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def load(subject: Subject, raw: bytes) -> None:
    """Put one round of Checks to `subject` and note what each cost."""
    check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = subject.channel.unary_unary(
        "/envoy.service.auth.v3.Authorization/Check"
    )
    require_allowed(await check(raw))

    async def worker() -> None:
        for _ in range(CHECKS // CONCURRENCY):
            await check(raw)

    before = subject.cpu_seconds()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    spent = subject.cpu_seconds() - before
    require_allowed(await check(raw))
    subject.costs.append(spent / (CHECKS // CONCURRENCY * CONCURRENCY) * 1e6)


class Silent:
    """Keeps no record."""

    def record(self, record: Record) -> None:
        """Forget it."""


class Fixed:
    """Keys that never change."""

    def __init__(self, snapshot: KeySet) -> None:
        self.snapshot = snapshot

    async def refresh(self, kid: str) -> bool:
        """Say that there is nothing newer than `kid`."""
        return bool(kid)


def decision_alone(clerk: ClerkInstance, raw: bytes, cache: int) -> float:
    """Return the CPU µs of a Check without a transport and without a log line."""
    rules = TokenRules(issuers=frozenset({clerk.issuer}))
    gate = Gate(
        judge=Judge(
            verifier=TokenVerifier(rules, cache_limit=cache), service_tokens=ServiceTokens()
        ),
        policy=RoutePolicy(),
        keys=Fixed(KeySet.from_jwks(clerk.jwks())),
        responses=Responses(IdentityHeaders()),
        recorder=Silent(),
        clock=time.time,
        timer=time.perf_counter,
        decision_ids=(f"bench-{number:x}" for number in count()),
    )
    answer = gate.check(raw)
    assert isinstance(answer, bytes)
    require_allowed(answer)
    before = time.process_time()
    for _ in range(CHECKS):
        gate.check(raw)
    return (time.process_time() - before) / CHECKS * 1e6


async def main() -> None:
    """Measure in turns and print medians and ratios."""
    clerk = ClerkInstance()
    raw = check_request(clerk.mint(now=time.time(), claims=LIFETIME))
    alone: dict[str, list[float]] = {"cached": [], "verified": []}
    async with AsyncExitStack() as stack:
        subjects = [
            await stack.enter_async_context(gate_process("cached", clerk, 10_000)),
            await stack.enter_async_context(gate_process("verified", clerk, 0)),
        ]
        for number in range(1, ROUNDS + 1):
            print(f"round {number} of {ROUNDS} ...", file=sys.stderr)
            for subject in subjects:
                await load(subject, raw)
                cache = 10_000 if subject.name == "cached" else 0
                alone[subject.name].append(decision_alone(clerk, raw, cache))
    print(f"CPU µs per Check, median of {ROUNDS} rounds of {CHECKS} at {CONCURRENCY} in flight")
    print(f"{'token':<10}{'grpc.aio':>12}{'min-max':>16}{'decision alone':>18}{'its share':>12}")
    for subject in subjects:
        cost = statistics.median(subject.costs)
        own = statistics.median(alone[subject.name])
        spread = f"{min(subject.costs):.0f}-{max(subject.costs):.0f}"
        print(f"{subject.name:<10}{cost:>12.0f}{spread:>16}{own:>18.1f}{own / cost:>12.0%}")
    cached, verified = (statistics.median(subject.costs) for subject in subjects)
    print(f"verified / cached: {verified / cached:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
