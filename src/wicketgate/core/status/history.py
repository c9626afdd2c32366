"""Counts of the last minutes, second by second, and the rates that they come to.

A sample holds what was counted until then, never what happened since another sample:
so a second that was missed loses nothing, and any two samples make a rate.

Source: Prometheus, ``histogram_quantile`` (linear within a bucket).
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

KEPT: Final = 301
"""Five minutes of seconds, and where the first of them began."""
WINDOW_SECONDS: Final = 60.0
"""What "now" means for a rate: shorter jumps about, longer hides what just began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was counted until a moment.

    Attributes:
        at: POSIX seconds.
        moment: Monotonic seconds.
        good: What went well: allowed, taken.
        bad: What did not: denied, failed, rejected.
        durations: How many took at most so long, for each bound, and in all.
        words: How many for each reason; the same object as before if none was added.
    """

    at: float
    moment: float
    good: int
    bad: int
    durations: Sequence[int]
    words: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the last minute came to, all for each second of it.

    Attributes:
        seconds: How long it was, at the most `WINDOW_SECONDS` and a little.
        good: What went well.
        bad: What did not.
        p50: Seconds within which half of all were done; `None` when there were none.
        p99: The same for 99 of 100.
        words: For each reason that there was.
    """

    seconds: float
    good: float
    bad: float
    p50: float | None
    p99: float | None
    words: Mapping[str, float]


class History:
    """Keeps samples.

    Attributes:
        number: That of the newest sample; 0 before the first.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """Begin with none; `bounds` are those of the durations, in seconds."""
        self.number = 0
        self._bounds = bounds
        self._samples: deque[Sample] = deque(maxlen=KEPT)

    def add(self, sample: Sample) -> None:
        """Add a sample, later than all others."""
        self.number += 1
        self._samples.append(sample)

    @property
    def newest(self) -> Sample | None:
        """The newest sample."""
        return self._samples[-1] if self._samples else None

    def rates(self) -> Rates:
        """Return what the last minute came to."""
        if not self._samples:
            return Rates(seconds=0.0, good=0.0, bad=0.0, p50=None, p99=None, words={})
        last = self._samples[-1]
        since = last.moment - WINDOW_SECONDS
        moments = [each.moment for each in self._samples]
        first = self._samples[min(bisect_left(moments, since), len(moments) - 1)]
        seconds = last.moment - first.moment
        words = {
            word: _rate(number - first.words.get(word, 0), seconds)
            for word, number in last.words.items()
        }
        return Rates(
            seconds=seconds,
            good=_rate(last.good - first.good, seconds),
            bad=_rate(last.bad - first.bad, seconds),
            p50=self._quantile(0.50, first, last),
            p99=self._quantile(0.99, first, last),
            words={word: rate for word, rate in words.items() if rate},
        )

    def series(self, after: int = 0) -> Mapping[str, object]:
        """Return the rates of each second that came after the sample with this number."""
        pairs = list(pairwise(self._samples))
        # Of the samples that are kept, the first only tells where the second begins.
        oldest = self.number - len(pairs)
        pairs = pairs[max(0, after - oldest) :]
        return {
            "first": self.number - len(pairs) + 1,
            "good": [_rate(b.good - a.good, b.moment - a.moment) for a, b in pairs],
            "bad": [_rate(b.bad - a.bad, b.moment - a.moment) for a, b in pairs],
            "p99_ms": [milliseconds(self._quantile(0.99, a, b)) for a, b in pairs],
        }

    def _quantile(self, share: float, first: Sample, last: Sample) -> float | None:
        return quantile(share, self._bounds, first.durations, last.durations)


def quantile(
    share: float, bounds: Sequence[float], before: Sequence[int], after: Sequence[int]
) -> float | None:
    """Return within how many seconds `share` of all were done.

    Args:
        share: From 0 to 1.
        bounds: Of the buckets, in seconds, without the infinite one.
        before: How many took at most so long at the beginning, and in all.
        after: The same at the end.

    Returns:
        Seconds, as exact as the buckets are; the last bound when it is beyond; `None`
        when there were none.
    """
    counts = [b - a for a, b in zip(before, after, strict=True)]
    if counts[-1] <= 0:
        return None
    wanted = share * counts[-1]
    bucket = bisect_left(counts, wanted)
    if bucket >= len(bounds):
        return bounds[-1]
    below = counts[bucket - 1] if bucket else 0
    start = bounds[bucket - 1] if bucket else 0.0
    # Not nothing: the first bucket that reaches `wanted` holds some, as `wanted` is above 0.
    return start + (bounds[bucket] - start) * (wanted - below) / (counts[bucket] - below)


def milliseconds(seconds: float | None) -> float | None:
    """Return milliseconds, no more exact than buckets are."""
    return None if seconds is None else float(f"{seconds * 1000:.3g}")


def _rate(number: int, seconds: float) -> float:
    # One in a minute is 0.02, and still to be seen.
    return round(number / seconds, 2) if seconds > 0 else 0.0
