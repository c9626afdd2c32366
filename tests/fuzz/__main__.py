"""Breaks sessions for as long as it is told: ``PYTHONPATH=tests python -m fuzz --seconds 60``.

Ends with 1 when something does not hold; the session is then in a file.
"""

import argparse
import sys
import time
from pathlib import Path

from fuzz.sessions import sessions
from fuzz.target import BrokenError, Fuzzer, cut_everywhere


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="(default: the time)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-case.bin"))
    parsed = parser.parse_args()
    seed = int(time.time()) if parsed.seed is None else parsed.seed
    until = time.monotonic() + parsed.seconds
    cases = 0
    fuzzer = Fuzzer(seed)
    try:
        for name in sessions():
            cut_everywhere(name, step=1 if parsed.seconds >= 60 else 97)
        while time.monotonic() < until:
            fuzzer.case()
            cases += 1
    except BrokenError as broken:
        parsed.keep.write_bytes(broken.case)
        say(f"fuzz: seed {seed}, case {cases}: {broken}; the case is in {parsed.keep}")
        raise
    say(f"fuzz: seed {seed}: {cases} cases held; ends: {dict(fuzzer.faults.most_common())}")
    return 0


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
