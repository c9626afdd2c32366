"""Which statement does what a delivery says, and with which values."""

from dataclasses import dataclass
from typing import Any, assert_never

from psycopg.types.json import Jsonb

from wicketgate.core.delivery import Delivery, Outcome
from wicketgate.core.event import (
    Ignored,
    MembershipDeleted,
    MembershipUpserted,
    OrganizationDeleted,
    OrganizationUpserted,
    SessionEnded,
    UserDeleted,
    UserProfile,
)
from wicketgate.sql.rows import moment, now, user_row

Single = (
    UserDeleted
    | OrganizationUpserted
    | OrganizationDeleted
    | MembershipUpserted
    | MembershipDeleted
    | SessionEnded
    | Ignored
)
"""What has a statement to itself. Profiles share one: they are most of what arrives."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What to execute.

    Attributes:
        name: The file of the statement.
        values: Its parameters.
        outcome: What becomes of the delivery; `None` when the statement tells.
    """

    name: str
    values: dict[str, Any]
    outcome: Outcome | None = None


def note_of(delivery: Delivery) -> dict[str, Any]:
    """Return what is noted of every delivery."""
    event = delivery.event
    return {
        "svix_id": delivery.message_id,
        "type": event.type,
        "event_at": moment(event.event_at) if event.event_at else None,
    }


def arrival_of(delivery: Delivery, profile: UserProfile) -> dict[str, Any]:
    """Return a profile and the note of its delivery, as JSON for ``upsert_users.sql``."""
    event = delivery.event
    row = user_row(profile)
    row["svix_id"] = delivery.message_id
    row["type"] = event.type
    row["event_at"] = moment(event.event_at).isoformat() if event.event_at else None
    return row


def statement_for(delivery: Delivery, content: Single) -> Statement:
    """Return the statement that does `content`, which `delivery` says, and notes it."""
    values = note_of(delivery)
    match content:
        case Ignored():
            return _noted(values, Outcome.IGNORED)
        case SessionEnded():
            return _ended(values, content)
        case UserDeleted():
            return _buried("delete_user", values, content)
        case OrganizationDeleted():
            return _buried("delete_organization", values, content)
        case MembershipDeleted():
            return _buried("delete_membership", values, content)
        case OrganizationUpserted():
            return _guarded("upsert_organization", values, content)
        case MembershipUpserted():
            return _guarded("upsert_membership", values, content)
        case _:
            assert_never(content)


def _noted(values: dict[str, Any], outcome: Outcome) -> Statement:
    return Statement("record_outcome", values | {"outcome": outcome.value}, outcome)


def _ended(values: dict[str, Any], content: SessionEnded) -> Statement:
    outcome = Outcome.RECORDED
    why = {"session_id": content.session_id, "reason": values["type"].removeprefix("session.")}
    return Statement("record_session_end", values | why | {"outcome": outcome.value}, outcome)


def _buried(
    name: str,
    values: dict[str, Any],
    content: UserDeleted | OrganizationDeleted | MembershipDeleted,
) -> Statement:
    # An event that does not say when it happened happened now, at the latest.
    deleted_at = {"deleted_at": values["event_at"] or now()}
    return Statement(f"{name}+record_change", values | _members(content) | deleted_at)


def _guarded(
    name: str, values: dict[str, Any], content: OrganizationUpserted | MembershipUpserted
) -> Statement:
    created_at = content.clerk_created_at
    converted = {
        "public_metadata": Jsonb(content.public_metadata),
        "clerk_created_at": moment(created_at) if created_at else None,
        "clerk_updated_at": moment(content.clerk_updated_at),
        "guard_event_at": values["event_at"] or moment(0),
    }
    return Statement(f"{name}+record_change", values | _members(content) | converted)


def _members(
    record: UserDeleted
    | OrganizationUpserted
    | OrganizationDeleted
    | MembershipUpserted
    | MembershipDeleted,
) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
