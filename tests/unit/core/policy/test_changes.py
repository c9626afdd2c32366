"""What would change under another policy, counted."""

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from tokens import NOW
from wicketgate.core.identity import HeaderPlan
from wicketgate.core.policy.callers import with_usual_claims
from wicketgate.core.policy.changes import MAX_NAMES, Changes, Effect, Group, group_of
from wicketgate.core.policy.outcome import Outcome
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.recorded import RecordedDecision, RecordedRequest, Skipped
from wicketgate.core.policy.replay import Undetermined

NOBODY: Final = {"kind": "none"}
UNREAD: Final = {"kind": "unread"}


def allowed(*told: tuple[str, str], removed: tuple[str, ...] = (), rule: str = "app") -> Outcome:
    return Outcome(
        decision="allow",
        rule=rule,
        reason="allowed",
        status=200,
        principal="anonymous",
        headers=HeaderPlan(told, removed),
        shadows={},
    )


def denied(reason: str, rule: str = "app") -> Outcome:
    return Outcome(
        decision="deny",
        rule=rule,
        reason=reason,
        status=403,
        principal="none",
        headers=None,
        shadows={},
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (allowed(), allowed(), Group(Effect.NONE, ("app", "app"), ("allowed", "allowed"))),
        (denied("a"), denied("a"), Group(Effect.NONE, ("app", "app"), ("a", "a"))),
        (
            allowed(),
            denied("a", rule="strict"),
            Group(Effect.NEWLY_DENIED, ("app", "strict"), ("allowed", "a")),
        ),
        (denied("a"), allowed(), Group(Effect.NEWLY_ALLOWED, ("app", "app"), ("a", "allowed"))),
        (
            denied("a"),
            denied("b", rule="strict"),
            Group(Effect.OTHER_REASON, ("app", "strict"), ("a", "b")),
        ),
        (
            allowed(),
            allowed(rule="open"),
            Group(Effect.OTHER_RULE, ("app", "open"), ("allowed", "allowed")),
        ),
        (
            allowed(("a", "1"), ("b", "1"), ("c", "1")),
            allowed(("b", "1"), ("c", "2"), ("d", "1")),
            Group(Effect.OTHER_HEADERS, ("app", "app"), ("allowed", "allowed"), ("a", "c", "d")),
        ),
        (
            allowed(removed=("x-org-id",)),
            allowed(),
            Group(Effect.NONE, ("app", "app"), ("allowed", "allowed")),
        ),
        (
            allowed(removed=("authorization",)),
            allowed(rule="open"),
            Group(
                Effect.OTHER_HEADERS, ("app", "open"), ("allowed", "allowed"), ("authorization",)
            ),
        ),
    ],
)
def test_two_outcomes_differ_in_one_way(old: Outcome, new: Outcome, expected: Group) -> None:
    assert expected == group_of(old, new)


OLD: Final = """
version: 1
rules:
  - { name: open, match: { paths: /open }, allow: anonymous }
  - { name: app, match: { paths: /app/** }, allow: user }
"""
NEW: Final = """
version: 1
rules:
  - { name: free, match: { paths: /open }, allow: anonymous }
  - { name: admin, match: { paths: /app/admin }, allow: { user: { org_role: admin } } }
  - { name: beta, match: { paths: /app/beta }, allow: user, when: claims.beta == true }
  - { name: app, match: { paths: /app/** }, allow: [user, anonymous] }
"""


def user(number: int = 1) -> Mapping[str, object]:
    return {
        "kind": "user",
        "claims": with_usual_claims({"sub": f"user_{number}"}, now=NOW),
    }


def decision(
    path: str,
    caller: Mapping[str, object] = NOBODY,
    *,
    verdict: str = "deny",
    reason: str = "no_credential",
) -> RecordedDecision:
    asked = {"method": "GET", "host": "", "path": path, "caller": caller}
    return RecordedDecision(NOW, verdict, reason, RecordedRequest.model_validate(asked))


def changes(decisions: Sequence[RecordedDecision], *, new: str = NEW) -> Changes:
    found = Changes(parse_policy(OLD).policy, parse_policy(new).policy)
    for each in decisions:
        found.add(each)
    return found


def test_a_policy_does_not_differ_from_itself() -> None:
    found = changes([decision("/open"), decision("/app/1", user()), decision("/")], new=OLD)

    assert (found.replayed, found.changed) == (3, 0)
    assert found.effects == {Effect.NONE: 3}
    assert not found.groups
    assert not found.callers


def test_what_changes_is_counted_by_effect_by_group_and_by_caller() -> None:
    found = changes(
        [
            decision("/app/admin", user(1)),
            decision("/app/admin", user(1)),
            decision("/app/admin", user(2)),
            decision("/app/1"),
            decision("/app/1", user(2)),
        ]
    )

    denied_ = Group(Effect.NEWLY_DENIED, ("app", "admin"), ("allowed", "role_not_admitted"))
    let_in = Group(Effect.NEWLY_ALLOWED, ("app", "app"), ("no_credential", "allowed"))
    assert (found.replayed, found.changed) == (5, 4)
    assert found.effects == {Effect.NEWLY_DENIED: 3, Effect.NEWLY_ALLOWED: 1, Effect.NONE: 1}
    assert found.groups == {denied_: 3, let_in: 1}
    assert found.callers == {"user:user_1": 2, "user:user_2": 1, "anonymous": 1}


def test_another_rule_with_the_same_outcome_is_told_and_changes_nothing() -> None:
    found = changes([decision("/open")])

    assert (found.replayed, found.changed) == (1, 0)
    assert [group and group.rules for group in found.groups] == [("open", "free")]
    assert not found.callers


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        (decision("/app/1", UNREAD), Undetermined.CALLER),
        (decision("/app/beta", user()), Undetermined.CLAIMS),
    ],
)
def test_what_one_policy_could_not_judge_is_not_compared(
    recorded: RecordedDecision, why: Undetermined
) -> None:
    found = changes([recorded])

    assert found.undetermined == {why: 1}
    assert (found.replayed, found.not_as_recorded) == (0, 0)


@pytest.mark.parametrize(
    ("verdict", "reason", "count"),
    [
        ("allow", "allowed", 0),
        ("deny", "user_revoked", 1),
        ("deny", "allowed", 1),
        ("allow", "no_credential", 1),
    ],
)
def test_a_decision_that_the_old_policy_did_not_make_is_counted(
    verdict: str, reason: str, count: int
) -> None:
    found = changes([decision("/app/1", user(), verdict=verdict, reason=reason)])

    assert (found.replayed, found.not_as_recorded) == (1, count)


def test_lines_with_nothing_to_judge_are_counted() -> None:
    found = changes([])
    for why in (Skipped.OTHER, Skipped.BROKEN, Skipped.OTHER):
        found.skip(why)

    assert found.skipped == {Skipped.OTHER: 2, Skipped.BROKEN: 1}
    assert found.replayed == 0


def test_callers_beyond_those_that_there_is_room_for_are_counted_together() -> None:
    found = changes([decision("/app/admin", user(1))])
    found.callers.update(f"user:{number}" for number in range(MAX_NAMES - 1))

    for number in (1, 2, 3):
        found.add(decision("/app/admin", user(number)))

    assert len(found.callers) == MAX_NAMES + 1
    assert (found.callers["user:user_1"], found.callers[None]) == (2, 2)
