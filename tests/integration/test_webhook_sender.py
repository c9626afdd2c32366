"""The sender is as insistent, as careless and as exact as Svix."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from aiohttp import ClientSession, web
from svix.webhooks import Webhook, WebhookVerificationError

from wicketgate.core.event import UserDeleted, UserUpserted
from wicketgate.core.event_body import parse_event
from wicketgate.local.clerk_users import (
    INSTANCE_ID,
    deleted_document,
    event_body,
    new_id,
    numbered_id,
    session_document,
    user_document,
)
from wicketgate.local.ports import LOOPBACK, port_of
from wicketgate.local.webhook_sender import (
    NO_ANSWER,
    SCHEDULE,
    Endpoint,
    Message,
    WebhookSender,
    disordered,
    open_session,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
NOW = 1_790_000_000_000
QUICK = (0.01, 0.01, 0.01)


@dataclass
class Heard:
    """One attempt as it arrived."""

    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        try:
            Webhook(secret).verify(self.body, self.headers)
        except WebhookVerificationError:
            return False
        return True


@dataclass
class Ear:
    """An endpoint that answers with the statuses it was given, and 204 after that."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    delay_seconds: float = 0.0

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(headers, await request.read()))
        await asyncio.sleep(self.delay_seconds)
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers=self.headers)


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    ear = Ear()
    application = web.Application()
    application.router.add_post("/hook", ear.answer)
    application.router.add_get("/hook", ear.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    ear.url = f"http://{LOOPBACK}:{port_of(runner.addresses[0])}/hook"
    try:
        yield ear
    finally:
        await runner.cleanup()


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with listening() as ear:
        yield ear


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


def created(number: int = 1, **members: object) -> bytes:
    user = user_document(numbered_id("user_", number), now=NOW, email="zoë@example.com", **members)
    return event_body("user.created", user, timestamp=NOW)


async def test_an_attempt_is_what_svix_sends(ear: Ear, session: ClientSession) -> None:
    sender = WebhookSender(Endpoint(ear.url, SECRET), session=session)
    message = Message.of(created())

    (sent,) = await sender.send(message)

    (heard,) = ear.heard
    assert sent.is_delivered
    assert sent.statuses == (204,)
    assert heard.is_signed_with(SECRET)
    assert not heard.is_signed_with(OTHER_SECRET)
    assert heard.body == message.body
    assert heard.headers["svix-id"] == message.id
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"].startswith("Svix-Webhooks/")
    assert heard.headers["svix-timestamp"].isdecimal()


async def test_a_retry_has_the_same_id_and_a_signature_of_its_own(
    ear: Ear, session: ClientSession
) -> None:
    clock: Callable[[], float] = count(1_700_000_000, 10).__next__
    ear.statuses = [503, 500]
    sender = WebhookSender(Endpoint(ear.url, SECRET), session=session, schedule=QUICK, clock=clock)

    (sent,) = await sender.send(Message.of(created()))

    assert sent.statuses == (503, 500, 204)
    assert len({heard.headers["svix-id"] for heard in ear.heard}) == 1
    assert len({heard.headers["svix-timestamp"] for heard in ear.heard}) == 3
    assert len({heard.headers["svix-signature"] for heard in ear.heard}) == 3


@pytest.mark.parametrize(
    ("status", "is_delivered"),
    [
        (200, True),
        (202, True),
        (204, True),
        (302, False),
        (400, False),
        (410, False),
        (500, False),
    ],
)
async def test_any_2xx_is_a_success_and_a_redirect_is_not(
    ear: Ear, session: ClientSession, status: int, *, is_delivered: bool
) -> None:
    ear.statuses = [status] * 9
    ear.headers = {"Location": ear.url}
    sender = WebhookSender(Endpoint(ear.url, SECRET), session=session, schedule=QUICK)

    (sent,) = await sender.send(Message.of(created()))

    assert sent.is_delivered == is_delivered
    assert sent.statuses == ((status,) if is_delivered else (status,) * 4)


async def test_slowness_and_absence_are_failures(
    ear: Ear, session: ClientSession, nobody: int
) -> None:
    ear.delay_seconds = 0.5
    endpoints = (
        Endpoint(ear.url, SECRET),
        Endpoint(f"http://{LOOPBACK}:{nobody}/", SECRET),
    )
    sender = WebhookSender(*endpoints, session=session, schedule=(), timeout_seconds=0.1)

    slow, absent = await sender.send(Message.of(created()))

    assert (slow.statuses, absent.statuses) == ((NO_ANSWER,), (NO_ANSWER,))
    assert not slow.is_delivered


async def test_a_receiver_can_end_the_retries_of_a_message(
    ear: Ear, session: ClientSession
) -> None:
    ear.statuses, ear.headers = [400], {"webhook-delivery": "abort-message"}
    sender = WebhookSender(Endpoint(ear.url, SECRET), session=session, schedule=QUICK)

    (sent,) = await sender.send(Message.of(created()))

    assert sent.statuses == (400,)
    assert not sent.is_delivered


async def test_two_endpoints_get_one_id_under_two_secrets(
    ear: Ear, session: ClientSession
) -> None:
    """
    How a secret is rotated at Clerk: a second endpoint with the same URL.
    """
    endpoints = (Endpoint(ear.url, SECRET), Endpoint(ear.url, OTHER_SECRET))

    await WebhookSender(*endpoints, session=session).send(Message.of(created()))

    first, second = sorted(ear.heard, key=lambda heard: not heard.is_signed_with(SECRET))
    assert first.headers["svix-id"] == second.headers["svix-id"]
    assert first.is_signed_with(SECRET)
    assert second.is_signed_with(OTHER_SECRET)


async def test_many_are_sent_side_by_side_and_every_one_arrives(
    ear: Ear, session: ClientSession
) -> None:
    ear.statuses = [503, 200] * 30
    messages = [Message.of(created(number)) for number in range(60)]
    deliveries = disordered(messages, copies=2, random=Random(1))  # noqa: S311 - no secret
    patient = (0.01,) * 40
    sender = WebhookSender(Endpoint(ear.url, SECRET), session=session, schedule=patient)

    sent = await sender.send_all(deliveries, parallel=8)

    assert all(each.is_delivered for each in sent)
    assert Counter(each.message.id for each in sent) == {each.id: 2 for each in messages}
    assert [each.id for each in deliveries] != sorted(each.id for each in deliveries)
    assert sum(len(each.statuses) for each in sent) == len(ear.heard)


def test_the_schedule_is_eight_attempts_in_28_hours() -> None:
    assert len(SCHEDULE) == 7
    assert 27 < sum(SCHEDULE) / 3600 < 28


# -- bodies


def test_a_body_is_minified_and_its_letters_are_as_they_are() -> None:
    body = created(first_name="Zoë")

    assert '"first_name":"Zoë"'.encode() in body
    assert b": " not in body
    assert b", " not in body
    document = json.loads(body)
    assert list(document) == [
        "data",
        "event_attributes",
        "instance_id",
        "object",
        "timestamp",
        "type",
    ]
    assert document["object"] == "event"


def test_a_body_is_read_as_what_it_says() -> None:
    event = parse_event(created(first_name="Zoë"), expected_instance=INSTANCE_ID)

    assert isinstance(event.content, UserUpserted)
    profile = event.content.profile
    assert profile.primary_email == "zoë@example.com"
    assert profile.primary_email_verified
    assert (profile.first_name, profile.clerk_updated_at, event.event_at) == ("Zoë", NOW, NOW)


def test_a_deletion_carries_no_more_than_ids() -> None:
    user_id = numbered_id("user_", 7)
    body = event_body(
        "user.deleted", deleted_document(user_id, external_id="crm-1"), timestamp=NOW
    )

    assert isinstance(parse_event(body).content, UserDeleted)
    assert json.loads(body)["data"] == {
        "id": user_id,
        "object": "user",
        "deleted": True,
        "external_id": "crm-1",
    }


def test_a_user_without_an_address_has_none() -> None:
    user = user_document(numbered_id("user_", 1), now=NOW)

    assert user["email_addresses"] == []
    assert user["primary_email_address_id"] is None


def test_a_session_names_its_user() -> None:
    session = session_document("sess_1", "user_1", now=NOW, status="revoked")

    assert (session["user_id"], session["status"], session["actor"]) == (
        "user_1",
        "revoked",
        None,
    )
    assert session["expire_at"] < session["abandon_at"]


def test_ids_are_as_long_as_clerk_s() -> None:
    assert len(new_id("user_")) == len(numbered_id("user_", 99)) == len("user_") + 27
    assert new_id("user_") != new_id("user_")


REQUIRED = (
    "id object username first_name last_name has_image primary_email_address_id "
    "primary_phone_number_id primary_web3_wallet_id password_enabled two_factor_enabled "
    "totp_enabled backup_code_enabled email_addresses phone_numbers web3_wallets passkeys "
    "external_accounts saml_accounts enterprise_accounts public_metadata external_id "
    "last_sign_in_at banned locked lockout_expires_in_seconds verification_attempts_remaining "
    "created_at updated_at delete_self_enabled create_organization_enabled last_active_at "
    "mfa_enabled_at mfa_disabled_at legal_accepted_at"
)


def test_a_user_has_every_member_that_clerk_s_schema_requires() -> None:
    assert set(REQUIRED.split()) <= set(user_document(numbered_id("user_", 1), now=NOW))
