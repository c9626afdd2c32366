"""Clerk's public keys, and nothing that could be mistaken for one.

A JWKS is read defensively: only RSA signing keys of sound strength are kept,
every other entry is passed over, and a document that yields no key is an error,
so that it can never replace a good set.

Source: RFC 7517; Clerk Backend API, ``JWKS`` schema (which allows ``oct``,
``EC`` and private members).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK

from wicketgate.core.strict_json import NotStrictJsonError, parse_object

MAX_ENTRIES: Final = 64
"""Entries of any kind in one document; Clerk publishes one, two while rotating."""
MAX_KEYS: Final = 16
"""Usable keys in one document."""
MIN_BITS: Final = 2048
"""RFC 7518 section 3.3: a key of size 2048 bits or larger MUST be used."""
MAX_BITS: Final = 8192
"""Verification time grows with the square of the size; OpenSSL stops at 16384."""
MAX_EXPONENT: Final = 2**32
"""Larger public exponents only slow verification down."""

_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class UnusableKeysError(ValueError):
    """The document holds no key that may be trusted. The message says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One RSA public key; equal keys have equal `kid`, modulus and exponent."""

    kid: str
    modulus: int
    exponent: int
    public_key: RSAPublicKey = field(compare=False, repr=False)

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether `signature` is this key's RS256 signature of `signing_input`."""
        try:
            self.public_key.verify(signature, signing_input, _PADDING, _HASH)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class KeySet:
    """An immutable set of verification keys.

    Clerk's ``kid`` is the instance id, so two keys may share one while a key is
    rotated. A set made from a PEM answers to every ``kid``: the PEM has none.
    """

    keys: tuple[VerificationKey, ...] = ()
    answers_any_kid: bool = False
    _by_kid: Mapping[str, tuple[VerificationKey, ...]] = field(
        init=False, compare=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Index the keys by ``kid``."""
        by_kid: dict[str, tuple[VerificationKey, ...]] = {}
        for key in self.keys:
            by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        object.__setattr__(self, "_by_kid", by_kid)

    def __bool__(self) -> bool:
        """Tell whether there is any key at all."""
        return bool(self.keys)

    def candidates(self, kid: str) -> tuple[VerificationKey, ...]:
        """Return the keys that may have signed a token that names `kid`."""
        return self.keys if self.answers_any_kid else self._by_kid.get(kid, ())

    @classmethod
    def from_jwks(cls, document: bytes) -> Self:
        """Read a JWK set.

        Raises:
            UnusableKeysError: not a strict JSON object with a list of ``keys``, too
                many of them, or none that is a sound RSA signing key. No other
                exception escapes.
        """
        try:
            entries = parse_object(document).get("keys")
        except NotStrictJsonError as error:
            msg = f"the document is {error}"
            raise UnusableKeysError(msg) from None
        if type(entries) is not list:
            msg = "the document has no list of keys"
            raise UnusableKeysError(msg)
        if len(entries) > MAX_ENTRIES:
            msg = f"the document has {len(entries)} entries, more than {MAX_ENTRIES}"
            raise UnusableKeysError(msg)
        keys = tuple(_distinct(_from_jwk(entry) for entry in entries))
        if not keys:
            msg = f"none of the {len(entries)} entries is a usable RSA signing key"
            raise UnusableKeysError(msg)
        if len(keys) > MAX_KEYS:
            msg = f"the document has {len(keys)} usable keys, more than {MAX_KEYS}"
            raise UnusableKeysError(msg)
        return cls(keys)

    @classmethod
    def from_pem(cls, pem: str) -> Self:
        """Read one RSA public key in PEM form (SubjectPublicKeyInfo).

        Raises:
            UnusableKeysError: not a PEM public key, not RSA, or of unsound strength.
                No other exception escapes.
        """
        try:
            public_key = load_pem_public_key(pem.encode("utf-8"))
        except Exception:  # noqa: BLE001 - cryptography documents no closed list here
            msg = "not a PEM public key"
            raise UnusableKeysError(msg) from None
        if not isinstance(public_key, RSAPublicKey):
            msg = "the PEM holds a public key that is not RSA"
            raise UnusableKeysError(msg)
        if not _is_sound(public_key):
            msg = f"the RSA key must have {MIN_BITS} to {MAX_BITS} bits and an odd exponent"
            raise UnusableKeysError(msg)
        return cls((_verification_key("pem", public_key),), answers_any_kid=True)


def _distinct(keys: Iterable[VerificationKey | None]) -> Iterable[VerificationKey]:
    return dict.fromkeys(key for key in keys if key is not None)


def _from_jwk(entry: Any) -> VerificationKey | None:  # noqa: ANN401 - untyped JSON
    if type(entry) is not dict or not _PRIVATE_MEMBERS.isdisjoint(entry):
        # A published private key is no longer anybody's in particular.
        return None
    kid = entry.get("kid")
    if entry.get("kty") != "RSA" or type(kid) is not str:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        public_key = PyJWK(entry, algorithm="RS256").key
    except Exception:  # noqa: BLE001 - PyJWT raises more kinds here than it documents
        return None
    if not isinstance(public_key, RSAPublicKey) or not _is_sound(public_key):
        return None
    return _verification_key(kid, public_key)


def _is_sound(key: RSAPublicKey) -> bool:
    exponent = key.public_numbers().e
    return (
        MIN_BITS <= key.key_size <= MAX_BITS
        and 3 <= exponent <= MAX_EXPONENT  # noqa: PLR2004 - the smallest RSA exponent
        and exponent % 2 == 1
    )


def _verification_key(kid: str, public_key: RSAPublicKey) -> VerificationKey:
    numbers = public_key.public_numbers()
    return VerificationKey(kid, numbers.n, numbers.e, public_key)
