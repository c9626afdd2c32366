"""A gate that is restarted behind a real Envoy costs no request, with either transport."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from conformance.table import ORIGIN, USERS, World, bearer
from meshes import Document, Mesh, authz_filters, cluster, mesh
from processes import environ
from transports import on_both_transports
from wicketgate.settings import Transport

pytestmark = [pytest.mark.envoy, on_both_transports]

CLIENTS = 8
ENOUGH = 200
"""Answers before the gate is told to leave."""
AFTER_SECONDS = 1.5
"""Longer than the interval of envoy.yaml's health checks."""


def without_retries(document: Document) -> None:
    """Take away what would hide a refused Check."""
    for authz in authz_filters(document):
        del authz["grpc_service"]["retry_policy"]


def without_retries_or_health(document: Document) -> None:
    """Take away also what could by luck notice in time that a gate is leaving."""
    without_retries(document)
    (checks,) = cluster(document, "authz")["health_checks"]
    checks["interval"] = "60s"


@asynccontextmanager
async def visited(
    world: World,
    transport: Transport,
    *,
    drain_seconds: float,
    edit: Callable[[Document], None],
) -> AsyncIterator[tuple[Mesh, Counter[int]]]:
    """Put load on two gates; yields them and what the callers get."""
    settings = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        CLERK_AUTHORIZED_PARTIES=ORIGIN,
        WICKETGATE_DRAIN_SECONDS=str(drain_seconds),
    )
    sent = list(bearer(exp=world.now + 600)(world).items())
    answers: Counter[int] = Counter()
    is_over = asyncio.Event()
    async with mesh(settings, gates=2, edit=edit) as running:

        async def visit() -> None:
            while not is_over.is_set():
                reply = await running.client.send(running.edge + USERS.path, headers=sent)
                answers[reply.status] += 1

        async with asyncio.TaskGroup() as visitors:
            for _ in range(CLIENTS):
                visitors.create_task(visit())
            try:
                await until(lambda: answers.total() >= ENOUGH)
                yield running, answers
            finally:
                is_over.set()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes of the load."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - many things count as it
            await asyncio.sleep(0.02)


async def leave(running: Mesh) -> None:
    """Tell the first gate to leave, and wait until it has."""
    leaving = running.gates[0].process
    leaving.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(leaving.wait(), 20) == 0


async def test_a_gate_that_drains_behind_envoy_fails_no_request(
    world: World, transport: Transport
) -> None:
    """
    Three seconds, the default: three of envoy.yaml's health check intervals.
    """
    load = visited(world, transport, drain_seconds=3, edit=without_retries)
    async with load as (running, answers):
        before = answers.total()
        await leave(running)
        left = answers.total()
        await asyncio.sleep(AFTER_SECONDS)

    assert before < left < answers.total()
    assert set(answers) == {200}


async def test_a_gate_that_does_not_drain_fails_some(world: World, transport: Transport) -> None:
    """
    The twin of the test above: without the drain and without retries it shows.
    """
    load = visited(world, transport, drain_seconds=0, edit=without_retries_or_health)
    async with load as (running, answers):
        await leave(running)
        await until(lambda: answers[503] > 0)

    assert set(answers) == {200, 503}
