"""The newest denials, and what may be known of each."""

from typing import Any

import pytest

from tokens import BILLING, USER_RULE, claims_of
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.status.advice import ADVICE
from wicketgate.core.status.denials import MAX_TEXT, NEWEST, DenialLedger
from wicketgate.core.verdict import ANONYMOUS, Deny, Principal, User
from wicketgate.local.clerk_instance import USER

EXPIRED = Deny(Reason.TOKEN_EXPIRED, USER_RULE, template="/app/**")


def kept(*verdicts: Deny, after: int = 0) -> list[dict[str, Any]]:
    ledger = DenialLedger(lambda: 1_790_000_000.000_4)
    for number, verdict in enumerate(verdicts, start=1):
        ledger.keep(verdict, f"gate-{number}")
    return [dict(each) for each in ledger.newest(after)]


def test_a_denial_is_an_allowlist_of_fields() -> None:
    assert kept(EXPIRED) == [
        {
            "number": 1,
            "at": 1_790_000_000.0,
            "reason": "token_expired",
            "status": 401,
            "title": "The token has expired.",
            "rule": "public:user",
            "template": "/app/**",
            "principal": "none",
            "who": "",
            "decision_id": "gate-1",
            "detail": "",
        }
    ]


@pytest.mark.parametrize(
    ("principal", "kind", "who"),
    [
        (None, "none", ""),
        (ANONYMOUS, "anonymous", ""),
        (BILLING, "service", "billing"),
        (User(claims_of({"email": "mina@example.com"})), "user", USER),
    ],
)
def test_who_was_denied_is_named_by_an_id_when_that_is_known(
    principal: Principal | None, kind: str, who: str
) -> None:
    (entry,) = kept(Deny(Reason.USER_REVOKED, principal=principal))

    assert (kind, who) == (entry["principal"], entry["who"])
    assert "mina" not in repr(entry)


def test_a_denial_before_any_rule_names_none() -> None:
    (entry,) = kept(Deny(Reason.AMBIGUOUS_PATH))

    assert entry["rule"] == entry["template"] == ""


def test_long_words_are_cut() -> None:
    rule = Rule(name="long")

    (entry,) = kept(Deny(Reason.NO_CREDENTIAL, rule, detail="d" * 999, template="/" * 999))

    assert (entry["detail"], entry["template"]) == ("d" * MAX_TEXT, "/" * MAX_TEXT)


def test_the_newest_come_first_and_are_bounded() -> None:
    entries = kept(*[EXPIRED] * (NEWEST + 7))

    assert list(range(NEWEST + 7, 7, -1)) == [entry["number"] for entry in entries]


@pytest.mark.parametrize(("after", "numbers"), [(0, [3, 2, 1]), (2, [3]), (3, []), (9, [])])
def test_whoever_has_read_some_gets_the_rest(after: int, numbers: list[int]) -> None:
    assert numbers == [each["number"] for each in kept(EXPIRED, EXPIRED, EXPIRED, after=after)]


def test_all_are_counted_also_those_that_are_not_kept() -> None:
    ledger = DenialLedger(lambda: 0.0)
    for _ in range(NEWEST * 2):
        ledger.keep(EXPIRED, "gate-1")
    ledger.keep(Deny(Reason.NO_CREDENTIAL), "gate-2")

    assert ledger.total == NEWEST * 2 + 1
    assert ledger.reasons == {Reason.TOKEN_EXPIRED: NEWEST * 2, Reason.NO_CREDENTIAL: 1}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_an_advice_that_is_more_than_its_title(reason: Reason) -> None:
    advice = ADVICE[reason]

    assert advice.endswith(".")
    assert 20 <= len(advice) <= 120
    assert ANSWERS[reason].title not in advice
