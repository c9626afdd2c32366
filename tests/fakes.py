"""Stand-ins for what the core asks for; no test patches anything."""

from dataclasses import dataclass

from wicketgate.core.policy import Misconfigured, Rule
from wicketgate.core.request import HttpRequest


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Answers every request with the same rule."""

    rule: Rule | Misconfigured

    def match(self, request: HttpRequest) -> Rule | Misconfigured:  # noqa: ARG002 - the seam's shape
        """Return the rule, whatever `request` is."""
        return self.rule
