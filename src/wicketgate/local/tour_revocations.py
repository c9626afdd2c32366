"""The part of the tour about revocations: valid tokens that no longer count.

The webhook is sent, the gate is seen to have heard of it, and the same token is shown
again. Nothing waits for a token to expire.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import ClientSession

from wicketgate.core.identity import PRINCIPAL_HEADER, USER_HEADER
from wicketgate.core.reason import Reason
from wicketgate.local.clerk_instance import USER
from wicketgate.local.clerk_users import (
    Document,
    event_body,
    numbered_id,
    session_document,
    user_document,
)
from wicketgate.local.stack import LocalStack
from wicketgate.local.table import Outcome
from wicketgate.local.tour_row import Identity, Row
from wicketgate.local.webhook_sender import Message, WebhookSender, open_session
from wicketgate.local.webhook_stack import WebhookStack

USERS, SESSIONS = "wicketgate_revoked_users", "wicketgate_revoked_sessions"

_LOOKS: Final = 500
_LOOK_SECONDS: Final = 0.01
_AS_USER: Final[Identity] = ((USER_HEADER, USER), (PRINCIPAL_HEADER, f"user:{USER}"))

Try = Callable[[Row, str], Awaitable[Outcome]]
"""Sends the request of a row with a token, and compares."""


async def revocation_rows(
    stack: LocalStack, webhooks: WebhookStack, try_token: Try
) -> AsyncIterator[Outcome]:
    """Yield what came of tokens whose user or session was revoked.

    Args:
        stack: The gate, which follows the database.
        webhooks: The receiver, which writes to it.
        try_token: Shows a token.
    """
    async with open_session() as session:
        clerk = _Clerk(stack, webhooks, session)
        token = stack.clerk.instance.mint(now=time.time())
        yield await try_token(_let_in("a user, before Clerk bans her"), token)
        await clerk.update_user(banned=True)
        await _until(stack, USERS, 1)
        yield await try_token(
            _refused("the same token, after the ban", Reason.USER_REVOKED), token
        )
        await clerk.update_user(banned=False)
        await _until(stack, USERS, 0)
        yield await try_token(_let_in("... and after the ban is lifted"), token)
        await webhooks.run("revoke", "user", USER, "--reason", "the tour")
        await _until(stack, USERS, 1)
        yield await try_token(
            _refused("the same, after wicketgate revoke", Reason.USER_REVOKED), token
        )
        await webhooks.run("revocations", "lift", "user", USER)
        await _until(stack, USERS, 0)
        session_id = numbered_id("sess_", 1)
        token = stack.clerk.instance.mint(now=time.time(), claims={"sid": session_id})
        yield await try_token(_let_in("another session of hers"), token)
        await clerk.revoke_session(session_id)
        await _until(stack, SESSIONS, 1)
        yield await try_token(
            _refused("... that Clerk then revokes", Reason.SESSION_REVOKED), token
        )


class _Clerk:
    """What Clerk does when somebody clicks in its dashboard: it changes, and it tells."""

    def __init__(self, stack: LocalStack, webhooks: WebhookStack, session: ClientSession) -> None:
        self._users: dict[str, Document] = stack.clerk.backend.users
        self._sender = WebhookSender(webhooks.endpoints[0], session=session)

    async def update_user(self, *, banned: bool) -> None:
        """Ban the user, or no longer."""
        now = _milliseconds()
        document = user_document(USER, now=now, first_name="Ada", banned=banned)
        self._users[USER] = document
        await self._sender.send(Message.of(event_body("user.updated", document, timestamp=now)))

    async def revoke_session(self, session_id: str) -> None:
        """End a session."""
        now = _milliseconds()
        document = session_document(session_id, USER, now=now, status="revoked")
        await self._sender.send(Message.of(event_body("session.revoked", document, timestamp=now)))


async def _until(stack: LocalStack, metric: str, wanted: float) -> None:
    """Wait until the gate knows; if it does not come to know, the row will show it."""
    for _ in range(_LOOKS):
        if await stack.gate_metric(metric) == wanted:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _let_in(title: str) -> Row:
    return Row(title=title, status=200, upstream=_AS_USER)


def _refused(title: str, reason: Reason) -> Row:
    return Row(title=title, status=401, reason=reason)


def _milliseconds() -> int:
    return int(time.time() * 1000)
