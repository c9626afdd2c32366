"""Fixtures for every tier."""

import time

import pytest

from conformance.table import World
from wicketgate.local.clerk_instance import ClerkInstance

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
