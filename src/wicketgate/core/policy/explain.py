"""What becomes of one request, and every step on the way to it.

The verdict is that of `judge_known`; the steps are worked out anew, rule by rule and
without the automaton, so that they can tell why a rule did not fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from wicketgate.core.claims import Claims
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.identity import HeaderPlan, IdentityHeaders
from wicketgate.core.policy.host import canonical_host
from wicketgate.core.policy.mismatch import fitting_path, mismatches
from wicketgate.core.policy.rule import Policy, Refusal, Rule
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.terms import refused_service, refused_user
from wicketgate.core.policy.unmet import unmet_by_service, unmet_by_user
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest, is_ambiguous
from wicketgate.core.revocation import NO_REVOCATIONS, Revocations
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.verdict import (
    Allow,
    Caller,
    Deny,
    Verdict,
)

_CONDITION: Final = frozenset({Reason.CONDITION_NOT_MET, Reason.CONDITION_FAILED})


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was tried.

    Attributes:
        index: Its place in the file, from 0.
        rule: The rule.
        mismatches: Why it is not about the request; empty when it is.
        fits_path: Whether one of its paths fits.
    """

    index: int
    rule: Rule
    mismatches: tuple[str, ...]
    fits_path: bool

    @property
    def decides(self) -> bool:
        """Whether no later rule is asked."""
        return not self.mismatches and not self.rule.is_shadow


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What becomes of a request, and why.

    Attributes:
        verdict: As the gate would have decided it.
        steps: The rules that were tried, in order; none when the request was
            refused before, or the policy is that of the routes.
        untried: How many rules come after the one that decided.
        parameters: The named segments of the path.
        unmet: For each alternative of the rule what the caller lacks.
        headers: What the upstream is told; `None` when it is not reached.
    """

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    untried: int = 0
    parameters: tuple[tuple[str, str], ...] = ()
    unmet: tuple[str, ...] = ()
    headers: HeaderPlan | None = None


def explain(
    policy: Policy,
    request: HttpRequest,
    *,
    caller: Caller,
    now: float,
    revocations: Revocations = NO_REVOCATIONS,
) -> Explanation:
    """Explain what becomes of `request`.

    Args:
        policy: Finds the rule.
        request: The request. Its own credential is not looked at.
        caller: Who sent it, or why that is not known.
        now: POSIX seconds.
        revocations: Who no longer counts.
    """
    verdict = judge_known(request, caller=caller, policy=policy, now=now, revocations=revocations)
    match = policy.match(request)
    if isinstance(match, Refusal):
        return Explanation(verdict=verdict)
    steps = tuple(_steps(policy, request)) if isinstance(policy, RulePolicy) else ()
    rules = policy.rules if isinstance(policy, RulePolicy) else ()
    parameters = match.template.parameters(request.path) if match.template else {}
    return Explanation(
        verdict=verdict,
        steps=steps,
        untried=len(rules) - len(steps),
        parameters=tuple(parameters.items()),
        unmet=_unmet(match.rule, verdict, caller, now),
        headers=IdentityHeaders().plan(verdict) if isinstance(verdict, Allow) else None,
    )


def _steps(policy: RulePolicy, request: HttpRequest) -> Iterator[Step]:
    host = canonical_host(request.host) or ""
    is_doubtful = is_ambiguous(request.path)
    for index, rule in enumerate(policy.rules):
        selector = rule.selector
        fits_path = fitting_path(selector, request) is not None
        reasons = mismatches(selector, request, host)
        if is_doubtful and not policy.judges_any_target(selector):
            reasons += ("target is ambiguous, and the rule is not only about any_targets",)
        step = Step(index, rule, reasons, fits_path)
        yield step
        if step.decides:
            return


def _unmet(rule: Rule, verdict: Verdict, caller: Caller, now: float) -> tuple[str, ...]:
    reason = verdict.reason if isinstance(verdict, Deny) else None
    if isinstance(verdict, Deny) and verdict.detail:
        return (verdict.detail,)
    if rule.condition is not None and reason in _CONDITION:
        return (f"when: {rule.condition.source}",)
    if reason is Reason.SERVICE_TOKEN_EXPOSED:
        return ("context exposure: service tokens count where it is internal",)
    # Somebody who is let in, but as nobody in particular, lacks something as well.
    if isinstance(caller, Claims):
        refused = refused_user(rule.users, caller, now=now)
        is_why = refused is not None and reason in {None, refused}
        return unmet_by_user(rule, caller, now=now) if is_why else ()
    if isinstance(caller, ServiceToken):
        is_why = reason is not None and reason is refused_service(rule, caller)
        return unmet_by_service(rule, caller) if is_why else ()
    return ()
