"""From a bearer token to verified claims.

The order is fixed: form, key, signature, claims, clock. Claims are not looked
at before the signature holds, so a forger learns nothing from the reason. A
key that is not there is a returned value, `MissingKey`: whoever asked fetches and
asks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Final

from wicketgate.core.claims import Claims, TokenRules, check_claims, check_time
from wicketgate.core.jws import parse_jws
from wicketgate.core.keys import KeySet
from wicketgate.core.reason import Reason

CACHE_LIMIT: Final = 10_000
"""Tokens remembered. One is about 2 KiB, and Clerk mints one a minute per active tab."""
_SHARED: Final = frozenset({"iss", "azp", "sts"})
"""Claims with the same value in all tokens of an instance, or nearly."""


@dataclass(frozen=True, slots=True)
class MissingKey:
    """The token cannot be judged with the keys at hand.

    Attributes:
        kid: The key that the token names. Unverified.
        if_current: The reason to deny with once the keys are known to be current.
        if_stale: The reason to deny with while they could not be brought up to date.
    """

    kid: str
    if_current: Reason
    if_stale: Reason


class TokenVerifier:
    """Verifies session tokens, and remembers those whose signature held.

    What is remembered is that a token was signed by a key of the current set
    and that its static claims passed; its times are checked on every call. A
    change of the key set forgets everything. The oldest token is dropped first:
    tokens live a minute, so the order of arrival is the order of expiry.

    Attributes:
        cache_hits: How often a token was known already.
        cache_misses: How often one had to be looked at.
    """

    def __init__(self, rules: TokenRules, *, cache_limit: int = CACHE_LIMIT) -> None:
        """Make a verifier; a `cache_limit` of 0 verifies every signature anew."""
        self._rules = rules
        self._cache_limit = cache_limit
        # By the header that most requests carry it in, so that those are not taken apart.
        self._verified: dict[str, Claims] = {}
        self._verified_with = KeySet()
        self.cache_hits = 0
        self.cache_misses = 0

    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
        return len(self._verified)

    def verify(self, token: str, *, keys: KeySet, now: float) -> Claims | Reason | MissingKey:
        """Return the verified claims of `token`.

        Args:
            token: A compact JWS.
            keys: The keys of the Clerk instance, as they are now.
            now: POSIX seconds.

        Returns:
            The claims; or the reason why the token is refused; or the wish for
            newer keys. Nothing is raised, whatever the token holds.
        """
        authorization = f"Bearer {token}"
        known = self.recall(authorization, keys=keys, now=now)
        if known is not None:
            return known
        self.cache_misses += 1
        outcome = self._verify_anew(token, keys)
        if not isinstance(outcome, Claims):
            return outcome
        refusal = check_time(outcome, now=now, rules=self._rules)
        if refusal is not None:
            # Not remembered: a stock of expired tokens must not crowd out the live ones.
            return refusal
        self._remember(authorization, outcome)
        return outcome

    def recall(self, authorization: str, *, keys: KeySet, now: float) -> Claims | Reason | None:
        """Return what `verify` would return for the token in an ``Authorization`` header.

        Args:
            authorization: The header as it was sent.
            keys: The keys of the Clerk instance, as they are now.
            now: POSIX seconds.

        Returns:
            `None` when this is not exactly ``Bearer``, a space and a token that is
            remembered.
        """
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        claims = self._verified.get(authorization)
        if claims is None:
            return None
        self.cache_hits += 1
        return check_time(claims, now=now, rules=self._rules) or claims

    def _verify_anew(self, token: str, keys: KeySet) -> Claims | Reason | MissingKey:
        jws = parse_jws(token)
        if isinstance(jws, Reason):
            return jws
        candidates = keys.candidates(jws.kid)
        if not candidates:
            current = Reason.KEY_UNKNOWN if keys else Reason.KEYS_UNAVAILABLE
            return MissingKey(jws.kid, if_current=current, if_stale=Reason.KEYS_UNAVAILABLE)
        if not any(key.verifies(jws.signing_input, jws.signature) for key in candidates):
            # Clerk's kid is the instance id: a rotation may keep it and change the key.
            return MissingKey(
                jws.kid,
                if_current=Reason.SIGNATURE_INVALID,
                if_stale=Reason.SIGNATURE_INVALID,
            )
        return check_claims(
            _shared(jws.unverified_claims), category=jws.category, rules=self._rules
        )

    def _remember(self, authorization: str, claims: Claims) -> None:
        if self._cache_limit == 0:
            return
        while len(self._verified) >= self._cache_limit:
            del self._verified[next(iter(self._verified))]
        self._verified[authorization] = claims


def _shared(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims with the texts that all tokens have in common kept once.

    Ten thousand remembered tokens would hold as many copies of each name, 8 MiB in all.
    """
    return {
        intern(name): intern(value) if name in _SHARED and type(value) is str else value
        for name, value in claims.items()
    }
