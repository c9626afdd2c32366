"""What counts as a key of Clerk's, and what does not."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from wicketgate.core.keys import (
    MAX_BITS,
    MAX_ENTRIES,
    MAX_EXPONENT,
    MAX_KEYS,
    KeySet,
    UnusableKeysError,
)
from wicketgate.local.clerk_instance import ABSENT, ClerkInstance, base64url, jwk_of, new_key

KEY = new_key()
OTHER = new_key()
JWK: dict[str, object] = dict(jwk_of(KEY, "ins_a"))
MODULUS = KEY.public_key().public_numbers().n


def number(value: int) -> str:
    return base64url(value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def jwk(**changes: object) -> dict[str, object]:
    """Return a good entry with members replaced, or left out by `ABSENT`."""
    return {name: value for name, value in (JWK | changes).items() if value is not ABSENT}


def document(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def test_clerks_own_document_is_one_key() -> None:
    """It verifies what its private half signed, and nothing else."""
    keys = KeySet.from_jwks(document(JWK))
    (key,) = keys.candidates("ins_a")
    signature = KEY.sign(b"words", PKCS1v15(), SHA256())

    assert key.verifies(b"words", signature)
    assert not key.verifies(b"other words", signature)
    assert not key.verifies(b"words", OTHER.sign(b"words", PKCS1v15(), SHA256()))
    assert not key.verifies(b"words", b"")
    assert keys.candidates("ins_b") == ()


def test_no_keys_is_false_and_answers_nothing() -> None:
    """The empty set is what there is before the first fetch."""
    assert not KeySet()
    assert KeySet().candidates("ins_a") == ()


def said(changes: dict[str, object]) -> str:
    """Name a change as every run names it: keys are made anew each time."""

    def value(each: object) -> str:
        if each is ABSENT:
            return "absent"
        text = repr(each)
        return text if len(text) < 20 else f"{len(text)} characters"

    return ", ".join(f"{name} {value(each)}" for name, each in changes.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"use": ABSENT},
        {"alg": ABSENT},
        {"use": ABSENT, "alg": ABSENT},
        {"unknown": ["member"]},
        {"e": number(3)},
        {"kid": ""},
    ],
    ids=said,
)
def test_an_rsa_signing_key_is_kept(changes: dict[str, object]) -> None:
    """``use`` and ``alg`` may be left out; members that nobody knows are passed over."""
    assert len(KeySet.from_jwks(document(jwk(**changes))).keys) == 1


UNSUITABLE: list[dict[str, object]] = [
    {"use": "enc"},
    {"use": None},
    {"use": ["sig"]},
    {"alg": "RS384"},
    {"alg": "HS256"},
    {"alg": "none"},
    {"alg": None},
    {"kty": "oct"},
    {"kty": "EC"},
    {"kty": ABSENT},
    {"kid": ABSENT},
    {"kid": 7},
    {"kid": None},
    {"n": ABSENT},
    {"n": ""},
    {"n": "!!!"},
    {"n": 7},
    {"n": None},
    {"n": number(MODULUS >> 1024 | 1)},
    {"n": number(MODULUS >> 1 | 1)},
    {"n": number(1 << MAX_BITS | 1)},
    {"e": ABSENT},
    {"e": number(0)},
    {"e": number(1)},
    {"e": number(2)},
    {"e": number(65_536)},
    {"e": number(MAX_EXPONENT + 1)},
    {"d": "AQAB"},
    {"d": None},
    {"p": "AQAB"},
    {"oth": []},
    {"k": "c2VjcmV0"},
]


@pytest.mark.parametrize("changes", UNSUITABLE, ids=said)
def test_any_other_entry_is_passed_over(changes: dict[str, object]) -> None:
    """Alone it makes the document unusable; before a good one it does no harm."""
    unsuitable = jwk(**changes)

    with pytest.raises(UnusableKeysError, match="none of the 1 entries"):
        KeySet.from_jwks(document(unsuitable))
    assert KeySet.from_jwks(document(unsuitable, JWK)) == KeySet.from_jwks(document(JWK))


@pytest.mark.parametrize(
    "entry", [None, 1, "key", [], {}, pytest.param([JWK], id="a list of one")], ids=repr
)
def test_an_entry_that_is_no_object_is_passed_over(entry: object) -> None:
    """The schema is Clerk's, the bytes may be anybody's."""
    assert len(KeySet.from_jwks(document(entry, JWK)).keys) == 1


def test_a_weak_key_is_no_key() -> None:
    """A real 1024-bit key, not merely a short modulus."""
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
    with pytest.raises(UnusableKeysError):
        KeySet.from_jwks(document(jwk_of(weak, "ins_a")))


def test_oct_and_ec_entries_of_the_same_kid_come_first_and_do_not_count() -> None:
    """Custom signing keys of JWT templates may stand in the document."""
    oct_entry = {"kty": "oct", "kid": "ins_a", "alg": "HS256", "k": "c2VjcmV0"}
    ec_entry = {"kty": "EC", "kid": "ins_a", "crv": "P-256", "x": "AQAB", "y": "AQAB"}

    keys = KeySet.from_jwks(document(oct_entry, ec_entry, JWK))

    assert [key.modulus for key in keys.candidates("ins_a")] == [MODULUS]


def test_keys_that_share_a_kid_are_all_candidates() -> None:
    """Clerk's ``kid`` is the instance id: a rotation may show two keys under it."""
    keys = KeySet.from_jwks(document(JWK, jwk_of(OTHER, "ins_a")))
    assert len(keys.candidates("ins_a")) == 2


