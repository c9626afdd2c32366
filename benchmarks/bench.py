"""The benchmark suite: what a Check costs, and everything else that has a number.

    make bench                           # some ten minutes on two cores
    make bench CASES="server envoy"      # some of it
    make bench LONG=--long OUT=a.json    # all of it at full length, kept
    make bench-compare A.json B.json

Progress goes to standard error, tables to standard output. The exit status is 1 when a
case was void, because a server answered something else than it should; a number that
misses its target is only said to.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from suite.bench import bench
from suite.machine import busy, machine
from suite.run import CASES, exit_status, run_cases
from suite.table import result_table
from suite.targets import target_table, targets

if TYPE_CHECKING:
    from suite.result import Result

ROUNDS, SECONDS = 5, 0.5
LONG_ROUNDS, LONG_SECONDS = 9, 2.0


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="Measure what wicketgate costs.")
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"what to run, of {', '.join(CASES)}; all"
    )
    parser.add_argument("--long", action="store_true", help="everything at full length")
    parser.add_argument("--rounds", type=int, help=f"counted rounds ({ROUNDS})")
    parser.add_argument("--seconds", type=float, help=f"of each measurement ({SECONDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it in it")
    asked = parser.parse_args(argv)
    unknown = [name for name in asked.cases if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}; expected some of {', '.join(CASES)}")
    asked.cases = asked.cases or list(CASES)
    asked.rounds = asked.rounds or (LONG_ROUNDS if asked.long else ROUNDS)
    asked.seconds = asked.seconds or (LONG_SECONDS if asked.long else SECONDS)
    return asked


def reporter() -> Callable[[str], None]:
    """Return something that writes progress."""
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {line}", file=sys.stderr, flush=True)

    return report


async def main() -> int:
    """Run what was asked for and return the exit status."""
    asked = arguments()
    noted = await machine()
    report = reporter()
    if busy(noted):
        report(busy(noted))
    print(*(f"{name}: {value}" for name, value in noted.items()), sep="; ")
    if busy(noted):
        print(busy(noted))
    results: list[Result] = []
    with TemporaryDirectory(prefix="wicketgate-bench-") as directory:
        shared = bench(
            Path(directory),
            rounds=asked.rounds,
            seconds=asked.seconds,
            is_long=asked.long,
            report=report,
            only=asked.only,
        )
        for name in asked.cases:
            (result,) = await run_cases([name], shared)
            results.append(result)
            print(f"\n{result_table(result)}", flush=True)
    found = targets(results)
    print(f"\n{target_table(found)}")
    if asked.json:
        document = {
            "machine": noted,
            "cases": [result.document() for result in results],
            "targets": [target.document() for target in found],
        }
        asked.json.write_text(json.dumps(document, indent=1), "utf-8")
    return exit_status(results)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
