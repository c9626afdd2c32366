"""A short while of what ``make fuzz`` does for long."""

import pytest

from fuzz.target import Fuzzer

CASES = 1_500


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_arrives_bounds_hold_and_nothing_is_raised(seed: int) -> None:
    fuzzer = Fuzzer(seed)

    for _ in range(CASES):
        fuzzer.case()

    # Otherwise the cases are all alike, and nothing was tried.
    assert {
        "",
        "PROTOCOL_ERROR",
        "FRAME_SIZE_ERROR",
        "COMPRESSION_ERROR",
        "STREAM_CLOSED",
        "ENHANCE_YOUR_CALM",
    } <= fuzzer.faults.keys()
