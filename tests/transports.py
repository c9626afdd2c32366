"""Which transport a test runs on.

``WICKETGATE_TEST_TRANSPORT`` puts every test that starts a gate on one, as ``make
test-matrix`` does. Without it most run on the default, and some on both.
"""

import os

import pytest

from wicketgate.settings import Transport

_CHOSEN = os.environ.get("WICKETGATE_TEST_TRANSPORT")

TRANSPORT = Transport(_CHOSEN) if _CHOSEN else Transport.WIRE
"""What a test runs on that has no reason to run on both."""
TRANSPORTS = (TRANSPORT,) if _CHOSEN else tuple(Transport)
"""What a test runs on that has one."""

on_both_transports = pytest.mark.parametrize("transport", TRANSPORTS)
"""The transport, as `transport`."""
