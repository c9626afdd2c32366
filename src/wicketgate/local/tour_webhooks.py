"""The webhook half of the tour: what Clerk sends, and what is in Postgres then.

The row is read from the table by a connection of our own, after the answer came.
Nothing is taken for done because a receiver said so.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from aiohttp import ClientSession

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.clerk_users import (
    Document,
    deleted_document,
    event_body,
    numbered_id,
    user_document,
)
from wicketgate.local.client import Reply
from wicketgate.local.table import WEBHOOK_HEADS, Kept, Outcome, Table
from wicketgate.local.tour_status import receiver_row
from wicketgate.local.webhook_sender import Endpoint, Message, WebhookSender, open_session
from wicketgate.local.webhook_stack import WebhookStack, new_secret

EMAIL: Final = "mina@example.com"
LOST_EMAIL: Final = "jo@example.com"
SAMPLE_INSTANCE: Final = "ins_123"
"""What Clerk's dashboard puts into the events that it sends as examples."""
RETRIES: Final = (0.2,) * 100
"""Svix' own schedule begins with 5 s, which is long to watch."""

_HOUR: Final = 3600.0

_USER: Final = """
SELECT deleted_at IS NOT NULL, first_name, primary_email, strpos(to_jsonb(users)::text, %(email)s)
FROM {}.users WHERE clerk_user_id = %(user)s
"""
_MEETINGS: Final = (
    "CREATE TABLE {0}.meetings (host uuid NOT NULL REFERENCES {0}.users (id), title text NOT NULL)"
)
_MEET: Final = (
    "INSERT INTO {0}.meetings SELECT id, 'Planning' FROM {0}.users WHERE clerk_user_id = %(user)s"
)
_MET: Final = (
    "SELECT count(*) FROM {0}.meetings JOIN {0}.users ON host = id WHERE clerk_user_id = %(user)s"
)
_DELIVERY: Final = "SELECT outcome, attempts FROM {}.webhook_deliveries WHERE svix_id = %(id)s"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery, as it is put on the wire."""

    headers: Mapping[str, str]
    body: bytes


async def run_webhook_tour(
    stack: WebhookStack, table: Table, *, users: dict[str, Document]
) -> None:
    """Walk through every row.

    Args:
        stack: The receiver and its Postgres.
        table: Shown each row.
        users: Those whom Clerk lists.
    """
    table.start(*WEBHOOK_HEADS)
    async with open_session() as session:
        guide = WebhookGuide(stack, session, table, users)
        await guide.sign_up()
        await guide.disorder()
        await guide.strangers()
        table.show(await receiver_row(stack.admin, "outside_tolerance"))
        if stack.database is not None:
            await guide.outage(stack)
        await guide.lost()
        await guide.delete()


class WebhookGuide:
    """Sends the webhooks and looks into the table."""

    def __init__(
        self,
        stack: WebhookStack,
        session: ClientSession,
        table: Table,
        users: dict[str, Document],
    ) -> None:
        """Guide through `stack`."""
        self._stack = stack
        self._session = session
        self._table = table
        self._listed = users
        self._endpoint, self._second = stack.endpoints
        self._sender = WebhookSender(self._endpoint, session=session, schedule=RETRIES)
        self._user = numbered_id("user_", 1)
        self._now = int(time.time() * 1000)

    async def sign_up(self) -> None:
        """Somebody signs up; the webhook comes three times."""
        await self._stack.rows(_MEETINGS)
        message = self._event("user.created", self._profile("Mina", 0))
        at_once = "Mina, mina@example.com; applied"
        await self._try("a user signs up", message, "204", at_once)
        await self._stack.rows(_MEET, {"user": self._user})
        await self._try("the same delivery again", message, "204", f"{at_once}, came 2 times")
        await self._try(
            "... and signed with a second secret",
            message,
            "204",
            f"{at_once}, came 3 times",
            endpoint=self._second,
        )

    async def disorder(self) -> None:
        """She changes her name twice; the second event comes first."""
        newer = self._event("user.updated", self._profile("Mina O.", 2_000))
        older = self._event("user.updated", self._profile("Wilhelmina", 1_000))
        kept = "Mina O., mina@example.com"
        await self._try("two updates, the newer comes first", newer, "204", f"{kept}; applied")
        await self._try("... and the older after it", older, "204", f"{kept}; stale")

    async def strangers(self) -> None:
        """What Clerk did not send, or not now, or not from this instance."""
        mallory = self._message("user.updated", self._profile("Mallory", 9_000))
        refused = "Mina O., mina@example.com; not recorded"
        forged = self._attempt(mallory, endpoint=Endpoint(self._endpoint.url, new_secret()))
        genuine = self._attempt(mallory)
        changed = Attempt(genuine.headers, genuine.body.replace(b"Mallory", b"Malory"))
        replayed = self._attempt(mallory, age_seconds=_HOUR)
        for title, attempt, answer in (
            ("a forged signature", forged, "400 no_matching_signature"),
            ("a body changed on its way", changed, "400 no_matching_signature"),
            ("a delivery of an hour ago", replayed, "400 outside_tolerance"),
        ):
            await self._show(title, await self._post(attempt), mallory, answer, refused)
        sample = self._message(
            "user.updated", self._profile("Sample", 9_500), instance_id=SAMPLE_INSTANCE
        )
        ignored = "Mina O., mina@example.com; ignored"
        await self._try("Clerk's own example, another instance", sample, "200", ignored)

    async def outage(self, stack: WebhookStack) -> None:
        """Postgres goes away while she changes her name, and comes back."""
        if stack.database is None:
            return
        message = self._event("user.updated", self._profile("Mina Okafor", 3_000))
        await stack.database.stop()
        reply = await self._post(self._attempt(message))
        self._table.show(
            Outcome(
                title="Postgres is stopped",
                observed=Kept(answer=_answer(reply), row="?"),
                expected=Kept(answer="503 store_unavailable", row="?"),
            )
        )
        retrying = asyncio.create_task(self._sender.send(message))
        await stack.database.start()
        (sent,) = await retrying
        await self._show(
            "Postgres is back, and Svix tries again",
            Reply(sent.statuses[-1]),
            message,
            "204",
            "Mina Okafor, mina@example.com; applied",
        )

    async def lost(self) -> None:
        """Somebody signs up, and the webhook never comes."""
        someone = numbered_id("user_", 2)
        self._listed[someone] = user_document(
            someone, now=self._now, email=LOST_EMAIL, first_name="Jo"
        )
        try:
            await self._stack.run("sync", "--json")
            answer = "done"
        except EnvironmentFaultError:
            answer = "failed"
        row, says = await self._row(someone)
        self._table.show(
            Outcome(
                title="a lost webhook, then wicketgate sync",
                observed=Kept(answer=answer, row=row, note=says),
                expected=Kept(answer="done", row="live", note=f"Jo, {LOST_EMAIL}"),
            )
        )

    async def delete(self) -> None:
        """She leaves; an event from before comes after that."""
        del self._listed[self._user]
        gone = self._message("user.deleted", deleted_document(self._user))
        late = self._message("user.updated", self._profile("Mina", 2_500))
        nothing = "nobody; 1 meeting refers to it"
        await self._try("she deletes her account", gone, "204", f"{nothing}; applied")
        await self._try("... and an older update comes last", late, "204", f"{nothing}; stale")

    async def _try(
        self,
        title: str,
        message: Message,
        answer: str,
        says: str,
        endpoint: Endpoint | None = None,
    ) -> None:
        reply = await self._post(self._attempt(message, endpoint=endpoint))
        await self._show(title, reply, message, answer, says)

    async def _show(
        self, title: str, reply: Reply, message: Message, answer: str, says: str
    ) -> None:
        row, observed = await self._row(self._user)
        delivery = await self._stack.rows(_DELIVERY, {"id": message.id})
        self._table.show(
            Outcome(
                title=title,
                observed=Kept(
                    answer=_answer(reply), row=row, note=f"{observed}; {_fate(delivery)}"
                ),
                expected=Kept(
                    answer=answer,
                    row="tombstone" if says.startswith("nobody") else "live",
                    note=says,
                ),
            )
        )

    async def _row(self, user_id: str) -> tuple[str, str]:
        try:
            found = await self._stack.rows(_USER, {"user": user_id, "email": EMAIL})
            ((meetings,),) = await self._stack.rows(_MET, {"user": user_id})
        except psycopg.OperationalError:
            return "?", ""
        if not found:
            return "none", ""
        ((is_deleted, first_name, email, leak),) = found
        if not is_deleted:
            return "live", f"{first_name}, {email}"
        person = "somebody" if leak or first_name or email else "nobody"
        return "tombstone", f"{person}; {meetings} meeting refers to it"

    async def _post(self, attempt: Attempt) -> Reply:
        async with self._session.post(
            self._endpoint.url, data=attempt.body, headers=attempt.headers, allow_redirects=False
        ) as response:
            headers = tuple((name.lower(), value) for name, value in response.headers.items())
            return Reply(response.status, headers, await response.read())

    def _attempt(
        self, message: Message, *, endpoint: Endpoint | None = None, age_seconds: float = 0.0
    ) -> Attempt:
        chosen = endpoint or self._endpoint
        sender = WebhookSender(
            chosen, session=self._session, clock=lambda: time.time() - age_seconds
        )
        return Attempt(sender.headers(message, chosen), message.body)

    def _profile(self, first_name: str, later_ms: int) -> Document:
        return user_document(
            self._user,
            now=self._now,
            email=EMAIL,
            first_name=first_name,
            updated_at=self._now + later_ms,
        )

    def _event(self, kind: str, data: Document) -> Message:
        """Return a message about something that Clerk then knows, too."""
        known = self._listed.get(data["id"])
        if known is None or known["updated_at"] < data["updated_at"]:
            self._listed[data["id"]] = data
        return self._message(kind, data)

    def _message(self, kind: str, data: Document, **options: str) -> Message:
        at = data.get("updated_at", self._now + 10_000)
        return Message.of(event_body(kind, data, timestamp=at, **options))


def _answer(reply: Reply) -> str:
    return f"{reply.status} {reply.reason}".rstrip()


def _fate(delivery: Sequence[tuple[str, int]]) -> str:
    if not delivery:
        return "not recorded"
    ((outcome, attempts),) = delivery
    return outcome if attempts == 1 else f"{outcome}, came {attempts} times"
