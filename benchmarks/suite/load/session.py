"""One server under load: runs of some time or of so many answers, over open connections."""

import asyncio
import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Protocol

from suite.load.answers import WrongAnswerError

PATIENCE_SECONDS: Final = 20.0
"""How long the last answers of a run may take; Envoy would have given up long before."""
_SLOWEST: Final = 500.0
"""Answers per second that a run over so many answers is given time for."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a run showed.

    Attributes:
        answers: How many came, all of them right.
        seconds: From the first request to the last answer.
        p50: Microseconds that half of the answers took at most.
        p99: The same for 99 of 100.
    """

    answers: int
    seconds: float
    p50: float
    p99: float


class Connection(Protocol):
    """What a session asks over."""

    def ask(self, count: int) -> None:
        """Make so many requests at once."""

    def close(self) -> None:
        """Hang up."""


class Session(ABC):
    """Connections to one server, each of which keeps `depth` requests in flight."""

    def __init__(self, *, depth: int) -> None:
        self._depth = depth
        self._took: list[float] = []
        self._in_flight = 0
        self._left = 0
        self._until = 0.0
        self._done: asyncio.Future[None] | None = None

    @property
    @abstractmethod
    def connections(self) -> Sequence[Connection]:
        """The connections, all open."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, and judge a first answer in full.

        Raises:
            WrongAnswerError: it is not what is expected.
            OSError: nobody listens.
        """

    async def run(self, *, seconds: float, answers: int = 0) -> Sample:
        """Ask for some time, or for so many answers, and wait for all that was asked.

        Raises:
            WrongAnswerError: an answer was wrong, or none came.
        """
        self._took, self._left = [], answers or 2**62
        self._done = asyncio.get_running_loop().create_future()
        started = perf_counter()
        self._until = started + (2**31 if answers else seconds)
        for connection in self.connections:
            wanted = self._grant(self._depth)
            if wanted:
                connection.ask(wanted)
        patience = (answers / _SLOWEST if answers else seconds) + PATIENCE_SECONDS
        try:
            await asyncio.wait_for(self._done, patience)
        except TimeoutError:
            got = f"{self._in_flight} too few within {patience:.0f} s"
            raise WrongAnswerError(expected="all answers", got=got) from None
        return sample_of(self._took, perf_counter() - started)

    def close(self) -> None:
        """Hang up."""
        for connection in self.connections:
            connection.close()

    # ------------------------------------------------------------------ for connections

    def finished(self, took: list[float]) -> int:
        """Take note of how long right answers took, and return how many requests to make now."""
        self._took += took
        self._in_flight -= len(took)
        granted = self._grant(len(took))
        if not self._in_flight and self._done is not None and not self._done.done():
            self._done.set_result(None)
        return granted

    def failed(self, error: Exception) -> None:
        """End the run."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def _grant(self, wanted: int) -> int:
        if perf_counter() >= self._until:
            return 0
        granted = min(wanted, self._left)
        self._left -= granted
        self._in_flight += granted
        return granted


def sample_of(took: list[float], seconds: float) -> Sample:
    """Return what a run showed.

    Raises:
        WrongAnswerError: nothing.
    """
    if len(took) < 2:  # noqa: PLR2004 - quantiles want two
        raise WrongAnswerError(expected="answers", got=len(took))
    percentiles = statistics.quantiles(took, n=100)
    return Sample(len(took), seconds, percentiles[49] * 1e6, percentiles[98] * 1e6)
