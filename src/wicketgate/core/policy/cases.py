"""Run the tests of a policy: judge each request, and compare with what was expected."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.policy.callers import taken_as_verified, with_usual_claims
from wicketgate.core.policy.case_document import CallerWords, CaseWords, ExpectWords, RequestWords
from wicketgate.core.policy.outcome import Outcome, outcome_of
from wicketgate.core.policy.parse import ParsedPolicy
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.source import Place
from wicketgate.core.reason import Reason
from wicketgate.core.record import ALLOWED
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.verdict import (
    Caller,
)

TEST_TIME: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z, at which every test takes place: what passes today does tomorrow."""

_CREDENTIAL: Final = "Bearer (not shown)"


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as a test expects.

    Attributes:
        what: The key below ``expect``, such as ``rule`` or ``headers.x-org-id``.
        expected: What the test says.
        found: What came.
    """

    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one test.

    Attributes:
        case: The test.
        outcome: What became of its request.
        failures: Where that is not what was expected; empty when the test passes.
    """

    case: CaseWords
    outcome: Outcome
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How well one rule is tested.

    Attributes:
        rule: Its name.
        index: Its place in the file, from 0; `None` for the default.
        is_shadow: Whether it decides nothing.
        tests: How many tests it decided; for a shadow rule, how many it was asked in.
    """

    rule: str
    index: int | None
    is_shadow: bool
    tests: int

    @property
    def is_missing(self) -> bool:
        """Whether there is a rule that no test asks; a default may be out of reach."""
        return self.tests == 0 and self.index is not None


def run_cases(
    policy: ParsedPolicy, cases: Iterable[CaseWords], *, now: float = TEST_TIME
) -> tuple[CaseResult, ...]:
    """Run tests, and return what came of each, in their order.

    Args:
        policy: What is tested.
        cases: The tests, without `misspelt` words.
        now: POSIX seconds at which the requests are made.

    Raises:
        ValueError: a caller is refused for a reason that there is not.
    """
    return tuple(_run(policy.policy, case, now) for case in cases)


def coverage_of(policy: RulePolicy, results: Sequence[CaseResult]) -> tuple[Coverage, ...]:
    """Return how well each rule is tested, in the order of the file, the default last."""
    asked = Counter(result.outcome.rule for result in results)
    asked.update(name for result in results for name in result.outcome.shadows)
    rules = [
        Coverage(rule.name, index, rule.is_shadow, asked[rule.name])
        for index, rule in enumerate(policy.rules)
    ]
    default = policy.default.name
    return (*rules, Coverage(default, None, is_shadow=False, tests=asked[default]))


def misspelt(cases: Iterable[CaseWords]) -> Iterator[tuple[Place, str]]:
    """Yield where tests name a reason that there is not, and what was expected."""
    for index, case in enumerate(cases):
        if case.caller.refused not in {*Reason, None}:
            yield ("tests", index, "as", "refused"), _unknown(case.caller.refused)
        if case.expect.reason not in {*Reason, ALLOWED, None}:
            yield ("tests", index, "expect", "reason"), _unknown(case.expect.reason)


def _unknown(word: str | None) -> str:
    near = get_close_matches(str(word), list(Reason), n=1)
    return f"expected a reason such as {near[0] if near else Reason.TOKEN_EXPIRED}, not {word!r}"


def _run(policy: RulePolicy, case: CaseWords, now: float) -> CaseResult:
    caller = _caller(case.caller, now)
    request = _request(case.request, caller)
    outcome = outcome_of(judge_known(request, caller=caller, policy=policy, now=now))
    return CaseResult(case, outcome, tuple(_failures(case.expect, outcome, request)))


def _caller(words: CallerWords, now: float) -> Caller:
    if words.claims is not None:
        return taken_as_verified(with_usual_claims(words.claims, now=now))
    if words.service is not None:
        scopes = frozenset(words.service.scopes)
        return ServiceToken(
            name=words.service.name,
            digest=b"",
            scopes=scopes,
            principal=words.service.principal,
        )
    return NO_CREDENTIAL if words.refused is None else Reason(words.refused)


def _request(words: RequestWords, caller: Caller) -> HttpRequest:
    # Rules can ask whether the header is there.
    credential = {} if caller is NO_CREDENTIAL else {"authorization": _CREDENTIAL}
    return HttpRequest(
        method=words.method,
        host=words.host,
        target=words.path,
        headers=credential | words.headers,
        context=words.context,
        source_principal=words.source,
    )


def _failures(expect: ExpectWords, outcome: Outcome, request: HttpRequest) -> Iterator[Failure]:
    said: dict[str, tuple[object, object]] = {
        what: (expected, getattr(outcome, what))
        for what in ("decision", "rule", "reason", "status", "principal")
        if (expected := getattr(expect, what)) is not None
    }
    told = _told(outcome, request)
    for name, value in expect.headers.items():
        said[f"headers.{name}"] = (value, told.get(name.lower()))
    for name, word in expect.shadows.items():
        said[f"shadows.{name}"] = (word, outcome.shadows.get(name))
    for what, (expected, found) in said.items():
        if expected != found:
            yield Failure(what, _written(expected), _written(found))


def _written(value: object) -> str:
    return "nothing" if value is None else str(value)


def _told(outcome: Outcome, request: HttpRequest) -> dict[str, str]:
    """Return the headers that the upstream sees; Envoy removes after it sets."""
    if outcome.headers is None:
        return {}
    seen = {**request.headers, **dict(outcome.headers.set)}
    return {name: value for name, value in seen.items() if name not in outcome.headers.remove}
