"""The decision alone, in one process: a Check from bytes to bytes, and what policies add.

There is no transport and no record. Loading is measured in processes of its own, because
memory once taken is not given back.
"""

import time
from itertools import count, cycle, islice
from typing import Final

from suite.bench import Bench
from suite.checks import Caller, check_messages, check_request
from suite.in_process import Work, in_turns
from suite.load.answers import Expected, WrongAnswerError, require
from suite.load.generator import VoidError
from suite.loading import load_rows
from suite.policies import asked_rules, path_for, policy_text
from suite.result import Row
from wicketgate.adapters.envoy import Responses, request_from
from wicketgate.adapters.pem_keys import PemKeys
from wicketgate.core.claims import TokenRules
from wicketgate.core.decision import Judge
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.policy.rule import Match, Policy
from wicketgate.core.record import Record
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.core.verdict import Verdict
from wicketgate.gate import Gate, Rulebook
from wicketgate.local.clerk_instance import USER

TITLE = "the decision alone, in process"
CALLS: Final = 5_000
MATCHED: Final = (10, 1_000, 10_000)
CONDITION, NO_CONDITION = "10 rules with a condition", "10 rules"


def match_row(rules: int) -> str:
    """Return the name of a row, for who looks for it."""
    return f"matching alone, {rules:,} rules"


class Unrecorded:
    """Keeps no record."""

    def count(self, verdict: Verdict, seconds: float) -> bool:
        """Want no record."""
        del verdict, seconds
        return False

    def record(self, record: Record) -> None:
        """Forget it."""


def in_process_gate(bench: Bench, policy: Policy, *, cache: int = 10_000) -> Gate:
    """Return a gate without a transport and without a record."""
    rules = TokenRules(issuers=frozenset({bench.clerk.issuer}))
    judge = Judge(verifier=TokenVerifier(rules, cache_limit=cache), service_tokens=ServiceTokens())
    return Gate(
        rulebook=Rulebook(judge, policy),
        keys=PemKeys(KeySet.from_pem(bench.clerk.public_pem)),
        responses=Responses(IdentityHeaders()),
        recorder=Unrecorded(),
        clock=time.time,
        timer=time.perf_counter,
        decision_ids=(f"bench-{number:x}" for number in count()),
    )


async def run(bench: Bench) -> list[Row]:
    """Measure.

    Raises:
        VoidError: an answer was wrong.
    """
    works = [*_decisions(bench), *_conditions(bench), *_matches(bench)]
    wanted = [work for work in works if bench.only in work.name]
    rows = in_turns(wanted, rounds=bench.rounds, report=bench.report)
    return [*rows, *await load_rows(bench)]


def _decisions(bench: Bench) -> list[Work]:
    valid = [message.raw for message in check_messages(Caller(bench.token))]
    none = [message.raw for message in check_messages(Caller("", ""))]
    routes = RoutePolicy()
    return [
        _decision("routes' policy, hit", in_process_gate(bench, routes), valid),
        _decision("routes' policy, verify", in_process_gate(bench, routes, cache=0), valid),
        _decision("routes' policy, deny", in_process_gate(bench, routes), none, code=16),
    ]


def _conditions(bench: Bench) -> list[Work]:
    raw = [check_request(bench.token, path=path_for(rule)) for rule in asked_rules(10)]
    works = []
    for name in (NO_CONDITION, CONDITION):
        policy = parse_policy(policy_text(10, condition=name == CONDITION)).policy
        works.append(_decision(name, in_process_gate(bench, policy), raw))
    return works


def _decision(name: str, gate: Gate, raw: list[bytes], *, code: int = 0) -> Work:
    """Return the work of deciding, after each of the Checks was answered rightly."""
    expected = Expected(code, has_user=not code)
    for each in raw:
        answer = gate.check(each)
        try:
            assert isinstance(answer, bytes), "a key was missing"
            require(answer, USER.encode(), expected)
        except (WrongAnswerError, AssertionError) as error:
            msg = f"{name}: {error}"
            raise VoidError(msg) from None
    return Work(name, gate.check, list(islice(cycle(raw), CALLS)))


def _matches(bench: Bench) -> list[Work]:
    works = []
    for rules in MATCHED:
        policy = parse_policy(policy_text(rules)).policy
        numbers = asked_rules(rules)
        requests = [
            request_from(check_request(bench.token, path=path_for(rule))) for rule in numbers
        ]
        for number, request in zip(numbers, requests, strict=True):
            match = policy.match(request)
            if not isinstance(match, Match) or match.rule.name != f"rule-{number}":
                msg = f"expected rule-{number} of {rules} to match, got {match}"
                raise VoidError(msg)
        works.append(Work(match_row(rules), policy.match, list(islice(cycle(requests), CALLS))))
    return works
