"""The tokens that internal services show to each other.

Only digests are kept, and every digest is compared, so neither the time taken
nor a memory dump tells anything about a token.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from wicketgate.core.jws import MACHINE_PREFIXES, MAX_TOKEN_BYTES

MIN_LENGTH: Final = 32
"""32 characters of hex are 128 bits, which nobody guesses."""

EVERY_SCOPE: Final = "*"
STATIC_NAME: Final = "static"
"""Whoever holds a value of ``SERVICE_AUTH_TOKEN``; those tokens carry no names."""

_JWT_DOTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceToken:
    """A service token, known by its digest.

    Attributes:
        name: The service; part of the principal that upstreams see.
        digest: SHA-256 of the token.
        scopes: What it may be used for: names that rules ask for, or `EVERY_SCOPE`.
        not_after: The last POSIX second at which it counts; `None` for no end.
        principal: The mesh principal that may use it, and may do so on any
            route; empty for anyone, on internal routes.
    """

    name: str
    digest: bytes
    scopes: frozenset[str]
    not_after: float | None = None
    principal: str = ""

    def has_scope(self, wanted: AbstractSet[str]) -> bool:
        """Tell whether it may be used for any of `wanted`."""
        return EVERY_SCOPE in self.scopes or not self.scopes.isdisjoint(wanted)


class ServiceTokens:
    """The service tokens in force; several for one service while one is being replaced."""

    def __init__(self, tokens: Iterable[str] = (), named: Iterable[ServiceToken] = ()) -> None:
        """Keep the digests.

        Args:
            tokens: Values of ``SERVICE_AUTH_TOKEN``: no name, every scope.
            named: Those of the tokens file.

        Raises:
            ValueError: a token is shorter than `MIN_LENGTH`, looks like a JWT, or
                holds a character that no ``Authorization`` header carries. The
                message never contains the token.
        """
        accepted = tuple(tokens)
        for number, token in enumerate(accepted, start=1):
            complaint = complaint_about(token)
            if complaint is not None:
                msg = f"service token {number} {complaint}"
                raise ValueError(msg)
        # A token that is in both places is what the file says, which is less.
        self._tokens = (*named, *map(_static, accepted))

    @property
    def names(self) -> tuple[str, ...]:
        """Their names; two tokens may have the same."""
        return tuple(token.name for token in self._tokens)

    def __bool__(self) -> bool:
        """Tell whether any token is configured."""
        return bool(self._tokens)

    def recognise(self, token: str) -> ServiceToken | None:
        """Return the service token that `token` is, comparing in constant time."""
        # A configured token never has two dots, so a JWT need not be hashed.
        if not self._tokens or token.count(".") == _JWT_DOTS:
            return None
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        matches = [known for known in self._tokens if compare_digest(digest, known.digest)]
        return matches[0] if matches else None


def _static(token: str) -> ServiceToken:
    return ServiceToken(
        name=STATIC_NAME,
        digest=sha256(token.encode()).digest(),
        scopes=frozenset({EVERY_SCOPE}),
    )


def complaint_about(token: str) -> str | None:
    """Return what is wrong with a configured service token, without quoting it."""
    if len(token) < MIN_LENGTH:
        return f"has {len(token)} characters, fewer than {MIN_LENGTH}"
    if len(token) > MAX_TOKEN_BYTES:
        return f"has {len(token)} characters, more than {MAX_TOKEN_BYTES}"
    if token.count(".") == _JWT_DOTS:
        return "has two dots and would be taken for a JWT"
    if token.startswith(MACHINE_PREFIXES):
        return f"begins like a Clerk machine token ({', '.join(MACHINE_PREFIXES)})"
    if not token.isascii() or not token.isprintable() or " " in token or "," in token:
        return "has a space, a comma or a character outside printable ASCII"
    return None
