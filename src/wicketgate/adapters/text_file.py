"""Small text files that an operator writes."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from wicketgate.errors import ConfigurationError

MAX_BYTES: Final = 16 * 1024 * 1024
"""Ten thousand rules are 2 MB; /dev/zero is more."""


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigurationError: as `read_text_and_digest` does.
    """
    text, _ = read_text_and_digest(path)
    return text


def read_text_and_digest(path: Path) -> tuple[str, str]:
    """Return the text of a file, and the SHA-256 of its bytes in hexadecimal.

    Raises:
        ConfigurationError: it cannot be read, is too large or is not UTF-8.
    """
    try:
        # A pipe in its place would be waited for, and is refused instead.
        if path.is_fifo() or path.is_socket():
            msg = f"{path}: is no regular file; expected a file of text"
            raise ConfigurationError(msg)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            msg = f"{path}: has more than {MAX_BYTES} bytes; expected a smaller file"
            raise ConfigurationError(msg)
        return raw.decode("utf-8-sig"), sha256(raw).hexdigest()
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        msg = f"{path}: cannot be read ({why}); expected a file of text"
    except UnicodeDecodeError as error:
        msg = f"{path}: byte {error.start + 1} is not UTF-8; expected a file of text"
    raise ConfigurationError(msg)
