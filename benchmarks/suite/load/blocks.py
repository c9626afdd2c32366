"""Header blocks as Envoy writes them for a Check.

Envoy codes texts with Huffman whenever that is shorter, names what the static table
names, and, once the server has asked for a dynamic table of size 0, indexes nothing.
The order is Envoy 1.40's, with tracing headers where its gRPC client puts them.

Source: RFC 7541 section 6.2.2 and appendix A; recorded connections of Envoy.
"""

from collections.abc import Iterator
from itertools import count, repeat
from random import Random
from typing import Final

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

TABLE_IS_EMPTY: Final = b"\x20"
"""Begins the first block after the server asked for a table of size 0 (section 6.3)."""
TRACES: Final = 8_192
REQUEST_IDS: Final = 8_191
"""Of different length than `TRACES`, so that together they repeat after 67 million."""
TIMEOUTS: Final = range(5_000, 5_400)
"""Milliseconds; Envoy writes its timeouts in them. So long that a slow server is slow in the
figures, and not an error."""

_HUFFMAN: Final = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_INDEXES: Final = {
    name: index for index, (name, _) in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])
}
_PAIRS: Final = {pair: index for index, pair in enumerate(HeaderTable.STATIC_TABLE, 1)}


def field(name: bytes, value: bytes) -> bytes:
    """Return a header field: from the static table, or literal and never indexed."""
    if (name, value) in _PAIRS:
        return bytes([0x80 | _PAIRS[name, value]])
    if name in _INDEXES:
        return _integer(_INDEXES[name], 0x0F, 0x00) + _text(value)
    return b"\x00" + _text(name) + _text(value)


def fixed(path: bytes, authority: bytes) -> Iterator[bytes]:
    """Yield the same block for every request."""
    return repeat(
        b"".join(
            (
                *_before_timeout(path, authority),
                field(b"grpc-timeout", b"5000m"),
                *_after_timeout(),
                *_last(),
            )
        )
    )


def varying(path: bytes, authority: bytes, seed: int) -> Iterator[bytes]:
    """Yield blocks of which no two are alike.

    ``grpc-timeout``, ``traceparent`` and ``x-request-id`` differ from request to
    request; the last two are drawn from more values than the server remembers.
    """
    random = Random(seed)  # noqa: S311 - they have to differ, and no more
    before = b"".join(_before_timeout(path, authority))
    after, last = b"".join(_after_timeout()), b"".join(_last())
    timeouts = [field(b"grpc-timeout", b"%dm" % each) for each in TIMEOUTS]
    traces = [
        field(
            b"traceparent",
            b"00-%032x-%016x-01" % (random.getrandbits(128), random.getrandbits(64)),
        )
        for _ in range(TRACES)
    ]
    ids = [field(b"x-request-id", _uuid(random)) for _ in range(REQUEST_IDS)]
    for number in count():
        yield b"".join(
            (
                before,
                timeouts[number % len(timeouts)],
                after,
                traces[number % TRACES],
                ids[number % REQUEST_IDS],
                last,
            )
        )


def _before_timeout(path: bytes, authority: bytes) -> tuple[bytes, ...]:
    return (
        field(b":method", b"POST"),
        field(b":path", path),
        field(b":authority", authority),
        field(b":scheme", b"http"),
        field(b"te", b"trailers"),
    )


def _after_timeout() -> tuple[bytes, ...]:
    return (field(b"content-type", b"application/grpc"),)


def _last() -> tuple[bytes, ...]:
    return (
        field(b"x-envoy-internal", b"true"),
        field(b"x-forwarded-for", b"192.0.2.2"),
        field(b"x-envoy-expected-rq-timeout-ms", b"5000"),
    )


def _uuid(random: Random) -> bytes:
    digits = b"%032x" % random.getrandbits(128)
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _text(text: bytes) -> bytes:
    coded = _HUFFMAN.encode(text)
    if len(coded) < len(text):
        return _integer(len(coded), 0x7F, 0x80) + coded
    return _integer(len(text), 0x7F, 0x00) + text


def _integer(number: int, mask: int, flags: int) -> bytes:
    """Return an integer with a prefix (RFC 7541 section 5.1)."""
    if number < mask:
        return bytes([flags | number])
    number -= mask
    octets = [flags | mask]
    while number >= 0x80:  # noqa: PLR2004 - seven bits an octet
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])
