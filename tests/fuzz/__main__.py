"""Breaks sessions for as long as it is told: ``PYTHONPATH=tests python -m fuzz --seconds 60``.

A third of the time goes to cutting the recorded sessions at every octet, or at as many as
there is time for, beginning somewhere else each time.

Ends with 1 when something does not hold; the session is then in a file.
"""

import argparse
import sys
import time
from pathlib import Path
from random import Random

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
    began = time.monotonic()
    cases = cuts = 0
    fuzzer = Fuzzer(seed)
    try:
        for name, at in places(seed):
            if time.monotonic() > began + parsed.seconds / 3:
                break
            cut_everywhere(name, [at])
            cuts += 1
        while time.monotonic() < began + parsed.seconds:
            fuzzer.case()
            cases += 1
    except BrokenError as broken:
        parsed.keep.write_bytes(broken.case)
        say(f"fuzz: seed {seed}, case {cases}: {broken}; the case is in {parsed.keep}")
        raise
    ends = dict(fuzzer.faults.most_common())
    say(f"fuzz: seed {seed}: {cases} cases and {cuts} cuts held, {fuzzer.weighed} weighed; {ends}")
    return 0


def places(seed: int) -> list[tuple[str, int]]:
    """Return every place where a session can be cut, in an order that a seed decides."""
    found = [(name, at) for name, each in sessions().items() for at in range(1, len(each))]
    Random(seed).shuffle(found)  # noqa: S311 - nothing is kept secret by it
    return found


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
