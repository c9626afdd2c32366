"""Deliveries as Clerk sends them, and a receiver to send them to."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from aiohttp import web
from svix.webhooks import Webhook, WebhookVerificationError

from fakes import FakeStore
from wicketgate.adapters.receiver import Limits, Receiver
from wicketgate.adapters.svix_verifier import SvixVerifier
from wicketgate.core.event_body import parse_event
from wicketgate.core.receipt import Receipt
from wicketgate.core.webhook import Rejection, UnverifiedHeaders

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET: Final = "whsec_a2V5IG9mIGFub3RoZXIgZW5kcG9pbnQh"
MESSAGE_ID: Final = "msg_2xLkA1b2C3d4E5f6G7h8I9j0KlM"
PATH: Final = "/webhooks/clerk"

USER: Final = "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0"
SESSION: Final = "sess_2xLmA1"
ORGANIZATION: Final = "org_2xN0"
MEMBERSHIP: Final = "orgmem_2xN1"
INSTANCE: Final = "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx"
EMAIL_ID: Final = "idn_2xLk9OqPwEr5TyUiOpAsDfGhJkL"
EVENT_AT: Final = 1_790_000_012_420
UPDATED_AT: Final = 1_790_000_012_400
CREATED_AT: Final = 1_790_000_012_345


# --- bodies ------------------------------------------------------------------


def email(
    address: str, *, email_id: str = EMAIL_ID, status: str | None = "verified"
) -> dict[str, Any]:
    """Return one entry of ``email_addresses``; without `status` it was never verified."""
    verification = {
        "object": "verification_otp",
        "status": status,
        "strategy": "email_code",
        "attempts": 1,
        "expire_at": CREATED_AT + 600_000,
    }
    return {
        "object": "email_address",
        "id": email_id,
        "email_address": address,
        "reserved": False,
        "matches_sso_connection": False,
        "verification": verification if status else None,
        "linked_to": [],
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
    }


def phone(number: str, *, phone_id: str) -> dict[str, Any]:
    """Return one entry of ``phone_numbers``."""
    return {
        "object": "phone_number",
        "id": phone_id,
        "phone_number": number,
        "reserved_for_second_factor": False,
        "default_second_factor": False,
        "reserved": False,
        "verification": {"status": "verified", "strategy": "phone_code"},
        "linked_to": [],
        "backup_codes": None,
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
    }


def user(**changes: object) -> dict[str, Any]:
    """Return a user, with every member that Clerk's schema calls required."""
    nothing = (
        *("external_id", "username", "primary_phone_number_id", "primary_web3_wallet_id"),
        *("mfa_enabled_at", "mfa_disabled_at", "last_sign_in_at", "legal_accepted_at"),
        *("lockout_expires_in_seconds", "create_organizations_limit"),
    )
    none_of = (
        *("phone_numbers", "web3_wallets", "passkeys", "external_accounts"),
        *("saml_accounts", "enterprise_accounts"),
    )
    refused = (
        *("has_image", "two_factor_enabled", "totp_enabled", "backup_code_enabled"),
        *("banned", "locked", "deprovisioned"),
    )
    return {
        **dict.fromkeys(nothing),
        **{name: [] for name in none_of},
        **dict.fromkeys(refused, False),
        "object": "user",
        "id": USER,
        "first_name": "Mina",
        "last_name": "Okafor",
        "locale": "en-GB",
        "primary_email_address_id": EMAIL_ID,
        "email_addresses": [email("mina@example.com")],
        "image_url": "https://img.example.com/mina",
        "public_metadata": {"plan": "pro"},
        "private_metadata": {"note": "private-remark"},
        "unsafe_metadata": {"note": "unsafe-remark"},
        "password_enabled": True,
        "delete_self_enabled": True,
        "create_organization_enabled": True,
        "verification_attempts_remaining": 100,
        "last_active_at": CREATED_AT,
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        **changes,
    }


