"""How many decisions of each kind there were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import STATIC_SERVICE, USER_RULE, bounded, claims_of
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.tally import BUCKETS, DecisionTally
from wicketgate.core.verdict import ANONYMOUS, Allow, Deny, User, Verdict

OPEN = Rule(name="open", anonymous=True)
VERDICTS: dict[str, tuple[Verdict, tuple[str, str, str], str]] = {
    "a user": (
        Allow(User(claims_of({})), USER_RULE),
        ("allow", "allowed", "user"),
        "public:user",
    ),
    "a service": (Allow(STATIC_SERVICE, OPEN), ("allow", "allowed", "service"), "open"),
    "anybody": (Allow(ANONYMOUS, OPEN), ("allow", "allowed", "anonymous"), "open"),
    "a stranger": (Deny(Reason.NO_CREDENTIAL, OPEN), ("deny", "no_credential", "none"), "open"),
    "a known stranger": (
        Deny(Reason.SERVICE_SCOPE, OPEN, principal=STATIC_SERVICE),
        ("deny", "service_scope", "service"),
        "open",
    ),
    "no rule": (Deny(Reason.AMBIGUOUS_PATH), ("deny", "ambiguous_path", "none"), ""),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_decision_is_counted_under_its_words(name: str) -> None:
    verdict, words, rule = VERDICTS[name]
    tally = DecisionTally()

    tally.count(verdict, 0.1)
    tally.count(verdict, 0.1)

    assert tally.by_kind() == {words: 2}
    assert tally.by_rule() == ({(rule, words[0]): 2} if rule else {})


def test_rules_share_a_kind_and_kinds_share_a_rule() -> None:
    tally = DecisionTally()

    for verdict, _, _ in VERDICTS.values():
        tally.count(verdict, 0.1)
    tally.count(Allow(ANONYMOUS, Rule(name="other", anonymous=True)), 0.1)

    assert tally.by_kind()["allow", "allowed", "anonymous"] == 2
    assert tally.by_rule()["open", "allow"] == 2
    assert tally.by_rule()["open", "deny"] == 2


@pytest.mark.parametrize("place", range(len(BUCKETS)))
def test_a_bucket_holds_what_took_at_most_so_long(place: int) -> None:
    tally = DecisionTally()

    tally.count(Deny(Reason.NO_CREDENTIAL), BUCKETS[place])
    tally.count(Deny(Reason.NO_CREDENTIAL), BUCKETS[place] * 1.000_001)

    assert tally.durations()[: place + 1] == [0] * place + [1]
    assert tally.durations()[place + 1 :] == [2] * (len(BUCKETS) - place)


@bounded
@given(st.lists(st.floats(0, 3)))
def test_the_last_bucket_holds_everything(durations: list[float]) -> None:
    tally = DecisionTally()

    for seconds in durations:
        tally.count(Deny(Reason.NO_CREDENTIAL), seconds)

    assert tally.durations()[-1] == len(durations) == sum(tally.by_kind().values())
    assert tally.seconds == sum(durations)
    assert tally.durations() == sorted(tally.durations())
