"""What operators see, and what they never do."""

import io
import json
import platform
from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tokens import USER_RULE, billing_token, claims_of
from wicketgate import __version__
from wicketgate.adapters.log_stream import ATOMIC_BYTES
from wicketgate.adapters.telemetry import MAX_LINE, Instruments, Telemetry, make_log
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.record import MAX_SHADOWS, DecisionLog, Record
from wicketgate.core.replay_record import Replay
from wicketgate.core.verdict import Allow, Deny, Shadow, User, Verdict

DENIED = Record(
    decision_id="d-1",
    request_id="r-1",
    verdict="deny",
    reason=Reason.TOKEN_EXPIRED,
    principal="none",
    rule="public:user",
    detail="",
    seconds=0.000_25,
)
ALLOWED = Record(
    decision_id="d-2",
    request_id="",
    verdict="allow",
    reason="allowed",
    principal="user",
    rule="public:user",
    detail="",
    seconds=0.000_125,
)
EXPIRED = Deny(Reason.TOKEN_EXPIRED, USER_RULE)
ADMITTED = Allow(User(claims_of({})), USER_RULE)
REPLAY = Replay(
    method="GET",
    host="api.example.com",
    path="/orgs/7",
    is_path_cut=False,
    context={"exposure": "internal"},
    headers=("x-debug",),
    are_headers_cut=False,
    source="",
    caller={"kind": "none"},
    claims=(),
)
CLOCK = 1_790_000_000.0


