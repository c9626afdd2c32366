"""The last good JWKS on disk, so that a gate can start while Clerk is down.

Whoever can write this file can plant a key and sign any token. It is therefore
believed only when nobody but this user (or root) could have written it, when it
was fetched from the URL that is configured now, and when it is not from the
future. A directory in which every user may write (a fresh Kubernetes
``emptyDir``) does not do; a subdirectory of it, made by `KeyFile.save`, does.

Source: CERT POS02-C and FIO15-J, on files in shared directories.
"""

import json
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final

from wicketgate.core.strict_json import NotStrictJsonError, parse_object
from wicketgate.errors import EnvironmentFaultError

MAX_FILE_BYTES: Final = 262_144
"""64 KiB of document, grown at most threefold by escapes, and the rest."""
FUTURE_SECONDS: Final = 60.0
"""A clock may be set back a little between two starts."""

_SHARED_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0
_DAMAGED: Final = "is damaged: delete it"
_UNFIT: Final = "cannot be written: the document is not strict JSON"


class KeyFile:
    """One file that holds one JWKS, where it came from, and when."""

    def __init__(self, path: Path, source: str, *, clock: Callable[[], float] = time.time) -> None:
        """Keep the keys of `source` (the JWKS URL) at `path`; `clock` tells POSIX seconds."""
        self._path = path
        self._source = source
        self._clock = clock

    def load(self) -> tuple[bytes, float] | None:
        """Return the document and when it was fetched, or `None` when there is no file.

        Raises:
            EnvironmentFaultError: there is a file, and it cannot be read or must not
                be believed. No other exception escapes.
        """
        try:
            content = parse_object(self._read())
            complaint = self._complaint_about(content)
            document = json.dumps(content.get("jwks")).encode("ascii")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(_cannot("read", error)) from error
        except (NotStrictJsonError, RecursionError) as error:
            raise self._fault(_DAMAGED) from error
        if complaint is not None:
            raise self._fault(complaint)
        return document, float(content["fetched_at"])

    def save(self, document: bytes, fetched_at: float) -> None:
        """Replace the file at once and durably, readable by this user only.

        Args:
            document: A JWKS that was found usable.
            fetched_at: When it was fetched, POSIX seconds.

        Raises:
            EnvironmentFaultError: it cannot be written, or would not be believed.
                The old file is untouched. No other exception escapes.
        """
        try:
            jwks = parse_object(document)
            content = json.dumps({"source": self._source, "fetched_at": fetched_at, "jwks": jwks})
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            complaint = _complaint_about_directory(self._path.parent.stat())
            if complaint is None:
                _replace(self._path, content.encode("ascii"))
        except OSError as error:
            raise self._fault(_cannot("written", error)) from error
        except (NotStrictJsonError, RecursionError) as error:
            raise self._fault(_UNFIT) from error
        if complaint is not None:
            raise self._fault(complaint)

    def _read(self) -> bytes:
        # Through the directory's descriptor, so that what was checked is what is read.
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A symbolic link is refused, and a FIFO is not waited for.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._path.name, flags, dir_fd=directory)
            try:
                complaint = _complaint_about_directory(
                    os.fstat(directory)
                ) or _complaint_about_file(os.fstat(descriptor))
                if complaint is not None:
                    raise self._fault(complaint)
                # Not `open`: it raises for a directory before anything is said about it.
                return os.read(descriptor, MAX_FILE_BYTES)
            finally:
                os.close(descriptor)
        finally:
            os.close(directory)

    def _complaint_about(self, content: dict[str, Any]) -> str | None:
        fetched_at = content.get("fetched_at")
        if content.get("source") != self._source:
            return "holds the keys of another JWKS URL"
        # By type, because true is an int as well.
        if type(fetched_at) is not int and type(fetched_at) is not float:
            return _DAMAGED
        if fetched_at < 0 or type(content.get("jwks")) is not dict:
            return _DAMAGED
        if fetched_at > self._clock() + FUTURE_SECONDS:
            return "was fetched in the future: check the clock, or delete it"
        return None

    def _fault(self, what: str) -> EnvironmentFaultError:
        return EnvironmentFaultError(f"the copy of Clerk's keys at {self._path} {what}")


def _cannot(what: str, error: OSError) -> str:
    return f"cannot be {what}: {error.strerror}"


def _complaint_about_directory(found: os.stat_result) -> str | None:
    if found.st_uid not in {os.geteuid(), _ROOT}:
        return f"is in a directory of uid {found.st_uid}: it must be this user's or root's"
    # In a sticky directory nobody can replace what belongs to somebody else.
    if found.st_mode & _SHARED_WRITE and not found.st_mode & stat.S_ISVTX:
        return "is in a directory in which others may write: use chmod go-w"
    return None


def _complaint_about_file(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_uid != os.geteuid():
        return f"belongs to uid {found.st_uid}: it must be this user's; delete it"
    if found.st_mode & _SHARED_WRITE:
        return "may be written by others, who could plant a key: delete it"
    if found.st_size > MAX_FILE_BYTES:
        return f"is larger than {MAX_FILE_BYTES} bytes: delete it"
    return None


def _replace(path: Path, content: bytes) -> None:
    # A new name each time: a leftover of a process that died is in nobody's way.
    descriptor, temporary = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
