"""Which requests are deliveries of Clerk's, and which secrets could sign one."""

import math
import string
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from svix.webhooks import Webhook

from webhooks import (
    HOSTILE_HEADERS,
    MESSAGE_ID,
    OTHER_SECRET,
    SECRET,
    USER_CREATED,
    LetterVerifier,
    as_received,
    signature_of,
    signed,
    svix_verdict,
)
from wicketgate.core.webhook import (
    HEADERS,
    MAX_SIGNATURES,
    TOLERANCE_SECONDS,
    Rejection,
    UnverifiedHeaders,
    complaint_about_secret,
    read_headers,
    verify,
)

SENT_AT = 1_790_000_013.0
ED25519 = "v1a," + b64encode(bytes(64)).decode()


def verdict(
    headers: Mapping[str, Sequence[str]],
    body: bytes = USER_CREATED,
    *,
    now: float = SENT_AT,
    secrets: Sequence[str] = (SECRET,),
) -> str:
    """Take both steps."""
    read = read_headers(headers, now=now)
    if isinstance(read, Rejection):
        return read
    return verify(read, body, [LetterVerifier(secret) for secret in secrets])


def delivery(**changes: str) -> dict[str, list[str]]:
    """Return the headers of a good delivery with these changes, ``svix-`` left out."""
    good = signed(at=SENT_AT)
    return as_received(good | {f"svix-{name}": value for name, value in changes.items()})


# --- what is accepted --------------------------------------------------------

VECTORS = [
    (
        SECRET,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        "msg_loFOjxBNrRLzqYUf",
        1731705121,
        b'{"event_type":"ping","data":{"success":true}}',
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    ),
]


@pytest.mark.parametrize(("secret", "message_id", "at", "body", "signature"), VECTORS)
def test_the_published_vectors_verify(
    secret: str, message_id: str, at: int, body: bytes, signature: str
) -> None:
    sent_at = datetime.fromtimestamp(at, UTC)
    headers = {
        "svix-id": [message_id],
        "svix-timestamp": [str(at)],
        "svix-signature": [signature],
    }

    assert verdict(headers, body, now=at, secrets=[secret]) == message_id
    assert signature == signature_of(secret, message_id, str(at), body)
    assert signature == Webhook(secret).sign(message_id, sent_at, body.decode())


@pytest.mark.parametrize("index", [0, 1])
def test_the_published_vectors_fail_with_one_bit_changed(index: int) -> None:
    secret, message_id, at, body, signature = VECTORS[index]
    spoilt = signature[:-2] + {"E": "A", "0": "4"}[signature[-2]] + "="
    headers = {
        "svix-id": [message_id],
        "svix-timestamp": [str(at)],
        "svix-signature": [spoilt],
    }

    found = verdict(headers, body, now=at, secrets=[secret])

    assert found is Rejection.NO_MATCHING_SIGNATURE


def test_a_delivery_is_known_by_its_message_id() -> None:
    assert verdict(delivery()) == MESSAGE_ID


@pytest.mark.parametrize("message_id", ["m", "msg_" + "x" * 124, "a-b_C9"])
def test_ids_of_any_kind_are_accepted(message_id: str) -> None:
    assert message_id == verdict(as_received(signed(message_id=message_id, at=SENT_AT)))


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_every_secret_in_force_counts(secret: str) -> None:
    headers = as_received(signed(secret=secret, at=SENT_AT))

    assert verdict(headers, secrets=[SECRET, OTHER_SECRET]) == MESSAGE_ID


@pytest.mark.parametrize("secrets", [[], [OTHER_SECRET]])
def test_no_other_secret_counts_and_without_any_nothing_does(secrets: list[str]) -> None:
    assert verdict(delivery(), secrets=secrets) is Rejection.NO_MATCHING_SIGNATURE


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, MESSAGE_ID),
        (TOLERANCE_SECONDS, MESSAGE_ID),
        (TOLERANCE_SECONDS + 0.001, Rejection.OUTSIDE_TOLERANCE),
        (TOLERANCE_SECONDS + 1, Rejection.OUTSIDE_TOLERANCE),
    ],
)
def test_tolerance_is_the_same_both_ways_and_includes_its_limit(
    seconds: float, expected: str, sign: int
) -> None:
    assert expected == verdict(delivery(), now=SENT_AT + sign * seconds)


@pytest.mark.parametrize("now", [math.nan, math.inf, -math.inf])
def test_a_clock_that_is_out_of_order_accepts_nothing(now: float) -> None:
    assert verdict(delivery(), now=now) is Rejection.OUTSIDE_TOLERANCE


def test_only_signatures_of_the_known_scheme_are_handed_on() -> None:
    good = signed(at=SENT_AT)["svix-signature"]

    read = read_headers(delivery(signature=f"{ED25519} {good} v2,AAAA {good}"), now=SENT_AT)

    assert isinstance(read, UnverifiedHeaders)
    assert read.signatures == f"{good} {good}"


@pytest.mark.parametrize(
    ("count", "expected"),
    [(MAX_SIGNATURES, MESSAGE_ID), (MAX_SIGNATURES + 1, Rejection.BAD_SIGNATURE_HEADER)],
)
def test_there_are_only_so_many_signatures(count: int, expected: str) -> None:
    good = signed(at=SENT_AT)["svix-signature"]

    assert expected == verdict(delivery(signature=" ".join([ED25519] * (count - 1) + [good])))