def samples(telemetry: Telemetry) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample that a scrape would give."""
    text = telemetry.exposition().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def logging(
    stream: io.StringIO,
    *,
    decision_log: DecisionLog = DecisionLog.ALL,
    level: str = "info",
) -> Telemetry:
    """Return telemetry that logs to `stream`."""
    return Telemetry(
        make_log(stream, level=level),
        decisions=stream,
        decision_log=decision_log,
        clock=lambda: CLOCK,
    )


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_decision_is_one_line_of_allowed_fields() -> None:
    stream = io.StringIO()

    logging(stream).record(DENIED)

    (line,) = stream.getvalue().splitlines()
    document = json.loads(line)
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "event": "decision",
        "level": "info",
        "decision_id": "d-1",
        "request_id": "r-1",
        "verdict": "deny",
        "reason": "token_expired",
        "principal": "none",
        "rule": "public:user",
        "milliseconds": 0.25,
    }


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (DecisionLog.ALL, ["deny", "allow"]),
        (DecisionLog.DENIED, ["deny"]),
        (DecisionLog.OFF, []),
    ],
)
def test_the_decision_log_keeps_what_it_is_told_to(
    which: DecisionLog, expected: list[str]
) -> None:
    stream = io.StringIO()
    telemetry = logging(stream, decision_log=which)
    asked: dict[str, Verdict] = {"deny": EXPIRED, "allow": ADMITTED}

    assert expected == [word for word, verdict in asked.items() if telemetry.count(verdict, 0.1)]


def test_the_level_of_the_log_does_not_silence_decisions() -> None:
    stream = io.StringIO()

    logging(stream, level="error").record(DENIED)

    assert json.loads(stream.getvalue())["event"] == "decision"


@pytest.mark.parametrize("which", DecisionLog)
def test_what_the_operator_must_mend_is_always_logged(which: DecisionLog) -> None:
    stream = io.StringIO()
    detail = "context_extensions.policy is 'usr'; expected one of user, service"

    telemetry = logging(stream, decision_log=which)
    assert telemetry.count(replace(EXPIRED, detail=detail), 0.1)
    telemetry.record(replace(DENIED, detail=detail))

    assert detail == json.loads(stream.getvalue())["detail"]


def test_decisions_are_counted_whether_or_not_they_are_logged() -> None:
    telemetry = logging(io.StringIO(), decision_log=DecisionLog.OFF)

    telemetry.count(EXPIRED, 0.000_25)
    telemetry.count(EXPIRED, 0.000_25)
    telemetry.count(ADMITTED, 0.75)

    found = samples(telemetry)
    denied = {("verdict", "deny"), ("reason", "token_expired"), ("principal", "none")}
    allowed = {("verdict", "allow"), ("reason", "allowed"), ("principal", "user")}
    assert found["wicketgate_checks_total", frozenset(denied)] == 2
    assert found["wicketgate_checks_total", frozenset(allowed)] == 1
    assert found["wicketgate_check_seconds_count", frozenset()] == 3
    assert found["wicketgate_check_seconds_sum", frozenset()] == 0.7505
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "wicketgate_check_seconds_bucket"
    }
    assert [buckets[bound] for bound in ("0.0001", "0.00025", "0.5", "1.0", "+Inf")] == [
        *(0, 2, 2, 3, 3)
    ]


def test_a_reading_is_taken_at_each_scrape_and_may_be_missing() -> None:
    telemetry = logging(io.StringIO())
    readings: list[float | None] = [2.0, None]
    telemetry.watch("some_reading", "For the test.", readings.pop)

    taken = [samples(telemetry).get(("some_reading", frozenset())) for _ in range(2)]

    assert taken == [None, 2.0]


def test_refreshes_are_counted_and_failures_logged() -> None:
    stream = io.StringIO()
    telemetry = logging(stream)

    telemetry.refreshed()
    telemetry.refresh_failed("Clerk answered 500")

    found = samples(telemetry)
    for outcome in ("ok", "failed"):
        name = ("wicketgate_jwks_refreshes_total", frozenset({("outcome", outcome)}))
        assert found[name] == 1
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["error"] == "Clerk answered 500"


def test_a_line_has_everything_that_there_is_to_say() -> None:
    stream = io.StringIO()
    record = replace(
        ALLOWED,
        service="billing",
        template="/orgs/{id}",
        shadows=(("strict", "session_too_old"), ("mild", "allowed")),
        replay=REPLAY,
    )

    logging(stream).record(record)

    (line,) = lines(stream)
    assert (line["service"], line["template"]) == ("billing", "/orgs/{id}")
    assert line["shadows"] == {"strict": "session_too_old", "mild": "allowed"}
    assert line["replay"] == REPLAY.document()


@pytest.mark.parametrize(
    ("path", "is_kept"),
    [
        ("/" + "a" * 3_000, True),
        ("/" + "a" * MAX_LINE, False),
        # JSON takes six characters for it.
        ("/" + "\u2028" * 1_000, False),
    ],
)
def test_a_replay_that_makes_a_line_too_long_is_left_out_and_counted(
    path: str, *, is_kept: bool
) -> None:
    stream = io.StringIO()
    telemetry = logging(stream)

    telemetry.record(replace(ALLOWED, replay=replace(REPLAY, path=path)))

    (line,) = lines(stream)
    assert line["verdict"] == "allow"
    assert is_kept == ("replay" in line)
    assert is_kept != ("replay_left_out" in line)
    left_out = samples(telemetry)["wicketgate_replays_left_out_total", frozenset()]
    assert left_out == (0 if is_kept else 1)


def test_the_longest_line_fits_a_pipe() -> None:
    """
    A line that does not is lost, and so is the decision.
    """
    stream = io.StringIO()
    full = replace(
        DENIED,
        request_id="r" * 128,
        rule="r" * 64,
        service="s" * 64,
        template="/" * 10_000,
        shadows=tuple((f"{n:064}", "service_principal_mismatch") for n in range(MAX_SHADOWS + 1)),
    )
    telemetry = logging(stream)

    telemetry.record(full)
    for length in range(MAX_LINE):
        telemetry.record(replace(full, replay=replace(REPLAY, path="a" * length)))

    longest = max(len(line.encode()) for line in stream.getvalue().splitlines(keepends=True))
    assert MAX_LINE < longest <= ATOMIC_BYTES


@pytest.mark.parametrize("text", ["a\nb", "\u2028\u2029\x85", "\x00\x1b[31m", "\ud800", '"}{'])
def test_whatever_a_request_holds_the_line_stays_one(text: str) -> None:
    stream = io.StringIO()
    caller = {"kind": "user", "claims": {"plan": text, text: 1}}
    replay = replace(REPLAY, path=text, host=text, headers=(text,), source=text, caller=caller)

    logging(stream).record(replace(ALLOWED, replay=replay))

    (line,) = stream.getvalue().splitlines()
    assert line.isascii()
    assert json.loads(line)["replay"] == replay.document()


def test_decisions_are_counted_by_rule_and_shadow_rules_by_what_they_would_have_said() -> None:
    telemetry = logging(io.StringIO(), decision_log=DecisionLog.OFF)
    telemetry.follow(rules=["public:user", "app", "strict", "mild"], tokens=())
    shadows = (Shadow("strict", Reason.SESSION_TOO_OLD), Shadow("mild", None))
    app = Rule(name="app")

    telemetry.count(EXPIRED, 0.1)
    telemetry.count(replace(ADMITTED, rule=app, shadows=shadows), 0.1)
    telemetry.count(replace(ADMITTED, rule=app, shadows=shadows[:1]), 0.1)
    telemetry.count(replace(EXPIRED, rule=None), 0.1)

    found = {
        (name.removeprefix("wicketgate_"), dict(labels)["rule"], dict(labels)["verdict"]): value
        for (name, labels), value in samples(telemetry).items()
        if "rule" in dict(labels) and name.endswith("_total")
    }
    assert found == {
        ("rule_checks_total", "public:user", "deny"): 1,
        ("rule_checks_total", "app", "allow"): 2,
        ("shadow_checks_total", "strict", "deny"): 2,
        ("shadow_checks_total", "mild", "allow"): 1,
    }


def test_service_tokens_are_counted_by_name_with_the_time_of_their_last_use() -> None:
    telemetry = logging(io.StringIO())
    telemetry.follow(rules=(), tokens=["billing", "cron"])

    telemetry.count(replace(ADMITTED, caller=billing_token()), 0.1)
    telemetry.count(replace(EXPIRED, caller=billing_token()), 0.1)
    telemetry.count(ADMITTED, 0.1)

    found = samples(telemetry)
    billing, cron = (frozenset({("name", name)}) for name in ("billing", "cron"))
    assert found["wicketgate_service_token_checks_total", billing] == 2
    assert found["wicketgate_service_token_checks_total", cron] == 0
    assert found["wicketgate_service_token_last_used_seconds", billing] == CLOCK
    assert ("wicketgate_service_token_last_used_seconds", cron) not in found


@pytest.mark.parametrize("reason", Reason)
def test_a_denial_that_never_happened_is_there_to_be_watched(reason: Reason) -> None:
    telemetry = logging(io.StringIO())
    name = ("wicketgate_denials_total", frozenset({("reason", reason.value)}))

    before = samples(telemetry)[name]
    telemetry.count(Deny(reason), 0.1)

    assert (before, samples(telemetry)[name]) == (0, 1)


def test_what_runs_is_told() -> None:
    log = make_log(io.StringIO(), level="info")
    found = text_string_to_metric_families(
        Instruments(log, transport="wire").exposition().decode()
    )

    (build,) = (family for family in found if family.name == "wicketgate_build_info")
    labels = {"version": __version__, "python": platform.python_version(), "transport": "wire"}
    assert [(sample.labels, sample.value) for sample in build.samples] == [(labels, 1)]


def test_readings_with_labels_are_taken_at_each_scrape() -> None:
    telemetry = logging(io.StringIO())
    readings: list[dict[tuple[str, ...], float]] = [{("b",): 2.0}, {("a",): 1.0}]
    telemetry.watch_labelled("some_readings", "For the test.", ("of",), readings.pop)

    taken = [
        {labels: value for (name, labels), value in samples(telemetry).items() if "some" in name}
        for _ in range(2)
    ]

    assert taken == [{frozenset({("of", "a")}): 1.0}, {frozenset({("of", "b")}): 2.0}]
