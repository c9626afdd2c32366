"""The conformance table, first depth: the pure decision."""

import pytest

from conformance.table import ROWS, Row, World
from wicketgate.core.decision import (
    decide,
)
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS
from wicketgate.core.verdict import (
    Allow,
    Deny,
    NeedKey,
)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_decide_gives_the_row_s_verdict(row: Row, times: int, world: World) -> None:
    """
    Also to a token that is remembered from the time before.
    """
    request = HttpRequest(
        target=row.route.path, headers=row.sends(world), context=row.route.context
    )
    judge, policy, keys = world.judge(), RoutePolicy(), world.keys()

    *_, verdict = [
        decide(
            request,
            judge=judge,
            policy=policy,
            keys=keys,
            revocations=NO_REVOCATIONS,
            now=world.now,
        )
        for _ in range(times)
    ]

    if isinstance(verdict, NeedKey):
        verdict = verdict.if_current
    if row.reason:
        assert isinstance(verdict, Deny)
        assert row.reason == PUBLIC_WORD.get(verdict.reason, verdict.reason)
        assert row.status == ANSWERS[verdict.reason].status
    else:
        assert isinstance(verdict, Allow)
        plan = IdentityHeaders().plan(verdict)
        assert row.identity == dict(plan.set)
        assert row.authorization_arrives == ("authorization" not in plan.remove)


def test_the_names_of_the_rows_are_distinct() -> None:
    """
    A row that shadows another would be a row that is not run.
    """
    assert len(ROWS) == len({(row.route.path, row.name) for row in ROWS})
