"""The document behind the status page: what the process is and does, as JSON.

It is a mapping of sections, and whoever has read it once needs only those that are
another since. Two of them grow: of ``events`` and ``history`` a reader that tells its
`Position` gets what came after it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.record import ALLOW, DENY
from wicketgate.core.status.advice import ADVICE, COMPONENT_ADVICE, DELIVERY_ADVICE
from wicketgate.core.status.facts import (
    AuthzFacts,
    KeyFacts,
    PolicyFacts,
    ProcessFacts,
    RevocationFacts,
    WebhooksFacts,
)
from wicketgate.core.status.history import Rates, milliseconds
from wicketgate.core.status.rules import hits
from wicketgate.core.tally import OTHER

FORMAT: Final = 1
"""Raised when a member changes its meaning or goes; new ones may come without."""
_LEADS_TO_A_PAGE: Final = ("https://", "http://")
_READY: Final = "ready"
Document = Mapping[str, object]
Word = TypeVar("Word", bound=str)

_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has read.

    Attributes:
        events: The number of the newest event.
        samples: The number of the newest sample.
    """

    events: int = 0
    samples: int = 0

    def earlier_of(self, other: "Position") -> "Position":
        """Return how far both have read."""
        return Position(min(self.events, other.events), min(self.samples, other.samples))


FROM_THE_BEGINNING: Final = Position()


def authz_document(
    facts: AuthzFacts, *, now: float, after: Position = FROM_THE_BEGINNING
) -> Document:
    """Return the document of a gate.

    Args:
        facts: How it is.
        now: POSIX seconds.
        after: How far its reader has read.
    """
    rates = facts.history.rates()
    newest = facts.history.newest
    denials = facts.denials
    return {
        "format": FORMAT,
        "at": round(now, 3),
        "process": _process(facts.process),
        "decisions": {
            "allowed": newest.good if newest else 0,
            "denied": newest.bad if newest else 0,
            **_rates(rates, "allowed", "denied"),
            "principals": dict(facts.principals),
            "cache_hits": facts.cache_hits,
            "connections": facts.connections,
        },
        "reasons": [
            {"reason": reason, "total": number, "per_second": rates.words.get(reason, 0.0)}
            for reason, number in _greatest_first(denials.reasons)
        ],
        # Apart from the numbers, which are others every second.
        "words": {reason: _words(reason, facts.type_base) for reason in sorted(denials.reasons)},
        "events": {"total": denials.total, "newest": denials.newest(after.events)},
        "history": facts.history.series(after.samples),
        "keys": _keys(facts.keys),
        "policy": _policy(facts.policy),
        "hits": _hits(facts),
        "revocations": _revocations(facts.revocations),
    }


def webhooks_document(
    facts: WebhooksFacts, *, now: float, after: Position = FROM_THE_BEGINNING
) -> Document:
    """Return the document of a receiver; the arguments are those of `authz_document`."""
    receipts, rates = facts.receipts, facts.history.rates()
    last = receipts.last_taken_at
    return {
        "format": FORMAT,
        "at": round(now, 3),
        "process": _process(facts.process),
        "deliveries": {
            "taken": receipts.taken,
            "failed": receipts.failed,
            "rejected": receipts.rejected,
            "dead_letters": receipts.dead,
            "last_taken_at": None if last is None else round(last, 3),
            **_rates(rates, "taken", "not_taken"),
            "lag_seconds": receipts.lag(),
        },
        "outcomes": receipts.outcomes(),
        "reasons": [
            {"reason": word, "total": number, "per_second": rates.words.get(word, 0.0)}
            for word, number in _greatest_first(receipts.words)
        ],
        "words": {word: {"advice": DELIVERY_ADVICE[word]} for word in sorted(receipts.words)},
        "events": {"total": receipts.troubles, "newest": receipts.newest(after.events)},
        "history": facts.history.series(after.samples),
    }


class Changes:
    """Finds the sections that are another than they were when somebody last asked."""

    def __init__(self) -> None:
        """Begin with nothing known, so that all of them are."""
        self._known: dict[str, str] = {}

    def forget(self) -> None:
        """Begin again."""
        self._known.clear()

    def in_(self, document: Document) -> str:
        """Return those of `document`, as JSON, and the time in any case."""
        changed = []
        for name, section in document.items():
            text = _encode(section)
            if self._known.get(name) != text:
                self._known[name] = text
                changed.append(f'"{name}":{text}')
        return f"{{{','.join(changed)}}}"


def encoded(document: Document) -> str:
    """Return the whole document as JSON."""
    return _encode(document)


def _process(process: ProcessFacts) -> Mapping[str, object]:
    return {
        "kind": process.kind,
        "version": process.version,
        "started_at": round(process.started_at, 3),
        "draining": process.is_draining,
        "components": dict(process.components),
        "advice": {
            name: COMPONENT_ADVICE[name]
            for name, state in process.components.items()
            if state != _READY
        },
        "facts": dict(process.facts),
    }


def _words(reason: Reason, type_base: str) -> Mapping[str, object]:
    answer = ANSWERS[reason]
    return {
        "status": answer.status,
        "title": answer.title,
        "advice": ADVICE[reason],
        # A URN, which is what it is by default, leads a browser nowhere.
        "link": f"{type_base}{reason}" if type_base.startswith(_LEADS_TO_A_PAGE) else None,
    }


def _rates(rates: Rates, good: str, bad: str) -> Mapping[str, object]:
    return {
        "window_seconds": round(rates.seconds, 1),
        f"{good}_per_second": rates.good,
        f"{bad}_per_second": rates.bad,
        "p50_ms": milliseconds(rates.p50),
        "p99_ms": milliseconds(rates.p99),
    }


def _greatest_first(numbers: Mapping[Word, int]) -> list[tuple[Word, int]]:
    return sorted(numbers.items(), key=lambda each: (-each[1], each[0]))


def _keys(keys: KeyFacts) -> Mapping[str, object]:
    last = keys.last_success_at
    return {
        "source": keys.source,
        "keys": [{"kid": kid, "known_since": round(since, 3)} for kid, since in keys.keys],
        "last_success_at": None if last is None else round(last, 3),
        "failures": keys.failures,
        "error": keys.error,
    }


def _policy(policy: PolicyFacts) -> Mapping[str, object]:
    number, shown = policy.number, len(policy.lines)
    since = policy.stale_since
    return {
        "source": policy.source,
        "digest": policy.digest,
        "loaded_at": round(policy.loaded_at, 3),
        "stale_since": None if since is None else round(since, 3),
        "rules": [line.document() for line in policy.lines],
        "number": number,
        "left_out": 0 if number is None else max(0, number + 1 - shown),
    }


def _hits(facts: AuthzFacts) -> Mapping[str, object]:
    counts = facts.counts
    return {
        "rows": hits(facts.policy.lines, counts, facts.shadows),
        "others": [counts.get((OTHER, ALLOW), 0), counts.get((OTHER, DENY), 0)],
    }


def _revocations(facts: RevocationFacts | None) -> Mapping[str, object] | None:
    if facts is None:
        return None
    stale = facts.stale_seconds
    return {
        "users": facts.users,
        "sessions": facts.sessions,
        "stale_seconds": None if stale is None else round(stale, 1),
        "state": facts.state,
        "users_let_in": facts.is_trusted,
    }
