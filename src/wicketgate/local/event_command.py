"""``wicketgate local event``: one event, sent by hand.

An e-mail address always makes the same user id, so that the user who is created
by one call can be updated and deleted by the next.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wicketgate.errors import ConfigurationError, EnvironmentFaultError
from wicketgate.local.clerk_instance import SESSION
from wicketgate.local.clerk_users import (
    INSTANCE_ID,
    Document,
    deleted_document,
    event_body,
    session_document,
    user_document,
)
from wicketgate.local.runtime_file import announced_endpoint
from wicketgate.local.webhook_sender import (
    NO_ANSWER,
    Endpoint,
    Message,
    WebhookSender,
    is_success,
    open_session,
)

EVENT_TYPES: Final = (
    *("user.created", "user.updated", "user.deleted"),
    *("session.ended", "session.removed", "session.revoked"),
)
"""The events that can be sent."""

DEFAULT_EMAIL: Final = "mina@example.com"
_SIGNED_UP_BEFORE: Final = 3_600_000
"""No record is kept of who signed up when: to an update it was an hour ago."""
_ID_DIGITS: Final = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWish:
    """What to send, and where.

    Attributes:
        type: One of `EVENT_TYPES`.
        email: The user's address, from which the id is made.
        user_id: The id, should it be another.
        first_name: The user's first name.
        last_name: The user's last name.
        instance_id: The Clerk instance that it is to come from.
        url: Where to send it; `None` finds the running ``wicketgate local``.
        secret_file: The file with the signing secret for `url`.
    """

    type: str
    email: str = DEFAULT_EMAIL
    user_id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    instance_id: str = INSTANCE_ID
    url: str | None = None
    secret_file: str | None = None


async def send_event(wish: EventWish, *, say: Callable[[str], None]) -> int:
    """Send one event, once; return the exit status.

    Raises:
        ConfigurationError: the type is none of `EVENT_TYPES`, only one of `url` and
            `secret_file` is given, or the file cannot be used.
        EnvironmentFaultError: nobody takes deliveries there.
    """
    if wish.type not in EVENT_TYPES:
        msg = f"{wish.type!r} is not an event that can be sent; expected one of " + ", ".join(
            EVENT_TYPES
        )
        raise ConfigurationError(msg)
    endpoint = _endpoint(wish)
    user_id = wish.user_id or user_id_of(wish.email)
    message = Message.of(body_of(wish, user_id, now=int(time.time() * 1000)))
    async with open_session() as session:
        (sent,) = await WebhookSender(endpoint, session=session, schedule=()).send(message)
    status = sent.statuses[-1]
    if status == NO_ANSWER:
        msg = f"no answer from {endpoint.url}: is the receiver running?"
        raise EnvironmentFaultError(msg)
    say(f"{wish.type} about {user_id}, {message.id}: {status}")
    return 0 if is_success(status) else 1


def user_id_of(email: str) -> str:
    """Return the id of the user with this address."""
    digest = int.from_bytes(hashlib.sha256(email.encode()).digest(), "big")
    return f"user_2x{digest % 10 ** (_ID_DIGITS - 2):0{_ID_DIGITS - 2}d}"


def body_of(wish: EventWish, user_id: str, *, now: int) -> bytes:
    """Return the body of the event; `now` is in Unix milliseconds."""
    return event_body(
        wish.type,
        _data_of(wish, user_id, now=now),
        timestamp=now,
        instance_id=wish.instance_id,
    )


def _data_of(wish: EventWish, user_id: str, *, now: int) -> Document:
    kind, _, verb = wish.type.partition(".")
    if kind == "session":
        return session_document(SESSION, user_id, now=now, status=verb)
    if verb == "deleted":
        return deleted_document(user_id)
    return user_document(
        user_id,
        now=now,
        email=wish.email,
        first_name=wish.first_name,
        last_name=wish.last_name,
        created_at=now if verb == "created" else now - _SIGNED_UP_BEFORE,
    )


def _endpoint(wish: EventWish) -> Endpoint:
    if wish.url is None and wish.secret_file is None:
        return announced_endpoint(os.environ)
    if wish.url is None or wish.secret_file is None:
        msg = "--url and --secret-file go together: where to send, and what to sign with"
        raise ConfigurationError(msg)
    try:
        return Endpoint(wish.url, Path(wish.secret_file).read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        msg = "--secret-file cannot be read; expected a file with nothing but the whsec_ secret"
        raise ConfigurationError(msg) from None
