"""What operators see of webhooks, and what they never do."""

import io
import json
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from wicketgate.adapters.telemetry import Instruments, make_log
from wicketgate.adapters.webhook_telemetry import WebhookTelemetry
from wicketgate.core.delivery import Outcome
from wicketgate.core.receipt import Failure, Receipt, Refusal
from wicketgate.core.webhook import Rejection

APPLIED = Receipt(
    Outcome.APPLIED, message_id="msg_1", type="user.created", event_at=1_790_000_012_420
)
CLOCK = 1_790_000_015.0


class Observed:
    """Telemetry of which everything is kept."""

    def __init__(self, level: str = "info") -> None:
        self._stream = io.StringIO()
        self._instruments = Instruments(make_log(self._stream, level=level))
        self.telemetry = WebhookTelemetry(
            self._instruments.log, self._instruments.registry, clock=lambda: CLOCK
        )

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def samples(self) -> Mapping[tuple[str, frozenset[str]], float]:
        text = self._instruments.exposition().decode()
        return {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def test_a_delivery_is_one_line_of_allowed_fields() -> None:
    observed = Observed()

    observed.telemetry.record(APPLIED, seconds=0.012_5, lag_seconds=2.0)

    (line,) = observed.lines()
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "delivery",
        "level": "info",
        "message_id": "msg_1",
        "type": "user.created",
        "verdict": "applied",
        "status": 204,
        "milliseconds": 12.5,
    }


def test_what_is_not_known_is_left_out() -> None:
    observed = Observed()

    observed.telemetry.record(Receipt(Refusal.NOT_FOUND), seconds=0.0, lag_seconds=None)

    (line,) = observed.lines()
    assert line.keys() == {"timestamp", "event", "level", "verdict", "status", "milliseconds"}


@pytest.mark.parametrize(
    ("receipt", "expected"),
    [
        (APPLIED, "info"),
        (Receipt(Rejection.NO_MATCHING_SIGNATURE), "info"),
        (Receipt(Failure.STORE_UNAVAILABLE, detail="Postgres failed: no"), "warning"),
        (Receipt(Failure.BUSY), "warning"),
        (Receipt(Failure.INTERNAL, detail="KeyError at x.py:1"), "error"),
    ],
)
def test_what_must_be_looked_after_is_louder(receipt: Receipt, expected: str) -> None:
    observed = Observed()

    observed.telemetry.record(receipt, seconds=0.0, lag_seconds=None)

    (line,) = observed.lines()
    assert line["level"] == expected
    assert line.get("detail", "") == receipt.detail


def test_everything_is_counted_whether_or_not_it_is_logged() -> None:
    observed = Observed(level="error")
    ignored = Receipt(Outcome.IGNORED, message_id="msg_2", type="other", why="unknown_type")

    observed.telemetry.record(APPLIED, seconds=0.01, lag_seconds=2.0)
    observed.telemetry.record(APPLIED, seconds=0.01, lag_seconds=None)
    observed.telemetry.record(ignored, seconds=0.01, lag_seconds=None)
    observed.telemetry.record(Receipt(Refusal.TOO_LARGE), seconds=0.01, lag_seconds=None)
    observed.telemetry.record(Receipt(Rejection.BAD_TIMESTAMP), seconds=0.01, lag_seconds=None)
    observed.telemetry.record(Receipt(Failure.BUSY), seconds=0.01, lag_seconds=None)

    found = observed.samples()
    deliveries = "wicketgate_webhook_deliveries_total"
    rejections = "wicketgate_webhook_rejections_total"
    failures = "wicketgate_webhook_failures_total"
    assert observed.lines() == []
    assert found[deliveries, frozenset({"user.created", "applied"})] == 2
    assert found[deliveries, frozenset({"other", "ignored"})] == 1
    assert found[rejections, frozenset({"too_large"})] == 1
    assert found[rejections, frozenset({"bad_timestamp"})] == 1
    assert found[failures, frozenset({"busy"})] == 1
    assert found["wicketgate_webhook_seconds_count", frozenset()] == 3
    assert found["wicketgate_webhook_lag_seconds_sum", frozenset()] == 2


@pytest.mark.parametrize("failure", Failure)
def test_a_failure_that_never_happened_is_there_to_be_watched(failure: Failure) -> None:
    found = Observed().samples()

    assert found["wicketgate_webhook_failures_total", frozenset({failure.value})] == 0


@pytest.mark.parametrize("reason", [*Refusal, *Rejection])
def test_a_rejection_that_never_happened_is_there_to_be_watched(reason: str) -> None:
    found = Observed().samples()

    assert found["wicketgate_webhook_rejections_total", frozenset({str(reason)})] == 0


def test_dead_letters_are_counted_from_none_on() -> None:
    observed = Observed()
    counts = []

    for outcome in (Outcome.APPLIED, Outcome.DEAD, Outcome.IGNORED):
        observed.telemetry.record(Receipt(outcome, type="other"), seconds=0.0, lag_seconds=None)
        counts.append(observed.samples()["wicketgate_webhook_dead_letters_total", frozenset()])

    assert counts == [0, 1, 1]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        *((outcome, CLOCK) for outcome in Outcome),
        (Refusal.NOT_FOUND, None),
        (Rejection.BAD_TIMESTAMP, None),
        (Failure.BUSY, None),
    ],
)
def test_the_last_delivery_is_the_last_that_was_answered_2xx(
    verdict: Outcome | Refusal | Rejection | Failure, expected: float | None
) -> None:
    observed = Observed()

    observed.telemetry.record(Receipt(verdict), seconds=0.0, lag_seconds=None)

    assert expected == observed.telemetry.last_delivery
