"""What has to hold, whatever arrives."""

import time
from collections import Counter
from random import Random
from typing import Final

from fuzz.mutate import frames_of, mutated, mutated_block
from fuzz.sessions import sessions
from fuzz.transcript import given_up, replayed, transcript
from unit.grpc.peer import Peer, in_pieces, parsed
from unit.grpc.test_headers import outcome
from wicketgate.grpc.frames import Type
from wicketgate.grpc.headers import HeaderCache, RequestBlocks
from wicketgate.grpc.limits import Limits

LIMITS: Final = (
    Limits(),
    Limits(streams=2, glitches=20, resets=5, header_bytes=400, continuations=1),
    Limits(message_bytes=200, large_bytes=50, buffered_bytes=70_000, pending_bytes=300),
)
SLOW_SECONDS: Final = 2.0
"""Of CPU; a session takes some milliseconds."""


class BrokenError(AssertionError):
    """Something did not hold."""

    def __init__(self, what: str, case: bytes) -> None:
        """Say what, and with which octets."""
        super().__init__(f"{what}: {len(case)} octets")
        self.case = case


def require(case: bytes, what: str, *, holds: bool) -> None:
    """Make sure that something holds."""
    if not holds:
        raise BrokenError(what, case)


def check_bounds(peer: Peer, case: bytes) -> None:
    """Make sure that no more is kept than the limits say."""
    limits, kept = peer.limits, peer.connection.kept
    bounds = {
        "streams": limits.streams,
        "requests": max(limits.buffered_bytes, 65_535),
        "unread": limits.frame_bytes + 9 + limits.header_bytes,
        "answers": limits.pending_bytes + limits.message_bytes + 65_536,
        "windows": 3 * limits.streams,
        "resets": 1_000,
    }
    for what, most in bounds.items():
        require(case, f"{kept[what]} {what} are kept", holds=kept[what] <= most)


def play(random: Random, case: bytes) -> str:
    """Play a session, and return the name of its fault."""
    peer = Peer(hello=b"", limits=random.choice(LIMITS), holds=random.random() < 0.3)
    cuts = [random.randrange(len(case) + 1) for _ in range(random.choice((0, 0, 1, 5, 50)))]
    said = [peer.greeting]
    started = time.process_time()
    for piece in in_pieces(case, cuts):
        had_fault = bool(peer.fault)
        peer.now += random.choice((0.0, 0.0, 0.01, 70.0))
        said.append(peer.send(piece))
        if random.random() < 0.1:
            said.append(peer.release())
        if random.random() < 0.05:
            peer.connection.close()
        if random.random() < 0.1:
            said.append(peer.take(peer.connection.tick(peer.now)))
        require(case, "something is said after the end", holds=not (had_fault and said[-1]))
        check_bounds(peer, case)
    said.append(peer.release())
    require(case, "it takes too long", holds=time.process_time() - started < SLOW_SECONDS)
    check_said(b"".join(said), peer, case)
    return peer.fault


def check_said(said: bytes, peer: Peer, case: bytes) -> None:
    """Make sure that what was said are frames, not too many, and the right last one."""
    require(case, f"{len(said)} octets are said", holds=len(said) < 1_000 + 12 * len(case))
    frames = parsed(said)
    is_told = not peer.fault or frames[-1].kind == Type.GOAWAY
    require(case, "a fault is not told", holds=is_told)


def compare_blocks(block: bytes) -> None:
    """Make sure that a block says the same with and without state."""
    with_state = RequestBlocks(HeaderCache(), max_bytes=1_000_000)
    with_state.settled()
    without = RequestBlocks(HeaderCache(), max_bytes=1_000_000)
    without.settled()
    without.decode(b"\x20\x82\x86\x84")
    is_same = outcome(with_state, b"\x20" + block) == outcome(without, block)
    require(block, "a block says two things", holds=is_same)


def cut_everywhere(name: str, *, step: int = 1) -> None:
    """Make sure that it does not matter where a session is cut."""
    session = sessions()[name]
    without = given_up(session)
    whole = transcript(replayed([session])[1], without=without)
    for at in range(1, len(session), step):
        said = replayed([session[:at], session[at:]])[1]
        is_same = transcript(said, without=without) == whole
        require(session, f"{name} is another when it is cut at {at}", holds=is_same)


class Fuzzer:
    """Cases in the order of a seed."""

    def __init__(self, seed: int) -> None:
        """Begin."""
        self._random = Random(seed)  # noqa: S311 - nothing is kept secret by it
        self._sessions = sessions()
        self._blocks = [
            frame[9:]
            for session in self._sessions.values()
            for frame in frames_of(session)
            if frame[3] == Type.HEADERS and frame[4] & 0x28 == 0
        ]
        self.faults: Counter[str] = Counter()

    def case(self) -> None:
        """Try one session and one block."""
        case = mutated(self._random, self._sessions)
        try:
            self.faults[play(self._random, case)] += 1
        except BrokenError:
            raise
        except Exception as error:
            what = f"{type(error).__name__} {error}"
            raise BrokenError(what, case) from error
        compare_blocks(mutated_block(self._random, self._blocks))
