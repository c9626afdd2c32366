"""Stand-ins for what the core asks for; no test patches anything."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from wicketgate.core.delivery import Delivery, MessageId, Outcome
from wicketgate.core.policy.rule import Match, Refusal, Rule
from wicketgate.core.request import HttpRequest


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """Answers every request with the same rule; a bare one is for a public route."""

    rule: Rule | Match | Refusal

    def match(self, request: HttpRequest) -> Match | Refusal:  # noqa: ARG002 - the seam's shape
        """Return the rule, whatever `request` is."""
        return Match(self.rule) if isinstance(self.rule, Rule) else self.rule


@dataclass
class FakeStore:
    """Keeps deliveries, and does with each what it was told to do.

    Attributes:
        behaviour: What comes of a message: an outcome to return, an error to raise,
            or seconds to hang. A message that is not named is applied.
        kept: The deliveries that were committed, in order.
        given_up: How many were cancelled on the way.
    """

    behaviour: Mapping[MessageId, Outcome | Exception | float] = field(default_factory=dict)
    kept: list[Delivery] = field(default_factory=list)
    given_up: int = 0

    async def apply(self, delivery: Delivery) -> Outcome:
        """Do what the delivery says, and commit."""
        told = self.behaviour.get(delivery.message_id, Outcome.APPLIED)
        if isinstance(told, Exception):
            raise told
        if isinstance(told, float):
            try:
                await asyncio.sleep(told)
            except asyncio.CancelledError:
                self.given_up += 1
                raise
            told = Outcome.APPLIED
        self.kept.append(delivery)
        return told
