"""What the status page of a receiver is made of."""

from collections.abc import Callable, Mapping

from wicketgate import __version__
from wicketgate.adapters.admin import State
from wicketgate.adapters.receiver import Recorder
from wicketgate.core.receipt import Receipt
from wicketgate.core.status.document import Document, Position, webhooks_document
from wicketgate.core.status.facts import (
    ProcessFacts,
    WebhooksFacts,
)
from wicketgate.core.status.history import History, Sample
from wicketgate.core.status.receipts import BOUNDS, ReceiptLedger


class WebhooksStatus:
    """Knows how a receiver is, and is one of its recorders.

    Attributes:
        facts: What there is to say of the process beside its deliveries.
    """

    def __init__(
        self,
        *,
        components: Mapping[str, Callable[[], State]],
        is_draining: Callable[[], bool],
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        """Begin now.

        Args:
            components: As in ``/readyz``.
            is_draining: Tells whether the process leaves.
            clock: POSIX seconds.
            timer: Monotonic seconds.
        """
        self.facts: dict[str, str] = {}
        self.receipts = ReceiptLedger(clock)
        self._components = components
        self._is_draining = is_draining
        self._clock = clock
        self._timer = timer
        self._started_at = clock()
        self._history = History(BOUNDS)

    def sample(self) -> None:
        """Note what was counted until now."""
        receipts = self.receipts
        self._history.add(
            Sample(
                at=self._clock(),
                moment=self._timer(),
                good=receipts.taken,
                bad=receipts.failed + receipts.rejected,
                durations=receipts.durations(),
                words={str(word): number for word, number in receipts.words.items()},
            )
        )

    def position(self) -> Position:
        """Return how far there is anything to read."""
        return Position(self.receipts.troubles, self._history.number)

    def document(self, after: Position) -> Document:
        """Return the document for somebody who has read so far."""
        process = ProcessFacts(
            kind="webhooks",
            version=__version__,
            started_at=self._started_at,
            is_draining=self._is_draining(),
            components={name: state() for name, state in self._components.items()},
            facts=self.facts,
        )
        facts = WebhooksFacts(process=process, receipts=self.receipts, history=self._history)
        return webhooks_document(facts, now=self._clock(), after=after)


class BothRecorders:
    """Passes on what became of requests to two recorders."""

    def __init__(self, first: Recorder, second: Recorder) -> None:
        """Pass on to these two, in this order."""
        self._first = first
        self._second = second

    def record(self, receipt: Receipt, *, seconds: float, lag_seconds: float | None) -> None:
        """Keep one request, also with the second when the first cannot."""
        try:
            self._first.record(receipt, seconds=seconds, lag_seconds=lag_seconds)
        finally:
            self._second.record(receipt, seconds=seconds, lag_seconds=lag_seconds)
