"""Nothing is lost and nothing is done twice, whatever is killed in between.

A real receiver, a real Postgres that syncs to disk, and a sender that does not
give up. A trigger writes down every change of a row, so that an event that is
applied twice is seen even if the second time changed nothing.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from wicketgate.local.clerk import ClerkDouble
from wicketgate.local.clerk_instance import ClerkInstance, new_key
from wicketgate.local.clerk_users import (
    deleted_document,
    event_body,
    numbered_id,
    user_document,
)
from wicketgate.local.webhook_sender import (
    Message,
    Sent,
    WebhookSender,
    disordered,
    open_session,
)
from wicketgate.local.webhook_stack import WebhookStack

DELIVERIES = int(os.environ.get("CRASH_DELIVERIES", "3000"))
"""How many are sent while the receiver is killed, besides what is sent again."""
OUTAGE_DELIVERIES = int(os.environ.get("CRASH_DELIVERIES", "1500"))
"""How many are sent while Postgres goes away. ``make soak-webhooks`` sends 10,000 each time."""
TIMEOUT_SECONDS = 240
"""It takes some seconds; a machine that is busy with other work gets time."""
EVENTS_A_USER = 4
PARALLEL = 32
NOW = int(time.time() * 1000)
KEY = new_key()

SCHEDULE = (0.05,) * 600
"""Svix' schedule, compressed: the tests are shorter than its first pause."""

AUDIT = """
CREATE TABLE public.audit (clerk_user_id text, event_at timestamptz, was_deleted boolean);
CREATE FUNCTION public.write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.audit
    VALUES (NEW.clerk_user_id, NEW.event_at, NEW.deleted_at IS NOT NULL);
    RETURN NEW;
END $$;
CREATE TRIGGER write_down AFTER INSERT OR UPDATE ON {}.users
FOR EACH ROW EXECUTE FUNCTION public.write_down();
"""
ROWS = "SELECT clerk_user_id, deleted_at IS NOT NULL, first_name FROM {}.users"
OUTCOMES = "SELECT outcome, count(*) FROM {}.webhook_deliveries GROUP BY outcome"
APPLIED = "SELECT count(*) FROM {}.webhook_deliveries"
TWICE = "SELECT clerk_user_id, event_at FROM public.audit GROUP BY 1, 2 HAVING count(*) > 1"
AUDITED = "SELECT count(*) FROM public.audit"


@dataclass(frozen=True, slots=True)
class Story:
    """Messages, and the rows that must be there when all have arrived."""

    messages: Sequence[Message]
    rows: set[tuple[str, bool, str | None]]


def story(count: int) -> Story:
    """Return `count` messages: users sign up, change twice, and one in ten leaves."""
    messages: list[Message] = []
    rows: set[tuple[str, bool, str | None]] = set()
    for number in range(count // EVENTS_A_USER):
        user_id = numbered_id("user_", number)
        leaves = number % 10 == 0
        for version in range(EVENTS_A_USER):
            at = NOW - 60_000 + version
            kind = "user.created" if version == 0 else "user.updated"
            data = user_document(
                user_id, now=NOW, email="a@example.com", first_name=f"v{version}", updated_at=at
            )
            if leaves and version == EVENTS_A_USER - 1:
                kind, data = "user.deleted", deleted_document(user_id)
            messages.append(Message.of(event_body(kind, data, timestamp=at)))
        rows.add((user_id, leaves, None if leaves else f"v{EVENTS_A_USER - 1}"))
    return Story(messages, rows)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[WebhookStack]:
    async with (
        ClerkDouble(ClerkInstance(key=KEY)) as clerk,
        WebhookStack(clerk, directory=tmp_path) as stack,
    ):
        await stack.rows(AUDIT)
        yield stack


async def send_while(
    stack: WebhookStack,
    messages: Sequence[Message],
    disturb: Callable[[Callable[[float], Awaitable[None]]], Awaitable[None]],
) -> Sequence[Sent]:
    """Send everything, and disturb it; `disturb` can wait until a share has arrived."""
    order = disordered(messages, copies=1, random=Random(7))  # noqa: S311 - no secret
    async with open_session(connections=PARALLEL) as session:
        sender = WebhookSender(stack.endpoints[0], session=session, schedule=SCHEDULE)
        sending = asyncio.create_task(sender.send_all(order, parallel=PARALLEL))

        async def until(share: float) -> None:
            while not sending.done():
                ((arrived,),) = await stack.rows(APPLIED)
                if arrived >= share * len(messages):
                    return
                await asyncio.sleep(0.02)

        try:
            await disturb(until)
            assert not sending.done(), "it was over before it was disturbed"
            return await sending
        finally:
            sending.cancel()


async def require_exactly_once(stack: WebhookStack, told: Story, sent: Sequence[Sent]) -> None:
    """Fail unless every event was delivered, and applied no more than once."""
    outcomes: dict[str, Any] = dict(await stack.rows(OUTCOMES))
    assert all(each.is_delivered for each in sent)
    assert Counter(each.message.id for each in sent) == {each.id: 1 for each in told.messages}
    assert set(outcomes) <= {"applied", "stale"}
    assert sum(outcomes.values()) == len(told.messages)
    assert set(await stack.rows(ROWS)) == told.rows
    assert await stack.rows(TWICE) == []
    assert await stack.rows(AUDITED) == [(outcomes["applied"],)]


@pytest.mark.timeout(TIMEOUT_SECONDS)
async def test_a_receiver_killed_in_the_middle_loses_nothing_and_repeats_nothing(
    stack: WebhookStack,
) -> None:
    told = story(DELIVERIES)

    async def kill(until: Callable[[float], Awaitable[None]]) -> None:
        for share in (0.25, 0.6):
            await until(share)
            await stack.receiver.kill()
            await stack.start_receiver()

    sent = await send_while(stack, told.messages, kill)

    assert any(len(each.statuses) > 1 for each in sent)
    await require_exactly_once(stack, told, sent)


@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_a_postgres_that_goes_away_under_load_loses_nothing_and_repeats_nothing(
    stack: WebhookStack, way: str
) -> None:
    told = story(OUTAGE_DELIVERIES)
    database = stack.database
    assert database is not None

    async def interrupt(until: Callable[[float], Awaitable[None]]) -> None:
        await until(0.3)
        await (database.stop() if way == "stopped" else database.kill())
        await asyncio.sleep(0.5)
        await database.start()

    sent = await send_while(stack, told.messages, interrupt)

    statuses = Counter(status for each in sent for status in each.statuses)
    assert set(statuses) <= {204, 503}
    assert stack.receiver.is_running
    await require_exactly_once(stack, told, sent)
