"""Tell a delivery that Clerk sent from anything else.

Clerk delivers through Svix: ``svix-id``, ``svix-timestamp`` and
``svix-signature`` are the headers of Standard Webhooks by another name, and the
only name that counts here, as in Clerk's own verifier.

It takes two steps, so that whatever the headers alone give away is refused
before a byte of the body is read. The grammar is narrower than that of any
library: these do not agree on odd spellings, and some raise on them. A rejection
is a value; nothing is raised, whatever the request holds.

Source: Standard Webhooks 1.0.0, "Signature scheme" and "Verifying webhook
authenticity"; RFC 4648 section 3.5 (canonical base64).
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from wicketgate.core.delivery import MessageId

ID_HEADER: Final = "svix-id"
TIMESTAMP_HEADER: Final = "svix-timestamp"
SIGNATURE_HEADER: Final = "svix-signature"
HEADERS: Final = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)

TOLERANCE_SECONDS: Final = 300
"""What Svix's libraries allow, both ways. Every retry carries a timestamp of its own."""
MAX_SIGNATURES: Final = 20
"""Svix keeps ten old keys beside the new one, of two kinds at the most."""
SECRET_BYTES: Final = range(24, 76)
"""What Svix's server accepts as a key: 24 to 75 bytes. Clerk's have 24."""

_PREFIX: Final = "whsec_"
_PUBLIC_PREFIX: Final = "whpk_"

_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""No dot: it separates the parts of what is signed."""
_TIMESTAMP: Final = re.compile(r"0|[1-9][0-9]{0,11}")
"""Seconds in one spelling only: libraries sign the number, not the text that was sent."""
_SIGNATURE: Final = re.compile(r"v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
"""The 32 bytes of HMAC-SHA256: the last character has two bits to spare, both 0."""
_OTHER_SIGNATURE: Final = re.compile(r"v[0-9]{1,3}[a-z]{0,3},[A-Za-z0-9+/]{1,512}={0,2}")
"""Of a scheme that is not ours, such as ``v1a``, which signs with Ed25519."""


class Rejection(StrEnum):
    """Why a request is no authentic delivery. All are the sender's fault."""

    MISSING_HEADER = "missing_header"
    """One of the three headers is not there."""
    REPEATED_HEADER = "repeated_header"
    """One of the three is there twice, and who reads it decides which one counts."""
    BAD_MESSAGE_ID = "bad_message_id"
    """``svix-id`` is not an id."""
    BAD_TIMESTAMP = "bad_timestamp"
    """``svix-timestamp`` is not a whole number of seconds."""
    OUTSIDE_TOLERANCE = "outside_tolerance"
    """Too old, and perhaps a replay; or from the future. Or a clock is wrong: maybe ours."""
    BAD_SIGNATURE_HEADER = "bad_signature_header"
    """``svix-signature`` is not a list of signatures."""
    UNKNOWN_SCHEME = "unknown_scheme"
    """No signature is a ``v1``."""
    NO_MATCHING_SIGNATURE = "no_matching_signature"
    """No secret of ours made any of the signatures."""


@dataclass(frozen=True, slots=True)
class UnverifiedHeaders:
    """Headers that are well formed and recent, and may yet be a forger's.

    Attributes:
        message_id: ``svix-id``.
        timestamp: ``svix-timestamp``, as it was sent and signed.
        signatures: The ``v1`` entries of ``svix-signature``, separated by spaces.
    """

    message_id: MessageId
    timestamp: str
    signatures: str


class SignatureVerifier(Protocol):
    """Knows one signing secret."""

    def accepts(self, headers: UnverifiedHeaders, body: bytes) -> bool:
        """Tell whether one of the signatures was made with the secret. Raises nothing."""


def read_headers(
    headers: Mapping[str, Sequence[str]], *, now: float
) -> UnverifiedHeaders | Rejection:
    """Read what a delivery says of itself.

    Args:
        headers: Every value of each header, under its name in lower case.
        now: The time of receipt, in POSIX seconds.

    Returns:
        The headers, still to be verified against the body.
    """
    found = [headers.get(name, ()) for name in HEADERS]
    if not all(found):
        return Rejection.MISSING_HEADER
    if any(len(values) > 1 for values in found):
        return Rejection.REPEATED_HEADER
    (message_id,), (timestamp,), (signatures,) = found
    if not _MESSAGE_ID.fullmatch(message_id):
        return Rejection.BAD_MESSAGE_ID
    if not _TIMESTAMP.fullmatch(timestamp):
        return Rejection.BAD_TIMESTAMP
    # This way round a clock that says NaN is outside, too.
    if not abs(now - int(timestamp)) <= TOLERANCE_SECONDS:
        return Rejection.OUTSIDE_TOLERANCE
    entries = signatures.split(" ", MAX_SIGNATURES)
    ours = [entry for entry in entries if _SIGNATURE.fullmatch(entry)]
    others = [entry for entry in entries if _is_of_other_scheme(entry)]
    if len(entries) > MAX_SIGNATURES or len(ours) + len(others) != len(entries):
        return Rejection.BAD_SIGNATURE_HEADER
    if not ours:
        return Rejection.UNKNOWN_SCHEME
    return UnverifiedHeaders(MessageId(message_id), timestamp, " ".join(ours))


def verify(
    headers: UnverifiedHeaders, body: bytes, verifiers: Iterable[SignatureVerifier]
) -> MessageId | Rejection:
    """Return the id of an authentic delivery.

    Args:
        headers: What came with the body.
        body: The body exactly as it was received; JSON written anew does not verify.
        verifiers: One for each signing secret in force. Without any, nothing is
            authentic.
    """
    if any(verifier.accepts(headers, body) for verifier in verifiers):
        return headers.message_id
    return Rejection.NO_MATCHING_SIGNATURE


def complaint_about_secret(secret: str) -> str | None:
    """Return what is wrong with a configured signing secret, without quoting it.

    Libraries skip what they cannot decode, and then verify with another key than
    the one that was meant.
    """
    if secret.startswith(_PUBLIC_PREFIX):
        return "begins with whpk_: it is a public key, and Clerk signs with secrets"
    if not secret.startswith(_PREFIX):
        return "does not begin with whsec_"
    encoded = secret.removeprefix(_PREFIX)
    if any(character.isspace() for character in encoded):
        return "has a space or a line break in it"
    if "-" in encoded or "_" in encoded:
        return "has - or _ in it, which are of another base64 than that of secrets"
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    # Decoding also takes what no encoder writes: spare bits that are not 0.
    if b64encode(key).decode() != encoded or not key:
        return "is not base64 after whsec_ (was it cut short?)"
    if len(key) not in SECRET_BYTES:
        lowest, highest = SECRET_BYTES[0], SECRET_BYTES[-1]
        return f"holds {len(key)} bytes, and not {lowest} to {highest}"
    return None


def _is_of_other_scheme(entry: str) -> bool:
    return _OTHER_SIGNATURE.fullmatch(entry) is not None and not entry.startswith("v1,")
