"""Fixtures for every tier."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from conformance.table import World
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.local.ports import held_ports

# How long an example takes says how busy the machine is. `make properties` tries many more.
settings.register_profile(
    "wicketgate", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("wicketgate"), max_examples=1_000)
settings.load_profile("wicketgate")

SERVICE_TOKEN = "local-service-token-0123456789abcdefghij"


@pytest.fixture(scope="session")
def world() -> World:
    """An instance, a stranger and a service token, at the real time."""
    return World(
        clerk=ClerkInstance(),
        stranger=ClerkInstance(
            host="other-bat-2.clerk.accounts.dev", instance_id="ins_2xOtherInstanceOtherInstanc"
        ),
        service_token=SERVICE_TOKEN,
        now=float(int(time.time())),
    )


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port of loopback on which nobody listens."""
    with held_ports(1) as (port,):
        yield port
