"""Whether a Huffman-coded header value is well formed, without decoding it.

Most values are of no interest to a server of unary calls, but a value that hides a
line feed is malformed all the same. A table takes a byte at a time; its rows are
made when they are first needed.

Source: RFC 7541 section 5.2 and appendix B; RFC 9113 section 8.2.1.
"""

from typing import Final

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_FORBIDDEN: Final = frozenset({0, 10, 13})
_SPACE: Final = frozenset({9, 32})
_EOS: Final = 256
_MAX_PADDING: Final = 7

_DEAD: Final = -1
_LEAF: Final = -2
_SPACE_LEAF: Final = -3


def _tree() -> list[list[int]]:
    """Return the code as nodes: for each bit the next node, a leaf, or `_DEAD`."""
    nodes: list[list[int]] = [[_DEAD, _DEAD]]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        if symbol == _EOS or symbol in _FORBIDDEN:
            continue
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if nodes[node][bit] < 0:
                nodes.append([_DEAD, _DEAD])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = _SPACE_LEAF if symbol in _SPACE else _LEAF
    return nodes


_NODES: Final = _tree()
_SIZE: Final = len(_NODES)

# A state is a node of the tree, and what the symbol before it was.
_IN_TEXT: Final = 0
_AFTER_SPACE: Final = _SIZE
_AT_START: Final = 2 * _SIZE


def _ends() -> frozenset[int]:
    """Return the states where a value may end: a whole symbol and at most seven ones."""
    found, node = {_IN_TEXT, _AT_START}, 0
    for _ in range(_MAX_PADDING):
        node = _NODES[node][1]
        found.add(_IN_TEXT + node)
    return frozenset(found)


_ENDS: Final = _ends()
_ROWS: Final[list[list[int] | None]] = [None] * (3 * _SIZE)


def _row(start: int) -> list[int]:
    """Return the state after each of the 256 octets."""
    row = []
    for byte in range(256):
        before, node = start - start % _SIZE, start % _SIZE
        for shift in range(7, -1, -1):
            node = _NODES[node][byte >> shift & 1]
            if node == _LEAF:
                before, node = _IN_TEXT, 0
            elif node == _SPACE_LEAF:
                if before == _AT_START:
                    node = _DEAD
                    break
                before, node = _AFTER_SPACE, 0
            elif node == _DEAD:
                break
        row.append(node if node == _DEAD else before + node)
    _ROWS[start] = row
    return row


def is_well_formed(coded: bytes) -> bool:
    """Tell whether `coded` is Huffman code for octets that a field value may hold."""
    state = _AT_START
    rows = _ROWS
    for byte in coded:
        row = rows[state]
        state = (row if row is not None else _row(state))[byte]
        if state == _DEAD:
            return False
    return state in _ENDS
