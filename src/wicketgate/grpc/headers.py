"""Request header blocks, read with as little work as they leave to do.

This side's SETTINGS ask for a table of size 0. Once that is acknowledged, a block
carries no state: equal bytes mean equal headers, so whole blocks are remembered. Of those
in which values vary from call to call, such as tracing headers and ``grpc-timeout``, only
these values are read (see `template`). Until then, the ``hpack`` package decodes.

Source: RFC 7541 section 4.2; RFC 9113 section 4.3.
"""

from typing import Final

from hpack import Decoder, HPACKError

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import ErrorCode
from wicketgate.grpc.head import Fields, Head
from wicketgate.grpc.stateless import Texts, read
from wicketgate.grpc.template import Known, Template, template_of

MAX_REMEMBERED: Final = 1_024
"""Blocks, and texts."""
LONGEST_REMEMBERED: Final = 1_024
"""Bytes of a block; so what is remembered takes a few MiB at most."""
LONGEST_LEARNED: Final = 4_096
"""Bytes of a block that another may be like; one such is kept for each connection."""
MOST_LEARNED: Final = 64
"""Fields of such a block; Envoy sends a dozen."""
TRUSTED: Final = 256
"""Blocks that are read by one template. Then one is read as a whole: perhaps it does not
vary any more and can be remembered."""

_BROKEN: Final = ErrorCode.COMPRESSION_ERROR


class HeaderCache:
    """What is remembered for all connections: blocks that carry no state mean the same on each."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        """Remember at most `limit` blocks, and as many texts."""
        self.heads: dict[bytes, Head] = {}
        self.texts = Texts(limit)
        self._limit = limit

    def remember(self, block: bytes, head: Head) -> None:
        """Remember what a block says."""
        if len(block) > LONGEST_REMEMBERED:
            return
        if len(self.heads) >= self._limit:
            self.heads.clear()
        self.heads[block] = head


class RequestBlocks:
    """Decodes the header blocks of one connection.

    Attributes:
        is_settled: The peer knows that the table is of size 0.
    """

    def __init__(self, cache: HeaderCache, *, max_bytes: int) -> None:
        """Decode for a new connection.

        Args:
            cache: Shared by all connections.
            max_bytes: The longest header list, counted as RFC 9113 section 6.5.2 does,
                except that values which nobody wants count as they are coded.
        """
        self._cache = cache
        self._max_bytes = max_bytes
        self._decoder: Decoder | None = Decoder(max_bytes)
        self.is_settled = False
        self._before = Known(b"", [])
        self._template: Template | None = None
        self._trust = 0

    def settled(self) -> None:
        """Take note that the peer knows that the table is of size 0."""
        if self._decoder is not None:
            self._decoder.max_allowed_table_size = 0
            self.is_settled = True

    def decode(self, block: bytes) -> Head:
        """Return what a request's block says.

        Raises:
            MalformedError: the request is malformed.
            Fault: the block cannot be decoded.
        """
        if self._decoder is not None:
            return self._decoded(self._decoder, block).head()
        head = self._cache.heads.get(block)
        if head is None and self._template is not None and self._trust:
            self._trust -= 1
            head = self._template.head_of(block)
        return head or self._read(block)

    def trailers(self, block: bytes) -> None:
        """Decode a block of trailers, of which nothing is wanted.

        Raises:
            MalformedError: they cannot be trailers.
            Fault: the block cannot be decoded.
        """
        if self._decoder is not None:
            fields = self._decoded(self._decoder, block)
        else:
            fields = Fields(self._max_bytes)
            read(block, fields, self._cache.texts)
        fields.trailers()

    def _decoded(self, decoder: Decoder, block: bytes) -> Fields:
        fields = Fields(self._max_bytes)
        try:
            for name, value in decoder.decode(block, raw=True):
                fields.add(bytes(name), bytes(value))
        # hpack raises the others, too, for what is cut short; its messages quote the peer.
        except (HPACKError, IndexError, ValueError) as error:
            raise Fault(_BROKEN, type(error).__name__) from None
        if self.is_settled and decoder.header_table_size == 0:
            # From here on a block carries no state.
            self._decoder = None
        return fields

    def _read(self, block: bytes) -> Head:
        """Read a block as a whole, and remember what it was like."""
        fields = Fields(self._max_bytes)
        known = Known(block, read(block, fields, self._cache.texts))
        head = fields.head()
        self._cache.remember(block, head)
        if len(block) <= LONGEST_LEARNED and len(known.places) <= MOST_LEARNED:
            before, self._before = self._before, known
            room = self._max_bytes - fields.size
            self._template = template_of(before, known, head, room=room, texts=self._cache.texts)
            self._trust = TRUSTED
        return head
