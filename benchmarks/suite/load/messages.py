"""Files of requests: what a load generator sends, and whom each request is of.

A record is the length of the message (4 octets, big-endian), that of the user (1 octet),
the message and the user. Requests reach the generator by file, because there may be
a hundred thousand of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final

_LENGTHS: Final = Struct(">IB")


@dataclass(frozen=True, slots=True)
class Message:
    """One request.

    Attributes:
        raw: A serialised ``CheckRequest``, or a whole HTTP request.
        user: Whom it is of, as the answer names him; empty when nobody is named.
    """

    raw: bytes
    user: bytes = b""


def write_messages(path: Path, messages: Iterable[Message]) -> Path:
    """Write a file and return its path."""
    with path.open("wb") as file:
        for message in messages:
            file.write(_LENGTHS.pack(len(message.raw), len(message.user)))
            file.write(message.raw + message.user)
    return path


def read_messages(path: Path) -> list[Message]:
    """Read a file."""
    data = path.read_bytes()
    at, found = 0, []
    while at < len(data):
        size, user = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        found.append(Message(data[at : at + size], data[at + size : at + size + user]))
        at += size + user
    return found
