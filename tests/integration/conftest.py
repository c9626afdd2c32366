"""Fixtures for the tests whose gates read the real clock."""

import time
from dataclasses import replace

import pytest

from conformance.table import World


@pytest.fixture
def world(world: World) -> World:
    """The world as it is now: by the end of the run, the session's own is a minute old."""
    return replace(world, now=time.time())
