"""A gate that is restarted behind a real Envoy costs no request."""

import asyncio
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from conformance.table import ORIGIN, USERS, World, bearer
from processes import environ, gate
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.envoy_config import envoy_document, render_config
from wicketgate.local.ports import free_ports
from wicketgate.local.upstream import EchoUpstream

pytestmark = pytest.mark.envoy

DRAIN_SECONDS = 3
"""The default: three of envoy.yaml's health check intervals."""
SECONDS = 6.0
CLIENTS = 4


async def test_a_gate_that_drains_behind_envoy_fails_no_request(world: World) -> None:
    """
    Two gates; one gets SIGTERM under load, says NOT_SERVING, and leaves.
    """
    settings = environ(
        world, CLERK_AUTHORIZED_PARTIES=ORIGIN, WICKETGATE_DRAIN_SECONDS=str(DRAIN_SECONDS)
    )
    sent = list(bearer(exp=world.now + 600)(world).items())
    answers: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        leaving = await stack.enter_async_context(gate(settings))
        staying = await stack.enter_async_context(gate(settings))
        upstream = await stack.enter_async_context(EchoUpstream())
        edge, internal, admin = free_ports(3)
        config = render_config(
            envoy_document(),
            listeners={"edge": edge, "internal": internal},
            clusters={
                "authz": [leaving.checks, staying.checks],
                "upstream": upstream.address,
            },
            admin_port=admin,
        )
        await stack.enter_async_context(
            EnvoyProcess(config, admin_port=admin, binary=find_envoy())
        )
        client = await stack.enter_async_context(Client())
        end = time.monotonic() + SECONDS

        async def visit() -> None:
            while time.monotonic() < end:
                reply = await client.send(f"http://127.0.0.1:{edge}{USERS.path}", headers=sent)
                answers[reply.status] += 1

        visitors = [asyncio.create_task(visit()) for _ in range(CLIENTS)]
        await asyncio.sleep(1)
        leaving.process.send_signal(signal.SIGTERM)
        status = await asyncio.wait_for(leaving.process.wait(), 20)
        await asyncio.gather(*visitors)

    assert status == 0
    assert answers[200] > CLIENTS * SECONDS
    assert set(answers) == {200}
