"""The policy that the project ships, wherever it was installed."""

from pathlib import Path
from typing import Final

from wicketgate.errors import EnvironmentFaultError

_PLACES: Final = (
    Path(__file__).with_name("policy.yaml"),  # installed from a wheel
    Path(__file__).parents[3] / "deploy" / "policy.yaml",  # a checkout
)


def shipped_policy() -> Path:
    """Return where it is.

    Raises:
        EnvironmentFaultError: the installation lacks it.
    """
    for place in _PLACES:
        if place.is_file():
            return place
    msg = f"policy.yaml is not where it belongs ({_PLACES[0]}); install wicketgate again"
    raise EnvironmentFaultError(msg)
