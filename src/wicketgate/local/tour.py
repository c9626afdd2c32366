"""The scripted tour: odd requests through a real Envoy, and what became of each.

What the upstream saw is the upstream's own record, not a guess from the answer.
The tour succeeds when every row came out as `tour_rows` says.
"""

import asyncio
import re
import time
from typing import Final, assert_never

from wicketgate.local.clerk import Mode
from wicketgate.local.clerk_instance import ClerkInstance, new_key
from wicketgate.local.client import Client, bearer
from wicketgate.local.stack import COOLDOWN_SECONDS, LocalStack
from wicketgate.local.table import REQUEST_HEADS, Observed, Outcome, Table
from wicketgate.local.tour_load import IN_FLIGHT, rotate_under_load
from wicketgate.local.tour_revocations import revocation_rows
from wicketgate.local.tour_row import Credential, Door, Identity, Row
from wicketgate.local.tour_rows import (
    AS_USER,
    CLERK_DOWN,
    GATE_GONE,
    ROUTES,
    SPOOFS,
    TOKENS,
)
from wicketgate.local.tour_status import gate_row
from wicketgate.local.tour_webhooks import run_webhook_tour
from wicketgate.local.upstream import Seen

_IDENTITY: Final = re.compile(r"(x.)?clerk.user.id|x.user.id|wicketgate.principal|x-envoy-auth-.*")
_HOUR: Final = 3600.0
_OK: Final = 200
_SETTLE_SECONDS: Final = COOLDOWN_SECONDS + 0.2
"""After a token made the gate fetch the keys, it does not fetch them again for a while."""


async def run_tour(stack: LocalStack, table: Table) -> bool:
    """Walk through every row; tell whether all came out as they should."""
    table.start(*REQUEST_HEADS)
    async with Client() as client:
        guide = Guide(stack, client)
        for row in (*TOKENS, *SPOOFS, *ROUTES):
            table.show(await guide.try_row(row))
        table.show(await gate_row(stack, client))
        await asyncio.sleep(_SETTLE_SECONDS)
        table.show(await guide.try_rotation())
        if stack.webhooks is not None:
            async for outcome in revocation_rows(stack, stack.webhooks, guide.try_token):
                table.show(outcome)
        await asyncio.sleep(_SETTLE_SECONDS)
        for row in CLERK_DOWN:
            table.show(await guide.try_row(row))
        await stack.gate.kill()
        for row in GATE_GONE:
            table.show(await guide.try_row(row))
    if stack.webhooks is not None:
        stack.clerk.mode = Mode.OK
        await run_webhook_tour(stack.webhooks, table, users=stack.clerk.backend.users)
    return table.finish()


class Guide:
    """Sends the requests and looks where they arrive."""

    def __init__(self, stack: LocalStack, client: Client) -> None:
        """Guide through `stack`."""
        self._stack = stack
        self._client = client
        self._strangers_key = new_key()
        self._other_instance = ClerkInstance(
            host="other-newt-2.clerk.accounts.dev", instance_id="ins_2xSomebodyElse"
        )

    async def try_row(self, row: Row) -> Outcome:
        """Send the request of `row` and compare."""
        return await self.try_token(row, self._token(row.credential))

    async def try_token(self, row: Row, token: str) -> Outcome:
        """Send the request of `row` with this token, and compare."""
        self._stack.clerk.mode = row.clerk
        self._stack.upstream.take()
        credential = [bearer(token)] if token else []
        base = self._stack.edge if row.door is Door.EDGE else self._stack.internal
        reply = await self._client.send(
            f"{base}{row.path}", method=row.method, headers=[*row.headers, *credential]
        )
        seen = self._stack.upstream.take()
        return Outcome(
            title=row.title,
            observed=Observed(
                status=reply.status,
                reason=reply.reason,
                upstream=self._identity(seen[0]) if seen else None,
            ),
            expected=Observed(status=row.status, reason=row.reason, upstream=row.upstream),
        )

    async def try_rotation(self) -> Outcome:
        """Replace Clerk's key under load and compare."""
        self._stack.upstream.take()
        answers = await rotate_under_load(self._stack, self._client)
        identities = {self._identity(seen) for seen in self._stack.upstream.take()}
        refused = [answer for answer in answers if answer[0] != _OK]
        status, reason = (*refused, (_OK, ""))[0]
        note = f"{{}} of {answers.total()} failed"
        return Outcome(
            title=f"a key rotation under {IN_FLIGHT} requests",
            observed=Observed(
                status=status,
                reason=reason,
                upstream=next(iter(identities - {AS_USER}), AS_USER),
                note=note.format(sum(answers[answer] for answer in refused)),
            ),
            expected=Observed(status=_OK, upstream=AS_USER, note=note.format(0)),
        )

    def _identity(self, seen: Seen) -> Identity:
        """Return every header line that names somebody, or gives the service token away."""
        return tuple(
            (name, value)
            for name, value in sorted(seen.headers)
            if _IDENTITY.fullmatch(name) or self._stack.service_token in value
        )

    def _token(self, credential: Credential) -> str:
        instance = self._stack.clerk.instance
        now = time.time()
        match credential:
            case Credential.NONE:
                return ""
            case Credential.USER:
                return instance.mint(now=now)
            case Credential.EXPIRED:
                return instance.mint(now=now - _HOUR)
            case Credential.FORGED:
                return instance.mint(now=now, key=self._strangers_key)
            case Credential.OTHER_INSTANCE:
                return self._other_instance.mint(now=now)
            case Credential.SERVICE:
                return self._stack.service_token
            case Credential.RUBBISH:
                return "rubbish"
            case _:
                assert_never(credential)
