"""Policies, from a file or from stdin."""

from pathlib import Path
from typing import BinaryIO, Final

from wicketgate.adapters.text_file import MAX_BYTES, read_text
from wicketgate.core.policy.parse import ParsedPolicy, parse_policy
from wicketgate.core.policy.reading import PolicyError
from wicketgate.errors import ConfigurationError

STDIN: Final = Path("-")


def text_of(path: Path, stdin: BinaryIO) -> str:
    """Return the text of `path`; `STDIN` is what `stdin` holds.

    Raises:
        ConfigurationError: it cannot be read, is too large or is not UTF-8.
    """
    if path != STDIN:
        return read_text(path)
    raw = stdin.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        msg = f"stdin: has more than {MAX_BYTES} bytes; expected less"
        raise ConfigurationError(msg)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"stdin: byte {error.start + 1} is not UTF-8; expected text"
        raise ConfigurationError(msg) from None


def policy_of(path: Path) -> ParsedPolicy:
    """Return the policy in `path`.

    Raises:
        ConfigurationError: it cannot be read; or a line for every mistake in it.
    """
    try:
        return parse_policy(read_text(path))
    except PolicyError as error:
        lines = (f"{path}:{each.position}: {each.message}" for each in error.mistakes)
        raise ConfigurationError(*lines) from None
