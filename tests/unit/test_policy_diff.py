"""``wicketgate policy diff``: from a gate's own log to what another policy would change."""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from gates import FakeKeys
from tokens import BILLING_TOKEN, NOW, billing_token, judge, keys, request, token
from wicketgate._gen.ext_authz_pb2 import CheckRequest
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy.changes import Changes
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.request import HttpRequest
from wicketgate.errors import ConfigurationError
from wicketgate.gate import Gate, Rulebook
from wicketgate.tools.diff import MAX_LINE, Progress, run_diff
from wicketgate.tools.diff_report import SHOWN, document_of, report_of
from wicketgate.tools.terminal import Style

OLD: Final = """\
version: 1
rules:
  - { name: health, match: { paths: /healthz }, allow: anonymous }
  - { name: jobs, match: { paths: /jobs, context: { exposure: internal } }, allow: service }
  - { name: app, allow: user }
"""
NEW: Final = """\
version: 1
rules:
  - { name: probes, match: { paths: /healthz }, allow: anonymous }
  - { name: admin, match: { paths: /admin }, allow: { user: { org_role: admin } } }
  - { name: beta, match: { paths: /beta }, allow: user, when: claims.beta == true }
  - name: debug
    match: { paths: /debug }
    allow: user
    when: request.headers["x-debug"] == "1"
  - { name: told, match: { paths: /told }, allow: user, headers: { x-user: user_id } }
  - { name: open, match: { paths: /open }, allow: [user, anonymous] }
  - { name: app, allow: user }
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def check_request(asked: HttpRequest) -> bytes:
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host = asked.method, asked.target, asked.host
    http.headers.update(asked.headers)
    message.attributes.context_extensions.update(asked.context)
    return message.SerializeToString()


def log_of(requests: Iterable[HttpRequest], *, policy: str = OLD, replays: bool = True) -> str:
    """Return what a gate logs that judges these requests now."""
    stream = io.StringIO()
    parsed = parse_policy(policy)
    by = judge(named=(billing_token(scopes=frozenset({"jobs"})),), always_identify=True)
    gate = Gate(
        rulebook=Rulebook(by, parsed.policy, parsed.claims),
        keys=FakeKeys(keys()),
        responses=Responses(IdentityHeaders()),
        recorder=Telemetry(make_log(stream, level="info"), decisions=stream),
        clock=lambda: NOW,
        timer=count().__next__,
        decision_ids=(f"test-{number}" for number in count(1)),
        replays=lambda: replays,
    )
    for each in requests:
        assert isinstance(gate.check(check_request(each)), bytes)
    return stream.getvalue()


def user(target: str, number: int = 1, **claims: object) -> HttpRequest:
    sent = token({"sub": f"user_{number}", **claims})
    return request(sent, target=target, headers={"x-debug": "1"})


TRAFFIC: Final = (
    user("/admin", 1),
    user("/admin", 1),
    user("/admin?token=secret", 2),
    user("/admin", 3, o={"id": "org_1", "rol": "admin"}),
    user("/told", 1),
    user("/a", 1),
    request(target="/open"),
    request(target="/open"),
    request(target="/healthz"),
    request(BILLING_TOKEN, target="/jobs", context={"exposure": "internal"}),
    request("no-token", target="/a"),
    user("/beta", 1, beta=True),
    user("/debug", 1),
)


def run(
    directory: Path,
    log: str | bytes,
    *,
    new: str = NEW,
    as_json: bool = False,
    out: io.StringIO | None = None,
    progress: Progress | None = None,
) -> tuple[int, str]:
    """Return the exit status and what was written about `log`, read from stdin."""
    stream = io.StringIO() if out is None else out
    (directory / "old.yaml").write_text(OLD, "utf-8")
    (directory / "new.yaml").write_text(new, "utf-8")
    status = run_diff(
        directory / "old.yaml",
        directory / "new.yaml",
        log=Path("-"),
        out=stream,
        as_json=as_json,
        stdin=io.BytesIO(log.encode() if isinstance(log, str) else log),
        progress=progress or Progress(io.StringIO()),
    )
    return status, stream.getvalue()


def document(directory: Path, log: str | bytes, *, new: str = NEW) -> Mapping[str, Any]:
    _, said = run(directory, log, new=new, as_json=True)
    found: Mapping[str, Any] = json.loads(said)
    return found


def mistakes(directory: Path, log: str | bytes) -> Sequence[str]:
    out = io.StringIO()
    with pytest.raises(ConfigurationError) as refused:
        run(directory, log, out=out)
    assert out.getvalue() == ""
    return [line.replace(f"{directory}/", "") for line in refused.value.mistakes]


def test_a_person_is_told_what_would_change_and_for_whom(tmp_path: Path) -> None:
    status, said = run(tmp_path, log_of(TRAFFIC))

    assert status == 1
    assert said == (
        "requests  what changes                rule              outcome\n"
        "3         newly denied                app -> admin      allowed -> role_not_admitted\n"
        "2         newly allowed               app -> open       no_credential -> allowed\n"
        "1         nothing but the rule        app -> admin      allowed\n"
        "1         allowed with other headers  app -> told       allowed (x-user)\n"
        "1         nothing but the rule        health -> probes  allowed\n"
        "1         newly denied                jobs -> app       allowed -> service_not_admitted\n"
        "\n"
        "requests  who asked\n"
        "3         user:user_1\n"
        "2         anonymous\n"
        "1         user:user_2\n"
        "1         service:billing\n"
        "\n"
        "undetermined: 1: a policy reads a claim that was not kept\n"
        "undetermined: 1: a policy reads a header, and values of headers are not kept\n"
        "11 replayed, 4 unchanged, 7 changed, 4 newly denied, 2 newly allowed, 2 undetermined\n"
    )


def test_a_program_is_told_the_same(tmp_path: Path) -> None:
    found = document(tmp_path, log_of(TRAFFIC))

    groups, callers = found["groups"], found["callers"]
    assert {key: found[key] for key in found.keys() - {"groups", "callers"}} == {
        "replayed": 11,
        "unchanged": 4,
        "moved": 2,
        "changed": 7,
        "newly_denied": 4,
        "newly_allowed": 2,
        "not_as_recorded": 0,
        "undetermined": {"caller": 0, "claims": 1, "headers": 1, "path": 0},
        "skipped": {"other": 0, "no_replay": 0, "broken": 0},
    }
    assert groups[0] == {
        "requests": 3,
        "effect": "newly_denied",
        "old": {"rule": "app", "reason": "allowed"},
        "new": {"rule": "admin", "reason": "role_not_admitted"},
        "headers": [],
    }
    assert [group["headers"] for group in groups if group["effect"] == "other_headers"] == [
        ["x-user"]
    ]
    assert callers[0] == {"requests": 3, "principal": "user:user_1"}


def test_a_policy_does_not_differ_from_itself(tmp_path: Path) -> None:
    status, said = run(tmp_path, log_of(TRAFFIC), new=OLD)

    assert status == 0
    assert said == (
        "13 replayed, 13 unchanged, 0 changed, 0 newly denied, 0 newly allowed, 0 undetermined\n"
    )


def test_a_rule_with_another_name_is_told_and_no_change(tmp_path: Path) -> None:
    status, said = run(tmp_path, log_of(TRAFFIC), new=OLD.replace("name: app", "name: all"))

    assert status == 0
    assert "8         nothing but the rule  app -> all  allowed\n" in said
    assert "who asked" not in said


def test_what_the_policy_of_the_time_decided_otherwise_is_told(tmp_path: Path) -> None:
    log = log_of([user("/a"), request(target="/open")], policy=NEW)

    status, said = run(tmp_path, log, new=OLD)

    assert status == 0
    assert "not as recorded: 1: the old policy decides otherwise than the log says" in said
    assert document(tmp_path, log, new=OLD)["not_as_recorded"] == 1


def test_lines_with_nothing_to_judge_are_counted_and_passed_over(tmp_path: Path) -> None:
    lines = [
        log_of([user("/a")]),
        '{"event":"listening","level":"info"}\n',
        log_of([user("/a")], replays=False),
        "Traceback (most recent call last):\n",
        '{"event":"decision","replay":{"method":7}}\n',
        "\n",
        log_of([user("/b")]).rstrip("\n"),
    ]

    status, said = run(tmp_path, "".join(lines))

    assert status == 0
    assert "skipped: 1: decisions without what a replay needs\n" in said
    assert "skipped: 2: lines that are no decisions\n" in said
    assert "skipped: 2: lines that cannot be read\n" in said
    assert "2 replayed" in said


@pytest.mark.parametrize(
    ("length", "ending", "broken", "other"),
    [
        (MAX_LINE - 1, b"\n", 0, 1),
        (MAX_LINE, b"\n", 1, 0),
        (MAX_LINE, b"", 1, 0),
        (MAX_LINE * 3 + 5, b"\n", 1, 0),
        (MAX_LINE * 3, b"", 1, 0),
        (MAX_LINE - 1, b"", 0, 1),
    ],
)
def test_a_line_without_an_end_is_not_kept_in_memory(
    tmp_path: Path, length: int, ending: bytes, broken: int, other: int
) -> None:
    long = b'{"a":"' + b"a" * (length - 8) + b'"}' + ending
    following = log_of([user("/a")]).encode() if ending else b""

    found = document(tmp_path, log_of([user("/a")]).encode() + long + following)

    assert found["replayed"] == (2 if ending else 1)
    assert (found["skipped"]["broken"], found["skipped"]["other"]) == (broken, other)


def test_only_so_many_callers_are_shown_to_a_person_and_all_to_a_program(tmp_path: Path) -> None:
    log = log_of([user("/admin", number) for number in range(SHOWN + 3)])

    _, said = run(tmp_path, log)

    assert said.count("user:user_") == SHOWN
    assert "... and 3 more; --json names them all\n" in said
    assert len(document(tmp_path, log)["callers"]) == SHOWN + 3


def test_colours_are_for_a_terminal(tmp_path: Path) -> None:
    _, said = run(tmp_path, log_of(TRAFFIC), out=Terminal())

    assert "\x1b[31mnewly denied\x1b[0m" in said


def test_a_log_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    asked = request(BILLING_TOKEN, target="/jobs", context={"exposure": "internal"})
    line = log_of([asked]).replace('"name":"billing"', '"name":"\\u001b[2J"')

    _, said = run(tmp_path, line)

    assert "service:\\x1b[2J" in said
    assert "\x1b" not in said


def test_a_file_is_read_as_stdin_is(tmp_path: Path) -> None:
    _, expected = run(tmp_path, log_of(TRAFFIC))
    log = tmp_path / "decisions.jsonl"
    log.write_text(log_of(TRAFFIC))
    out = io.StringIO()

    status = run_diff(
        tmp_path / "old.yaml", tmp_path / "new.yaml", log=log, out=out, as_json=False
    )

    assert (status, expected) == (1, out.getvalue())


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", "it is empty"),
        ("\n{}\nnothing\n", "2 other lines, 1 broken"),
        (log_of(TRAFFIC, replays=False), "13 without what a replay needs"),
        (log_of([user("/debug")]), "1 undetermined"),
    ],
)
def test_a_log_of_which_nothing_can_be_judged_is_no_agreement(
    tmp_path: Path, log: str, found: str
) -> None:
    (line,) = mistakes(tmp_path, log)

    assert line == (
        f"-: has no decision that can be judged ({found}); "
        "expected a decision log with WICKETGATE_DECISION_DETAIL=replay"
    )


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "no such file or directory"), (".", "is a directory")]
)
def test_a_log_that_cannot_be_read_is_a_mistake(tmp_path: Path, name: str, why: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(OLD)

    with pytest.raises(ConfigurationError, match=f"cannot be read \\({why}\\); expected a"):
        run_diff(policy, policy, log=tmp_path / name, out=io.StringIO(), as_json=False)


class BrokenDisk(io.BytesIO):
    def readline(self, size: int | None = -1, /) -> bytes:
        raise OSError(5, f"Input/output error after {size}")


def test_a_log_that_ends_in_a_fault_is_a_mistake(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(OLD)

    with pytest.raises(ConfigurationError, match="cannot be read \\(input/output error"):
        run_diff(
            policy,
            policy,
            log=Path("-"),
            out=io.StringIO(),
            as_json=False,
            stdin=BrokenDisk(),
        )


def test_every_mistake_in_both_policies_is_told(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD.replace("allow: user", "allow: users"))
    (tmp_path / "new.yaml").write_text("version: 2\nrules: []\n")

    with pytest.raises(ConfigurationError) as refused:
        run_diff(
            tmp_path / "old.yaml",
            tmp_path / "new.yaml",
            log=tmp_path / "missing",
            out=io.StringIO(),
            as_json=False,
        )

    places = [line.replace(f"{tmp_path}/", "")[:10] for line in refused.value.mistakes]
    assert places == ["old.yaml:5", "new.yaml:1"]


def test_what_there_was_no_room_to_count_one_by_one_is_told_as_others() -> None:
    policy = parse_policy(OLD).policy
    changes = Changes(policy, policy)
    changes.groups[None] = 7
    changes.callers[None] = 5

    said = report_of(changes, Style())
    told = document_of(changes)

    assert "7         others\n" in said
    assert "5         others\n" in said
    assert told["groups"] == [{"requests": 7, "effect": "others"}]
    assert told["callers"] == [{"requests": 5, "principal": "others"}]


# --- progress ----------------------------------------------------------------------


def test_a_person_sees_how_far_it_is_and_nothing_of_it_stays() -> None:
    stream = Terminal()
    moments = iter([0.0, 0.05, 0.2, 0.2, 0.25])
    progress = Progress(stream, moments.__next__)

    for lines in (1, 1_000, 2_000):
        progress.done(lines)
    progress.close()

    assert stream.getvalue() == "\r\x1b[K1,000 lines\r\x1b[K"


def test_nobody_else_does(tmp_path: Path) -> None:
    stream = io.StringIO()
    moments = count(0.0, 10.0)

    run(tmp_path, log_of(TRAFFIC), progress=Progress(stream, moments.__next__))

    assert stream.getvalue() == ""
