"""Policies of many rules, and requests that each are decided by another one of them."""

from typing import Final

HOST: Final = "api.example.com"
CONDITION: Final = "user.org_id == path.org_id && user.org_role in ['org:admin', 'org:editor']"
ORGANISATION: Final = "org_2xLkB2c3D4e5F6g7H8i9J0k1LmN"
"""Of the tokens that `suite.checks.mint` makes, whose role in it is ``admin``."""
ASKED: Final = 1_000
"""Rules that requests are for, evenly spread over all."""


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


def asked_rules(rules: int) -> range:
    """Return the numbers of the rules that requests are for."""
    return range(0, rules, max(1, rules // ASKED))


def path_for(rule: int) -> str:
    """Return the target of a request that one rule decides."""
    return f"/v1/service{rule}/orgs/{ORGANISATION}/items?limit=20"
