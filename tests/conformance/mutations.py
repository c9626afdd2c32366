"""The mutation table: a session token, spoiled, and our verdict on each row.

The numbers are those of the reference table that compares Clerk's SDKs; rows
that it leaves out are missing here as well. A row whose verdict depends on a
setting stands here once for each side of it.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from wicketgate.core.claims import PartyCheck
from wicketgate.core.reason import Reason
from wicketgate.local.clerk_instance import (
    ABSENT,
    ClerkInstance,
    base64url,
    jwk_of,
    sign,
    sign_segments,
)

ORIGIN: Final = "http://localhost:3000"
"""The ``azp`` of a token that nobody changed."""

Settings = Mapping[str, Any]
"""Fields of `TokenRules` that differ from their defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """What a token is made from.

    Attributes:
        clerk: The instance whose tokens are accepted.
        stranger: A sound key that is not the instance's.
        now: When, in whole POSIX seconds.
    """

    clerk: ClerkInstance
    stranger: RSAPrivateKey
    now: int

    def header(self, **changes: object) -> dict[str, object]:
        """Return the JOSE header with `changes`."""
        return _changed(
            {"alg": "RS256", "cat": "cl_B7d4PD111AAA", "kid": self.clerk.kid, "typ": "JWT"},
            changes,
        )

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims with `changes`."""
        return _changed(self.clerk.claims(now=self.now), changes)

    def signed(self, header: bytes, payload: bytes) -> str:
        """Return the token of these very octets, signed by the instance."""
        return sign_segments(base64url(header), base64url(payload), self.clerk.key)

    def unsigned(self, **header: object) -> str:
        """Return the signing input under a changed header."""
        return f"{base64url(_json(self.header(**header)))}.{base64url(_json(self.claims()))}"


Spoil = Callable[[Mint], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One row.

    Attributes:
        number: Its number in the reference table.
        name: What was done to the token.
        token: Makes the token.
        expected: Why it is refused, `None` when it is accepted.
        settings: What differs from the default rules.
        fits_a_header: Whether Envoy would let it through at all.
        python_refuses: Whether Clerk's Python SDK is known to refuse what we accept.
    """

    number: int
    name: str
    token: Spoil
    expected: Reason | None
    settings: Settings = field(default_factory=dict)
    fits_a_header: bool = True
    python_refuses: bool = False