def session(**changes: object) -> dict[str, Any]:
    """Return a session."""
    return {
        "object": "session",
        "id": SESSION,
        "user_id": USER,
        "client_id": "client_2xLm",
        "actor": None,
        "status": "revoked",
        "last_active_organization_id": None,
        "last_active_at": CREATED_AT,
        "latest_activity": {
            "object": "session_activity",
            "id": "sess_activity_2x",
            "is_mobile": False,
            "ip_address": "203.0.113.7",
            "city": "Lagos",
        },
        "expire_at": CREATED_AT + 604_800_000,
        "abandon_at": CREATED_AT + 2_592_000_000,
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        "user": None,
        **changes,
    }


def organization(**changes: object) -> dict[str, Any]:
    """Return an organisation."""
    return {
        "object": "organization",
        "id": ORGANIZATION,
        "name": "Quill Ltd",
        "slug": "quill",
        "image_url": "https://img.example.com/quill",
        "has_image": False,
        "members_count": 2,
        "pending_invitations_count": 0,
        "max_allowed_memberships": 5,
        "admin_delete_enabled": True,
        "public_metadata": {"tier": 1},
        "private_metadata": {"note": "private-remark"},
        "created_by": USER,
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        **changes,
    }


def membership(**changes: object) -> dict[str, Any]:
    """Return a membership."""
    return {
        "object": "organization_membership",
        "id": MEMBERSHIP,
        "role": "org:member",
        "role_name": "Member",
        "permissions": ["org:invoices:read"],
        "public_metadata": {"desk": 4},
        "private_metadata": {"note": "private-remark"},
        "organization": organization(),
        "public_user_data": {
            "user_id": USER,
            "first_name": None,
            "last_name": None,
            "image_url": "https://img.example.com/mina",
            "has_image": False,
            "identifier": "mina@example.com",
        },
        "created_at": CREATED_AT,
        "updated_at": UPDATED_AT,
        **changes,
    }


def deleted(kind: str, deleted_id: str) -> dict[str, Any]:
    """Return what is left of a user or an organisation."""
    return {"object": kind, "id": deleted_id, "deleted": True}


