"""A log whose reader stalls, leaves, or keeps up."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from wicketgate.adapters.log_stream import ATOMIC_BYTES, LossyStream

LINE = "a line\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)
    with suppress(OSError):  # a test may have closed it
        os.close(reader)


def test_a_line_arrives(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stream = LossyStream(writer)

    stream.write(LINE)

    assert os.read(reader, 100) == LINE.encode()
    assert stream.dropped == 0


def test_a_reader_that_stalls_loses_lines_and_blocks_nobody(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    stream = LossyStream(writer)
    written = 0
    while stream.dropped == 0:
        stream.write(LINE)
        written += 1

    kept = written - 1
    arrived = b""
    while len(arrived) < kept * len(LINE):
        arrived += os.read(reader, 1 << 20)
    assert arrived == LINE.encode() * kept


def test_a_reader_that_left_is_no_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    stream = LossyStream(writer)

    stream.write(LINE)

    assert stream.dropped == 1


def test_a_line_too_long_to_be_written_whole_is_dropped(pipe: tuple[int, int]) -> None:
    stream = LossyStream(pipe[1])

    stream.write("x" * (ATOMIC_BYTES + 1))

    assert stream.dropped == 1
