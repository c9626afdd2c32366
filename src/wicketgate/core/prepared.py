"""Answers that are serialised once, and then lack nothing but the decision's id.

Messages of Protocol Buffers say how long their parts are, so what is kept is good for
ids of one length: the answer to an id that occurs in no answer, cut where it stands.
"""

from collections.abc import Callable, Hashable
from typing import Final

MAX_BYTES: Final = 8 * 1024 * 1024
"""Answers that are kept, about 1 KiB each: one for each user under each rule."""

_OVERHEAD: Final = 400
"""Bytes that an answer's key, parts and place in the dictionary take beside its own."""
_NOWHERE: Final = "\x7f"
"""A control character, which no header, rule or text of an answer holds."""


class PreparedAnswers:
    """Answers by what they depend on; all are forgotten when they become too many."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        """Keep at most so many bytes."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: dict[Hashable, tuple[object, list[bytes]]] = {}

    def find(self, key: Hashable, decision_id: str) -> bytes | None:
        """Return the answer that was kept under `key`, with this id; `None` when none was."""
        known = self._known.get((key, len(decision_id)))
        return None if known is None else decision_id.encode().join(known[1])

    def keep(
        self, key: Hashable, make: Callable[[str], bytes], decision_id: str, *, pinned: object
    ) -> bytes:
        """Return what `make` makes of `decision_id`, and keep it for other ids.

        Args:
            key: What the answer depends on, beside the id.
            make: Serialises the answer with an id.
            decision_id: Printable ASCII.
            pinned: Kept as long as the answer, so that an ``id()`` in `key` stays its own.
        """
        nowhere = _NOWHERE * len(decision_id)
        parts = make(nowhere).split(nowhere.encode())
        size = sum(map(len, parts)) + _OVERHEAD
        self._bytes += size
        if self._bytes > self._max_bytes:
            self._known.clear()
            self._bytes = size
        self._known[key, len(decision_id)] = (pinned, parts)
        return decision_id.encode().join(parts)
