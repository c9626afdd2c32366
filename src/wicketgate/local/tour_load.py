"""The key is replaced while requests are under way.

A token that the old key signed may be refused once that key is gone; a token
that the new key signed may not, not even the first.
"""

import asyncio
import time
from collections import Counter
from typing import Final

from wicketgate.local.client import Client, bearer
from wicketgate.local.stack import LocalStack

IN_FLIGHT: Final = 20
"""Requests under way at any moment."""
LOAD_SECONDS: Final = 0.8
"""How long the load lasts before the rotation, and again after it."""
NEW_KID: Final = "ins_2xRotatedWhileYouWatched"


async def rotate_under_load(stack: LocalStack, client: Client) -> Counter[tuple[int, str]]:
    """Rotate Clerk's key under load.

    Returns:
        How often each status and reason was the answer to a token of the key
        that was Clerk's at the beginning of the request and still at its end.
    """
    instance = stack.clerk.instance
    answers: Counter[tuple[int, str]] = Counter()
    is_over = asyncio.Event()

    async def keep_asking() -> None:
        while not is_over.is_set():
            signed_by = instance.kid
            token = instance.mint(now=time.time())
            reply = await client.send(f"{stack.edge}/me", headers=[bearer(token)])
            if signed_by == instance.kid:
                answers[reply.status, reply.reason] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(keep_asking())
        await asyncio.sleep(LOAD_SECONDS)
        instance.rotate(kid=NEW_KID)
        await asyncio.sleep(LOAD_SECONDS)
        is_over.set()
    return answers
