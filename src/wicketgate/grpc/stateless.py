"""Header blocks that carry no state: those of a peer that uses no dynamic table.

Values that mean something are decoded; of the others it is only made sure that they
could be.

Source: RFC 7541 sections 5 and 6.
"""

from typing import Final, NamedTuple

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


class Place(NamedTuple):
    """Where a field of a block is.

    Attributes:
        name: Its name.
        start: Where it begins.
        value: Where the length of its value begins; its end when it is an index alone.
        end: Where it ends.
    """

    name: bytes
    start: int
    value: int
    end: int


def read(block: bytes, fields: Fields, texts: Texts) -> list[Place]:
    """Add the fields of a block, and return where they are.

    Raises:
        Fault: the block cannot be decoded.
    """
    places: list[Place] = []
    at, end = 0, len(block)
    try:
        while at < end:
            byte = block[at]
            if byte & 0x80:
                name, value = _static(byte & 0x7F)
                fields.add(name, value)
                places.append(Place(name, at, at + 1, at + 1))
                at += 1
            elif byte & 0xE0 == _NO_TABLE:
                if byte != _NO_TABLE or fields.size:
                    raise Fault(_BROKEN, "the table was resized, or late")
                at += 1
                continue
            else:
                places.append(_literal(block, at, fields, texts))
                at = places[-1].end
    except IndexError:
        raise Fault(_BROKEN, "a field is cut short") from None
    return places


def text_at(block: bytes, at: int) -> tuple[int, int, bool]:
    """Return where a text begins and ends whose length is at `at`, and whether it is coded.

    Raises:
        Fault: it goes on after the block, or its length does.
        IndexError: the block is at its end.
    """
    byte = block[at]
    size, at = byte & 0x7F, at + 1
    if size == _LONG:
        size, at = _rest(block, at, _LONG)
    if at + size > len(block):
        raise Fault(_BROKEN, "a text is cut short")
    return at, at + size, byte > _LONG


def _literal(block: bytes, at: int, fields: Fields, texts: Texts) -> Place:
    """Add a field that is spelled out, whatever it asks of a table."""
    start, byte = at, block[at]
    mask = 0x3F if byte & 0x40 else 0x0F
    at += 1
    index = byte & mask
    if index:
        if index == mask:
            index, at = _rest(block, at, mask)
        name = _static(index)[0]
    else:
        begin, at, is_coded = text_at(block, at)
        name = block[begin:at]
        if is_coded:
            name = texts.decoded(name)
    begin, end, is_coded = text_at(block, at)
    value = block[begin:end]
    if not is_coded:
        fields.add(name, value)
    elif name in _MEANT:
        fields.add(name, texts.decoded(value))
    elif is_well_formed(value):
        fields.add_unread(name, end - begin)
    else:
        # Either it is no Huffman code, or it is code for what no value may hold.
        fields.add(name, _decoded(value))
    return Place(name, start, at, end)


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
