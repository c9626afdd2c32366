"""Plays 200 rounds of `revocation_rounds`: ``PYTHONPATH=tests python -m revocation_soak``.

Two feeds follow one Postgres, their clocks five seconds behind and ahead of its own.
Ends with 1 when anybody is refused or let in who should not be.
"""

import argparse
import asyncio
import sys
import time
from random import Random

from revocation_rounds import Book, Fault, following, play
from wicketgate.adapters.migrations import migrate
from wicketgate.local.postgres import EmbeddedPostgres

SKEWS = (-5.0, 5.0)
PROGRESS = 20


async def soak(rounds: int, seed: int) -> bool:
    """Play, and return whether nothing was wrong."""
    random = Random(seed)  # noqa: S311 - for variety
    faults = [*Fault] * (rounds // len(Fault) + 1)
    random.shuffle(faults)
    book = Book(random)
    started = time.monotonic()
    wrong = 0
    async with EmbeddedPostgres(settings={"fsync": "off"}) as postgres:
        await migrate(postgres.url)
        async with (
            following(postgres.url, skew=SKEWS[0]) as behind,
            following(postgres.url, skew=SKEWS[1]) as ahead,
        ):
            for number, fault in enumerate(faults[:rounds], 1):
                complaints = await play(postgres, (behind, ahead), book, fault)
                wrong += len(complaints)
                for complaint in complaints:
                    say(f"round {number}, {fault}: {complaint}")
                if number % PROGRESS == 0:
                    say(f"{number} rounds")
            connections = behind.observer.connections + ahead.observer.connections
            missed = [error for error in behind.observer.errors if error.startswith("missed")]
    is_good = not wrong and not missed
    say(
        f"{'passed' if is_good else 'failed'}: {rounds} rounds, {len(book.known)} users and "
        f"sessions, {len(book.revoked)} revoked at the end, {connections} connections, "
        f"{wrong} wrong, {len(missed)} missed; {time.monotonic() - started:.0f} s"
    )
    return is_good


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m revocation_soak")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    return 0 if asyncio.run(soak(arguments.rounds, arguments.seed)) else 1


def say(line: str) -> None:
    """Tell whoever waits."""
    sys.stdout.write(f"soak-revocations: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
