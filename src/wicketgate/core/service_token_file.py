"""The file of named service tokens: who each belongs to, and what it is good for.

It holds digests and no secrets, but people paste the token itself into the wrong
place. So no message quotes anything that is as long as a token.

Source: SPIFFE-ID sections 2.1 and 2.2 (trust domain, path).
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Final, cast

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WrapValidator

from wicketgate.core.policy import fields
from wicketgate.core.policy.reading import Mistake, PolicyError, read_words
from wicketgate.core.policy.words import Read, Words
from wicketgate.core.rfc3339 import EXPECTED, parse_instant
from wicketgate.core.service_token import EVERY_SCOPE, MIN_LENGTH, STATIC_NAME, ServiceToken

MAX_TOKENS: Final = 1_000
"""Every one is compared with whatever a request shows."""

_DIGEST: Final = re.compile(r"[0-9A-Fa-f]{64}")
_DIGESTS_OF_NOTHING: Final = frozenset(sha256(nothing).digest() for nothing in (b"", b"\n"))
"""What a shell makes of a variable that is not set."""
_PRINCIPAL: Final = re.compile(r"[!-~]{1,2048}")
_SPIFFE: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*")
_AS_LONG_AS_A_TOKEN: Final = re.compile(rf"[!-~]{{{MIN_LENGTH},}}")
_HINT: Final = (
    "expected version and tokens, and in each token name, sha256, scopes, not_after and principal"
)


def parse_service_tokens(text: str) -> tuple[ServiceToken, ...]:
    """Return the tokens of a file, in its order.

    Raises:
        PolicyError: every mistake in it, none with a secret.
    """
    seen: set[bytes] = set()
    try:
        words = read_words(_FileWords, text, hint=_HINT, context=seen)
    except PolicyError as error:
        raise PolicyError(map(_without_secrets, error.mistakes)) from None
    return tuple(
        ServiceToken(
            name=each.name,
            digest=each.sha256,
            scopes=frozenset(each.scopes),
            not_after=each.not_after,
            principal=each.principal,
        )
        for each in words.tokens
    )


def _without_secrets(mistake: Mistake) -> Mistake:
    return Mistake(mistake.position, _AS_LONG_AS_A_TOKEN.sub("...", mistake.message))


def _own_name(name: str) -> str:
    if name == STATIC_NAME:
        msg = f"{STATIC_NAME} is what a value of SERVICE_AUTH_TOKEN is called; expected another"
        raise ValueError(msg)
    return name


def _digest(value: object) -> bytes:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        msg = "expected the 64 hex digits that wicketgate service-token hash makes of a token"
        raise ValueError(msg)
    digest = bytes.fromhex(value)
    if digest in _DIGESTS_OF_NOTHING:
        msg = "is the digest of an empty text; expected that of a token"
        raise ValueError(msg)
    return digest


def _new_digest(digest: bytes, info: ValidationInfo) -> bytes:
    seen = cast("set[bytes]", info.context)
    if digest in seen:
        msg = "is that of an earlier entry; expected each token once"
        raise ValueError(msg)
    seen.add(digest)
    return digest


def _listed(value: object) -> object:
    if value in (None, []):
        msg = f'expected at least one, a name that rules ask for; "{EVERY_SCOPE}" is every scope'
        raise ValueError(msg)
    return tuple(value) if isinstance(value, list) else (value,)


def _or_every(value: object, as_name: Callable[[object], str]) -> str:
    return EVERY_SCOPE if value == EVERY_SCOPE else as_name(value)


def _every_alone(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if EVERY_SCOPE in scopes and len(scopes) > 1:
        msg = f'expected "{EVERY_SCOPE}" alone; it is every scope'
        raise ValueError(msg)
    return scopes


def _instant(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError(EXPECTED)  # noqa: TRY004 - pydantic collects ValueErrors
    return parse_instant(value)


def _principal(value: object) -> str:
    principal = fields.text(value)
    if _PRINCIPAL.fullmatch(principal) is None:
        msg = "expected visible ASCII, such as spiffe://mesh/ns/ml/sa/a"
        raise ValueError(msg)
    if principal.lower().startswith("spiffe:") and _SPIFFE.fullmatch(principal) is None:
        msg = "expected a SPIFFE ID, such as spiffe://mesh/ns/ml/sa/a"
        raise ValueError(msg)
    return principal


def _some(value: object) -> object:
    if value in (None, []):
        msg = "expected at least one; for none, leave WICKETGATE_SERVICE_TOKENS_FILE unset"
        raise ValueError(msg)
    if isinstance(value, list) and len(value) > MAX_TOKENS:
        msg = f"expected at most {MAX_TOKENS}, not {len(value)}"
        raise ValueError(msg)
    return value


_TEXT: Final = {"type": "string"}

_Scope = Annotated[fields.Name, WrapValidator(_or_every)]


class _TokenWords(Words):
    """One token. A key that is there says something: none may be left empty."""

    name: Annotated[fields.Name, AfterValidator(_own_name)]
    sha256: Annotated[bytes, Read(_digest, _TEXT), AfterValidator(_new_digest)]
    scopes: Annotated[tuple[_Scope, ...], BeforeValidator(_listed), AfterValidator(_every_alone)]
    not_after: Annotated[float | None, Read(_instant, _TEXT)] = None
    principal: Annotated[str, Read(_principal, _TEXT)] = ""


class _FileWords(Words):
    """The file."""

    version: fields.Version
    tokens: Annotated[list[_TokenWords], BeforeValidator(_some)]
