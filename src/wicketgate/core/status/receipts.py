"""What became of deliveries, counted, and the newest of those that went wrong.

Strangers can have as many requests rejected as they like, so what was rejected is kept
apart from what failed: a flood of the one never pushes the other out.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Final

from wicketgate.core.delivery import Outcome
from wicketgate.core.receipt import Failure, Receipt, Refusal
from wicketgate.core.webhook import Rejection

NEWEST_FAILED: Final = 40
NEWEST_REJECTED: Final = 10
LAGS: Final = 100
MAX_TEXT: Final = 200
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
"""Seconds. From a commit on a fast disk to where Svix gives up."""

Refused = Refusal | Rejection | Failure
_Kept = tuple[int, float, Receipt]


class ReceiptLedger:
    """Keeps what became of requests.

    Attributes:
        taken: Deliveries that were answered 2xx.
        failed: Deliveries that were answered 503.
        rejected: Requests that were no authentic delivery.
        dead: Of those taken, the ones that are in ``dead_letters``.
        troubles: Number of the newest that went wrong.
        last_taken_at: POSIX seconds; `None` before the first.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none; `clock` returns POSIX seconds."""
        self.taken = self.failed = self.rejected = self.dead = self.troubles = 0
        self.last_taken_at: float | None = None
        self._clock = clock
        self._outcomes: dict[tuple[str, Outcome], int] = {}
        self._words: dict[Refused, int] = {}
        self._durations = [0] * (len(BOUNDS) + 1)
        self._lags: deque[float] = deque(maxlen=LAGS)
        self._failed: deque[_Kept] = deque(maxlen=NEWEST_FAILED)
        self._rejected: deque[_Kept] = deque(maxlen=NEWEST_REJECTED)

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Keep one request; `lag_seconds` as for a recorder of the receiver."""
        verdict = receipt.verdict
        if isinstance(verdict, Outcome):
            self.taken += 1
            self.last_taken_at = self._clock()
            kind = (receipt.type, verdict)
            self._outcomes[kind] = self._outcomes.get(kind, 0) + 1
            self._durations[bisect_left(BOUNDS, seconds)] += 1
            if verdict is Outcome.DEAD:
                self.dead += 1
                self._keep(self._failed, receipt)
        else:
            self._words[verdict] = self._words.get(verdict, 0) + 1
            if isinstance(verdict, Failure):
                self.failed += 1
                self._keep(self._failed, receipt)
            else:
                self.rejected += 1
                self._keep(self._rejected, receipt)
        if lag_seconds is not None:
            self._lags.append(lag_seconds)

    @property
    def words(self) -> Mapping[Refused, int]:
        """How many failed or were rejected for each reason."""
        return self._words

    def durations(self) -> list[int]:
        """Return how many were taken within each of `BOUNDS`, and in all."""
        return list(accumulate(self._durations))

    def outcomes(self) -> list[Mapping[str, object]]:
        """Return how many deliveries there were of each type and outcome."""
        return [
            {"type": kind, "outcome": outcome, "total": number}
            for (kind, outcome), number in sorted(self._outcomes.items())
        ]

    def lag(self) -> Mapping[str, float | None]:
        """Return the median and the greatest of the newest lags, in seconds."""
        lags = sorted(self._lags)
        return {
            "p50": round(lags[len(lags) // 2], 3) if lags else None,
            "greatest": round(lags[-1], 3) if lags else None,
            "newest": round(self._lags[-1], 3) if lags else None,
        }

    def newest(self, after: int = 0) -> list[Mapping[str, object]]:
        """Return what went wrong after the one with this number, the newest first."""
        kept = sorted((*self._failed, *self._rejected), key=lambda each: -each[0])
        return [_entry(each) for each in kept if each[0] > after]

    def _keep(self, ring: deque[_Kept], receipt: Receipt) -> None:
        self.troubles += 1
        ring.append((self.troubles, self._clock(), receipt))


def _entry(kept: _Kept) -> Mapping[str, object]:
    number, at, receipt = kept
    verdict = receipt.verdict
    if isinstance(verdict, Outcome):
        what = "dead"
    else:
        what = "failed" if isinstance(verdict, Failure) else "rejected"
    return {
        "number": number,
        "at": round(at, 3),
        "what": what,
        "reason": verdict,
        "status": receipt.status,
        "type": receipt.type,
        # Where no signature was verified, it is whatever a stranger wrote.
        "message_id": receipt.message_id if receipt.type else "",
        "detail": (receipt.why or receipt.detail)[:MAX_TEXT],
    }