def _changed(defaults: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    merged = {**defaults, **changes}
    return {name: value for name, value in merged.items() if value is not ABSENT}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def valid(mint: Mint) -> str:
    """Change nothing."""
    return with_claims()(mint)


def with_claims(**changes: object) -> Spoil:
    """Change claims; a callable is given the time."""

    def spoil(mint: Mint) -> str:
        settled = {
            name: value(mint.now) if callable(value) else value for name, value in changes.items()
        }
        return sign(mint.header(), mint.claims(**settled), mint.clerk.key)

    return spoil


def with_header(**changes: object) -> Spoil:
    """Change the JOSE header, and sign RS256 whatever it says."""
    return lambda mint: sign(mint.header(**changes), mint.claims(), mint.clerk.key)


def with_payload(change: Callable[[bytes], bytes]) -> Spoil:
    """Change the octets of the payload before they are signed."""
    return lambda mint: mint.signed(_json(mint.header()), change(_json(mint.claims())))


def with_raw_header(change: Callable[[bytes], bytes]) -> Spoil:
    """Change the octets of the header before they are signed."""
    return lambda mint: mint.signed(change(_json(mint.header())), _json(mint.claims()))


def with_signature(change: Callable[[str], str]) -> Spoil:
    """Change the text of the signature."""

    def spoil(mint: Mint) -> str:
        body, _, signature = valid(mint).rpartition(".")
        return f"{body}.{change(signature)}"

    return spoil


def after(seconds: float) -> Callable[[int], float]:
    """Return a time relative to now."""
    return lambda now: now + seconds


def expired(seconds: int) -> Spoil:
    """Mint a token that expired that long ago."""
    return with_claims(exp=after(-seconds), iat=after(-seconds - 60), nbf=after(-seconds - 70))


def issued_in(seconds: int) -> Spoil:
    """Mint a token whose ``iat`` is that far ahead."""
    return with_claims(iat=after(seconds), exp=after(seconds + 60))


def _infinite(payload: bytes) -> bytes:
    claims = json.loads(payload)
    return payload.replace(f'"exp":{claims["exp"]}'.encode(), b'"exp":1e400')


def _twice(name: str, value: object) -> Callable[[bytes], bytes]:
    """Return a change that repeats a member at the end, where most readers take it."""
    return lambda raw: raw[:-1] + f',"{name}":{json.dumps(value)}}}'.encode()


def _before(name: str, value: object) -> Callable[[bytes], bytes]:
    return lambda raw: f'{{"{name}":{json.dumps(value)},'.encode() + raw[1:]


def with_hmac(*, newlines: bool) -> Spoil:
    """Sign HS256 with the public key as if it were a secret (CVE-2015-9235)."""

    def spoil(mint: Mint) -> str:
        pem = mint.clerk.public_pem if newlines else mint.clerk.public_pem.replace("\n", "")
        body = mint.unsigned(alg="HS256")
        return f"{body}.{base64url(hmac.digest(pem.encode(), body.encode(), sha256))}"

    return spoil


def rs512(mint: Mint) -> str:
    """Sign RS512, correctly."""
    body = mint.unsigned(alg="RS512")
    return f"{body}.{base64url(mint.clerk.key.sign(body.encode(), PKCS1v15(), SHA512()))}"


def ps256(mint: Mint) -> str:
    """Sign PS256, correctly."""
    body = mint.unsigned(alg="PS256")
    padding = PSS(mgf=MGF1(SHA256()), salt_length=PSS.DIGEST_LENGTH)
    return f"{body}.{base64url(mint.clerk.key.sign(body.encode(), padding, SHA256()))}"


def unsigned(mint: Mint) -> str:
    """Say ``none`` and leave the signature out."""
    return f"{mint.unsigned(alg='none')}."


def forged(mint: Mint) -> str:
    """Sign with a key that is not the instance's."""
    return mint.clerk.mint(now=mint.now, key=mint.stranger)


def with_own_key(mint: Mint) -> str:
    """Carry the key to verify with, as an attacker would."""
    jwk = jwk_of(mint.stranger, mint.clerk.kid)
    return sign(mint.header(jwk=jwk), mint.claims(), mint.stranger)


def padded_segments(mint: Mint) -> str:
    """Pad header and payload, and sign them so."""
    header, payload = _json(mint.header()), _json(mint.claims(pad="x"))
    # One that needs no padding would not be spoiled.
    while len(header) % 3 == 0:
        header += b" "
    while len(payload) % 3 == 0:
        payload += b" "
    return sign_segments(_padded(base64url(header)), _padded(base64url(payload)), mint.clerk.key)


def _padded(segment: str) -> str:
    return segment + "=" * (-len(segment) % 4)


def _with_stray_bits(signature: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 octets leave four unused bits in the last letter: set one of them.
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) | 1]


def standard_alphabet(mint: Mint) -> str:
    """Write the signature with ``+`` and ``/``; a few tries find one that has them."""
    for serial in range(100):
        token = with_claims(jti=str(serial))(mint)
        body, _, signature = token.rpartition(".")
        standard = signature.replace("-", "+").replace("_", "/")
        if standard != signature:
            return f"{body}.{standard}"
    raise AssertionError  # each has one with probability above 0.999


def deep(mint: Mint) -> str:
    """Nest 100,000 arrays."""
    raw = _json(mint.claims())
    nested = b"[" * 100_000 + b"]" * 100_000
    return mint.signed(_json(mint.header()), raw[:-1] + b',"deep":' + nested + b"}")


_PARTIES: Final = frozenset({ORIGIN})
REQUIRED: Final = {"party_check": PartyCheck.REQUIRED, "authorized_parties": _PARTIES}
IF_PRESENT: Final = {"party_check": PartyCheck.IF_PRESENT, "authorized_parties": _PARTIES}
AUDIENCE: Final = {"audiences": frozenset({"api"})}

