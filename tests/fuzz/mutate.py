"""Sessions that went wrong, in ways that a seed decides."""

from collections.abc import Callable
from random import Random
from typing import Final

from unit.grpc.peer import PREFACE, parsed

_Mutation = Callable[[Random, bytearray], None]

INTERESTING: Final = (0x00, 0x01, 0x20, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xFE, 0xFF)
LONGEST: Final = 200_000


def _flip(random: Random, session: bytearray) -> None:
    session[random.randrange(len(session))] ^= 1 << random.randrange(8)


def _replace(random: Random, session: bytearray) -> None:
    session[random.randrange(len(session))] = random.choice(INTERESTING)


def _insert(random: Random, session: bytearray) -> None:
    at = random.randrange(len(session) + 1)
    session[at:at] = random.randbytes(random.choice((1, 4, 9)))


def _remove(random: Random, session: bytearray) -> None:
    at = random.randrange(len(session))
    del session[at : at + random.choice((1, 4, 9, 40))]


def _repeat(random: Random, session: bytearray) -> None:
    at = random.randrange(len(session))
    piece = session[at : at + random.choice((1, 9, 60, 400))]
    session[at:at] = piece * random.choice((1, 2, 60))


def _end(random: Random, session: bytearray) -> None:
    del session[random.randrange(len(session)) :]


BYTES: Final[tuple[_Mutation, ...]] = (_flip, _flip, _replace, _insert, _remove, _repeat, _end)


def frames_of(session: bytes) -> list[bytes]:
    """Return the frames of a session that is well formed."""
    found = []
    at = len(PREFACE)
    for each in parsed(session[at:]):
        end = at + 9 + len(each.payload)
        found.append(session[at:end])
        at = end
    return found


def _shuffled(random: Random, frames: list[bytes]) -> list[bytes]:
    """Return frames with some of them moved, doubled, left out or under another header."""
    frames = list(frames)
    for _ in range(random.randint(1, 6)):
        at, to = random.randrange(len(frames)), random.randrange(len(frames))
        match random.randrange(6):
            case 0:
                frames[at], frames[to] = frames[to], frames[at]
            case 1:
                frames[to:to] = [frames[at]] * random.choice((1, 3, 200))
            case 2 if len(frames) > 1:
                del frames[at]
            case 3:
                frames[at] = _with_octet(frames[at], 3, random.randrange(12))
            case 4:
                frames[at] = _with_octet(frames[at], 4, random.randrange(64))
            case _:
                stream_id = random.choice((0, 1, 2, 3, 5, 7, 99, 2**31 - 1, 2**32 - 1))
                frames[at] = frames[at][:5] + stream_id.to_bytes(4, "big") + frames[at][9:]
    return frames


def _with_octet(frame: bytes, at: int, octet: int) -> bytes:
    return frame[:at] + bytes([octet]) + frame[at + 1 :]


def mutated(random: Random, sessions: dict[str, bytes]) -> bytes:
    """Return a session that went wrong."""
    names = sorted(sessions)
    frames = frames_of(sessions[random.choice(names)])
    if random.random() < 0.3:
        other = frames_of(sessions[random.choice(names)])
        frames[random.randrange(len(frames)) :] = other[random.randrange(len(other)) :]
    if frames and random.random() < 0.8:
        frames = _shuffled(random, frames)
    session = bytearray(PREFACE + b"".join(frames))
    for _ in range(random.choice((0, 0, 1, 1, 2, 8))):
        # The beginning is where a mistake ends it all, so it is mostly left alone.
        random.choice(BYTES)(random, session)
        if not session:
            return b""
    return bytes(session[:LONGEST])


def mutated_block(random: Random, blocks: list[bytes]) -> bytes:
    """Return a header block that went wrong."""
    block = bytearray(random.choice(blocks))
    for _ in range(random.choice((0, 1, 2, 5))):
        random.choice(BYTES)(random, block)
        if not block:
            return b""
    return bytes(block[:LONGEST])
