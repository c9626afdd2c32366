"""What can happen to users, sessions and organisations at Clerk.

Source: Clerk, "Webhooks overview" and the webhook schemas of 2025-04-15.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wicketgate.core.claims import SessionId, UserId

Milliseconds = int
"""Unix milliseconds; 0 stands for "never" and is older than everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """A Clerk user, as far as it is kept.

    Attributes:
        clerk_user_id: Clerk's id.
        instance_id: The Clerk instance, `None` when the event does not say.
        external_id: The customer's own id for the user.
        primary_email: The address whose id is ``primary_email_address_id``.
        primary_email_verified: Whether that address was verified.
        primary_phone: Likewise, E.164.
        username: Unique in Clerk now, not across time.
        first_name: As the user wrote it.
        last_name: As the user wrote it.
        image_url: The avatar.
        public_metadata: Set by the customer's backend, readable by the browser.
        banned: May not sign in, by decision.
        locked: May not sign in, after too many failures.
        deprovisioned: May not sign in, as the directory that made the user has withdrawn it.
        clerk_created_at: When the user signed up, 0 when not said.
        clerk_updated_at: The version of the profile: the first half of the guard.
    """

    clerk_user_id: UserId
    instance_id: str | None = None
    external_id: str | None = None
    primary_email: str | None = None
    primary_email_verified: bool = False
    primary_phone: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    image_url: str | None = None
    public_metadata: Mapping[str, Any] = field(default_factory=dict)
    banned: bool = False
    locked: bool = False
    deprovisioned: bool = False
    clerk_created_at: Milliseconds = 0
    clerk_updated_at: Milliseconds = 0


@dataclass(frozen=True, slots=True)
class UserUpserted:
    """``user.created`` and ``user.updated``: either may come first, or alone."""

    profile: UserProfile


@dataclass(frozen=True, slots=True)
class UserDeleted:
    """``user.deleted``. It carries no version: a deletion is final."""

    clerk_user_id: UserId
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """``session.ended``, ``session.removed`` and ``session.revoked``."""

    session_id: SessionId
    clerk_user_id: UserId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationUpserted:
    """``organization.created`` and ``organization.updated``."""

    clerk_organization_id: str
    instance_id: str | None
    name: str | None
    slug: str | None
    image_url: str | None
    public_metadata: Mapping[str, Any]
    clerk_created_at: Milliseconds
    clerk_updated_at: Milliseconds


@dataclass(frozen=True, slots=True)
class OrganizationDeleted:
    """``organization.deleted``."""

    clerk_organization_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipUpserted:
    """``organizationMembership.created`` and ``organizationMembership.updated``."""

    clerk_membership_id: str
    instance_id: str | None
    clerk_organization_id: str
    clerk_user_id: UserId
    role: str | None
    public_metadata: Mapping[str, Any]
    clerk_created_at: Milliseconds
    clerk_updated_at: Milliseconds


@dataclass(frozen=True, slots=True)
class MembershipDeleted:
    """``organizationMembership.deleted``; its body is a whole membership."""

    clerk_membership_id: str
    clerk_organization_id: str
    clerk_user_id: UserId
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """Authentic, and nothing to do.

    Attributes:
        why: ``unknown_type``, ``other_instance`` or ``organizations_off``.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """Authentic, and never to be applied: the same body would fail on every retry.

    Attributes:
        why: What is wrong, in words of ours; nothing of the body is quoted.
    """

    why: str


Change = (
    UserUpserted
    | UserDeleted
    | SessionEnded
    | OrganizationUpserted
    | OrganizationDeleted
    | MembershipUpserted
    | MembershipDeleted
)


@dataclass(frozen=True, slots=True)
class Event:
    """One delivery's content.

    Attributes:
        type: Clerk's event type, empty when it cannot be told.
        event_at: When Clerk made the event: the second half of the guard.
        content: The change, or why there is none.
    """

    type: str
    event_at: Milliseconds
    content: Change | Ignored | Unusable
