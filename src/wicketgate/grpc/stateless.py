"""Header blocks that carry no state: those of a peer that uses no dynamic table.

Values that mean something are decoded; of the others it is only made sure that they
could be.

Source: RFC 7541 sections 5 and 6.
"""

from typing import Final

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.frames import ErrorCode
from wicketgate.grpc.head import PSEUDO, READ, Fields
from wicketgate.grpc.huffman import is_well_formed

_STATIC: Final[tuple[tuple[bytes, bytes], ...]] = ((b"", b""), *HeaderTable.STATIC_TABLE)
_MEANT: Final = READ | PSEUDO
_NO_TABLE: Final = 0x20
"""The table is of size 0, which it was (RFC 7541 section 6.3)."""
_LONG: Final = 0x7F
"""A length that goes on in the next octet (RFC 7541 section 5.1)."""
_LONGEST_TEXT: Final = 256
_BROKEN: Final = ErrorCode.COMPRESSION_ERROR


class Texts:
    """Huffman-coded texts that were decoded before; hpack takes 0.2 µs for each octet."""

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int) -> None:
        """Remember at most so many, none of them long."""
        self._known: dict[bytes, bytes] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._known)

    def decoded(self, coded: bytes) -> bytes:
        """Return the text.

        Raises:
            Fault: it is no Huffman code.
        """
        text = self._known.get(coded)
        if text is None:
            text = _decoded(coded)
            if len(coded) <= _LONGEST_TEXT:
                if len(self._known) >= self._limit:
                    self._known.clear()
                self._known[coded] = text
        return text


def read(block: bytes, at: int, fields: Fields, texts: Texts) -> list[int]:
    """Add the fields of a block from `at` on, and return where each of them ends.

    Raises:
        Fault: the block cannot be decoded.
    """
    ends: list[int] = []
    end = len(block)
    try:
        while at < end:
            byte = block[at]
            if byte & 0x80:
                name, value = _static(byte & 0x7F)
                fields.add(name, value)
                at += 1
            elif byte & 0xE0 == _NO_TABLE:
                if byte != _NO_TABLE or fields.size:
                    raise Fault(_BROKEN, "the table was resized, or late")
                at += 1
                continue
            else:
                at = _literal(block, at, fields, texts)
            ends.append(at)
    except IndexError:
        raise Fault(_BROKEN, "a field is cut short") from None
    return ends


def _literal(block: bytes, at: int, fields: Fields, texts: Texts) -> int:
    """Add a field that is spelled out, whatever it asks of a table; return where it ends."""
    byte = block[at]
    mask = 0x3F if byte & 0x40 else 0x0F
    at += 1
    index = byte & mask
    if index:
        if index == mask:
            index, at = _rest(block, at, mask)
        name = _static(index)[0]
    else:
        byte = block[at]
        size, at = byte & 0x7F, at + 1
        if size == _LONG:
            size, at = _rest(block, at, _LONG)
        name = block[at : at + size]
        at += size
        if byte & 0x80:
            name = texts.decoded(name)
    byte = block[at]
    size, at = byte & 0x7F, at + 1
    if size == _LONG:
        size, at = _rest(block, at, _LONG)
    end = at + size
    if end > len(block):
        raise Fault(_BROKEN, "a text is cut short")
    value = block[at:end]
    if not byte & 0x80:
        fields.add(name, value)
    elif name in _MEANT:
        fields.add(name, texts.decoded(value))
    elif is_well_formed(value):
        fields.add_unread(name, size)
    else:
        # Either it is no Huffman code, or it is code for what no value may hold.
        fields.add(name, _decoded(value))
    return end


def _decoded(coded: bytes) -> bytes:
    try:
        return decode_huffman(coded)
    except HPACKError as error:
        # Its message quotes the peer.
        raise Fault(_BROKEN, type(error).__name__) from None


def _static(index: int) -> tuple[bytes, bytes]:
    if not 0 < index < len(_STATIC):
        raise Fault(_BROKEN, "an index into a table that is empty")
    return _STATIC[index]


def _rest(block: bytes, at: int, value: int) -> tuple[int, int]:
    """Read on in an integer of RFC 7541 section 5.1; return it, and where it ends."""
    for shift in range(0, 28, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last octet
            return value, at
    raise Fault(_BROKEN, "an integer is too long")
