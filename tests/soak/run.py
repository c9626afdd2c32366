"""A real gate under many Checks, each of which must get its own answer."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from random import Random
from typing import cast

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from conformance.table import USERS, World
from gates import check_request
from processes import environ, gate
from soak.session import Question, Session, WrongAnswerError, question
from wicketgate.local.clerk_instance import ClerkInstance
from wicketgate.settings import Transport

HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is asked.

    Attributes:
        checks: In all.
        users: How many tokens take turns, each of another user.
        connections: How many ask at the same time.
        depth: How many Checks each has unanswered.
    """

    checks: int = 1_000_000
    users: int = 1_000
    connections: int = 8
    depth: int = 64


class Asking(asyncio.Protocol):
    """A session on a socket."""

    def __init__(self, session: Session, *, seconds: float) -> None:
        """Prepare; silence of `seconds` is a wrong answer."""
        self.session = session
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seconds = seconds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self._transport = cast("asyncio.Transport", transport)
        self._wait()
        self._transport.write(self.session.hello())

    def data_received(self, data: bytes) -> None:
        """Go on."""
        if self.over.done():
            return
        try:
            sent = self.session.receive(data)
        except WrongAnswerError as error:
            self._end(error)
            return
        self._wait()
        self._transport.write(sent)
        if self.session.is_over:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Complain, unless it is over."""
        self._end(WrongAnswerError(f"the gate hung up ({exc})"))

    def hang_up(self) -> None:
        """Leave, whatever was answered by then."""
        self.over.cancel()
        self._end(None)

    def _wait(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        loop = asyncio.get_running_loop()
        silence = WrongAnswerError(f"nothing came for {self._seconds:g} s")
        self._patience = loop.call_later(self._seconds, self._end, silence)

    def _end(self, error: WrongAnswerError | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if not self.over.done():
            self.over.set_result(None) if error is None else self.over.set_exception(error)
        self._transport.close()


def turns(questions: Sequence[Question], *, seed: int) -> Iterator[Question]:
    """Yield all questions in one order after another, without end."""
    order, chance = list(questions), Random(seed)  # noqa: S311 - for variety
    while True:
        chance.shuffle(order)
        yield from order


async def ask(
    address: str,
    questions: Sequence[Question],
    size: Size,
    *,
    say: Callable[[int], None] = lambda _: None,
    silence_seconds: float = 20.0,
) -> int:
    """Ask all over several connections; return how many answers were right.

    Args:
        address: ``host:port`` of the gate.
        questions: What is asked, in turns.
        size: How much.
        say: Told now and then how many were answered.
        silence_seconds: After which silence is a wrong answer.

    Raises:
        WrongAnswerError: an answer was not, or the connection failed.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    sessions = []
    for number in range(size.connections):
        share = size.checks * (number + 1) // size.connections
        share -= size.checks * number // size.connections
        mine = islice(turns(questions, seed=number), share)
        sessions.append(Session(mine, depth=size.depth))
    protocols: list[Asking] = []
    telling = asyncio.create_task(_tell(sessions, say))
    try:
        for session in sessions:
            make = partial(Asking, session, seconds=silence_seconds)
            _, protocol = await loop.create_connection(make, host, int(port))
            protocols.append(protocol)
        await asyncio.gather(*(each.over for each in protocols))
    finally:
        telling.cancel()
        for each in protocols:
            each.hang_up()
    return sum(each.answered for each in sessions)


async def _tell(sessions: Sequence[Session], say: Callable[[int], None]) -> None:
    while True:
        await asyncio.sleep(5)
        say(sum(each.answered for each in sessions))


def questions_of(clerk: ClerkInstance, users: int, *, now: float) -> list[Question]:
    """Return a Check for each of so many users, whose tokens live for an hour."""
    made = []
    for number in range(users):
        user = f"user_2soak{number:022}"
        token = clerk.mint(now=now, claims={"sub": user, "exp": int(now) + HOUR})
        raw = check_request(
            {"authorization": f"Bearer {token}"}, context=USERS.context, path=USERS.path
        )
        made.append(question(user, raw))
    return made


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        answered: Checks that were answered rightly.
        counted: Checks that the gate says it allowed.
        faults: Connections that the gate ended for a fault.
        seconds: How long it took.
    """

    answered: int
    counted: float
    faults: float
    seconds: float


async def soak(size: Size, *, say: Callable[[int], None] = lambda _: None) -> Result:
    """Start a gate on our own transport and ask it everything.

    Raises:
        WrongAnswerError: an answer was wrong.
    """
    clerk = ClerkInstance()
    world = World(clerk=clerk, stranger=clerk, service_token="s" * 40, now=time.time())
    questions = questions_of(clerk, size.users, now=world.now)
    variables = environ(world, WICKETGATE_TRANSPORT=Transport.WIRE, WICKETGATE_DECISION_LOG="off")
    async with gate(variables) as running:
        started = time.monotonic()
        answered = await ask(running.checks, questions, size, say=say)
        seconds = time.monotonic() - started
        async with (
            aiohttp.ClientSession(f"http://{running.admin}") as admin,
            admin.get("/metrics") as metrics,
        ):
            exposed = await metrics.text()
    return Result(
        answered=answered,
        counted=_sum(exposed, "wicketgate_checks_total", verdict="allow"),
        faults=_sum(exposed, "wicketgate_connection_faults_total"),
        seconds=seconds,
    )


def _sum(exposed: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
