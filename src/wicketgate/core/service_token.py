"""The static tokens that internal services show to each other.

Only digests are kept, and every digest is compared, so neither the time taken
nor a memory dump tells anything about a token.
"""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from wicketgate.core.jws import MACHINE_PREFIXES, MAX_TOKEN_BYTES

MIN_LENGTH: Final = 32
"""32 characters of hex are 128 bits, which nobody guesses."""

_JWT_DOTS: Final = 2


class ServiceTokens:
    """The service tokens in force; several while one is being replaced."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Keep the digests of `tokens`.

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
        self._digests = tuple(sha256(token.encode()).digest() for token in accepted)

    def __bool__(self) -> bool:
        """Tell whether any token is configured."""
        return bool(self._digests)

    def recognise(self, token: str) -> bool:
        """Tell whether `token` is one of the service tokens, in constant time."""
        # A configured token never has two dots, so a JWT need not be hashed.
        if token.count(".") == _JWT_DOTS:
            return False
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        matches = [compare_digest(digest, known) for known in self._digests]
        return any(matches)


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
