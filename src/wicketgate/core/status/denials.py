"""The newest denials, and how many there were for each reason.

To keep one is on the way of a Check, so it is one tuple in a ring: a flood of denials
costs no more memory than a quiet day, and words are made of it when somebody looks.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.record import PRINCIPALS
from wicketgate.core.verdict import Deny, Principal, Service, User

NEWEST: Final = 50
MAX_TEXT: Final = 200
"""Characters of a template or a detail, which are as long as an operator makes them."""

_Kept = tuple[int, float, Reason, str, str, type, str, str, str]


class DenialLedger:
    """Keeps denials.

    Attributes:
        total: How many there were.
        reasons: How many for each reason; to be read only.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none; `clock` returns POSIX seconds."""
        self.total = 0
        self.reasons: dict[Reason, int] = {}
        self._clock = clock
        self._newest: deque[_Kept] = deque(maxlen=NEWEST)

    def keep(self, verdict: Deny, decision_id: str) -> None:
        """Keep one."""
        self.total += 1
        reason, rule, principal = verdict.reason, verdict.rule, verdict.principal
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self._newest.append(
            (
                self.total,
                self._clock(),
                reason,
                "" if rule is None else rule.name,
                verdict.template,
                type(principal),
                # Only what is shown: claims would be kept for as long as the ring is.
                "" if principal is None else _who(principal),
                decision_id,
                verdict.detail,
            )
        )

    def newest(self, after: int = 0) -> list[Mapping[str, object]]:
        """Return those that came after the one with this number, the newest first."""
        return [_entry(each) for each in reversed(self._newest) if each[0] > after]


def _who(principal: Principal) -> str:
    if isinstance(principal, User):
        return principal.claims.user_id
    return principal.name if isinstance(principal, Service) else ""


def _entry(kept: _Kept) -> Mapping[str, object]:
    number, at, reason, rule, template, principal, who, decision_id, detail = kept
    answer = ANSWERS[reason]
    return {
        "number": number,
        "at": round(at, 3),
        "reason": reason,
        "status": answer.status,
        "title": answer.title,
        "rule": rule,
        "template": template[:MAX_TEXT],
        "principal": PRINCIPALS[principal],
        "who": who,
        "decision_id": decision_id,
        "detail": detail[:MAX_TEXT],
    }
