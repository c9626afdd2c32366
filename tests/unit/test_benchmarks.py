"""The benchmark suite: it counts right answers only, and says what it cannot say."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import hpack
import pytest

from suite.bench import Bench, bench
from suite.comparison import Run, UnreadableError, compare
from suite.envoys import require_asked
from suite.load.answers import WrongAnswerError
from suite.load.blocks import fixed, varying
from suite.load.generator import VoidError
from suite.load.grpc_load import CHECK, GrpcLoad, GrpcSession
from suite.load.http_load import HttpLoad, HttpSession
from suite.load.messages import Message, read_messages, write_messages
from suite.load.session import Sample
from suite.machine import busy
from suite.processes import cpu_seconds
from suite.result import Result, Row
from suite.rounds import Subject, interleave
from suite.run import Case, exit_status, run_cases
from suite.statistic import Spread
from suite.table import result_table
from suite.targets import Target, target_table
from wicketgate._gen.ext_authz_pb2 import (
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from wicketgate.adapters.wire_server import WireGrpcServer

ANSWERS = 400


def allowing(user: str, number: int) -> bytes:
    """Answer as the gate does: what it is about first, the id of the decision last."""
    header = HeaderValueOption(header=HeaderValue(key="clerk_user_id", value=user))
    response = CheckResponse(status=Status(code=0), ok_response=OkHttpResponse(headers=[header]))
    response.dynamic_metadata.fields["decision_id"].string_value = f"test-{number:x}"
    return response.SerializeToString()


def denying(code: int, status: int, number: int) -> bytes:
    """Deny as the gate does: the id of the decision is in what the caller is told."""
    denied = DeniedHttpResponse(status=HttpStatus(code=status), body=f"decision test-{number:x}")
    return CheckResponse(
        status=Status(code=code, message="token_missing"), denied_response=denied
    ).SerializeToString()


def right(raw: bytes, number: int) -> bytes:
    return allowing(raw.decode(), number)


@dataclass
class Checker:
    """Answers rightly, and from the 200th Check on as it is told."""

    later: Callable[[bytes, int], bytes] = right
    first: Callable[[bytes, int], bytes] = right
    asked: int = 0

    def check(self, raw: bytes) -> bytes:
        self.asked += 1
        return (self.first if self.asked < 200 else self.later)(raw, self.asked)

    def refuse_peer(self) -> bytes:
        raise NotImplementedError


class Unobserved:
    def opened(self) -> None:
        pass

    def closed(self, fault: str) -> None:
        pass


@asynccontextmanager
async def asking(
    checker: Checker,
    directory: Path,
    users: list[str],
    *,
    connections: int = 2,
    depth: int = 16,
    is_varying: bool = False,
    is_denied: bool = False,
) -> AsyncIterator[GrpcSession]:
    """Serve `checker` over HTTP/2 and load it; a message is the name of its user."""
    server = WireGrpcServer(checker, address="127.0.0.1:0", observer=Unobserved())
    address = await server.start()
    messages = [Message(user.encode(), b"" if is_denied else user.encode()) for user in users]
    load = GrpcLoad(
        port=int(address.rpartition(":")[2]),
        messages=str(write_messages(directory / "messages", messages)),
        connections=connections,
        depth=depth,
        varying=is_varying,
        code=16 if is_denied else 0,
        has_user=not is_denied,
    )
    session = GrpcSession(load)
    try:
        await session.open()
        yield session
    finally:
        session.close()
        await server.stop(grace=0)


# ---------------------------------------------------------------------- gRPC


@pytest.mark.parametrize("is_varying", [False, True])
@pytest.mark.parametrize(("connections", "depth"), [(1, 1), (2, 32), (20, 1)])
async def test_right_answers_are_counted(
    connections: int,
    depth: int,
    is_varying: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    checker = Checker()
    async with asking(
        checker,
        tmp_path,
        ["user_1"],
        connections=connections,
        depth=depth,
        is_varying=is_varying,
    ) as session:
        sample = await session.run(seconds=0, answers=ANSWERS)
    assert sample.answers == ANSWERS
    # Two more were asked when the session opened.
    assert checker.asked == ANSWERS + 2
    assert 0 < sample.p50 <= sample.p99


async def test_a_session_can_be_run_again(tmp_path: Path) -> None:
    async with asking(Checker(), tmp_path, ["user_1"]) as session:
        samples = [await session.run(seconds=0, answers=50) for _ in range(3)]
    assert [sample.answers for sample in samples] == [50, 50, 50]


async def test_every_answer_must_name_the_user_of_its_own_request(tmp_path: Path) -> None:
    users = [f"user_{number:03}" for number in range(100, 150)]
    async with asking(Checker(), tmp_path, users) as session:
        assert (await session.run(seconds=0, answers=ANSWERS)).answers == ANSWERS
    mixed_up = Checker(later=lambda raw, number: allowing(f"user_{raw[-1:].decode()}", number))
    async with asking(mixed_up, tmp_path, users) as session:
        with pytest.raises(WrongAnswerError, match="expected a right answer"):
            await session.run(seconds=0, answers=ANSWERS)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda _, number: allowing("user_2", number), id="another user"),
        pytest.param(lambda _, number: denying(16, 401, number), id="a denial"),
        pytest.param(lambda _, __: b"", id="nothing, which Envoy takes for an allow"),
        pytest.param(lambda raw, number: b"\0" + right(raw, number), id="garbage"),
    ],
)
async def test_one_wrong_answer_ends_a_run(
    wrong: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    async with asking(Checker(later=wrong), tmp_path, ["user_1"]) as session:
        with pytest.raises(WrongAnswerError):
            await session.run(seconds=0, answers=ANSWERS)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda _, number: denying(16, 403, number), id="another HTTP status"),
        pytest.param(lambda _, number: denying(7, 401, number), id="another code"),
        pytest.param(right, id="an allow"),
    ],
)
async def test_denials_must_be_the_expected_ones(
    wrong: Callable[[bytes, int], bytes], tmp_path: Path
) -> None:
    def deny(_: bytes, number: int) -> bytes:
        return denying(16, 401, number)

    async with asking(Checker(deny, deny), tmp_path, ["user_1"], is_denied=True) as session:
        assert (await session.run(seconds=0, answers=ANSWERS)).answers == ANSWERS
    async with asking(Checker(wrong, deny), tmp_path, ["user_1"], is_denied=True) as session:
        with pytest.raises(WrongAnswerError):
            await session.run(seconds=0, answers=ANSWERS)


@pytest.mark.parametrize("which", [1, 2])
async def test_a_session_does_not_open_on_a_wrong_answer(which: int, tmp_path: Path) -> None:
    checker = Checker(
        first=lambda _, number: allowing("user_2" if number == which else "user_1", number)
    )
    with pytest.raises(WrongAnswerError, match="to be let in"):
        async with asking(checker, tmp_path, ["user_1"]):
            pass


async def test_a_call_that_fails_ends_a_run(tmp_path: Path) -> None:
    def fail(_: bytes, __: int) -> bytes:
        raise ValueError

    async with asking(Checker(later=fail), tmp_path, ["user_1"]) as session:
        with pytest.raises(WrongAnswerError, match="grpc-status"):
            await session.run(seconds=0, answers=ANSWERS)


def fields(decoder: hpack.Decoder, block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in decoder.decode(block)}


def test_header_blocks_are_those_of_a_check() -> None:
    (block,) = islice(fixed(CHECK, b"authz"), 1)
    decoded = fields(hpack.Decoder(), block)
    assert decoded[":path"] == CHECK.decode()
    assert decoded["te"] == "trailers"
    assert decoded["grpc-timeout"].endswith("m")


def test_varying_blocks_differ_in_deadline_trace_and_request_id() -> None:
    decoder = hpack.Decoder()
    blocks = list(islice(varying(CHECK, b"authz", 1), 1_000))
    decoded = [fields(decoder, block) for block in blocks]
    assert len(set(blocks)) == len(blocks)
    assert len({each["traceparent"] for each in decoded}) == len(blocks)
    assert len({each["x-request-id"] for each in decoded}) == len(blocks)
    assert len({each["grpc-timeout"] for each in decoded}) > 100
    assert {each[":path"] for each in decoded} == {CHECK.decode()}


def test_messages_survive_their_file(tmp_path: Path) -> None:
    messages = [Message(b"", b""), Message(b"a" * 70_000, b"user"), Message(b"\0\r\n")]
    assert read_messages(write_messages(tmp_path / "file", messages)) == messages


# ---------------------------------------------------------------------- HTTP/1.1

OK = b"HTTP/1.1 200 OK\r\nx-let-in: user_1\r\ncontent-length: 6\r\n\r\nlet in"


@asynccontextmanager
async def http(
    directory: Path, answers: Callable[[int], list[bytes]]
) -> AsyncIterator[HttpSession]:
    """Serve answers in pieces, by the number of the request, and load the server."""
    asked = 0
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        writers.append(writer)
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            asked += 1
            for piece in answers(asked):
                writer.write(piece)
                await asyncio.sleep(0)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    messages = [Message(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"user_1")]
    load = HttpLoad(
        port=server.sockets[0].getsockname()[1],
        messages=str(write_messages(directory / "messages", messages)),
        connections=4,
        end="\r\n\r\nlet in",
    )
    session = HttpSession(load)
    async with server:
        try:
            await session.open()
            yield session
        finally:
            session.close()
            for writer in writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()


@pytest.mark.parametrize("cut", [0, 9, 30, len(OK) - 3])
async def test_http_answers_are_counted_however_they_come(cut: int, tmp_path: Path) -> None:
    async with http(tmp_path, lambda _: [OK[:cut], OK[cut:]]) as session:
        assert (await session.run(seconds=0, answers=100)).answers == 100


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(OK.replace(b"200 OK", b"401 Unauthorized"), id="another status"),
        pytest.param(OK.replace(b"user_1", b"user_2"), id="another user"),
    ],
)
async def test_one_wrong_http_answer_ends_a_run(wrong: bytes, tmp_path: Path) -> None:
    async with http(tmp_path, lambda number: [OK if number < 50 else wrong]) as session:
        with pytest.raises(WrongAnswerError, match="expected a right answer"):
            await session.run(seconds=0, answers=100)


def test_a_gate_that_envoy_did_not_ask_voids_the_case() -> None:
    stats = {"http.listener3.ext_authz.gate0.ok": 10}
    require_asked(stats, {"gate0": 10})
    with pytest.raises(VoidError, match="asked 11 times, it allowed 10"):
        require_asked(stats, {"gate0": 11})


# ---------------------------------------------------------------------- rounds and cases


@dataclass
class Turns:
    """Notes whose turn it is, and measures something else each time."""

    taken: list[str] = field(default_factory=list)

    def subject(self, name: str, *speeds: float) -> Subject:
        waiting = iter(speeds)

        async def run() -> Sample:
            self.taken.append(name)
            return Sample(100, 100 / next(waiting), 1.0, 2.0)

        return Subject(name, run, {})


async def test_subjects_take_turns_and_the_first_round_does_not_count() -> None:
    turns = Turns()
    subjects = [turns.subject("a", 9_000, 10, 30, 20), turns.subject("b", 1, 5, 5, 5)]
    rows = await interleave(subjects, rounds=3, report=lambda _: None)
    assert turns.taken == ["a", "b"] * 4
    spread = rows[0].measures["RPS"]
    assert (spread.median, spread.least, spread.most) == pytest.approx((20, 10, 30))


@pytest.fixture
def shared(tmp_path: Path) -> Bench:
    return bench(tmp_path, rounds=1, seconds=0, is_long=False, report=lambda _: None)


async def wrong_case(_: Bench) -> list[Row]:
    msg = "expected code 16, got 0"
    raise VoidError(msg)


async def broken_case(_: Bench) -> list[Row]:
    raise ZeroDivisionError


async def right_case(_: Bench) -> list[Row]:
    return [Row("row", {"RPS": Spread(2, 1, 3)})]


async def test_a_void_case_has_no_numbers_and_fails_the_suite(shared: Bench) -> None:
    cases = {"wrong": Case("Wrong", wrong_case), "right": Case("Right", right_case)}
    results = await run_cases(cases, shared, cases=cases)
    assert [(result.case, result.void, len(result.rows)) for result in results] == [
        ("wrong", "expected code 16, got 0", 0),
        ("right", "", 1),
    ]
    assert "VOID: expected code 16, got 0" in result_table(results[0])
    assert "VOID" not in result_table(results[1])
    assert exit_status(results) == 1
    assert exit_status(results[1:]) == 0


async def test_a_case_that_breaks_is_void_and_the_others_are_run(shared: Bench) -> None:
    cases = {"broken": Case("Broken", broken_case), "right": Case("Right", right_case)}
    results = await run_cases(cases, shared, cases=cases)
    assert [bool(result.void) for result in results] == [True, False]
    assert results[0].void.startswith("ZeroDivisionError")


# ---------------------------------------------------------------------- statistics


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], Spread(3, 3, 3)), ([9, 1, 5], Spread(5, 1, 9)), ([4, 1, 2, 9], Spread(3, 1, 9))],
)
def test_a_spread_is_the_median_between_the_extremes(
    values: list[float], expected: Spread
) -> None:
    assert Spread.of(values) == expected


def test_there_is_no_median_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Spread.of([])


@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of processes are Linux's")
def test_the_cpu_time_of_a_process_is_its_own() -> None:
    before = time.process_time()
    measured = cpu_seconds(os.getpid())
    assert before <= measured <= time.process_time()


@pytest.mark.parametrize(
    ("load", "is_busy"), [("0.00", False), ("1.00", False), ("1.01", True), ("6.00", True)]
)
def test_a_busy_machine_is_said_to_be_one(
    load: str,
    is_busy: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert bool(busy({"cores": "2", "load average": load})) == is_busy


@pytest.mark.parametrize(
    ("measured", "is_least", "verdict"),
    [
        (2.0, True, "reached"),
        (1.9, True, "MISSED"),
        (2.0, False, "reached"),
        (2.1, False, "MISSED"),
        (None, True, "not measured"),
        (None, False, "not measured"),
    ],
)
def test_a_target_is_reached_or_missed(
    measured: float | None,
    is_least: bool,  # noqa: FBT001 - a parameter
    verdict: str,
) -> None:
    target = Target("something", 2.0, is_least=is_least, measured=measured)
    assert target.verdict == verdict
    assert target_table([target]).splitlines()[1].endswith(verdict)


# ---------------------------------------------------------------------- comparison


def written(path: Path, cpu: Spread, **machine: str) -> Run:
    """Write a run as the suite does, and read it as the comparison does."""
    result = Result("server", "a title", [Row("wire", {"server CPU µs": cpu})], seconds=1.0)
    document = {"machine": {"CPU": "EPYC", **machine}, "cases": [result.document()]}
    path.write_text(json.dumps(document), "utf-8")
    return Run.read(path)


def test_runs_are_compared_by_their_medians(tmp_path: Path) -> None:
    first = written(tmp_path / "a", Spread(20, 18, 22))
    second = written(tmp_path / "b", Spread(10, 9, 11))
    (line,) = [each for each in compare(first, second).splitlines() if "server: wire" in each]
    assert line.split()[-2:] == ["0.50", "apart"]


def test_runs_whose_rounds_overlap_are_not_called_apart(tmp_path: Path) -> None:
    first = written(tmp_path / "a", Spread(20, 18, 22))
    second = written(tmp_path / "b", Spread(24, 21, 26))
    (line,) = [each for each in compare(first, second).splitlines() if "server: wire" in each]
    assert line.split()[-1] == "1.20"


@pytest.mark.parametrize(
    ("notes", "is_said"),
    [({"CPU": "Xeon"}, True), ({"Envoy": "1.40.0"}, True), ({"load average": "7.00"}, False)],
)
def test_a_comparison_says_when_the_machines_differ(
    notes: dict[str, str],
    is_said: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    first = written(tmp_path / "a", Spread(1, 1, 1))
    second = written(tmp_path / "b", Spread(1, 1, 1), **notes)
    assert ("NOT THE SAME MACHINE" in compare(first, second)) == is_said


def test_a_comparison_says_what_only_one_has(tmp_path: Path) -> None:
    first = written(tmp_path / "a", Spread(1, 1, 1))
    second = Run(first.machine, [Result("envoy", "a title", void="nobody answered")])
    said = compare(first, second)
    assert "only in A: 1 measures of server" in said
    assert "VOID in B: envoy: nobody answered" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "make bench OUT="), ("{", "does not hold results"), ("[]", "does not hold results")],
)
def test_what_is_no_result_is_said_to_be_none(
    content: str | None, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(UnreadableError, match=said):
        Run.read(path)
