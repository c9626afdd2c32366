"""The document behind the status page, member by member."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tokens import USER_RULE
from wicketgate.core.answer import TYPE_BASE
from wicketgate.core.delivery import Outcome
from wicketgate.core.reason import Reason
from wicketgate.core.receipt import Failure, Receipt
from wicketgate.core.status.advice import ADVICE, COMPONENT_ADVICE, DELIVERY_ADVICE
from wicketgate.core.status.denials import DenialLedger
from wicketgate.core.status.document import (
    Changes,
    Position,
    authz_document,
    encoded,
    webhooks_document,
)
from wicketgate.core.status.facts import (
    AuthzFacts,
    KeyFacts,
    PolicyFacts,
    ProcessFacts,
    RevocationFacts,
    WebhooksFacts,
)
from wicketgate.core.status.history import History, Sample
from wicketgate.core.status.receipts import BOUNDS, ReceiptLedger
from wicketgate.core.status.rules import RuleLine
from wicketgate.core.tally import BUCKETS, OTHER
from wicketgate.core.verdict import Deny

NOW = 1_790_000_100.0
PROCESS = ProcessFacts(
    kind="authz",
    version="0.1.0",
    started_at=1_790_000_000.123_4,
    is_draining=False,
    components={"keys": "ready"},
    facts={"transport": "wire"},
)
KEYS = KeyFacts(source="jwks", keys=(("ins_1", NOW - 50),), last_success_at=NOW - 3)
POLICY = PolicyFacts(
    source="file",
    digest="0123456789ab",
    loaded_at=NOW - 90,
    stale_since=None,
    lines=(RuleLine(name="app", about="/**", admits="users"), RuleLine(name="s", is_shadow=True)),
    number=1,
)
REVOCATIONS = RevocationFacts(
    users=3, sessions=4, stale_seconds=1.234, state="ready", is_trusted=True
)


def denials(*reasons: Reason) -> DenialLedger:
    ledger = DenialLedger(lambda: NOW)
    for reason in reasons:
        ledger.keep(Deny(reason, USER_RULE), "gate-1")
    return ledger


def history(bounds: tuple[float, ...], *samples: Mapping[str, Any]) -> History:
    kept = History(bounds)
    for moment, each in enumerate(samples):
        durations = each.get("durations", [0] * (len(bounds) + 1))
        kept.add(
            Sample(
                at=NOW + moment,
                moment=float(moment),
                good=each["good"],
                bad=each["bad"],
                durations=durations,
                words=each.get("words", {}),
            )
        )
    return kept


def facts(**changes: Any) -> AuthzFacts:  # noqa: ANN401 - any field of it
    nothing: dict[str, Any] = {
        "process": PROCESS,
        "denials": denials(),
        "history": history(BUCKETS),
        "principals": {},
        "keys": KEYS,
        "policy": POLICY,
        "counts": {},
        "shadows": {},
        "revocations": None,
        "connections": None,
        "cache_hits": 0,
        "type_base": TYPE_BASE,
    }
    return AuthzFacts(**{**nothing, **changes})


def authz(*, after: Position | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return json.loads(  # type: ignore[no-any-return]
        encoded(authz_document(facts(**changes), now=NOW, after=after or Position()))
    )


# --- a gate ------------------------------------------------------------------------


def test_a_gate_that_has_decided_nothing_has_a_document() -> None:
    assert authz() == {
        "format": 1,
        "at": NOW,
        "process": {
            "kind": "authz",
            "version": "0.1.0",
            "started_at": 1_790_000_000.123,
            "draining": False,
            "components": {"keys": "ready"},
            "advice": {},
            "facts": {"transport": "wire"},
        },
        "decisions": {
            "allowed": 0,
            "denied": 0,
            "window_seconds": 0.0,
            "allowed_per_second": 0.0,
            "denied_per_second": 0.0,
            "p50_ms": None,
            "p99_ms": None,
            "principals": {},
            "cache_hits": 0,
            "connections": None,
        },
        "reasons": [],
        "words": {},
        "events": {"total": 0, "newest": []},
        "history": {"first": 1, "good": [], "bad": [], "p99_ms": []},
        "keys": {
            "source": "jwks",
            "keys": [{"kid": "ins_1", "known_since": NOW - 50}],
            "last_success_at": NOW - 3,
            "failures": 0,
            "error": "",
        },
        "policy": {
            "source": "file",
            "digest": "0123456789ab",
            "loaded_at": NOW - 90,
            "stale_since": None,
            "rules": [
                {"name": "app", "about": "/**", "admits": "users", "shadow": False},
                {"name": "s", "about": "", "admits": "", "shadow": True},
            ],
            "number": 1,
            "left_out": 0,
        },
        "hits": {"rows": [[0, 0], [0, 0]], "others": [0, 0]},
        "revocations": None,
    }


def test_what_is_decided_is_told_in_numbers_and_rates() -> None:
    durations = [0, 12, *[12] * (len(BUCKETS) - 1)]
    kept = history(
        BUCKETS,
        {"good": 0, "bad": 0},
        {"good": 10, "bad": 2, "durations": durations, "words": {"token_expired": 2}},
    )

    document = authz(
        history=kept,
        denials=denials(Reason.TOKEN_EXPIRED, Reason.NO_CREDENTIAL, Reason.TOKEN_EXPIRED),
        principals={"user": 10, "none": 2},
        connections=4,
        cache_hits=9,
    )

    assert document["decisions"] == {
        "allowed": 10,
        "denied": 2,
        "window_seconds": 1.0,
        "allowed_per_second": 10.0,
        "denied_per_second": 2.0,
        "p50_ms": 0.075,
        "p99_ms": 0.0995,
        "principals": {"user": 10, "none": 2},
        "cache_hits": 9,
        "connections": 4,
    }
    assert document["reasons"] == [
        {"reason": "token_expired", "total": 2, "per_second": 2.0},
        {"reason": "no_credential", "total": 1, "per_second": 0.0},
    ]
    assert document["words"]["no_credential"] == {
        "status": 401,
        "title": "A bearer token is required.",
        "advice": ADVICE[Reason.NO_CREDENTIAL],
        "link": None,
    }
    assert len(document["words"]) == 2


@pytest.mark.parametrize(
    ("type_base", "link"),
    [
        ("https://docs.example.com/reasons#", "https://docs.example.com/reasons#no_credential"),
        ("http://localhost:8000/", "http://localhost:8000/no_credential"),
        (TYPE_BASE, None),
        ("javascript:alert(1)//", None),
        (" https://docs.example.com/", None),
    ],
)
def test_a_reason_leads_to_its_page_where_there_is_one(type_base: str, link: str | None) -> None:
    document = authz(denials=denials(Reason.NO_CREDENTIAL), type_base=type_base)

    assert document["words"]["no_credential"]["link"] == link


def test_whoever_has_read_some_gets_the_rest() -> None:
    kept = history(BUCKETS, *({"good": each, "bad": 0} for each in range(5)))
    told = authz(
        after=Position(events=1, samples=4),
        denials=denials(*[Reason.TOKEN_EXPIRED] * 3),
        history=kept,
    )

    assert [each["number"] for each in told["events"]["newest"]] == [3, 2]
    assert told["events"]["total"] == 3
    assert (told["history"]["first"], told["history"]["good"]) == (5, [1.0])


@pytest.mark.parametrize(("number", "left_out"), [(1, 0), (10_000, 9_999), (None, 0), (0, 0)])
def test_it_is_told_how_many_rules_are_left_out(number: int | None, left_out: int) -> None:
    """
    The default is a line as well, so two lines are all that a policy of one rule has.
    """
    assert authz(policy=replace(POLICY, number=number))["policy"]["left_out"] == left_out


def test_a_rule_has_its_hits_and_those_that_are_counted_together_have_theirs() -> None:
    counts = {("app", "allow"): 7, ("app", "deny"): 1, (OTHER, "deny"): 5, ("s", "allow"): 99}

    told = authz(counts=counts, shadows={("s", "deny"): 2})

    assert told["hits"] == {"rows": [[7, 1], [0, 2]], "others": [0, 5]}


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (REVOCATIONS, (3, 4, 1.2, "ready", True)),
        (replace(REVOCATIONS, stale_seconds=None, is_trusted=False), (3, 4, None, "ready", False)),
    ],
)
def test_revocations_are_told_as_counts(known: RevocationFacts, told: tuple[object, ...]) -> None:
    words = ("users", "sessions", "stale_seconds", "state", "users_let_in")

    assert dict(zip(words, told, strict=True)) == authz(revocations=known)["revocations"]


def test_a_component_comes_with_what_to_do_while_it_is_not_ready() -> None:
    states = {"keys": "not ready", "accepting": "ready", "policy": "degraded"}
    told = authz(process=replace(PROCESS, components=states))["process"]

    assert told["components"] == states
    assert told["advice"] == {name: COMPONENT_ADVICE[name] for name in ("keys", "policy")}


def test_a_pem_was_never_fetched() -> None:
    told = authz(keys=KeyFacts(source="pem", keys=(("", NOW),)))["keys"]

    assert (told["source"], told["last_success_at"]) == ("pem", None)


def test_keys_that_could_not_be_fetched_are_told_with_the_cause() -> None:
    told = authz(keys=replace(KEYS, failures=3, error="Clerk answered 500"))["keys"]

    assert (told["failures"], told["error"]) == (3, "Clerk answered 500")


def test_a_policy_that_could_not_be_used_is_told_with_the_time() -> None:
    assert authz(policy=replace(POLICY, stale_since=NOW - 1))["policy"]["stale_since"] == NOW - 1


# --- a receiver --------------------------------------------------------------------


def webhooks(*receipts: Receipt, samples: int = 0) -> dict[str, Any]:
    ledger = ReceiptLedger(lambda: NOW)
    for receipt in receipts:
        ledger.record(receipt, seconds=0.004, lag_seconds=1.5)
    kept = history(
        BOUNDS,
        *(
            {
                "good": each * ledger.taken,
                "bad": each * ledger.failed,
                "words": {word: each * number for word, number in ledger.words.items()},
            }
            for each in range(samples)
        ),
    )
    told = WebhooksFacts(process=replace(PROCESS, kind="webhooks"), receipts=ledger, history=kept)
    return json.loads(encoded(webhooks_document(told, now=NOW)))  # type: ignore[no-any-return]


def test_a_receiver_that_has_taken_nothing_has_a_document() -> None:
    told = webhooks()

    assert told.pop("process")["kind"] == "webhooks"
    assert told == {
        "format": 1,
        "at": NOW,
        "deliveries": {
            "taken": 0,
            "failed": 0,
            "rejected": 0,
            "dead_letters": 0,
            "last_taken_at": None,
            "window_seconds": 0.0,
            "taken_per_second": 0.0,
            "not_taken_per_second": 0.0,
            "p50_ms": None,
            "p99_ms": None,
            "lag_seconds": {"p50": None, "greatest": None, "newest": None},
        },
        "outcomes": [],
        "reasons": [],
        "words": {},
        "events": {"total": 0, "newest": []},
        "history": {"first": 1, "good": [], "bad": [], "p99_ms": []},
    }


def test_what_became_of_deliveries_is_told() -> None:
    told = webhooks(
        Receipt(Outcome.APPLIED, message_id="msg_1", type="user.created"),
        Receipt(Failure.STORE_TIMEOUT, message_id="msg_2", type="user.created"),
        samples=2,
    )

    assert told["deliveries"]["last_taken_at"] == NOW
    assert told["deliveries"]["lag_seconds"]["newest"] == 1.5
    assert (told["deliveries"]["taken_per_second"], told["deliveries"]["failed"]) == (1.0, 1)
    assert told["outcomes"] == [{"type": "user.created", "outcome": "applied", "total": 1}]
    assert told["reasons"] == [{"reason": "store_timeout", "total": 1, "per_second": 1.0}]
    assert told["words"] == {"store_timeout": {"advice": DELIVERY_ADVICE[Failure.STORE_TIMEOUT]}}
    assert [each["message_id"] for each in told["events"]["newest"]] == ["msg_2"]


# --- what is another than before ---------------------------------------------------


def test_only_sections_that_changed_are_told() -> None:
    changes = Changes()
    first = {"at": 1.0, "keys": {"a": 1}, "policy": {"b": [1, 2]}}

    assert json.loads(changes.in_(first)) == first
    assert changes.in_(first | {"at": 2.0}) == '{"at":2.0}'
    assert json.loads(changes.in_(first | {"at": 2.0, "keys": {"a": 2}})) == {"keys": {"a": 2}}


def test_after_forgetting_everything_is_told() -> None:
    changes = Changes()
    document = {"at": 1.0, "keys": None}
    changes.in_(document)

    assert changes.in_(document) == "{}"
    changes.forget()
    assert json.loads(changes.in_(document)) == document


def test_a_number_that_json_does_not_know_is_no_document() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encoded({"at": float("inf")})


@pytest.mark.parametrize(
    ("one", "other", "earlier"),
    [
        (Position(1, 9), Position(3, 2), Position(1, 2)),
        (Position(3, 2), Position(1, 9), Position(1, 2)),
    ],
)
def test_the_earlier_of_two_positions_is_where_both_have_been(
    one: Position, other: Position, earlier: Position
) -> None:
    assert earlier == one.earlier_of(other)
