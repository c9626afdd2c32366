"""What a policy costs: µs of CPU per Check by number of rules, and to load 10,000.

Everything runs in this process, without a transport, in turns, so that the
machine's mood falls on all cases alike. A case is void unless every request got
the verdict that it should. Loading is measured in processes of their own,
because memory once taken is not given back.

    make bench
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import NamedTemporaryFile

from wicketgate.app.rulebook import load_rules
from wicketgate.core.claims import TokenRules
from wicketgate.core.decision import (
    Judge,
    decide,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.policy.rule import Match, Policy
from wicketgate.core.request import HttpRequest
from wicketgate.core.revocation import NO_REVOCATIONS
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.core.verdict import (
    Allow,
    User,
)
from wicketgate.local.clerk_instance import ClerkInstance

ROUNDS = 7
CHECKS = 20_000
HOST = "api.example.com"
CONDITION = "user.org_id == path.org_id && user.org_role in ['org:admin', 'org:editor']"
ORGANISATION = {"v": 2, "o": {"id": "org_1", "slg": "quill", "rol": "admin"}}
TARGETS = {"seconds": 2.0, "MiB": 150.0}


def policy_text(rules: int, *, condition: bool = False) -> str:
    """Return a policy of templates with a parameter, each for another path."""
    when = f'    when: "{CONDITION}"\n' if condition else ""
    return "version: 1\nrules:\n" + "".join(
        f"  - name: rule-{number}\n"
        f"    match:\n"
        f"      hosts: [{HOST}]\n"
        f"      methods: [GET, POST]\n"
        f"      paths: ['/v1/service{number}/orgs/{{org_id}}/**']\n"
        f"    allow: user\n{when}"
        for number in range(rules)
    )


@dataclass
class Case:
    """One policy, and what a Check under it cost in each round."""

    name: str
    policy: Policy
    requests: list[HttpRequest]
    work: Callable[[HttpRequest], object]
    costs: list[float] = field(default_factory=list)

    def round(self) -> None:
        """Measure once; the requests come in turn, as they do in life."""
        requests = list(islice(cycle(self.requests), CHECKS))
        before = time.process_time()
        for request in requests:
            self.work(request)
        self.costs.append((time.process_time() - before) / CHECKS * 1e6)

    @property
    def median(self) -> float:
        """The median of all rounds, in µs."""
        return statistics.median(self.costs)


class Bench:
    """A user with a verified token, whose Checks are decided under several policies."""

    def __init__(self) -> None:
        clerk = ClerkInstance()
        self.now = time.time()
        claims = {"exp": int(self.now) + 3600, **ORGANISATION}
        self.token = clerk.mint(now=self.now, claims=claims)
        self.keys = KeySet.from_pem(clerk.public_pem)
        rules = TokenRules(issuers=frozenset({clerk.issuer}))
        self.judge = Judge(verifier=TokenVerifier(rules), service_tokens=ServiceTokens())

    def requests(self, rules: int) -> list[HttpRequest]:
        """Return requests for a thousand of the rules, evenly spread."""
        return [self.request(number) for number in range(0, rules, max(1, rules // 1000))]

    def request(self, number: int) -> HttpRequest:
        """Return the user's request for one rule."""
        return HttpRequest(
            method="GET",
            host=HOST,
            target=f"/v1/service{number}/orgs/org_1/items?limit=20",
            headers={"authorization": f"Bearer {self.token}"},
            context={"exposure": "public"},
        )

    def decide(self, policy: Policy, request: HttpRequest) -> object:
        """Decide one request."""
        return decide(
            request,
            judge=self.judge,
            policy=policy,
            keys=self.keys,
            revocations=NO_REVOCATIONS,
            now=self.now,
        )

    def require_right(self, policy: Policy, requests: list[HttpRequest], rules: int) -> None:
        """Stop unless each request is decided by its own rule, and admits the user."""
        for number, request in zip(range(0, rules, max(1, rules // 1000)), requests, strict=True):
            match = policy.match(request)
            verdict = self.decide(policy, request)
            assert isinstance(match, Match), match
            assert match.rule.name == f"rule-{number}", match
            assert isinstance(verdict, Allow), verdict
            assert isinstance(verdict.principal, User), verdict

    def cases(self) -> dict[str, Case]:
        """Return what is measured."""
        cases: dict[str, Case] = {}
        routes = RoutePolicy()
        plain = [self.request(0)]
        cases["routes"] = Case("context_extensions, match", routes, plain, routes.match)
        for rules in (10, 10_000):
            policy = parse_policy(policy_text(rules)).policy
            requests = self.requests(rules)
            self.require_right(policy, requests, rules)
            name = f"{rules:,} rules, match"
            cases[f"match {rules}"] = Case(name, policy, requests, policy.match)
        for condition in (False, True):
            policy = parse_policy(policy_text(10, condition=condition)).policy
            requests = self.requests(10)
            self.require_right(policy, requests, 10)
            cases[f"decide {condition}"] = Case(
                f"10 rules, whole decision{', with a condition' if condition else ''}",
                policy,
                requests,
                partial(self.decide, policy),
            )
        return cases


def peak_mebibytes() -> float:
    """Return the most memory that this process has had (proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def load_once() -> None:
    """Load 10,000 rules as the gate does, and print what that took."""
    text = policy_text(10_000)
    with NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        environ = {
            "CLERK_PUBLISHABLE_KEY": ClerkInstance().publishable_key,
            "WICKETGATE_POLICY_FILE": file.name,
        }
        verifier = TokenVerifier(TokenRules(issuers=frozenset({"https://clerk.example.com"})))
        # What the parser brings along is there once, however many rules there are.
        parse_policy(policy_text(1))
        before = peak_mebibytes()
        started = time.perf_counter()
        loaded = load_rules(environ, verifier)
        seconds = time.perf_counter() - started
        after = peak_mebibytes()
    assert loaded.rules == 10_000  # noqa: PLR2004 - as many as were written
    print(json.dumps({"seconds": seconds, "MiB": after - before}))


def measure_loading() -> dict[str, float]:
    """Return the median seconds and MiB of loading 10,000 rules."""
    runs = [
        json.loads(
            subprocess.run(  # noqa: S603 - ourselves
                [sys.executable, __file__, "--load"], check=True, capture_output=True
            ).stdout
        )
        for _ in range(3)
    ]
    return {what: statistics.median(run[what] for run in runs) for what in TARGETS}


def main() -> None:
    """Measure in turns and print medians, with the limits that they should keep."""
    cases = Bench().cases()
    for case in cases.values():
        case.round()
        case.costs.clear()
    for number in range(1, ROUNDS + 1):
        print(f"round {number} of {ROUNDS} ...", file=sys.stderr)
        for case in cases.values():
            case.round()
    print(f"CPU µs per Check, median of {ROUNDS} rounds of {CHECKS:,}")
    for case in cases.values():
        spread = f"{min(case.costs):.2f}-{max(case.costs):.2f}"
        print(f"{case.name:<40}{case.median:>8.2f}{spread:>16}")
    condition = cases["decide True"].median - cases["decide False"].median
    rows = [
        ("matching, 10 rules", cases["match 10"].median, 3.0, "µs"),
        ("matching, 10,000 rules", cases["match 10000"].median, 5.0, "µs"),
        ("a condition", condition, 12.0, "µs"),
        *((f"loading 10,000 rules, {w}", v, TARGETS[w], "") for w, v in measure_loading().items()),
    ]
    for name, found, limit, unit in rows:
        verdict = "ok" if found <= limit else "MISSED"
        print(f"{name:<40}{found:>8.2f} {unit:<3} of at most {limit:g}: {verdict}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", action="store_true", help="only load 10,000 rules, once")
    if parser.parse_args().load:
        load_once()
    else:
        main()
