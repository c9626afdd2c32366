"""Where one ``wicketgate local`` tells another where it is.

A file in a directory of the user's own. It holds a signing secret, so nobody else
may read either, and a directory that somebody else prepared is not used.

Source: XDG Base Directory Specification, ``XDG_RUNTIME_DIR``.
"""

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.webhook_sender import Endpoint

_NAME: Final = "local.json"
_OTHERS: Final = 0o077


def runtime_file(environment: Mapping[str, str]) -> Path:
    """Return where the file is, or will be."""
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Path(runtime, "wicketgate", _NAME)
    return Path(tempfile.gettempdir(), f"wicketgate-{os.getuid()}", _NAME)


@contextmanager
def announced(endpoint: Endpoint, environment: Mapping[str, str]) -> Iterator[Path]:
    """Tell where deliveries go, for as long as the context lasts; the last one to tell counts.

    Raises:
        EnvironmentFaultError: the directory is not ours alone, or not to be had.
    """
    path = runtime_file(environment)
    text = json.dumps({"url": endpoint.url, "secret": endpoint.secret})
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(path.parent)
        # Written aside and moved into place: nobody reads half a secret.
        descriptor, aside = tempfile.mkstemp(dir=path.parent)  # mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(aside).replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}; set XDG_RUNTIME_DIR to another place"
        raise EnvironmentFaultError(msg) from None
    try:
        yield path
    finally:
        with suppress(OSError):
            if path.read_bytes() == text.encode():
                path.unlink()


def announced_endpoint(environment: Mapping[str, str]) -> Endpoint:
    """Return where the running ``wicketgate local`` takes deliveries.

    Raises:
        EnvironmentFaultError: none is running, or somebody else wrote the file.
    """
    path = runtime_file(environment)
    try:
        _require_private(path.parent)
        document = json.loads(path.read_text("utf-8"))
        return Endpoint(document["url"], document["secret"])
    except (OSError, ValueError, KeyError, TypeError):
        msg = (
            "no wicketgate local is running: start it in another terminal, "
            "or give --url and --secret-file"
        )
        raise EnvironmentFaultError(msg) from None


def _require_private(directory: Path) -> None:
    found = directory.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_private or found.st_mode & _OTHERS:
        msg = f"{directory} must be a directory of your own with mode 0700: remove it"
        raise EnvironmentFaultError(msg)
