"""How many decisions of each kind there were."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import STATIC_SERVICE, USER_RULE, claims_of
from wicketgate.core.policy.rule import Rule
from wicketgate.core.reason import Reason
from wicketgate.core.tally import BUCKETS, MAX_NAMES, OTHER, DecisionTally
from wicketgate.core.verdict import ANONYMOUS, Allow, Deny, Shadow, User, Verdict

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


def tally_of(*rules: str, tokens: Iterable[str] = ()) -> DecisionTally:
    """Return a tally that counts under these names."""
    tally = DecisionTally()
    tally.follow(rules=rules, tokens=tokens)
    return tally


def denied_by(rule: str, *shadows: Shadow) -> Deny:
    """Return the denial of a rule of that name."""
    return Deny(Reason.NO_CREDENTIAL, Rule(name=rule), shadows=shadows)


@pytest.mark.parametrize("name", VERDICTS)
def test_a_decision_is_counted_under_its_words(name: str) -> None:
    verdict, words, rule = VERDICTS[name]
    tally = tally_of("public:user", "open")

    tally.count(verdict, 0.1)
    tally.count(verdict, 0.1)

    assert tally.by_kind() == {words: 2}
    assert tally.by_rule() == ({(rule, words[0]): 2} if rule else {})


def test_rules_share_a_kind_and_kinds_share_a_rule() -> None:
    tally = tally_of("open", "other")

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


@given(st.lists(st.floats(0, 3)))
def test_the_last_bucket_holds_everything(durations: list[float]) -> None:
    tally = DecisionTally()

    for seconds in durations:
        tally.count(Deny(Reason.NO_CREDENTIAL), seconds)

    assert tally.durations()[-1] == len(durations) == sum(tally.by_kind().values())
    assert tally.seconds == sum(durations)
    assert tally.durations() == sorted(tally.durations())


def test_every_reason_is_there_before_it_was_given() -> None:
    tally = tally_of("open")

    assert tally.by_reason() == dict.fromkeys(Reason, 0)

    tally.count(denied_by("open"), 0.1)
    tally.count(Deny(Reason.NO_CREDENTIAL), 0.1)
    tally.count(Allow(ANONYMOUS, OPEN), 0.1)
    assert tally.by_reason() == dict.fromkeys(Reason, 0) | {Reason.NO_CREDENTIAL: 2}


def test_a_name_that_is_not_in_force_is_counted_under_no_name() -> None:
    tally = tally_of("open", tokens=["billing"])

    tally.count(denied_by("stranger", Shadow("strange", None)), 0.1)
    tally.used("stray", 5.0)

    assert tally.by_rule() == {(OTHER, "deny"): 1}
    assert tally.by_shadow() == {(OTHER, "allow"): 1}
    assert tally.by_token() == {"billing": (0, None), OTHER: (1, 5.0)}


def test_the_first_names_of_many_are_counted_each_and_the_others_together() -> None:
    names = [f"r{number}" for number in range(MAX_NAMES + 5)]
    tally = tally_of(*names, tokens=names)

    for name in names:
        tally.count(denied_by(name, Shadow(name, None)), 0.1)
        tally.used(name, 1.0)

    assert tally.by_rule() == {**{(each, "deny"): 1 for each in names[:-5]}, (OTHER, "deny"): 5}
    assert tally.by_shadow()[OTHER, "allow"] == 5
    assert len(tally.by_shadow()) == MAX_NAMES + 1
    assert tally.by_token() == {**dict.fromkeys(names[:-5], (1, 1.0)), OTHER: (5, 1.0)}


def test_a_name_that_is_there_twice_takes_one_place() -> None:
    names = ["r0", "r0", *(f"r{number}" for number in range(1, MAX_NAMES))]
    tally = tally_of(*names, tokens=names)

    tally.count(denied_by(names[-1]), 0.1)

    assert tally.by_rule() == {(names[-1], "deny"): 1}
    assert len(tally.by_token()) == MAX_NAMES


def test_a_reload_forgets_the_names_that_are_gone_and_no_decision() -> None:
    tally = tally_of("kept", "gone", tokens=["kept", "gone"])
    for name in ("kept", "gone", "stranger"):
        tally.count(denied_by(name, Shadow(name, None)), 0.1)
        tally.used(name, 1.0)
    kinds = tally.by_kind()

    tally.follow(rules=["new", "kept"], tokens=["new", "kept"])

    assert tally.by_kind() == kinds
    assert tally.by_rule() == {("kept", "deny"): 1, (OTHER, "deny"): 1}
    assert tally.by_shadow() == {("kept", "allow"): 1, (OTHER, "allow"): 1}
    assert tally.by_token() == {"new": (0, None), "kept": (1, 1.0), OTHER: (1, 1.0)}


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(st.one_of(NAMES, st.lists(NAMES, max_size=3)), max_size=30)


@given(STEPS)
def test_whatever_is_reloaded_what_remains_only_grows(steps: list[str | list[str]]) -> None:
    tally = tally_of("a")
    before, counted = tally.by_rule(), 0

    for step in steps:
        if isinstance(step, list):
            tally.follow(rules=step, tokens=())
            names = {*step, OTHER}
        else:
            tally.count(denied_by(step), 0.1)
            counted += 1
            names = None
        after = tally.by_rule()
        assert all(after[key] >= before[key] for key in after if key in before)
        assert names is None or {rule for rule, _ in after} <= names
        assert sum(tally.by_kind().values()) == counted
        before = after


def test_a_token_is_known_by_the_last_time_that_it_was_shown() -> None:
    tally = tally_of(tokens=["billing", "cron"])

    tally.used("billing", 1.0)
    tally.used("billing", 3.0)

    assert tally.by_token() == {"billing": (2, 3.0), "cron": (0, None)}
