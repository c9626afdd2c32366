"""No label of a metric can be what a request says, whatever it says."""

import io
from collections.abc import Mapping
from itertools import count

from hypothesis import example, given
from hypothesis import strategies as st

from exposition import open_labels
from gates import FakeKeys, check_request
from tokens import NOW, STATIC_SERVICE, clerk, judge, keys
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.routes import RULE_NAMES, RoutePolicy
from wicketgate.gate import Gate, Rulebook

POLICY = """
version: 1
rules:
  - { name: strict, shadow: true, allow: { user: { org_role: admin } } }
  - { name: app, match: { paths: "/app/{segment}" }, allow: [user, service] }
"""
FILE = parse_policy(POLICY).policy
FILE_NAMES = frozenset({"strict", "app", "default"})
LINES = st.text(st.characters(codec="utf-8"), max_size=20)
TOKENS = st.dictionaries(
    st.sampled_from(["sub", "sid", "azp", "iss", "o", "act"]), LINES | st.integers(), max_size=3
).map(lambda claims: f"Bearer {clerk().mint(now=NOW, claims=claims)}")
HEADERS = st.dictionaries(
    st.sampled_from(
        ["authorization", "cookie", "x-request-id", "traceparent", "content-type", "rule"]
    ),
    LINES | TOKENS,
)
CONTEXTS = st.dictionaries(
    st.sampled_from(["policy", "exposure", "targets", "rule"]),
    st.sampled_from(["service", "anonymous", "internal", "any"]) | LINES,
)


def asked(raw: list[bytes], *, is_file: bool) -> tuple[str, frozenset[str]]:
    """Return what is exported after some Checks, and the names that the operator gave."""
    telemetry = Telemetry(make_log(io.StringIO(), level="error"), decisions=io.StringIO())
    names = frozenset(FILE_NAMES if is_file else RULE_NAMES)
    telemetry.follow(rules=names, tokens=[STATIC_SERVICE.name])
    gate = Gate(
        rulebook=Rulebook(judge(), FILE if is_file else RoutePolicy()),
        keys=FakeKeys(keys()),
        responses=Responses(IdentityHeaders()),
        recorder=telemetry,
        clock=lambda: NOW,
        timer=count().__next__,
        decision_ids=(f"test-{number}" for number in count(1)),
    )
    for each in raw:
        gate.check(each)
    return telemetry.exposition().decode(), names | {STATIC_SERVICE.name}


@given(
    is_file=st.booleans(),
    headers=HEADERS,
    context=CONTEXTS,
    path=st.sampled_from(["/app/", "/"]).flatmap(lambda start: LINES.map(start.__add__)),
    rest=st.binary(max_size=20),
)
@example(is_file=True, headers={}, context={}, path="/app/CANARY", rest=b"")
def test_every_label_is_a_word_of_the_program_or_a_name_of_the_operator(
    *,
    is_file: bool,
    headers: Mapping[str, str],
    context: Mapping[str, str],
    path: str,
    rest: bytes,
) -> None:
    raw = [check_request(headers, context=context, path=path), rest]

    text, names = asked(raw, is_file=is_file)

    assert not list(open_labels(text, rules=names))
    assert "wicketgate_checks_total{" in text
