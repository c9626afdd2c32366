"""Deliveries to try a store with, short to write."""

from dataclasses import replace
from typing import Any

from wicketgate.core.claims import SessionId, UserId
from wicketgate.core.delivery import Delivery, MessageId
from wicketgate.core.event import (
    Change,
    Event,
    Ignored,
    MembershipDeleted,
    MembershipUpserted,
    OrganizationDeleted,
    OrganizationUpserted,
    SessionEnded,
    Unusable,
    UserDeleted,
    UserProfile,
    UserUpserted,
)

T0 = 1_790_000_000_000
INSTANCE = "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx"


def delivery(
    content: Change | Ignored | Unusable, *, message: str, at: int = T0, kind: str = "some.event"
) -> Delivery:
    return Delivery(MessageId(message), Event(kind, at, content))


def profile(user: str = "user_1", *, version: int = T0, **members: Any) -> UserProfile:  # noqa: ANN401 - any member
    complete = UserProfile(
        clerk_user_id=UserId(user),
        instance_id=INSTANCE,
        external_id="crm-1",
        primary_email="mina@example.com",
        primary_email_verified=True,
        primary_phone="+15550100",
        username="mina",
        first_name="Mina",
        last_name="Okafor",
        image_url="https://img.example.com/mina",
        public_metadata={"plan": "pro"},
        banned=True,
        locked=True,
        deprovisioned=True,
        clerk_created_at=T0,
        clerk_updated_at=version,
    )
    return replace(complete, **members)


def upserted(
    user: str = "user_1",
    *,
    message: str | None = None,
    version: int = T0,
    at: int | None = None,
    **members: Any,  # noqa: ANN401 - any member
) -> Delivery:
    """A ``user.updated`` of `version`, made a little later unless `at` says when."""
    at = version + 20 if at is None else at
    return delivery(
        UserUpserted(profile(user, version=version, **members)),
        message=message or f"msg_{user}_{version}_{at}",
        at=at,
        kind="user.updated",
    )


def deleted(user: str = "user_1", *, message: str | None = None, at: int = T0 + 9000) -> Delivery:
    content = UserDeleted(UserId(user), INSTANCE)
    return delivery(
        content, message=message or f"msg_{user}_deleted_{at}", at=at, kind="user.deleted"
    )


def ended(
    message: str, *, session: str = "sess_1", at: int = T0, kind: str = "session.ended"
) -> Delivery:
    content = SessionEnded(SessionId(session), UserId("user_1"))
    return delivery(content, message=message, at=at, kind=kind)


def organization(name: str, *, version: int, identity: str = "org_1") -> Delivery:
    content = OrganizationUpserted(
        clerk_organization_id=identity,
        instance_id=INSTANCE,
        name=name,
        slug=name,
        image_url=None,
        public_metadata={"name": name},
        clerk_created_at=T0,
        clerk_updated_at=version,
    )
    return delivery(content, message=f"msg_{identity}_{version}", at=version)


def organization_deleted(*, at: int, identity: str = "org_1") -> Delivery:
    content = OrganizationDeleted(identity, INSTANCE)
    return delivery(content, message=f"msg_{identity}_deleted", at=at)


def membership(role: str, *, version: int, identity: str = "orgmem_1") -> Delivery:
    content = MembershipUpserted(
        clerk_membership_id=identity,
        instance_id=INSTANCE,
        clerk_organization_id="org_1",
        clerk_user_id=UserId("user_1"),
        role=role,
        public_metadata={"role": role},
        clerk_created_at=T0,
        clerk_updated_at=version,
    )
    return delivery(content, message=f"msg_{identity}_{version}", at=version)


def membership_deleted(*, at: int, identity: str = "orgmem_1") -> Delivery:
    content = MembershipDeleted(identity, "org_1", UserId("user_1"), INSTANCE)
    return delivery(content, message=f"msg_{identity}_deleted", at=at)
