"""The part of the tour about the status pages: what was just refused is on them."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from wicketgate.local.client import NO_ANSWER, Client
from wicketgate.local.stack import LocalStack
from wicketgate.local.table import Kept, Observed, Outcome

_DECISION: Final = "x-wicketgate-decision"
_LOOKS: Final = 100
_LOOK_SECONDS: Final = 0.05
"""The document is made once a second at most, and somebody may be watching already."""
_TIMEOUT: Final = ClientTimeout(total=2.0)
_NOT_SHOWN: Final = "does not show it"

Event = Mapping[str, Any]
"""One entry of ``/status.json``: whatever JSON it holds."""


async def gate_row(stack: LocalStack, client: Client) -> Outcome:
    """Return what the gate's page says of a request that is denied now."""
    reply = await client.send(f"{stack.edge}/me")
    decision = dict(reply.headers).get(_DECISION, "")
    status, event = await _look(
        stack.gate_admin, lambda each: bool(decision) and each["decision_id"] == decision
    )
    note = f"shows {event['reason']}, rule {event['rule']}" if event else _NOT_SHOWN
    return Outcome(
        title="the status page, after no token",
        observed=Observed(status=status, note=note),
        expected=Observed(status=200, note="shows no_credential, rule app"),
    )


async def receiver_row(admin: str, reason: str) -> Outcome:
    """Return what the receiver's page says of what was rejected for `reason`."""
    status, event = await _look(admin, lambda each: each["reason"] == reason)
    note = f"shows {event['reason']}" if event else _NOT_SHOWN
    return Outcome(
        title="the receiver's status page",
        observed=Kept(answer=str(status), row="", note=note),
        expected=Kept(answer="200", row="", note=f"shows {reason}"),
    )


async def _look(admin: str, is_wanted: Callable[[Event], bool]) -> tuple[int, Event | None]:
    """Return the status of the page, and the newest event on it that is wanted."""
    async with ClientSession(timeout=_TIMEOUT) as session:
        status = NO_ANSWER
        for _ in range(_LOOKS):
            with suppress(ClientError, TimeoutError):
                async with session.get(f"{admin}/") as page:
                    status = page.status
                async with session.get(f"{admin}/status.json") as response:
                    document = await response.json()
                    for event in document["events"]["newest"]:
                        if is_wanted(event):
                            return status, event
            await asyncio.sleep(_LOOK_SECONDS)
    return status, None
