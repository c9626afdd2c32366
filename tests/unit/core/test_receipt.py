"""What became of a request: its status, and what its sender is told."""

import json

import pytest

from webhooks import MESSAGE_ID
from wicketgate.core import event_body
from wicketgate.core.delivery import Outcome
from wicketgate.core.event import Event, Ignored
from wicketgate.core.event_body import MAX_TYPE_LENGTH, parse_event
from wicketgate.core.receipt import (
    KNOWN_TYPES,
    Failure,
    Receipt,
    Refusal,
    Verdict,
    answer_to,
    status_of,
    type_of,
)
from wicketgate.core.webhook import Rejection

STATUSES: dict[Verdict, int] = {
    Outcome.APPLIED: 204,
    Outcome.STALE: 204,
    Outcome.RECORDED: 204,
    Outcome.IGNORED: 200,
    Outcome.DEAD: 200,
    Refusal.NOT_HTTP: 400,
    Refusal.NOT_FOUND: 404,
    Refusal.METHOD_NOT_ALLOWED: 405,
    Refusal.CONTENT_ENCODING: 400,
    Refusal.TOO_LARGE: 413,
    Refusal.TOO_SLOW: 408,
    Refusal.BROKEN_BODY: 400,
    **dict.fromkeys(Rejection, 400),
    **dict.fromkeys(Failure, 503),
}
VERDICTS: list[Verdict] = [*Outcome, *Refusal, *Rejection, *Failure]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_status(verdict: Verdict) -> None:
    assert STATUSES[verdict] == status_of(verdict) == Receipt(verdict).status


def test_a_verdict_is_known_by_its_word() -> None:
    """
    Words are labels and reasons: two verdicts of one word could not be told apart.
    """
    assert len(set(map(str, VERDICTS))) == len(VERDICTS)


@pytest.mark.parametrize("verdict", [each for each in VERDICTS if STATUSES[each] >= 400])
def test_a_problem_is_told_in_a_word(verdict: Verdict) -> None:
    answer = answer_to(Receipt(verdict, message_id=MESSAGE_ID, detail="for the operator only"))

    assert json.loads(answer.body).keys() == {"type", "title", "status", "reason"}
    assert json.loads(answer.body)["reason"] == verdict
    assert json.loads(answer.body)["status"] == answer.status == STATUSES[verdict]
    assert dict(answer.headers)["content-type"] == "application/problem+json"
    assert "operator" not in answer.body
    assert MESSAGE_ID not in answer.body


@pytest.mark.parametrize("verdict", VERDICTS)
def test_only_what_may_go_well_later_asks_to_try_again(verdict: Verdict) -> None:
    headers = dict(answer_to(Receipt(verdict)).headers)

    assert ("retry-after" in headers) is isinstance(verdict, Failure)
    assert headers["cache-control"] == "no-store"


def test_another_method_is_told_the_right_one() -> None:
    assert ("allow", "POST") in answer_to(Receipt(Refusal.METHOD_NOT_ALLOWED)).headers


@pytest.mark.parametrize("verdict", [Outcome.APPLIED, Outcome.STALE, Outcome.RECORDED])
def test_what_was_taken_is_answered_without_a_word(verdict: Outcome) -> None:
    assert answer_to(Receipt(verdict)).body == ""


@pytest.mark.parametrize("verdict", [Outcome.IGNORED, Outcome.DEAD])
def test_what_came_to_nothing_is_told_why(verdict: Outcome) -> None:
    answer = answer_to(Receipt(verdict, why="other_instance"))

    assert json.loads(answer.body) == {"outcome": verdict, "why": "other_instance"}
    assert dict(answer.headers)["content-type"] == "application/json"


def test_the_known_types_are_those_that_are_read() -> None:
    assert set(event_body._READERS) == KNOWN_TYPES  # noqa: SLF001 - or a type would be "other"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("user.created", "user.created"), ("email.created", "other"), ("", "other")],
)
def test_a_type_of_nobodys_invention_becomes_no_label(kind: str, expected: str) -> None:
    assert expected == type_of(Event(kind, 0, Ignored("unknown_type")))


def test_a_type_as_long_as_may_be_becomes_no_label() -> None:
    body = json.dumps({"type": "x" * MAX_TYPE_LENGTH, "data": {}}).encode()

    assert type_of(parse_event(body)) == "other"
