"""What has to hold, whatever arrives: nothing raises, hangs, or takes more than its share."""

import signal
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from random import Random
from types import FrameType
from typing import Final

from fuzz.mutate import frames_of, mutated, mutated_block
from fuzz.sessions import sessions
from fuzz.transcript import Transcript, given_up, replayed, transcript
from unit.grpc.peer import Peer, in_pieces, parsed
from unit.grpc.test_headers import outcome
from wicketgate.grpc.frames import Type
from wicketgate.grpc.headers import HeaderCache, RequestBlocks
from wicketgate.grpc.limits import Limits
from wicketgate.grpc.unary import RefusedError, http_status, message_in, seconds_of

LIMITS: Final = (
    Limits(),
    Limits(streams=2, glitches=20, resets=5, header_bytes=400, continuations=1),
    Limits(message_bytes=200, large_bytes=50, buffered_bytes=70_000, pending_bytes=300),
)
SLOW_SECONDS: Final = 2.0
"""Of CPU; a session takes some milliseconds."""
HANGS_SECONDS: Final = 10.0
"""Of CPU, after which it is not waited for any more."""
WEIGHED: Final = 0.02
"""Of the cases: the memory that they take is measured, which is slow."""
MOST_BYTES: Final = 2_000_000
MOST_PER_OCTET: Final = 40
"""What a case may take, and for each of its octets: it is held here, cut, joined, echoed, and
parsed again. An empty stream, of about 10 octets, takes some 400."""


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


@contextmanager
def in_time(case: bytes, *, seconds: float = HANGS_SECONDS) -> Iterator[None]:
    """Break off what goes on without an end, as far as the main thread can."""

    def stop(_: int, __: FrameType | None) -> None:
        require(case, "it hangs", holds=False)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def weighed(case: bytes) -> Iterator[None]:
    """Make sure that no more memory is taken on the way than `case` is worth."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    most = MOST_BYTES + MOST_PER_OCTET * len(case)
    require(case, f"{peak} bytes are taken", holds=peak <= most)


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
    held = peer.connection.held_bytes
    require(case, f"{held} bytes are held", holds=held >= kept["unread"] + kept["answers"])
    is_let_go = not peer.fault or held <= kept["unread"]
    require(case, f"{held} bytes are held after the end", holds=is_let_go)


def check_calls(peer: Peer, case: bytes) -> None:
    """Make sure that every request is a call, or refused as one."""
    for request in peer.asked:
        head, limit = request.head, peer.limits.message_bytes
        seconds = seconds_of(head.timeout)
        require(case, "a timeout is negative", holds=seconds is None or seconds >= 0)
        if http_status(head) == 200 and not request.is_cut:
            with suppress(RefusedError):
                message_in(head, request.body, limit=limit)


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
    check_calls(peer, case)
    return peer.fault


def check_said(said: bytes, peer: Peer, case: bytes) -> None:
    """Make sure that what was said are frames, not too many, and the right last one."""
    require(case, f"{len(said)} octets are said", holds=len(said) < 1_000 + 12 * len(case))
    frames = parsed(said)
    is_told = not peer.fault or frames[-1].kind == Type.GOAWAY
    require(case, "a fault is not told", holds=is_told)


def without_state(cache: HeaderCache) -> RequestBlocks:
    """Return a reader whose peer uses no table."""
    reader = RequestBlocks(cache, max_bytes=1_000_000)
    reader.settled()
    reader.decode(b"\x20\x82\x86\x84")
    return reader


def compare_blocks(block: bytes, experienced: RequestBlocks) -> None:
    """Make sure that a block says the same with and without state, and whatever came before."""
    with_state = RequestBlocks(HeaderCache(), max_bytes=1_000_000)
    with_state.settled()
    expected = outcome(with_state, b"\x20" + block)
    for reader in (without_state(HeaderCache()), experienced, experienced):
        is_same = outcome(reader, block) == expected
        require(block, "a block says two things", holds=is_same)


@cache
def in_one_piece(name: str) -> Transcript:
    """Return what is said to a session that is not cut."""
    session = sessions()[name]
    return transcript(replayed([session])[1], without=given_up(session))


def cut_everywhere(name: str, places: Iterable[int]) -> None:
    """Make sure that it does not matter where a session is cut."""
    session = sessions()[name]
    without, whole = given_up(session), in_one_piece(name)
    for at in places:
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
        self._experienced = without_state(HeaderCache())
        self.faults: Counter[str] = Counter()
        self.weighed = 0

    def case(self) -> None:
        """Try one session and one block."""
        case = mutated(self._random, self._sessions)
        block = mutated_block(self._random, self._blocks)
        try:
            with in_time(case):
                self._session(case)
            with in_time(block):
                compare_blocks(block, self._experienced)
        except BrokenError:
            raise
        except Exception as error:
            what = f"{type(error).__name__} {error}"
            raise BrokenError(what, case) from error

    def _session(self, case: bytes) -> None:
        if self._random.random() < WEIGHED:
            self.weighed += 1
            with weighed(case):
                fault = play(self._random, case)
        else:
            fault = play(self._random, case)
        self.faults[fault] += 1
