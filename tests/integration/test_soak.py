"""Every answer belongs to its own request; a short while of ``make soak``.

And the client that looks does notice when one does not.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from conformance.table import World
from gates import make_gate
from servers import serving_gate
from soak.run import Size, ask, questions_of, soak
from soak.session import Question, Session, WrongAnswerError
from unit.grpc.peer import (
    ACK,
    ANSWER_HEADERS,
    ANSWER_TRAILERS,
    END_HEADERS,
    END_STREAM,
    LAST,
    data,
    frame,
    goaway,
    ping,
    rst_stream,
    settings,
)
from wicketgate._gen.ext_authz_pb2 import (
    CheckResponse,
    HeaderValue,
    HeaderValueOption,
    OkHttpResponse,
    Status,
)
from wicketgate.gate import Gate
from wicketgate.grpc.frames import Type
from wicketgate.settings import Transport

CHECKS = 20_000
Answer = bytes | Awaitable[bytes]


async def test_every_answer_belongs_to_its_own_request() -> None:
    result = await soak(Size(checks=CHECKS, users=100))

    assert (result.answered, result.counted, result.faults) == (CHECKS, CHECKS, 0)


# -- gates that answer wrongly


class Liar:
    """A gate whose every hundredth answer is another."""

    def __init__(self, gate: Gate, lie: Callable[[Gate, bytes], Answer]) -> None:
        self._gate, self._lie = gate, lie
        self._before = b""
        self._asked = 0

    def check(self, raw: bytes) -> Answer:
        self._asked += 1
        before, self._before = self._before, raw
        if self._asked % 100:
            return self._gate.check(raw)
        return self._lie(self._gate, before)

    def refuse_peer(self) -> bytes:
        return self._gate.refuse_peer()


def of_another(gate: Gate, before: bytes) -> Answer:
    return gate.check(before)


def denied(gate: Gate, _: bytes) -> Answer:
    return gate.refuse_peer()


def defective(_: Gate, before: bytes) -> Answer:
    raise ValueError(before[:0])


async def never(_: Gate, before: bytes) -> bytes:
    await asyncio.sleep(60)
    return before


@pytest.mark.parametrize(
    ("lie", "noticed"),
    [
        (of_another, "has code 0 and names"),
        (denied, "has code 14 and names"),
        (defective, "begins with|ends with"),
        (never, "nothing came for"),
    ],
)
async def test_one_wrong_answer_in_a_hundred_is_noticed(
    lie: Callable[[Gate, bytes], Answer], noticed: str, world: World
) -> None:
    gate = make_gate(world)
    questions = questions_of(world.clerk, 20, now=world.now)
    size = Size(checks=400, users=20, connections=2, depth=16)

    async with serving_gate(Transport.WIRE, Liar(gate, lie)) as (_, address):
        with pytest.raises(WrongAnswerError, match=noticed):
            await ask(address, questions, size, silence_seconds=0.5)


async def test_the_same_gate_without_a_lie_is_right(world: World) -> None:
    questions = questions_of(world.clerk, 20, now=world.now)
    size = Size(checks=400, users=20, connections=2, depth=16)

    async with serving_gate(Transport.WIRE, make_gate(world)) as (_, address):
        assert await ask(address, questions, size) == 400


# -- servers that send something else

USERS = ("user_a", "user_b", "user_c")


def named(user: str, *, code: int = 0) -> bytes:
    """Return a message that lets `user` in."""
    told = {"clerk_user_id": user, "wicketgate-principal": f"user:{user}"}
    options = [
        HeaderValueOption(header=HeaderValue(key=name, value=value))
        for name, value in told.items()
    ]
    response = CheckResponse(
        status=Status(code=code), ok_response=OkHttpResponse(headers=options)
    ).SerializeToString()
    return b"\0" + len(response).to_bytes(4, "big") + response


def begun(stream: int) -> bytes:
    return frame(Type.HEADERS, END_HEADERS, stream, ANSWER_HEADERS)


def ended(stream: int) -> bytes:
    return frame(Type.HEADERS, LAST, stream, ANSWER_TRAILERS)


def answer(stream: int, message: bytes) -> bytes:
    return begun(stream) + data(stream, message, flags=0) + ended(stream)


RIGHT = b"".join(answer(2 * n + 1, named(user)) for n, user in enumerate(USERS))


def session() -> Session:
    """Return one that has asked everything, three at a time."""
    asking = Session(iter([Question(user, b"\0\0\0\0\0") for user in USERS]), depth=3)
    asking.hello()
    asking.receive(settings())
    return asking


def test_answers_in_any_order_are_right_and_the_end_is_asked_for() -> None:
    asking = session()

    said = [
        asking.receive(answer(stream, named(user)))
        for stream, user in ((5, "user_c"), (1, "user_a"), (3, "user_b"))
    ]
    was_over = asking.is_over
    asking.receive(ping(flags=ACK))

    assert said == [b"", b"", ping()]
    assert (asking.answered, was_over, asking.is_over) == (3, False, True)


def test_an_answer_cut_anywhere_is_the_same() -> None:
    for cut in range(len(RIGHT)):
        asking = session()
        asking.receive(RIGHT[:cut])
        asking.receive(RIGHT[cut:])
        assert asking.answered == 3


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(answer(1, named("user_b")), id="another's name"),
        pytest.param(answer(1, named("user_a", code=7)), id="a code that denies"),
        pytest.param(answer(1, named("user_a")[:-1]), id="cut short"),
        pytest.param(answer(1, b""), id="no message"),
        pytest.param(begun(1) + ended(1), id="no data"),
        pytest.param(ended(1), id="trailers alone"),
        pytest.param(answer(1, named("user_a")) * 2, id="twice"),
        pytest.param(begun(1) * 2, id="begun twice"),
        pytest.param(RIGHT + answer(5, named("user_c")), id="again after the last"),
        pytest.param(answer(7, named("user_a")), id="a stream that was not opened"),
        pytest.param(data(1, named("user_a"), flags=0), id="data before headers"),
        pytest.param(
            begun(1) + frame(Type.HEADERS, LAST, 1, b"\x00\x0bgrpc-status\x0213"), id="a status"
        ),
        pytest.param(frame(Type.HEADERS, END_STREAM, 1, ANSWER_HEADERS), id="half of headers"),
        pytest.param(rst_stream(1), id="reset"),
        pytest.param(goaway(), id="sent away"),
        pytest.param(ping(flags=ACK), id="an answer to no ping"),
    ],
)
def test_anything_else_is_noticed(sent: bytes) -> None:
    asking = session()

    with pytest.raises(WrongAnswerError):
        asking.receive(sent)
