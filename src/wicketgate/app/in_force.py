"""What metrics tell about the policy in force."""

from collections.abc import Callable
from typing import Final

from wicketgate.adapters.telemetry import Telemetry
from wicketgate.app.rulebook import LoadedRules

DIGEST_DIGITS: Final = 12
"""Hexadecimal digits, as versions of files are commonly shortened."""


class PolicyInForce:
    """The policy in force, as metrics tell it."""

    def __init__(
        self, telemetry: Telemetry, loaded: LoadedRules, *, clock: Callable[[], float]
    ) -> None:
        """Tell about `loaded`, and what is put after it; `clock` returns POSIX seconds."""
        self._telemetry = telemetry
        self._clock = clock
        self.put(loaded)
        telemetry.watch_labelled(
            "wicketgate_policy_info",
            "Always 1: the beginning of the policy file's SHA-256, and whether there is one.",
            ("digest", "source"),
            lambda: {self._labels: 1.0},
        )
        telemetry.watch(
            "wicketgate_policy_rules", "Rules in the policy file.", lambda: self._rules
        )
        telemetry.watch(
            "wicketgate_policy_loaded_timestamp_seconds",
            "When the policy was put in force, in POSIX seconds.",
            lambda: self._loaded_at,
        )

    def put(self, loaded: LoadedRules) -> None:
        """Tell about `loaded` from now on, and count under its names."""
        source = "file" if loaded.digest else "routes"
        self._labels = (loaded.digest[:DIGEST_DIGITS], source)
        self._rules = None if loaded.rules is None else float(loaded.rules)
        self._loaded_at = self._clock()
        self._telemetry.follow(rules=loaded.rule_names, tokens=loaded.token_names)
