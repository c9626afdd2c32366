"""A short while of what ``make fuzz`` does for long."""

import pytest

from fuzz.target import BrokenError, Fuzzer, in_time, weighed

CASES = 1_500


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_arrives_bounds_hold_and_nothing_is_raised(seed: int) -> None:
    fuzzer = Fuzzer(seed)

    for _ in range(CASES):
        fuzzer.case()

    assert fuzzer.weighed > 5
    # Otherwise the cases are all alike, and nothing was tried.
    assert {
        "",
        "PROTOCOL_ERROR",
        "FRAME_SIZE_ERROR",
        "COMPRESSION_ERROR",
        "STREAM_CLOSED",
        "ENHANCE_YOUR_CALM",
    } <= fuzzer.faults.keys()


def test_what_goes_on_without_an_end_is_broken_off() -> None:
    with pytest.raises(BrokenError, match="it hangs"), in_time(b"case", seconds=0.05):
        _go_on_for_ever()


def _go_on_for_ever() -> None:
    while True:
        pass


def test_what_takes_too_much_memory_is_noticed() -> None:
    taken = []
    with pytest.raises(BrokenError, match="bytes are taken"), weighed(b"case"):
        taken.append(bytes(3_000_000))
    with weighed(b"case"):
        taken.append(bytes(1_000_000))
