"""Users as Clerk describes them, and the bodies of the events about them.

Every member that Clerk's schema requires is there, in the shapes that Clerk
sends: times in milliseconds, lists that are empty rather than absent, a primary
address that is named by its id. People and numbers are invented.

Source: Clerk, the webhook schemas of 2025-04-15 (``User``, ``DeletedObject``,
``Session``).
"""

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any, Final

Document = dict[str, Any]
"""A JSON object, as it is sent."""

INSTANCE_ID: Final = "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx"
"""The instance of `ClerkInstance`, unless it is told another."""

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH: Final = 27
"""Clerk's ids are KSUIDs: 20 bytes in 27 digits of base 62."""
_IMAGE_URL: Final = "https://img.clerk.com/eyJ0eXBlIjoiZGVmYXVsdCJ9"
_CLIENT: Final = {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}
_ABANDONED_AFTER: Final = 30 * 86_400_000
_EXPIRED_AFTER: Final = 7 * 86_400_000


def new_id(prefix: str) -> str:
    """Return an id such as Clerk makes: ``user_`` and 27 letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def numbered_id(prefix: str, number: int) -> str:
    """Return the id of somebody in a crowd: the same for the same number."""
    return f"{prefix}2x{number:0{_ID_LENGTH - 2}d}"


def user_document(user_id: str, *, now: int, email: str | None = None, **members: Any) -> Document:  # noqa: ANN401 - JSON
    """Return a ``User``.

    Args:
        user_id: Clerk's id.
        now: When the user signed up and was last changed, Unix milliseconds.
        email: The one, primary and verified address; `None` for none.
        members: Members to replace or to add.
    """
    address_id = user_id.replace("user_", "idn_", 1)
    return {
        "id": user_id,
        "object": "user",
        "username": None,
        "first_name": None,
        "last_name": None,
        "locale": None,
        "image_url": _IMAGE_URL,
        "has_image": False,
        "primary_email_address_id": address_id if email else None,
        "primary_phone_number_id": None,
        "primary_web3_wallet_id": None,
        "password_enabled": True,
        "two_factor_enabled": False,
        "totp_enabled": False,
        "backup_code_enabled": False,
        "email_addresses": [_email(address_id, email, now)] if email else [],
        "phone_numbers": [],
        "web3_wallets": [],
        "passkeys": [],
        "external_accounts": [],
        "saml_accounts": [],
        "enterprise_accounts": [],
        "password_last_updated_at": now,
        "public_metadata": {},
        "private_metadata": {},
        "unsafe_metadata": {},
        "external_id": None,
        "last_sign_in_at": None,
        "banned": False,
        "locked": False,
        "deprovisioned": False,
        "lockout_expires_in_seconds": None,
        "verification_attempts_remaining": 100,
        "created_at": now,
        "updated_at": now,
        "delete_self_enabled": True,
        "create_organization_enabled": True,
        "create_organizations_limit": None,
        "last_active_at": now,
        "mfa_enabled_at": None,
        "mfa_disabled_at": None,
        "legal_accepted_at": None,
        "profile_image_url": _IMAGE_URL,
        **members,
    }


def deleted_document(user_id: str, *, external_id: str | None = None) -> Document:
    """Return the ``DeletedObject`` of a user."""
    external = {"external_id": external_id} if external_id else {}
    return {"id": user_id, "object": "user", "deleted": True, **external}


def session_document(session_id: str, user_id: str, *, now: int, status: str) -> Document:
    """Return a ``Session`` that has become `status`."""
    return {
        "object": "session",
        "id": session_id,
        "user_id": user_id,
        "client_id": session_id.replace("sess_", "client_", 1),
        "actor": None,
        "status": status,
        "last_active_organization_id": None,
        "last_active_at": now,
        "latest_activity": {
            "object": "session_activity",
            "id": session_id.replace("sess_", "sess_activity_", 1),
            "device_type": "Macintosh",
            "is_mobile": False,
            "browser_name": "Chrome",
            "browser_version": "141.0.0.0",
            "ip_address": _CLIENT["client_ip"],
            "city": "Lagos",
            "country": "NG",
        },
        "expire_at": now + _EXPIRED_AFTER,
        "abandon_at": now + _ABANDONED_AFTER,
        "created_at": now,
        "updated_at": now,
        "user": None,
    }


def event_body(
    kind: str, data: Mapping[str, Any], *, timestamp: int, instance_id: str = INSTANCE_ID
) -> bytes:
    """Return the body of an event, as it is sent: minified, letters as they are.

    Args:
        kind: Such as ``user.created``.
        data: What it is about.
        timestamp: When it was made, Unix milliseconds.
        instance_id: Where it happened.
    """
    document = {
        "data": data,
        "event_attributes": {"http_request": _CLIENT},
        "instance_id": instance_id,
        "object": "event",
        "timestamp": timestamp,
        "type": kind,
    }
    return minified(document)


def minified(document: object) -> bytes:
    """Return `document` as JSON without spaces, in UTF-8 and not in escapes."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _email(address_id: str, address: str, now: int) -> Document:
    return {
        "id": address_id,
        "object": "email_address",
        "email_address": address,
        "reserved": False,
        "verification": {
            "object": "verification_otp",
            "status": "verified",
            "strategy": "email_code",
            "attempts": 1,
            "expire_at": now + 600_000,
        },
        "linked_to": [],
        "matches_sso_connection": False,
        "created_at": now,
        "updated_at": now,
    }
