"""From a verified webhook body to what happened.

Parsed with defaults, as Clerk's schema grows and its samples lack members that
it calls required: only the ids must be right. What is not kept is not read:
``private_metadata`` and ``unsafe_metadata`` never leave this module.

Source: Clerk, the webhook schemas of 2025-04-15; every ``*_at`` is in Unix
milliseconds.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from wicketgate.core.claims import SessionId, UserId
from wicketgate.core.event import (
    Change,
    Event,
    Ignored,
    MembershipDeleted,
    MembershipUpserted,
    Milliseconds,
    OrganizationDeleted,
    OrganizationUpserted,
    SessionEnded,
    Unusable,
    UserDeleted,
    UserProfile,
    UserUpserted,
)
from wicketgate.core.strict_json import NotStrictJsonError, parse_object

MAX_TYPE_LENGTH: Final = 128
"""Clerk's longest is 34; more would only fill a table."""

_SECONDS_BELOW: Final = 10**11
"""Clerk documents milliseconds and has sent seconds: 10^11 ms is in 1973."""
_LATEST: Final = 253_402_300_799_000
"""The end of the year 9999, the last that a `datetime` holds."""

_USER_ID: Final = re.compile(r"user_[A-Za-z0-9]{1,64}")
_SESSION_ID: Final = re.compile(r"sess_[A-Za-z0-9]{1,64}")
_ORGANIZATION_ID: Final = re.compile(r"org_[A-Za-z0-9]{1,64}")
_MEMBERSHIP_ID: Final = re.compile(r"orgmem_[A-Za-z0-9]{1,64}")
_INSTANCE_ID: Final = re.compile(r"ins_[A-Za-z0-9_]{1,64}")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: JSON can say them, Postgres cannot keep them."""


Content = Change | Ignored | Unusable


def parse_event(
    body: bytes, *, expected_instance: str | None = None, organizations: bool = False
) -> Event:
    """Read a webhook body whose signature was verified.

    Args:
        body: The raw body.
        expected_instance: When set, events of other instances are ignored
            (Clerk's "Send Example" among them).
        organizations: Whether organisations and memberships are kept.

    Returns:
        What happened. Nothing is raised, whatever the body holds.
    """
    try:
        envelope = parse_object(body)
        # Neither NUL nor a lone surrogate gets into strict JSON but by an escape.
        if b"\\u" in body:
            envelope = storable(envelope)
    except (NotStrictJsonError, RecursionError):
        return Event("", 0, Unusable("not a JSON object"))
    kind, data = envelope.get("type"), envelope.get("data")
    event_at = _milliseconds(envelope.get("timestamp"))
    if type(kind) is not str or not 0 < len(kind) <= MAX_TYPE_LENGTH:
        return Event("", event_at, Unusable("type is missing"))
    instance = _matching(_INSTANCE_ID, envelope.get("instance_id"))
    if expected_instance is not None and instance != expected_instance:
        return Event(kind, event_at, Ignored("other_instance"))
    read = _READERS.get(kind)
    if read is None:
        return Event(kind, event_at, Ignored("unknown_type"))
    if kind.startswith("organization") and not organizations:
        return Event(kind, event_at, Ignored("organizations_off"))
    if type(data) is not dict:
        return Event(kind, event_at, Unusable("data is not an object"))
    return Event(kind, event_at, read(data, instance, event_at))


def profile_of(
    data: Mapping[str, Any], *, instance_id: str | None = None, event_at: Milliseconds = 0
) -> UserProfile | None:
    """Read a Clerk ``User`` object, of a webhook or of the Backend API.

    Args:
        data: The object, its strings storable.
        instance_id: The instance that it came from.
        event_at: Its version, should it not carry ``updated_at``.

    Returns:
        The profile, or `None` when it has no user id.
    """
    user_id = _matching(_USER_ID, data.get("id"))
    if user_id is None:
        return None
    email = _entry(data.get("email_addresses"), data.get("primary_email_address_id"))
    phone = _entry(data.get("phone_numbers"), data.get("primary_phone_number_id"))
    verification = email.get("verification")
    return UserProfile(
        clerk_user_id=UserId(user_id),
        instance_id=instance_id,
        external_id=_text(data.get("external_id")),
        primary_email=_text(email.get("email_address")),
        primary_email_verified=(
            type(verification) is dict and verification.get("status") == "verified"
        ),
        primary_phone=_text(phone.get("phone_number")),
        username=_text(data.get("username")),
        first_name=_text(data.get("first_name")),
        last_name=_text(data.get("last_name")),
        image_url=_text(data.get("image_url")),
        public_metadata=_object(data.get("public_metadata")),
        banned=data.get("banned") is True,
        locked=data.get("locked") is True,
        deprovisioned=data.get("deprovisioned") is True,
        clerk_created_at=_milliseconds(data.get("created_at")),
        clerk_updated_at=_milliseconds(data.get("updated_at")) or event_at,
    )


def _user(data: Mapping[str, Any], instance: str | None, event_at: Milliseconds) -> Content:
    profile = profile_of(data, instance_id=instance, event_at=event_at)
    return Unusable("data.id is not a user id") if profile is None else UserUpserted(profile)


def _user_deleted(data: Mapping[str, Any], instance: str | None, _: Milliseconds) -> Content:
    user_id = _matching(_USER_ID, data.get("id"))
    if user_id is None:
        return Unusable("data.id is not a user id")
    return UserDeleted(UserId(user_id), instance)


def _session(data: Mapping[str, Any], _: str | None, __: Milliseconds) -> Content:
    session_id = _matching(_SESSION_ID, data.get("id"))
    user_id = _matching(_USER_ID, data.get("user_id"))
    if session_id is None:
        return Unusable("data.id is not a session id")
    return SessionEnded(SessionId(session_id), None if user_id is None else UserId(user_id))


def _organization(
    data: Mapping[str, Any], instance: str | None, event_at: Milliseconds
) -> Content:
    organization_id = _matching(_ORGANIZATION_ID, data.get("id"))
    if organization_id is None:
        return Unusable("data.id is not an organization id")
    return OrganizationUpserted(
        clerk_organization_id=organization_id,
        instance_id=instance,
        name=_text(data.get("name")),
        slug=_text(data.get("slug")),
        image_url=_text(data.get("image_url")),
        public_metadata=_object(data.get("public_metadata")),
        clerk_created_at=_milliseconds(data.get("created_at")),
        clerk_updated_at=_milliseconds(data.get("updated_at")) or event_at,
    )


def _organization_deleted(
    data: Mapping[str, Any], instance: str | None, _: Milliseconds
) -> Content:
    organization_id = _matching(_ORGANIZATION_ID, data.get("id"))
    if organization_id is None:
        return Unusable("data.id is not an organization id")
    return OrganizationDeleted(organization_id, instance)


def _membership(data: Mapping[str, Any], instance: str | None, event_at: Milliseconds) -> Content:
    ids = _membership_ids(data)
    if ids is None:
        return Unusable("data does not name a membership, its organization and its user")
    membership_id, organization_id, user_id = ids
    return MembershipUpserted(
        clerk_membership_id=membership_id,
        instance_id=instance,
        clerk_organization_id=organization_id,
        clerk_user_id=user_id,
        role=_text(data.get("role")),
        public_metadata=_object(data.get("public_metadata")),
        clerk_created_at=_milliseconds(data.get("created_at")),
        clerk_updated_at=_milliseconds(data.get("updated_at")) or event_at,
    )


def _membership_deleted(data: Mapping[str, Any], instance: str | None, _: Milliseconds) -> Content:
    ids = _membership_ids(data)
    if ids is None:
        return Unusable("data does not name a membership, its organization and its user")
    return MembershipDeleted(*ids, instance)


def _membership_ids(data: Mapping[str, Any]) -> tuple[str, str, UserId] | None:
    membership_id = _matching(_MEMBERSHIP_ID, data.get("id"))
    organization_id = _matching(_ORGANIZATION_ID, _object(data.get("organization")).get("id"))
    user_id = _matching(_USER_ID, _object(data.get("public_user_data")).get("user_id"))
    if membership_id is None or organization_id is None or user_id is None:
        return None
    return membership_id, organization_id, UserId(user_id)


_READERS: Final = {
    "user.created": _user,
    "user.updated": _user,
    "user.deleted": _user_deleted,
    "session.ended": _session,
    "session.removed": _session,
    "session.revoked": _session,
    "organization.created": _organization,
    "organization.updated": _organization,
    "organization.deleted": _organization_deleted,
    "organizationMembership.created": _membership,
    "organizationMembership.updated": _membership,
    "organizationMembership.deleted": _membership_deleted,
}


def storable(value: Any) -> Any:  # noqa: ANN401 - untyped JSON
    """Return `value` with every character that Postgres cannot keep replaced."""
    if type(value) is str:
        return _UNSTORABLE.sub("\ufffd", value)
    if type(value) is list:
        return [storable(item) for item in value]
    if type(value) is dict:
        return {storable(name): storable(item) for name, item in value.items()}
    return value


def _entry(entries: object, wanted: object) -> Mapping[str, Any]:
    """Return the entry whose id is `wanted`; never simply the first."""
    if type(entries) is list and type(wanted) is str:
        for entry in entries:
            if type(entry) is dict and entry.get("id") == wanted:
                return entry
    return {}


def _matching(pattern: re.Pattern[str], value: object) -> str | None:
    return value if type(value) is str and pattern.fullmatch(value) else None


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None


def _object(value: object) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def _milliseconds(value: object) -> Milliseconds:
    if type(value) is not int or value <= 0:
        return 0
    milliseconds = value * 1000 if value < _SECONDS_BELOW else value
    return min(milliseconds, _LATEST)
