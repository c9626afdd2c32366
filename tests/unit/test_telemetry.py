"""What operators see, and what they never do."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.core.reason import Reason
from wicketgate.core.record import DecisionLog, Record

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
        decisions=make_log(stream, level="info"),
        decision_log=decision_log,
    )


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

    telemetry.record(DENIED)
    telemetry.record(ALLOWED)

    assert expected == [json.loads(line)["verdict"] for line in stream.getvalue().splitlines()]


def test_the_level_of_the_log_does_not_silence_decisions() -> None:
    stream = io.StringIO()

    logging(stream, level="error").record(DENIED)

    assert json.loads(stream.getvalue())["event"] == "decision"


@pytest.mark.parametrize("which", DecisionLog)
def test_what_the_operator_must_mend_is_always_logged(which: DecisionLog) -> None:
    stream = io.StringIO()
    detail = "context_extensions.policy is 'usr'; expected one of user, service"

    logging(stream, decision_log=which).record(replace(DENIED, detail=detail))

    assert detail == json.loads(stream.getvalue())["detail"]


def test_decisions_are_counted_whether_or_not_they_are_logged() -> None:
    telemetry = logging(io.StringIO(), decision_log=DecisionLog.OFF)

    telemetry.record(DENIED)
    telemetry.record(DENIED)
    telemetry.record(ALLOWED)

    found = samples(telemetry)
    denied = {("verdict", "deny"), ("reason", "token_expired"), ("principal", "none")}
    allowed = {("verdict", "allow"), ("reason", "allowed"), ("principal", "user")}
    assert found["wicketgate_checks_total", frozenset(denied)] == 2
    assert found["wicketgate_checks_total", frozenset(allowed)] == 1
    assert found["wicketgate_check_seconds_count", frozenset()] == 3


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
