"""So many in a second and no more, whoever asks for them.

A token bucket: it fills steadily, holds a second's worth, and what finds it empty is refused.
"""


class Allowance:
    """Lets `per_second` through in each second, and as many at once after a rest."""

    def __init__(self, per_second: float) -> None:
        """Begin with a full bucket."""
        self._per_second = per_second
        self._left = per_second
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one, if there is one left at `now`, in monotonic seconds."""
        if self._at is not None:
            gained = max(0.0, now - self._at) * self._per_second
            self._left = min(self._per_second, self._left + gained)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
