"""What all cases share: tokens, a place for files, and how long to take."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.checks import Caller, check_messages, mint
from suite.crowd import write_crowd
from suite.load.messages import Message, write_messages
from suite.result import Row
from suite.rounds import Subject, interleave
from wicketgate.local.clerk_instance import ClerkInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A run of the suite.

    Attributes:
        clerk: Whose tokens count.
        token: A valid one, of `wicketgate.local.clerk_instance.USER`.
        directory: For files, gone afterwards.
        rounds: How often everything is measured.
        seconds: How long at a time.
        is_long: Whether everything is measured at full length.
        report: Takes progress.
        only: Part of the names of what is measured; empty for everything.
    """

    clerk: ClerkInstance
    token: str
    directory: Path
    rounds: int
    seconds: float
    is_long: bool
    report: Callable[[str], None]
    only: str = ""

    def file(self, name: str, messages: Iterable[Message]) -> str:
        """Write a file of requests and return its path."""
        return str(write_messages(self.directory / name, messages))

    async def crowd(self, count: int) -> str:
        """Return the file of the Checks of so many distinct users, one each.

        Raises:
            VoidError: it could not be made.
        """
        path = self.directory / f"crowd-{count}"
        if not path.exists():
            self.report(f"minting {count:,} tokens")
            # Numbered so that crowds of different size have nobody in common.
            await write_crowd(self.clerk, path, first=count, count=count)
        return str(path)

    async def interleave(self, subjects: Sequence[Subject]) -> list[Row]:
        """Load all subjects in turns, as long as was asked for.

        Raises:
            VoidError: an answer was wrong.
        """
        wanted = [subject for subject in subjects if self.only in subject.name]
        return await interleave(wanted, rounds=self.rounds, report=self.report)

    def checks(self) -> str:
        """Return the file of Checks with the valid token."""
        return self.file("valid", check_messages(Caller(self.token)))

    def checks_without_token(self) -> str:
        """Return the file of Checks without one."""
        return self.file("none", check_messages(Caller("", "")))


def bench(
    directory: Path,
    *,
    rounds: int,
    seconds: float,
    is_long: bool,
    report: Callable[[str], None],
    only: str = "",
) -> Bench:
    """Return a run with a new Clerk instance."""
    clerk = ClerkInstance()
    return Bench(
        clerk=clerk,
        token=mint(clerk),
        directory=directory,
        rounds=rounds,
        seconds=seconds,
        is_long=is_long,
        report=report,
        only=only,
    )
