"""A gate that is restarted behind a real Envoy costs no request."""

import asyncio
import signal
import time
from collections import Counter

import pytest

from conformance.table import ORIGIN, USERS, World, bearer
from meshes import Document, authz_filters, mesh
from processes import environ

pytestmark = pytest.mark.envoy

CLIENTS = 8
BEFORE_SECONDS = 1.0
AFTER_SECONDS = 1.0


def without_retries(document: Document) -> None:
    """Take away what would hide a refused Check."""
    for authz in authz_filters(document):
        del authz["grpc_service"]["retry_policy"]


async def answers_around_a_restart(world: World, *, drain_seconds: float) -> Counter[int]:
    """Return what callers got while one of two gates got SIGTERM under load."""
    settings = environ(
        world, CLERK_AUTHORIZED_PARTIES=ORIGIN, WICKETGATE_DRAIN_SECONDS=str(drain_seconds)
    )
    sent = list(bearer(exp=world.now + 600)(world).items())
    answers: Counter[int] = Counter()
    async with mesh(settings, gates=2, edit=without_retries) as running:
        end = time.monotonic() + BEFORE_SECONDS + drain_seconds + AFTER_SECONDS

        async def visit() -> None:
            while time.monotonic() < end:
                reply = await running.client.send(running.edge + USERS.path, headers=sent)
                answers[reply.status] += 1

        visitors = [asyncio.create_task(visit()) for _ in range(CLIENTS)]
        await asyncio.sleep(BEFORE_SECONDS)
        leaving = running.gates[0].process
        leaving.send_signal(signal.SIGTERM)
        await asyncio.gather(*visitors)
        assert await asyncio.wait_for(leaving.wait(), 20) == 0
    return answers


async def test_a_gate_that_drains_behind_envoy_fails_no_request(world: World) -> None:
    """
    Three seconds, the default: three of envoy.yaml's health check intervals.
    """
    answers = await answers_around_a_restart(world, drain_seconds=3)

    assert answers[200] > CLIENTS
    assert set(answers) == {200}


async def test_a_gate_that_does_not_drain_fails_some(world: World) -> None:
    """
    The twin of the test above: without the drain and without retries it shows.
    """
    answers = await answers_around_a_restart(world, drain_seconds=0)

    assert answers[503] > 0