def test_duplicate_entries_are_one_key() -> None:
    """And the set equals the one without them."""
    assert KeySet.from_jwks(document(JWK, JWK)) == KeySet.from_jwks(document(JWK))


def test_another_modulus_under_the_same_kid_is_another_set() -> None:
    """Equality is what decides whether a refresh changed anything."""
    other = KeySet.from_jwks(document(jwk_of(OTHER, "ins_a")))
    assert other != KeySet.from_jwks(document(JWK))


@pytest.mark.parametrize(("entries", "accepted"), [(MAX_ENTRIES, True), (MAX_ENTRIES + 1, False)])
def test_entries_are_limited(entries: int, *, accepted: bool) -> None:
    """Of whatever kind."""
    crowd = document(JWK, *[{}] * (entries - 1))
    if accepted:
        assert len(KeySet.from_jwks(crowd).keys) == 1
        return
    with pytest.raises(UnusableKeysError, match=f"{entries} entries"):
        KeySet.from_jwks(crowd)


@pytest.mark.parametrize(("count", "accepted"), [(MAX_KEYS, True), (MAX_KEYS + 1, False)])
def test_usable_keys_are_limited(count: int, *, accepted: bool) -> None:
    """Each of them may have to be tried on every forged token."""
    crowd = document(*[jwk(kid=f"ins_{each}") for each in range(count)])
    if accepted:
        assert len(KeySet.from_jwks(crowd).keys) == count
        return
    with pytest.raises(UnusableKeysError, match=f"{count} usable keys"):
        KeySet.from_jwks(crowd)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[],"keys":[]}',
        b'\xef\xbb\xbf{"keys":[]}',
        b'{"keys":[' + b"[" * 50_000,
        b"<!doctype html><title>Sign in</title>",
        b"\xff\x00",
    ],
    ids=lambda raw: raw[:24],
)
def test_a_document_without_keys_is_an_error(raw: bytes) -> None:
    """So that it can never replace a good set."""
    with pytest.raises(UnusableKeysError):
        KeySet.from_jwks(raw)


FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = st.sampled_from([*JWK, "d", "x5c", "key_ops", "crv"])


@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_no_document_raises_anything_else(raw: bytes) -> None:
    """Bytes of any kind: an error of one kind."""
    with pytest.raises(UnusableKeysError):
        KeySet.from_jwks(raw)


@given(MEMBERS, ANYTHING | st.binary().map(base64url) | st.integers(0, 2**3000).map(number))
def test_no_entry_raises_anything_else(member: str, value: Any) -> None:  # noqa: ANN401 - JSON
    """A good key with one member spoilt: kept or passed over, its neighbour untouched."""
    keys = KeySet.from_jwks(document(jwk(**{member: value}), jwk_of(OTHER, "ins_b")))
    assert len(keys.candidates("ins_b")) >= 1


@given(st.integers(0, 2048), st.binary(max_size=4), st.integers(0, 16))
def test_noise_in_a_good_document_raises_nothing_else(at: int, noise: bytes, cut: int) -> None:
    """A few bytes replaced anywhere: at most the one key remains."""
    good = document(JWK)
    at %= len(good)
    try:
        keys = KeySet.from_jwks(good[:at] + noise + good[at + cut :])
    except UnusableKeysError:
        return
    assert len(keys.keys) == 1


@given(st.binary(max_size=300))
def test_no_signature_raises(signature: bytes) -> None:
    """Any bytes are merely not a signature."""
    (key,) = KeySet.from_jwks(document(JWK)).keys
    assert key.verifies(b"words", signature) is False


def test_a_pem_is_one_key_for_every_kid() -> None:
    """The PEM of Clerk's dashboard names no ``kid``."""
    keys = KeySet.from_pem(ClerkInstance(key=KEY).public_pem)

    assert keys
    assert [key.modulus for key in keys.candidates("ins_whatever")] == [MODULUS]


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    encoded = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        pytest.param("", "not a PEM public key", id="empty"),
        pytest.param("ssh-rsa AAAA", "not a PEM public key", id="ssh"),
        pytest.param("\udcff", "not a PEM public key", id="surrogate"),
        pytest.param(pem_of(KEY)[:-60], "not a PEM public key", id="truncated"),
        pytest.param(pem_of(ec.generate_private_key(ec.SECP256R1())), "that is not RSA", id="ec"),
        pytest.param(
            pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505 - weak on purpose
            "2048 to 8192 bits",
            id="weak",
        ),
        pytest.param(
            KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "not a PEM public key",
            id="private",
        ),
    ],
)
def test_an_unsound_pem_is_refused(pem: str, complaint: str) -> None:
    """With what was expected, and never with what was given."""
    with pytest.raises(UnusableKeysError, match=complaint):
        KeySet.from_pem(pem)


@given(st.text(max_size=200) | st.text(max_size=200).map(lambda text: pem_of(KEY)[:60] + text))
def test_no_pem_raises_anything_else(pem: str) -> None:
    """Text of any kind: an error of one kind."""
    with pytest.raises(UnusableKeysError):
        KeySet.from_pem(pem)
