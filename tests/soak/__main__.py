"""Asks a gate 1,000,000 Checks as 1,000 users: ``PYTHONPATH=tests python -m soak``.

Ends with 1 when a single answer is not the one that belongs to its request.
"""

import argparse
import sys

import uvloop

from soak.run import Size, soak
from soak.session import WrongAnswerError


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m soak")
    for name, default in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    size = Size(**vars(parser.parse_args()))
    say(
        f"soak: {size.checks:,} Checks of {size.users:,} users over {size.connections}"
        f" connections, {size.depth} at a time on each"
    )
    try:
        result = uvloop.run(soak(size, say=lambda answered: say(f"soak: {answered:,}")))
    except WrongAnswerError as error:
        say(f"soak: failed: {error}")
        return 1
    is_good = result.answered == result.counted == size.checks and not result.faults
    say(
        f"soak: {'passed' if is_good else 'failed'}: {result.answered:,} answers, each to its own"
        f" request; the gate counts {result.counted:,.0f}, and {result.faults:.0f} faults;"
        f" {result.seconds:.1f} s, {result.answered / result.seconds:,.0f}/s"
    )
    return 0 if is_good else 1


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
