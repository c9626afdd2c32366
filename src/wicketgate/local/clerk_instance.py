"""A Clerk instance that exists only here: its keys, its JWKS, its tokens.

Faithful where verifiers look: ``kid`` is the instance id, the JWK members come
in Clerk's order, tokens live 60 s, ``nbf`` is 10 s before ``iat``, and every
header and claim can be overridden or left out.

Source: Clerk, "Session tokens", version 2; JWKS as served by the Frontend API.
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LIFETIME_SECONDS: Final = 60
"""Clerk's default lifetime of a session token."""
BACKDATED_SECONDS: Final = 10
"""How far before ``iat`` Clerk was seen to set ``nbf``."""

ABSENT: Final = object()
"""As the value of a claim or header member: leave it out."""

USER: Final = "user_2xLk9QmVb3TnR8sWfYh1JdZpAc0"
SESSION: Final = "sess_2xLmA1b2C3d4E5f6G7h8I9j0KlM"


def new_key() -> RSAPrivateKey:
    """Return a fresh RSA key of the size that Clerk uses."""
    return generate_private_key(public_exponent=65537, key_size=2048)


class ClerkInstance:
    """One instance: an id, a Frontend API host, and a signing key."""

    def __init__(
        self,
        *,
        host: str = "able-mole-1.clerk.accounts.dev",
        instance_id: str = "ins_2xKAbCdEfGhIjKlMnOpQrStUvWx",
        key: RSAPrivateKey | None = None,
    ) -> None:
        """Make an instance; without `key` it generates one (about 0.1 s)."""
        self.host = host
        self.kid = instance_id
        self.key = key or new_key()

    @property
    def issuer(self) -> str:
        """The ``iss`` of its tokens."""
        return f"https://{self.host}"

    @property
    def publishable_key(self) -> str:
        """The ``pk_test_`` key that encodes its host."""
        return "pk_test_" + b64encode(f"{self.host}$".encode()).decode().rstrip("=")

    @property
    def public_pem(self) -> str:
        """The "JWKS Public Key" of Clerk's dashboard."""
        public = self.key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def rotate(self, *, kid: str | None = None) -> None:
        """Replace the key; without `kid` the new key keeps the old ``kid``."""
        self.key = new_key()
        self.kid = kid or self.kid

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JWK, members in Clerk's order."""
        return jwk_of(self.key, self.kid)

    def jwks(self) -> bytes:
        """Return the JWKS document."""
        return json.dumps({"keys": [self.jwk()]}, separators=(",", ":")).encode()

    def mint(
        self,
        *,
        now: float,
        claims: Mapping[str, object] | None = None,
        header: Mapping[str, object] | None = None,
        key: RSAPrivateKey | None = None,
    ) -> str:
        """Return a session token.

        Args:
            now: ``iat``, POSIX seconds.
            claims: Claims to add or replace; `ABSENT` leaves one out.
            header: The same for members of the JOSE header.
            key: Sign with this key instead of the instance's.
        """
        return sign(
            _merged(
                {
                    "alg": "RS256",
                    "cat": "cl_B7d4PD111AAA",
                    "kid": self.kid,
                    "typ": "JWT",
                },
                header,
            ),
            _merged(self.claims(now=now), claims),
            key or self.key,
        )

    def claims(self, *, now: float) -> dict[str, object]:
        """Return the claims of a signed-in user's token, version 2."""
        issued_at = int(now)
        return {
            "azp": "http://localhost:3000",
            "exp": issued_at + LIFETIME_SECONDS,
            "fva": [0, -1],
            "iat": issued_at,
            "iss": self.issuer,
            "jti": "9f1e5a0c7b2d4e6f8a1b",
            "nbf": issued_at - BACKDATED_SECONDS,
            "sid": SESSION,
            "sts": "active",
            "sub": USER,
            "v": 2,
        }


def jwk_of(key: RSAPrivateKey, kid: str) -> dict[str, str]:
    """Return the public half of `key` as a JWK, members in Clerk's order."""
    numbers = key.public_key().public_numbers()
    return {
        "use": "sig",
        "kty": "RSA",
        "kid": kid,
        "alg": "RS256",
        "n": base64url(_octets(numbers.n)),
        "e": base64url(_octets(numbers.e)),
    }


def sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: RSAPrivateKey) -> str:
    """Return the compact JWS of `claims` under `header`, signed RS256 whatever it says."""
    return sign_segments(
        base64url(json.dumps(header, separators=(",", ":")).encode()),
        base64url(json.dumps(claims, separators=(",", ":")).encode()),
        key,
    )


def sign_segments(header: str, payload: str, key: RSAPrivateKey) -> str:
    """Return the compact JWS of two segments that are encoded already."""
    signing_input = f"{header}.{payload}"
    signature = key.sign(signing_input.encode(), PKCS1v15(), SHA256())
    return f"{signing_input}.{base64url(signature)}"


def base64url(raw: bytes) -> str:
    """Return unpadded base64url (RFC 7515 section 2)."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _merged(
    defaults: Mapping[str, object], overrides: Mapping[str, object] | None
) -> dict[str, object]:
    merged = {**defaults, **(overrides or {})}
    return {name: value for name, value in merged.items() if value is not ABSENT}
