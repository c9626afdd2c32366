"""What a process is and does at one moment, as whoever knows it hands it to the document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wicketgate.core.status.denials import DenialLedger
from wicketgate.core.status.history import History
from wicketgate.core.status.receipts import ReceiptLedger
from wicketgate.core.status.rules import Counts, RuleLine


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """The process.

    Attributes:
        kind: ``authz`` or ``webhooks``.
        version: Ours.
        started_at: POSIX seconds.
        is_draining: It leaves.
        components: The state of each, as in ``/readyz``.
        facts: What else there is to say, name and value, of the operator's own settings.
    """

    kind: str
    version: str
    started_at: float
    is_draining: bool
    components: Mapping[str, str]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """Clerk's keys.

    Attributes:
        source: ``jwks`` or ``pem``.
        keys: The id of each, and since when this process has known it, POSIX seconds.
        last_success_at: When Clerk last confirmed them; `None` for never, or a PEM.
        failures: Attempts that failed since then.
        error: Why the latest attempt failed; empty when it did not.
    """

    source: str
    keys: Sequence[tuple[str, float]]
    last_success_at: float | None = None
    failures: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """The policy in force.

    Attributes:
        source: ``file`` or ``routes``.
        digest: The beginning of the file's SHA-256; empty without one.
        loaded_at: POSIX seconds.
        stale_since: Since when what was written last could not be used; `None` if it is.
        lines: Rules to show.
        number: How many there are, the default aside; `None` where routes declare them.
    """

    source: str
    digest: str
    loaded_at: float
    stale_since: float | None
    lines: Sequence[RuleLine]
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationFacts:
    """Who is known to be revoked.

    Attributes:
        users: How many users.
        sessions: How many sessions.
        stale_seconds: Since it was last certain that none was missed; `None` while
            nothing is known.
        state: How the component is.
        is_trusted: Users are let in.
    """

    users: int
    sessions: int
    stale_seconds: float | None
    state: str
    is_trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzFacts:
    """A gate at one moment.

    Attributes:
        process: The process.
        denials: The newest.
        history: Of decisions; good is allowed.
        principals: Decisions by kind of principal.
        keys: Clerk's.
        policy: That in force.
        counts: Decisions by rule.
        shadows: What shadow rules would have said.
        revocations: `None` without a database.
        connections: How many are open; `None` when the transport does not say.
        cache_hits: Tokens whose signature was known to hold.
        type_base: What comes before a reason in the ``type`` of an answer.
    """

    process: ProcessFacts
    denials: DenialLedger
    history: History
    principals: Mapping[str, int]
    keys: KeyFacts
    policy: PolicyFacts
    counts: Counts
    shadows: Counts
    revocations: RevocationFacts | None
    connections: int | None
    cache_hits: int
    type_base: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksFacts:
    """A receiver at one moment.

    Attributes:
        process: The process.
        receipts: What became of requests.
        history: Of requests; good is taken.
    """

    process: ProcessFacts
    receipts: ReceiptLedger
    history: History