def envelope(kind: str, data: object, **changes: object) -> dict[str, Any]:
    """Return an event around `data`."""
    return {
        "data": data,
        "event_attributes": {
            "http_request": {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"}
        },
        "instance_id": INSTANCE,
        "object": "event",
        "timestamp": EVENT_AT,
        "type": kind,
        **changes,
    }


def body_of(kind: str, data: object, **changes: object) -> bytes:
    """Return an event as it is sent."""
    return json.dumps(envelope(kind, data, **changes)).encode()


USER_CREATED: Final = body_of("user.created", user())


# --- signatures --------------------------------------------------------------


def signature_of(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return a signature by the letter of the specification, and by no library."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def signed(
    body: bytes = USER_CREATED,
    *,
    secret: str = SECRET,
    message_id: str = MESSAGE_ID,
    at: float | None = None,
) -> dict[str, str]:
    """Return the headers of a delivery that is sent now, or `at` some POSIX second."""
    timestamp = str(int(time.time() if at is None else at))
    return {
        "svix-id": message_id,
        "svix-timestamp": timestamp,
        "svix-signature": signature_of(secret, message_id, timestamp, body),
    }


@dataclass(frozen=True, slots=True)
class LetterVerifier:
    """Verifies by the letter of the specification, at whatever time it is."""

    secret: str = SECRET

    def accepts(self, headers: UnverifiedHeaders, body: bytes) -> bool:
        """Tell whether one of the signatures was made with the secret."""
        expected = signature_of(self.secret, headers.message_id, headers.timestamp, body)
        return expected in headers.signatures.split(" ")


def svix_verdict(headers: Mapping[str, str], body: bytes, *, secret: str = SECRET) -> bool | None:
    """Return what Svix' library says; `None` when it says nothing, and fails instead."""
    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError:
        return False
    except Exception:  # noqa: BLE001 - the point: it raises other things as well
        return None
    return True


def as_received(headers: Mapping[str, str]) -> dict[str, list[str]]:
    """Return headers with every value in a list, as there may be several."""
    return {name: [value] for name, value in headers.items()}


Headers = dict[str, list[str]]


def _spoilt(
    name: str, spoil: Callable[[str], str], expected: Rejection | str
) -> tuple[Callable[[Mapping[str, str]], Headers], Rejection | str]:
    def apply(headers: Mapping[str, str]) -> Headers:
        return as_received({**headers, name: spoil(headers[name])})

    return apply, expected


def _renamed(headers: Mapping[str, str]) -> Headers:
    return as_received({name.replace("svix", "webhook"): it for name, it in headers.items()})


def _twice(headers: Mapping[str, str]) -> Headers:
    signature = headers["svix-signature"]
    return {**as_received(headers), "svix-signature": [signature, signature]}


_ID, _TIME, _SIGNATURE = "svix-id", "svix-timestamp", "svix-signature"
_V1A = "v1a," + "A" * 86 + "=="
_WRONG = "v1," + "A" * 43 + "="

HOSTILE_HEADERS: Final = {
    "webhook-* headers": (_renamed, Rejection.MISSING_HEADER),
    "id empty": _spoilt(_ID, lambda _: "", Rejection.BAD_MESSAGE_ID),
    "id with a dot": _spoilt(_ID, lambda it: it + ".1", Rejection.BAD_MESSAGE_ID),
    "id too long": _spoilt(_ID, lambda _: "m" * 129, Rejection.BAD_MESSAGE_ID),
    "id not ASCII": _spoilt(_ID, lambda it: it + "é", Rejection.BAD_MESSAGE_ID),
    "id of another message": _spoilt(_ID, lambda it: it + "x", Rejection.NO_MATCHING_SIGNATURE),
    "time -301 s": _spoilt(_TIME, lambda it: str(int(it) - 301), Rejection.OUTSIDE_TOLERANCE),
    "time +302 s": _spoilt(_TIME, lambda it: str(int(it) + 302), Rejection.OUTSIDE_TOLERANCE),
    "time +1 s": _spoilt(_TIME, lambda it: str(int(it) + 1), Rejection.NO_MATCHING_SIGNATURE),
    "time N.9": _spoilt(_TIME, lambda it: it + ".9", Rejection.BAD_TIMESTAMP),
    "time N.0": _spoilt(_TIME, lambda it: it + ".0", Rejection.BAD_TIMESTAMP),
    "time 0N": _spoilt(_TIME, lambda it: "0" + it, Rejection.BAD_TIMESTAMP),
    "time +N": _spoilt(_TIME, lambda it: "+" + it, Rejection.BAD_TIMESTAMP),
    "time -N": _spoilt(_TIME, lambda it: "-" + it, Rejection.BAD_TIMESTAMP),
    "time Nabc": _spoilt(_TIME, lambda it: it + "abc", Rejection.BAD_TIMESTAMP),
    "time with a space": _spoilt(_TIME, lambda it: it[:3] + " " + it[3:], Rejection.BAD_TIMESTAMP),
    "time with _": _spoilt(_TIME, lambda it: it[:1] + "_" + it[1:], Rejection.BAD_TIMESTAMP),
    "time nan": _spoilt(_TIME, lambda _: "nan", Rejection.BAD_TIMESTAMP),
    "time inf": _spoilt(_TIME, lambda _: "inf", Rejection.BAD_TIMESTAMP),
    "time in ms": _spoilt(_TIME, lambda it: it + "000", Rejection.BAD_TIMESTAMP),
    "time with exponent": _spoilt(_TIME, lambda it: it + "e0", Rejection.BAD_TIMESTAMP),
    "time in other digits": _spoilt(_TIME, lambda it: "٣" + it[1:], Rejection.BAD_TIMESTAMP),
    "time of 5000 digits": _spoilt(_TIME, lambda _: "9" * 5000, Rejection.BAD_TIMESTAMP),
    "time 0": _spoilt(_TIME, lambda _: "0", Rejection.OUTSIDE_TOLERANCE),
    "signatures bad and good": _spoilt(_SIGNATURE, lambda it: f"{_WRONG} {it}", MESSAGE_ID),
    "signatures v1a and good": _spoilt(_SIGNATURE, lambda it: f"{_V1A} {it}", MESSAGE_ID),
    "signature v1a only": _spoilt(_SIGNATURE, lambda _: _V1A, Rejection.UNKNOWN_SCHEME),
    "signature v2 only": _spoilt(
        _SIGNATURE, lambda it: it.replace("v1", "v2"), Rejection.UNKNOWN_SCHEME
    ),
    "signature of another": _spoilt(_SIGNATURE, lambda _: _WRONG, Rejection.NO_MATCHING_SIGNATURE),
    "signature header twice": (_twice, Rejection.REPEATED_HEADER),
    **{
        f"signature {name}": _spoilt(_SIGNATURE, spoil, Rejection.BAD_SIGNATURE_HEADER)
        for name, spoil in {
            "empty": lambda _: "",
            "without comma": lambda it: it.replace(",", ""),
            "without comma, then good": lambda it: f"v1 {it}",
            "after two spaces": lambda it: f"{_WRONG}  {it}",
            "with two commas": lambda it: it + ",",
            "with two commas, then good": lambda it: f"v1,a,b {it}",
            "not base64": lambda _: "v1,A",
            "not ASCII": lambda it: it[:10] + "é" + it[11:],
            "with junk": lambda it: it[:10] + "!" + it[10:],
            "url-safe": lambda it: it[:10] + "-" + it[11:],
            "unpadded": lambda it: it.rstrip("="),
            "padded twice": lambda it: it + "=",
            "with spare bits": lambda it: it[:-2] + "B=",
            "too short": lambda it: it[:-5] + "=",
            "too long": lambda it: it[:-1] + "AAAA=",
            "joined by commas": lambda it: f"{it},{it}",
            "joined by comma and space": lambda it: f"{it}, {it}",
            "in capitals": lambda it: it.replace("v1", "V1"),
            "after a tab": lambda it: f"{_WRONG}\t{it}",
            "of no scheme": lambda it: it.replace("v1", ""),
        }.items()
    },
}
"""What is wrong, how to make it so, and what it is taken for."""


# --- a receiver --------------------------------------------------------------


@dataclass
class Receipts:
    """Keeps receipts, for the test to look at."""

    kept: list[Receipt] = field(default_factory=list)
    lags: list[float | None] = field(default_factory=list)

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Keep one."""
        assert seconds >= 0
        self.kept.append(receipt)
        self.lags.append(lag_seconds)


class BrokenReceipts(Receipts):
    """Keeps nothing, loudly."""

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Fail, as a full disk would."""
        msg = f"{receipt} {seconds} {lag_seconds}"
        raise OSError(msg)


@dataclass
class Receiving:
    """A receiver that listens."""

    receiver: Receiver
    runner: web.ServerRunner
    port: int
    receipts: Receipts
    store: FakeStore

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return f"http://127.0.0.1:{self.port}{PATH}"


@asynccontextmanager
async def receiving(
    store: FakeStore | None = None,
    *,
    secrets: Sequence[str] = (SECRET,),
    clock: Any = time.time,  # noqa: ANN401 - any callable
    limits: Limits | None = None,
    receipts: Receipts | None = None,
) -> AsyncIterator[Receiving]:
    """Run a receiver for as long as the context lasts."""
    store = store or FakeStore()
    receipts = receipts or Receipts()
    receiver = Receiver(
        path=PATH,
        verifiers=[SvixVerifier(secret) for secret in secrets],
        parse=partial(parse_event, expected_instance=INSTANCE),
        store=store,
        recorder=receipts,
        clock=clock,
        timer=time.perf_counter,
        limits=limits or Limits(),
    )
    runner = web.ServerRunner(receiver.server(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Receiving(receiver, runner, runner.addresses[0][1], receipts, store)
    finally:
        await runner.cleanup()
