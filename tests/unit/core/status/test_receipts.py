"""What became of deliveries, and what may be known of each."""

from itertools import count
from typing import Any

import pytest

from wicketgate.core.delivery import Outcome
from wicketgate.core.receipt import Failure, Receipt, Refusal
from wicketgate.core.status.advice import DELIVERY_ADVICE
from wicketgate.core.status.receipts import (
    BOUNDS,
    LAGS,
    MAX_TEXT,
    NEWEST_FAILED,
    NEWEST_REJECTED,
    ReceiptLedger,
)
from wicketgate.core.webhook import Rejection

APPLIED = Receipt(Outcome.APPLIED, message_id="msg_1", type="user.created")
DEAD = Receipt(Outcome.DEAD, message_id="msg_2", type="user.updated", why="no email")
FAILED = Receipt(
    Failure.STORE_UNAVAILABLE, message_id="msg_3", type="user.deleted", detail="refused"
)
BUSY = Receipt(Failure.BUSY, message_id="whatever-a-stranger-wrote")
FORGED = Receipt(Rejection.NO_MATCHING_SIGNATURE, message_id="whatever-a-stranger-wrote")
LOST = Receipt(Refusal.NOT_FOUND)


def ledger(*receipts: Receipt, seconds: float = 0.004) -> ReceiptLedger:
    kept = ReceiptLedger(count(1_000.0).__next__)
    for receipt in receipts:
        kept.record(receipt, seconds=seconds, lag_seconds=None)
    return kept


def newest(*receipts: Receipt, after: int = 0) -> list[dict[str, Any]]:
    return [dict(each) for each in ledger(*receipts).newest(after)]


def test_requests_are_counted_by_what_became_of_them() -> None:
    kept = ledger(APPLIED, APPLIED, DEAD, FAILED, FORGED, LOST, FORGED)

    assert (kept.taken, kept.dead, kept.failed, kept.rejected) == (3, 1, 1, 3)
    assert kept.words == {"store_unavailable": 1, "no_matching_signature": 2, "not_found": 1}
    assert kept.outcomes() == [
        {"type": "user.created", "outcome": "applied", "total": 2},
        {"type": "user.updated", "outcome": "dead", "total": 1},
    ]


def test_when_a_delivery_was_last_taken_is_known() -> None:
    assert ledger(FORGED).last_taken_at is None
    assert ledger(APPLIED, APPLIED).last_taken_at == 1_001.0


def test_only_what_was_taken_is_timed() -> None:
    kept = ledger(APPLIED, FAILED, FORGED)

    assert [0, 0, *[1] * (len(BOUNDS) - 1)] == kept.durations()


def test_what_went_right_is_not_listed() -> None:
    ignored = Receipt(Outcome.IGNORED, message_id="msg_9", type="other", why="another_instance")

    assert newest(APPLIED, ignored) == []


@pytest.mark.parametrize(
    ("receipt", "expected"),
    [
        (DEAD, ("dead", "dead", 200, "user.updated", "msg_2", "no email")),
        (FAILED, ("failed", "store_unavailable", 503, "user.deleted", "msg_3", "refused")),
        (BUSY, ("failed", "busy", 503, "", "", "")),
        (FORGED, ("rejected", "no_matching_signature", 400, "", "", "")),
        (LOST, ("rejected", "not_found", 404, "", "", "")),
    ],
)
def test_what_went_wrong_is_listed_without_a_word_of_strangers(
    receipt: Receipt, expected: tuple[object, ...]
) -> None:
    (entry,) = newest(receipt)

    words = ("what", "reason", "status", "type", "message_id", "detail")
    assert expected == tuple(entry[word] for word in words)
    assert set(entry) == {"number", "at", *words}


def test_long_details_are_cut() -> None:
    (entry,) = newest(Receipt(Failure.INTERNAL, detail="d" * 999))

    assert entry["detail"] == "d" * MAX_TEXT


def test_a_flood_of_strangers_hides_no_failure() -> None:
    entries = newest(FAILED, *[FORGED] * 500)

    assert [each["what"] for each in entries] == ["rejected"] * NEWEST_REJECTED + ["failed"]
    assert [each["number"] for each in entries] == [*range(501, 491, -1), 1]


def test_failures_are_bounded() -> None:
    assert len(newest(*[FAILED, DEAD] * 100)) == NEWEST_FAILED


@pytest.mark.parametrize(("after", "numbers"), [(0, [3, 2, 1]), (1, [3, 2]), (3, [])])
def test_whoever_has_read_some_gets_the_rest(after: int, numbers: list[int]) -> None:
    assert numbers == [each["number"] for each in newest(FAILED, FORGED, DEAD, after=after)]


def test_before_the_first_delivery_there_is_no_lag() -> None:
    assert ledger().lag() == {"p50": None, "greatest": None, "newest": None}


def test_the_lag_is_that_of_the_newest() -> None:
    kept = ledger()
    for lag in (1_000.0, *([3.0] * (LAGS - 2)), 9.0, 2.0):
        kept.record(APPLIED, seconds=0.01, lag_seconds=lag)

    assert kept.lag() == {"p50": 3.0, "greatest": 9.0, "newest": 2.0}


@pytest.mark.parametrize("word", [*Refusal, *Rejection, *Failure])
def test_whatever_is_not_taken_has_an_advice(word: Refusal | Rejection | Failure) -> None:
    advice = DELIVERY_ADVICE[word]

    assert advice.endswith(".")
    assert 20 <= len(advice) <= 120
