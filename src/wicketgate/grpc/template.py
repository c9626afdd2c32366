"""Header blocks that differ from the one before in some values, and in nothing else.

A client that traces, or whose timeouts vary, sends blocks of which no two are alike. Their
fields are, though: in the same order, most of them to the octet. What two blocks have in
common is compared in long pieces, and only the values between are read.

Source: RFC 7541 section 6.2 (a literal is its name, then its value).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from wicketgate.grpc.faults import Fault
from wicketgate.grpc.head import BAD_VALUE, LONGEST_KEPT, PSEUDO, READ, Head
from wicketgate.grpc.huffman import is_well_formed
from wicketgate.grpc.stateless import Place, Texts, text_at

TIMEOUT: Final = b"grpc-timeout"
_MUST_BE_READ: Final = (PSEUDO | READ) - {TIMEOUT}
"""What says what is asked for: a block in which that varies is read as a whole."""


class Known(NamedTuple):
    """A block that was read as a whole.

    Attributes:
        block: The block.
        places: Where its fields are, in order.
    """

    block: bytes
    places: Sequence[Place]


class Piece(NamedTuple):
    """What is the same in all blocks, and the field whose value comes after it.

    Attributes:
        same: Whole fields, and the name of the one that varies.
        name: That of the field; empty at the end of a block.
    """

    same: bytes
    name: bytes


class Template:
    """Reads blocks that are like one that was read as a whole."""

    __slots__ = ("_head", "_pieces", "_room", "_texts")

    def __init__(self, pieces: Sequence[Piece], head: Head, *, room: int, texts: Texts) -> None:
        """Read blocks of these pieces.

        Args:
            pieces: In order; the last has no name.
            head: What all of them say, but for the timeout.
            room: How long the values that vary may be, all together.
            texts: Decodes timeouts.
        """
        self._pieces = pieces
        self._head = head
        self._room = room
        self._texts = texts

    def head_of(self, block: bytes) -> Head | None:
        """Return what a block says; `None` when it has to be read as a whole."""
        at, room, timeout = 0, self._room, self._head.timeout
        try:
            for same, name in self._pieces:
                if not block.startswith(same, at):
                    return None
                at += len(same)
                if name:
                    begin, at, is_coded = text_at(block, at)
                    value = block[begin:at]
                    if name == TIMEOUT:
                        value = timeout = self._texts.decoded(value) if is_coded else value
                        is_coded = False
                    if not is_well_formed(value) if is_coded else BAD_VALUE.search(value):
                        return None
                    room -= len(value)
        except (Fault, IndexError):
            return None
        if at != len(block) or room < 0:
            return None
        method, path, kind, _, encoding, length = self._head
        return Head(method, path, kind, timeout[:LONGEST_KEPT], encoding, length)


def template_of(
    before: Known, after: Known, head: Head, *, room: int, texts: Texts
) -> Template | None:
    """Return what reads blocks that are like two; `None` when these are not alike.

    Args:
        before: One of them.
        after: The other.
        head: What `after` says.
        room: How many octets its list could be longer.
        texts: Decodes timeouts.
    """
    names = [place.name for place in after.places]
    if names != [place.name for place in before.places] or names.count(TIMEOUT) > 1:
        return None
    pieces: list[Piece] = []
    begin = 0
    for old, new in zip(before.places, after.places, strict=True):
        if before.block[old.start : old.end] == after.block[new.start : new.end]:
            continue
        if new.name in _MUST_BE_READ or new.value == new.end:
            return None
        pieces.append(Piece(after.block[begin : new.value], new.name))
        begin = new.end
        room += _counted(after.block, new, texts)
    pieces.append(Piece(after.block[begin:], b""))
    return Template(pieces, head, room=room, texts=texts)


def _counted(block: bytes, place: Place, texts: Texts) -> int:
    """Return what the value of a field counts: as it is coded, where nobody reads it."""
    begin, end, is_coded = text_at(block, place.value)
    if place.name == TIMEOUT and is_coded:
        return len(texts.decoded(block[begin:end]))
    return end - begin
