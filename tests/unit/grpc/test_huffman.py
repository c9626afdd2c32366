"""Whether a coded value is well formed, against hpack's decoder."""

import re

import pytest
from hpack import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.grpc.huffman import is_well_formed

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
BAD = re.compile(rb"[\0\r\n]|\A[ \t]|[ \t]\Z")


def is_good_value(coded: bytes) -> bool:
    """Return what `is_well_formed` should, by decoding."""
    try:
        return not BAD.search(decode_huffman(coded))
    except HPACKError:
        return False


@given(st.binary(max_size=40))
@example(b" ")
@example(b"a \t b")
@example(b"a\t")
@example(b"\ta")
@example(b"a\nb")
@example(bytes(range(256)))
@example(b"")
def test_any_text_that_was_encoded(text: bytes) -> None:
    coded = ENCODER.encode(text) if text else b""

    assert is_well_formed(coded) == (not BAD.search(text))


@given(st.text("/.:-_ abcdefghij0123456789", max_size=60))
def test_texts_as_they_are_sent(text: str) -> None:
    raw = text.encode()
    coded = ENCODER.encode(raw) if raw else b""

    assert is_well_formed(coded) == (not BAD.search(raw))


@given(st.binary(max_size=12))
def test_any_octets(coded: bytes) -> None:
    assert is_well_formed(coded) == is_good_value(coded)


@pytest.mark.parametrize("octet", range(256))
def test_every_octet_as_an_end(octet: int) -> None:
    """
    Padding is the beginning of the code for EOS, and shorter than an octet (RFC 7541 5.2).
    """
    for before in (b"", b"\x1f", b"\xff\xff", bytes(5)):
        coded = before + bytes([octet])

        assert is_well_formed(coded) == is_good_value(coded)
