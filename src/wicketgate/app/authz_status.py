"""What the status page of a gate is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wicketgate import __version__
from wicketgate.adapters.admin import State
from wicketgate.adapters.jwks import JwksClient
from wicketgate.app.in_force import DIGEST_DIGITS
from wicketgate.app.revocations import FollowedRevocations
from wicketgate.app.rulebook import LoadedRules
from wicketgate.core.policy.rule import Rule
from wicketgate.core.revocation_table import Kind
from wicketgate.core.status.denials import DenialLedger
from wicketgate.core.status.document import Document, Position, authz_document
from wicketgate.core.status.facts import (
    AuthzFacts,
    KeyFacts,
    PolicyFacts,
    ProcessFacts,
    RevocationFacts,
)
from wicketgate.core.status.history import History, Sample
from wicketgate.core.status.rules import RuleLine, chosen, line_of, undeclared
from wicketgate.core.tally import BUCKETS, MAX_NAMES, DecisionTally
from wicketgate.core.token import TokenVerifier
from wicketgate.gate import KeySource

CHOICE_SECONDS: Final = 30.0
"""Between two choices of which rules of very many are shown; each is told anew."""


@dataclass(kw_only=True)
class GateParts:
    """The parts of a gate that the page is about.

    Attributes:
        tally: What was decided.
        keys: Clerk's keys.
        verifier: Remembers tokens.
        is_current: Tells whether what was written last is in force.
        revocations: `None` without a database.
        connections: How many are open; `None` when the transport does not say.
        components: As in ``/readyz``.
        is_draining: Tells whether the process leaves.
        type_base: What comes before a reason in the ``type`` of an answer.
        facts: What else there is to say of the process.
    """

    tally: DecisionTally
    keys: KeySource
    verifier: TokenVerifier
    is_current: Callable[[], bool]
    revocations: FollowedRevocations | None
    connections: Callable[[], int | None]
    components: Mapping[str, Callable[[], State]]
    is_draining: Callable[[], bool]
    type_base: str
    facts: dict[str, str] = field(default_factory=dict)


class AuthzStatus:
    """Knows how a gate is.

    Attributes:
        denials: What the gate keeps its denials in.
    """

    def __init__(
        self,
        parts: GateParts,
        loaded: LoadedRules,
        *,
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        """Begin now.

        Args:
            parts: The gate's.
            loaded: The policy in force.
            clock: POSIX seconds.
            timer: Monotonic seconds.
        """
        self.denials = DenialLedger(clock)
        self._parts = parts
        self._clock = clock
        self._timer = timer
        self._started_at = clock()
        self._history = History(BUCKETS)
        self._words: Mapping[str, int] = {}
        self._key_set: object = None
        self._known_since: dict[str, float] = {}
        self._stale_since: float | None = None
        self.put(loaded)

    def put(self, loaded: LoadedRules) -> None:
        """Tell about this policy from now on."""
        self._loaded = loaded
        self._loaded_at = self._clock()
        self._lines: Sequence[RuleLine] | None = None
        self._chosen: Sequence[RuleLine] = ()
        self._chosen_until = float("-inf")

    def sample(self) -> None:
        """Note what was counted until now, and what has changed."""
        now = self._clock()
        if self._parts.keys.snapshot is not self._key_set:
            self._note_keys(now)
        if self._parts.is_current():
            self._stale_since = None
        elif self._stale_since is None:
            self._stale_since = now
        newest, denied = self._history.newest, self.denials.total
        if newest is None or newest.bad != denied:
            self._words = {str(word): number for word, number in self.denials.reasons.items()}
        durations = self._parts.tally.durations()
        self._history.add(
            Sample(
                at=now,
                moment=self._timer(),
                # What is being answered may be in the one and not yet in the other.
                good=max(durations[-1] - denied, 0),
                bad=denied,
                durations=durations,
                words=self._words,
            )
        )

    def position(self) -> Position:
        """Return how far there is anything to read."""
        return Position(self.denials.total, self._history.number)

    def document(self, after: Position) -> Document:
        """Return the document for somebody who has read so far."""
        return authz_document(self._facts(), now=self._clock(), after=after)

    def _facts(self) -> AuthzFacts:
        parts = self._parts
        tally, counts = parts.tally, parts.tally.by_rule()
        principals: dict[str, int] = {}
        for (_, _, principal), number in tally.by_kind().items():
            principals[principal] = principals.get(principal, 0) + number
        return AuthzFacts(
            process=ProcessFacts(
                kind="authz",
                version=__version__,
                started_at=self._started_at,
                is_draining=parts.is_draining(),
                components={name: state() for name, state in parts.components.items()},
                facts=parts.facts,
            ),
            denials=self.denials,
            history=self._history,
            principals=principals,
            keys=self._keys(),
            policy=self._policy(counts),
            counts=counts,
            shadows=tally.by_shadow(),
            revocations=_revocations(parts.revocations),
            connections=parts.connections(),
            cache_hits=parts.verifier.cache_hits,
            type_base=parts.type_base,
        )

    def _note_keys(self, now: float) -> None:
        self._key_set = self._parts.keys.snapshot
        known = self._known_since
        kids = [key.kid for key in self._parts.keys.snapshot.keys]
        self._known_since = {kid: known.get(kid, now) for kid in kids}

    def _keys(self) -> KeyFacts:
        keys = tuple(self._known_since.items())
        source = self._parts.keys
        if not isinstance(source, JwksClient):
            return KeyFacts(source="pem", keys=keys)
        status = source.status()
        return KeyFacts(
            source="jwks",
            keys=keys,
            last_success_at=status.last_success,
            failures=status.consecutive_failures,
            error=status.last_error or "",
        )

    def _policy(self, counts: Mapping[tuple[str, str], int]) -> PolicyFacts:
        loaded = self._loaded
        return PolicyFacts(
            source="routes" if loaded.rules is None else "file",
            digest=loaded.digest[:DIGEST_DIGITS],
            loaded_at=self._loaded_at,
            stale_since=self._stale_since,
            lines=self._shown(counts),
            number=loaded.rules,
        )

    def _shown(self, counts: Mapping[tuple[str, str], int]) -> Sequence[RuleLine]:
        if self._loaded.rules is None:
            return undeclared(counts)
        if self._lines is None:
            self._lines = tuple(map(line_of, _rules(self._loaded)))
        now = self._timer()
        if now >= self._chosen_until:
            self._chosen = chosen(self._lines, counts)
            self._chosen_until = now + CHOICE_SECONDS
        return self._chosen


def _rules(loaded: LoadedRules) -> Sequence[Rule]:
    """Return the rules that are counted each under its own name, the default last."""
    # Imported when it is used: a gate without a policy file has no need of RE2.
    from wicketgate.core.policy.rules import RulePolicy  # noqa: PLC0415

    policy = loaded.rulebook.policy
    if not isinstance(policy, RulePolicy):
        return ()
    return (*policy.rules[: MAX_NAMES - 1], policy.default)


def _revocations(followed: FollowedRevocations | None) -> RevocationFacts | None:
    if followed is None:
        return None
    table = followed.revocations.table
    return RevocationFacts(
        users=table.count(Kind.USER),
        sessions=table.count(Kind.SESSION),
        stale_seconds=followed.stale_seconds,
        state=followed.state,
        is_trusted=followed.revocations.is_trusted,
    )
