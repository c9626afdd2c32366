"""The clients of nghttp2, where they are installed: not ours, and not Python's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fuzz.listening import ECHO, LoopFactory, on_both_loops, serving
from wicketgate.grpc.unary import framed

SECONDS = 30
CALLS = 1_000

needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load is not installed (package nghttp2-client)"
)
needs_nghttp = pytest.mark.skipif(
    shutil.which("nghttp") is None, reason="nghttp is not installed (package nghttp2-client)"
)


def run(*arguments: str) -> str:
    """Return what a program says."""
    ended = subprocess.run(
        arguments, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=True
    )
    return ended.stdout


@needs_h2load
@pytest.mark.parametrize("window_bits", ["4", "16", "30"])
@pytest.mark.parametrize("size", [0, 300, 40_000])
@on_both_loops
def test_h2load_gets_an_answer_to_each_of_its_calls(
    size: int, window_bits: str, tmp_path: Path, loop_factory: LoopFactory
) -> None:
    body = tmp_path / "body"
    body.write_bytes(framed(b"x" * size))
    count = CALLS if size < 1_000 else 50
    if window_bits == "4" and size > 300:
        count = 4
    with serving(loop_factory=loop_factory) as served:
        said = run(
            *("h2load", "-n", str(count), "-c", "4", "-m", "32", "-d", str(body)),
            *("-w", window_bits, "-W", window_bits),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"http://{served.address}{ECHO}",
        )
        served.until(lambda: served.observed.open == 0)

    assert re.search(rf"{count} succeeded, 0 failed, 0 errored, 0 timeout", said)
    assert served.asked == {"echo": count}
    assert served.observed.faults == {"": 4}


@needs_nghttp
@pytest.mark.parametrize("extra", [[], ["--no-dep"], ["-p", "9"], ["--padding=200"], ["-w", "4"]])
def test_nghttp_reads_an_answer(extra: list[str], tmp_path: Path) -> None:
    """
    With priorities in frames of their own and in HEADERS, padding, and a window of 15 octets.
    """
    body = tmp_path / "body"
    body.write_bytes(framed(b"once and again " * 20))
    with serving() as served:
        said = run(
            *("nghttp", "-v", "-m", "3", *extra, "-d", str(body)),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"http://{served.address}{ECHO}",
        )
        served.until(lambda: served.observed.open == 0)

    assert said.count("grpc-status: 0") == 3
    assert "GOAWAY" in said
    assert "recv RST_STREAM" not in said
    assert served.asked == {"echo": 3}
    assert served.observed.faults == {"": 1}
