"""Two runs of the benchmark suite side by side: ``make bench-compare A.json B.json``."""

import argparse
import sys
from pathlib import Path

from suite.comparison import Run, UnreadableError, compare


def main() -> int:
    """Compare, and return the exit status: 2 when a file is not what it should be."""
    parser = argparse.ArgumentParser(
        prog="make bench-compare", description="Compare two runs of the benchmark suite."
    )
    parser.add_argument("before", type=Path, metavar="A.json", help="from make bench OUT=A.json")
    parser.add_argument("after", type=Path, metavar="B.json")
    asked = parser.parse_args()
    try:
        print(compare(Run.read(asked.before), Run.read(asked.after)))
    except UnreadableError as error:
        print(f"bench-compare: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
