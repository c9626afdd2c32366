"""What ``wicketgate service-token`` touches: two streams, stdin, randomness and the clock."""

import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from getpass import getpass
from typing import TextIO

from wicketgate.core.jws import MAX_TOKEN_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What the commands touch.

    Attributes:
        out: Gets tokens, entries and tables.
        err: Gets what is said to people, and mistakes.
        read_token: Returns what stdin holds.
        random: Makes URL-safe text of this many random bytes.
        clock: Returns POSIX seconds.
    """

    out: TextIO
    err: TextIO
    read_token: Callable[[], str]
    random: Callable[[int], str]
    clock: Callable[[], float]


def real_console() -> Console:
    """Return the console of this process."""
    return Console(
        out=sys.stdout,
        err=sys.stderr,
        read_token=_read_stdin,
        random=secrets.token_urlsafe,
        clock=time.time,
    )


def _read_stdin() -> str:
    if sys.stdin.isatty():
        return getpass("token: ")
    # Enough to know that it is too long. What is not UTF-8 is not a token.
    return sys.stdin.buffer.read(MAX_TOKEN_BYTES + 3).decode("utf-8", "replace")