_ORGANIZATION_V1: Final = {
    "org_id": "org_2x",
    "org_slug": "acme",
    "org_role": "org:admin",
    "org_permissions": ["org:dashboard:read"],
}
_ORGANIZATION_V2: Final = {
    "o": {"id": "org_2x", "slg": "acme", "rol": "admin", "per": "manage,read", "fpm": "3,2"},
    "fea": "o:dashboard,o:teams",
    "pla": "o:pro",
}
_ACTOR: Final = {"act": {"iss": "https://dashboard.clerk.com", "sub": "user_admin"}}


def _row(
    number: int,
    name: str,
    token: Spoil,
    expected: Reason | None = None,
    settings: Settings | None = None,
    *,
    fits_a_header: bool = True,
    python_refuses: bool = False,
) -> Mutation:
    return Mutation(
        number=number,
        name=name,
        token=token,
        expected=expected,
        settings=settings or {},
        fits_a_header=fits_a_header,
        python_refuses=python_refuses,
    )


MUTATIONS: Final = (
    _row(1, "valid v2", valid),
    _row(
        2,
        "valid v1, org_* claims",
        with_claims(v=ABSENT, sts=ABSENT, jti=ABSENT, **_ORGANIZATION_V1),
    ),
    _row(3, "exp 3 s ago", expired(3)),
    _row(4, "exp 7 s ago", expired(7), Reason.TOKEN_EXPIRED),
    _row(5, "nbf +3 s", with_claims(nbf=after(3))),
    _row(6, "nbf +60 s", with_claims(nbf=after(60)), Reason.TOKEN_NOT_YET_VALID),
    _row(7, "iat +3 s", issued_in(3)),
    _row(8, "iat +60 s", issued_in(60), Reason.TOKEN_ISSUED_IN_FUTURE),
    _row(9, "exp missing", with_claims(exp=ABSENT), Reason.CLAIMS_MALFORMED),
    _row(
        12,
        "exp numeric string",
        with_claims(exp=lambda now: str(now + 60)),
        Reason.CLAIMS_MALFORMED,
    ),
    _row(13, "exp float", with_claims(exp=after(60.5))),
    _row(14, "exp true", with_claims(exp=True), Reason.CLAIMS_MALFORMED),
    _row(
        16,
        "exp in milliseconds",
        with_claims(exp=lambda now: (now + 60) * 1000),
        Reason.TOKEN_LIFETIME,
    ),
    _row(
        16,
        "exp in milliseconds, lifetime not limited",
        with_claims(exp=lambda now: (now + 60) * 1000),
        None,
        {"max_lifetime_seconds": 1e15},
    ),
    _row(17, "exp 1e400", with_payload(_infinite), Reason.CLAIMS_MALFORMED),
    _row(19, "nbf string", with_claims(nbf=str), Reason.CLAIMS_MALFORMED),
    _row(20, "iat string", with_claims(iat=str), Reason.CLAIMS_MALFORMED),
    _row(21, "sub missing", with_claims(sub=ABSENT), Reason.SUBJECT_INVALID),
    _row(22, "sub integer", with_claims(sub=5), Reason.SUBJECT_INVALID),
    _row(24, "sub empty", with_claims(sub=""), Reason.SUBJECT_INVALID),
    _row(25, "sub has CR LF", with_claims(sub="user_1\r\nx-admin: 1"), Reason.SUBJECT_INVALID),
    _row(
        26,
        "azp mismatch, parties set",
        with_claims(azp="https://evil.example"),
        Reason.PARTY_MISMATCH,
        REQUIRED,
    ),
    _row(27, "azp missing, parties set", with_claims(azp=ABSENT), Reason.PARTY_MISSING, REQUIRED),
    _row(27, "azp missing, checked if present", with_claims(azp=ABSENT), None, IF_PRESENT),
    _row(28, "azp empty, parties set", with_claims(azp=""), Reason.PARTY_MISSING, REQUIRED),
    _row(28, "azp empty, checked if present", with_claims(azp=""), None, IF_PRESENT),
    _row(
        29,
        "azp trailing slash, parties set",
        with_claims(azp=f"{ORIGIN}/"),
        Reason.PARTY_MISMATCH,
        REQUIRED,
    ),
    _row(
        30, "azp as list, parties set", with_claims(azp=[ORIGIN]), Reason.PARTY_MISMATCH, REQUIRED
    ),
    _row(31, "azp mismatch, parties off", with_claims(azp="https://evil.example")),
    _row(32, "azp missing, parties off", with_claims(azp=ABSENT)),
    _row(33, "aud present, audience unset", with_claims(aud="api"), python_refuses=True),
    _row(33, "aud present, audience set", with_claims(aud="api"), None, AUDIENCE),
    _row(
        34,
        "aud mismatch, audience set",
        with_claims(aud="other"),
        Reason.AUDIENCE_MISMATCH,
        AUDIENCE,
    ),
    _row(35, "aud missing, audience set", valid, Reason.AUDIENCE_MISMATCH, AUDIENCE),
    _row(35, "aud missing, audience unset", valid),
    _row(36, "sts pending", with_claims(sts="pending"), Reason.SESSION_PENDING),
    _row(36, "sts pending, allowed", with_claims(sts="pending"), None, {"pending_sessions": True}),
    _row(
        37,
        "iss other instance",
        with_claims(iss="https://other-bat-2.clerk.accounts.dev"),
        Reason.ISSUER_MISMATCH,
    ),
    _row(38, "iss missing", with_claims(iss=ABSENT), Reason.ISSUER_MISMATCH),
    _row(39, "sid missing", with_claims(sid=ABSENT), Reason.SESSION_MISSING),
    _row(
        39,
        "sid missing, template tokens allowed",
        with_claims(sid=ABSENT, sts=ABSENT),
        None,
        {"template_tokens": True},
    ),
    _row(40, "alg none, no signature", unsigned, Reason.TOKEN_ALGORITHM),
    _row(42, "HS256 keyed with the PEM", with_hmac(newlines=True), Reason.TOKEN_ALGORITHM),
    _row(
        43,
        "HS256 keyed with the PEM without newlines",
        with_hmac(newlines=False),
        Reason.TOKEN_ALGORITHM,
    ),
    _row(44, "RS512 correctly signed", rs512, Reason.TOKEN_ALGORITHM),
    _row(45, "PS256 correctly signed", ps256, Reason.TOKEN_ALGORITHM),
    _row(46, "alg in lower case", with_header(alg="rs256"), Reason.TOKEN_ALGORITHM),
    _row(47, "signed by another key", forged, Reason.SIGNATURE_INVALID),
    _row(48, "typ missing", with_header(typ=ABSENT)),
    _row(49, "typ at+jwt", with_header(typ="at+jwt"), Reason.MACHINE_TOKEN),
    _row(50, "typ in lower case", with_header(typ="jwt"), Reason.TOKEN_TYPE),
    _row(51, "kid missing", with_header(kid=ABSENT), Reason.KEY_ID_INVALID),
    _row(52, "kid unknown", with_header(kid="ins_unknown"), Reason.KEY_UNKNOWN),
    _row(53, "kid integer", with_header(kid=5), Reason.KEY_ID_INVALID),
    _row(54, "crit exp", with_header(crit=["exp"]), Reason.TOKEN_HEADER_UNSUPPORTED),
    _row(
        55,
        "crit b64, b64 false",
        with_header(crit=["b64"], b64=False),
        Reason.TOKEN_HEADER_UNSUPPORTED,
    ),
    _row(56, "b64 false without crit", with_header(b64=False), Reason.TOKEN_HEADER_UNSUPPORTED),
    _row(57, "zip", with_header(zip="DEF"), Reason.TOKEN_HEADER_UNSUPPORTED),
    _row(58, "attacker's jwk and signature", with_own_key, Reason.SIGNATURE_INVALID),
    _row(59, "cat template", with_header(cat="cl_B7d4PD222AAA"), Reason.TEMPLATE_TOKEN),
    _row(
        59,
        "cat template, allowed",
        with_header(cat="cl_B7d4PD222AAA"),
        None,
        {"template_tokens": True},
    ),
    _row(60, "cat M2M, sub user_", with_header(cat="cl_B7d4PD333AAA"), Reason.MACHINE_TOKEN),
    _row(
        61,
        "cat M2M, sub mch_",
        lambda mint: sign(
            mint.header(cat="cl_B7d4PD333AAA"), mint.claims(sub="mch_1"), mint.clerk.key
        ),
        Reason.MACHINE_TOKEN,
    ),
    _row(
        62,
        "sub mch_, cat absent",
        lambda mint: sign(mint.header(cat=ABSENT), mint.claims(sub="mch_1"), mint.clerk.key),
        Reason.MACHINE_TOKEN,
    ),
    _row(63, "cat says nothing", with_header(cat="cl_I7d4PD111III")),
    _row(64, "cat unknown", with_header(cat="cl_B7d4PD444AAA"), Reason.TOKEN_CLASS),
    _row(65, "signature padded", with_signature(_padded), Reason.TOKEN_MALFORMED),
    _row(
        66,
        "signature padded too much",
        with_signature(lambda text: text + "===="),
        Reason.TOKEN_MALFORMED,
    ),
    _row(67, "header and payload padded and signed so", padded_segments, Reason.TOKEN_MALFORMED),
    _row(
        68,
        "signature with stray trailing bits",
        with_signature(_with_stray_bits),
        Reason.TOKEN_MALFORMED,
    ),
    _row(69, "signature in the standard alphabet", standard_alphabet, Reason.TOKEN_MALFORMED),
    _row(
        70,
        "trailing line feed",
        lambda mint: valid(mint) + "\n",
        Reason.TOKEN_MALFORMED,
        fits_a_header=False,
    ),
    _row(78, "sub twice", with_payload(_twice("sub", "user_evil")), Reason.TOKEN_MALFORMED),
    _row(79, "exp twice", with_payload(_twice("exp", 1)), Reason.TOKEN_MALFORMED),
    _row(80, "alg twice", with_raw_header(_before("alg", "none")), Reason.TOKEN_MALFORMED),
    _row(82, "payload null", with_payload(lambda _: b"null"), Reason.TOKEN_MALFORMED),
    _row(85, "header null", with_raw_header(lambda _: b"null"), Reason.TOKEN_MALFORMED),
    _row(
        86,
        "payload with byte order mark",
        with_payload(lambda raw: b"\xef\xbb\xbf" + raw),
        Reason.TOKEN_MALFORMED,
    ),
    _row(
        87,
        "payload not UTF-8 in sub",
        with_payload(lambda raw: raw.replace(b'"sub":"user_', b'"sub":"user_\xff')),
        Reason.TOKEN_MALFORMED,
    ),
    _row(
        88,
        "payload UTF-16",
        with_payload(lambda raw: raw.decode().encode("utf-16")),
        Reason.TOKEN_MALFORMED,
    ),
    _row(
        89,
        "claim of 64 KiB",
        with_claims(big="x" * 65_536),
        Reason.TOKEN_TOO_LARGE,
        fits_a_header=False,
    ),
    _row(
        90,
        "claim of 2 MiB",
        with_claims(big="x" * 2_097_152),
        Reason.TOKEN_TOO_LARGE,
        fits_a_header=False,
    ),
    _row(91, "arrays nested 100,000 deep", deep, Reason.TOKEN_TOO_LARGE, fits_a_header=False),
    _row(92, "jti integer", with_claims(jti=5), python_refuses=True),
    _row(93, "iss integer", with_claims(iss=5), Reason.ISSUER_MISMATCH),
    _row(94, "__proto__ in the payload", with_claims(__proto__={"sub": "user_evil"})),
    _row(97, "v2 organization claims", with_claims(**_ORGANIZATION_V2)),
    _row(98, "act, impersonation", with_claims(**_ACTOR)),
    _row(
        98,
        "act, impersonation refused",
        with_claims(**_ACTOR),
        Reason.IMPERSONATION,
        {"impersonation": False},
    ),
)