# --- what is not -------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_hostile_headers(name: str) -> None:
    spoil, expected = HOSTILE_HEADERS[name]

    assert expected == verdict(spoil(signed(at=SENT_AT)))


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    ("values", "expected"),
    [((), Rejection.MISSING_HEADER), (("x", "x"), Rejection.REPEATED_HEADER)],
)
def test_each_header_is_there_once(name: str, values: Sequence[str], expected: Rejection) -> None:
    assert verdict({**delivery(), name: values}) is expected


@given(st.integers(0, len(USER_CREATED) - 1), st.integers(1, 255))
def test_one_byte_of_the_body_changed_is_another_body(index: int, change: int) -> None:
    body = bytearray(USER_CREATED)
    body[index] ^= change

    assert verdict(delivery(), bytes(body)) is Rejection.NO_MATCHING_SIGNATURE


@pytest.mark.parametrize("body", [b"", USER_CREATED + b"\n", USER_CREATED[1:]])
def test_a_longer_or_shorter_body_is_another_body(body: bytes) -> None:
    assert verdict(delivery(), body) is Rejection.NO_MATCHING_SIGNATURE


values = st.text(st.characters()) | st.text(string.ascii_letters + string.digits + ",+/=v1 ._-")


@given(st.sampled_from(HEADERS), st.lists(values, max_size=3))
@example("svix-id", ["msg_\udcff"])
@example("svix-signature", ["v1"])
@example("svix-signature", ["v1," + "A" * 43 + "="])
@example("svix-timestamp", ["٣"])
def test_one_hostile_header_is_a_rejection(name: str, hostile: list[str]) -> None:
    """
    It starts from a good delivery: nothing is raised, and nothing forged gets in.
    """
    headers = delivery()
    is_harmless = hostile == headers[name]

    found = verdict({**headers, name: hostile})

    assert is_harmless or isinstance(found, Rejection)


@given(
    st.sampled_from(HEADERS),
    st.integers(0, 200),
    st.integers(0, 3),
    st.text(string.printable, max_size=3),
)
def test_whatever_is_accepted_svix_accepts_too(
    name: str, start: int, length: int, inserted: str
) -> None:
    """
    One header of a good delivery is spoilt by a few characters.
    """
    headers = signed()
    value = headers[name]
    spoilt = {**headers, name: value[:start] + inserted + value[start + length :]}

    found = verdict(as_received(spoilt), now=float(headers["svix-timestamp"]))

    assert isinstance(found, Rejection) or svix_verdict(spoilt, USER_CREATED) is True


# --- secrets -----------------------------------------------------------------


def secret_of(key: bytes) -> str:
    return "whsec_" + b64encode(key).decode()


@pytest.mark.parametrize(
    "secret", [SECRET, OTHER_SECRET, *(secret_of(bytes(length)) for length in (24, 25, 32, 75))]
)
def test_a_secret_as_svix_makes_them_is_accepted(secret: str) -> None:
    assert complaint_about_secret(secret) is None


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "does not begin with whsec_"),
        (SECRET.removeprefix("whsec_"), "does not begin with whsec_"),
        (SECRET.upper(), "does not begin with whsec_"),
        ("whpk_" + SECRET.removeprefix("whsec_"), "public key"),
        ("whsec_", "is not base64"),
        ("whsec_not base64", "space or a line break"),
        (f"{SECRET[:20]} {SECRET[20:]}", "space or a line break"),
        (f"{SECRET}\n", "space or a line break"),
        (f"whsec_ {SECRET}", "space or a line break"),
        (f"{SECRET[:20]}\u00a0{SECRET[20:]}", "space or a line break"),
        (f"{SECRET[:20]}-{SECRET[21:]}", "has - or _ in it"),
        (f"{SECRET[:20]}_{SECRET[21:]}", "has - or _ in it"),
        (f"{SECRET[:20]}!{SECRET[21:]}", "is not base64"),
        (f"{SECRET[:20]}é{SECRET[21:]}", "is not base64"),
        (SECRET[:-1], "is not base64"),
        (SECRET[:-3], "is not base64"),
        (SECRET + "=", "is not base64"),
        (secret_of(bytes(25)).rstrip("="), "is not base64"),
        # Its spare bits are not 0.
        (secret_of(bytes(25))[:-3] + "B==", "is not base64"),
        (secret_of(bytes(23)), "holds 23 bytes, and not 24 to 75"),
        (secret_of(bytes(76)), "holds 76 bytes, and not 24 to 75"),
    ],
)
def test_a_secret_that_was_spoilt_is_complained_about(secret: str, complaint: str) -> None:
    found = complaint_about_secret(secret)

    assert found is not None
    assert complaint in found


@given(st.integers(0, len(SECRET)), st.integers(0, 3), st.text(max_size=3))
def test_whatever_is_no_complaint_is_a_key_that_svix_signs_with(
    start: int, length: int, inserted: str
) -> None:
    secret = SECRET[:start] + inserted + SECRET[start + length :]

    found = complaint_about_secret(secret)

    if found is None:
        sent_at = datetime.fromtimestamp(SENT_AT, UTC)
        expected = Webhook(secret).sign(MESSAGE_ID, sent_at, "{}")
        assert expected == signature_of(secret, MESSAGE_ID, str(int(SENT_AT)), b"{}")
    else:
        assert not [at for at in range(6, len(secret) - 5) if secret[at : at + 6] in found]
