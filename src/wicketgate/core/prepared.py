"""Answers that are serialised once, and then lack nothing but what differs each time.

That is the decision's id, and who it is about. Messages of Protocol Buffers say how long
their parts are, so what is kept is good for values of the same lengths: the answer to
values that occur in no answer, cut where they stand.
"""

import re
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple

MAX_BYTES: Final = 8 * 1024 * 1024
"""Answers that are kept, about 2 KiB each: a few for each rule and reason. Only where
rules tell upstreams what is in a token is there one for each user."""

_OVERHEAD: Final = 1_000
"""Bytes that an answer's key, pieces and place in the dictionary take beside its own."""


class Blanks(NamedTuple):
    """What differs from one answer to another that are alike otherwise.

    Attributes:
        decision_id: Printable ASCII.
        user_id: Likewise; empty when no user is named.
        local_id: Likewise; empty when upstreams are not told.
    """

    decision_id: str
    user_id: str = ""
    local_id: str = ""


_NOWHERE: Final = Blanks("~", "\x01", "\x02")
"""What stands in for each of them. An answer that holds as many of one as a blank is long is
made each time. The first is printable, because JSON escapes whatever is not."""


class _Kept(NamedTuple):
    """An answer with holes.

    Attributes:
        pieces: The answer, cut, a character for each octet; what is in a hole is of no
            interest.
        holes: Which pieces are holes, and which of the blanks goes there.
        pinned: See `PreparedAnswers.keep`.
    """

    pieces: list[str]
    holes: tuple[tuple[int, int], ...]
    pinned: object


class PreparedAnswers:
    """Answers by what they depend on; all are forgotten when they become too many."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """Keep at most so many bytes."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: dict[Hashable, _Kept] = {}

    def find(self, key: Hashable, blanks: Blanks) -> bytes | None:
        """Return the answer that was kept under `key`, filled in; `None` when none was."""
        decision_id, user_id, local_id = blanks
        kept = self._known.get((key, len(decision_id), len(user_id), len(local_id)))
        return None if kept is None else _filled(kept, blanks)

    def keep(
        self, key: Hashable, make: Callable[[Blanks], bytes], blanks: Blanks, *, pinned: object
    ) -> bytes:
        """Return what `make` makes of `blanks`, and keep it to be filled in with others.

        Args:
            key: What the answer depends on beside them.
            make: Serialises the answer: the same octets for the same blanks.
            blanks: What this answer says.
            pinned: Kept as long as the answer, so that an ``id()`` in `key` stays its own.
        """
        answer = make(blanks)
        kept = _cut(make, blanks, pinned)
        if _filled(kept, blanks) != answer:
            # An octet that says a length was taken for a blank.
            return answer
        size = sum(map(len, kept.pieces)) + _OVERHEAD
        self._bytes += size
        if self._bytes > self._max_bytes:
            self._known.clear()
            self._bytes = size
        self._known[key, *map(len, blanks)] = kept
        return answer


def _cut(make: Callable[[Blanks], bytes], blanks: Blanks, pinned: object) -> _Kept:
    marks = Blanks(*(mark * len(text) for mark, text in zip(_NOWHERE, blanks, strict=True)))
    blank_of = {mark.encode(): number for number, mark in enumerate(marks) if mark}
    pieces = re.split(b"(%b)" % b"|".join(blank_of), make(marks))
    holes = tuple((at, blank_of[pieces[at]]) for at in range(1, len(pieces), 2))
    return _Kept([piece.decode("latin-1") for piece in pieces], holes, pinned)


def _filled(kept: _Kept, blanks: Blanks) -> bytes:
    pieces = kept.pieces.copy()
    for at, number in kept.holes:
        pieces[at] = blanks[number]
    return "".join(pieces).encode("latin-1")
