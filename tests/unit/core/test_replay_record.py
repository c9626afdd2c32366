"""What is kept so that another policy can judge a request, and what is not."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW, USER_RULE, billing_token, claims_of, request
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.policy.host import canonical_host
from wicketgate.core.reason import Reason
from wicketgate.core.replay_record import (
    CLERK_CLAIMS,
    MAX_DEPTH,
    MAX_HEADER,
    MAX_HEADERS,
    MAX_METHOD,
    Replay,
    make_replay,
    sampling,
)
from wicketgate.core.request import MAX_PATH, HttpRequest
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Caller,
    Deny,
)

MISSING = MissingKey("ins_1", if_current=Reason.KEY_UNKNOWN, if_stale=Reason.KEYS_UNAVAILABLE)


def kept(
    asked: HttpRequest | None = None,
    *,
    caller: Caller | None = None,
    claims: frozenset[str] = frozenset(),
) -> Replay:
    verdict = Allow(ANONYMOUS, USER_RULE, caller=caller)
    return make_replay(verdict, asked or request(), claims)


def user(document: Mapping[str, Any], *reads: str) -> Mapping[str, object]:
    """Return what is kept of a user under a policy that reads these claims."""
    return kept(caller=claims_of(document), claims=frozenset(reads)).caller


def test_a_request_leaves_what_policies_ask_about() -> None:
    asked = request(
        "a.b.c",
        method="POST",
        target="/orgs/7?token=secret",
        headers={"x-debug": "secret", "accept": "*/*"},
        context={"exposure": "internal"},
        source_principal="spiffe://mesh/a",
    )

    assert kept(asked, caller=NO_CREDENTIAL, claims=frozenset({"plan", "beta"})).document() == {
        "method": "POST",
        "host": "api.example.com",
        "path": "/orgs/7",
        "context": {"exposure": "internal"},
        "headers": ["accept", "x-debug"],
        "source": "spiffe://mesh/a",
        "caller": {"kind": "none"},
        "claims": ["beta", "plan"],
    }


def test_what_is_empty_is_left_out() -> None:
    assert kept(HttpRequest()).document() == {
        "method": "GET",
        "host": "",
        "path": "/",
        "caller": {"kind": "unread"},
    }


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "proxy-authorization", ":path", ":authority"]
)
def test_credentials_and_pseudo_headers_are_not_named(name: str) -> None:
    found = kept(request(headers={name: "secret", "x-debug": "1"}))

    assert (found.headers, found.are_headers_cut) == (("x-debug",), False)


@pytest.mark.parametrize(
    ("names", "count", "is_cut"),
    [
        (["a" * MAX_HEADER], 1, False),
        (["a" * (MAX_HEADER + 1)], 0, True),
        ([f"x-{number}" for number in range(MAX_HEADERS)], MAX_HEADERS, False),
        ([f"x-{number}" for number in range(MAX_HEADERS + 1)], MAX_HEADERS, True),
    ],
)
def test_headers_are_bounded_in_number_and_length(
    names: list[str], count: int, *, is_cut: bool
) -> None:
    found = kept(request(headers=dict.fromkeys(names, "")))

    assert (len(found.headers), found.are_headers_cut) == (count, is_cut)


@pytest.mark.parametrize(
    ("length", "kept_length", "is_cut"),
    [(MAX_PATH, MAX_PATH, False), (MAX_PATH + 1, MAX_PATH, True)],
)
def test_a_path_is_bounded_and_says_so(length: int, kept_length: int, *, is_cut: bool) -> None:
    found = kept(request(target="/" + "a" * (length - 1) + "?query"))

    assert (len(found.path), found.is_path_cut) == (kept_length, is_cut)
    assert is_cut == found.document().get("path_cut", False)


def test_a_host_that_is_cut_is_still_none() -> None:
    found = kept(request(host="a" * 10_000))

    assert len(found.host) < 300
    assert canonical_host(found.host) is None


def test_a_method_is_bounded() -> None:
    assert len(kept(request(method="M" * 1_000)).method) == MAX_METHOD


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (None, {"kind": "unread"}),
        (NO_CREDENTIAL, {"kind": "none"}),
        (Reason.TOKEN_EXPIRED, {"kind": "refused", "reason": "token_expired"}),
        (billing_token(), {"kind": "service", "name": "billing", "scopes": ["invoices"]}),
        (
            billing_token(scopes=frozenset({"b", "a"}), not_after=NOW, principal="spiffe://a"),
            {
                "kind": "service",
                "name": "billing",
                "scopes": ["a", "b"],
                "not_after": NOW,
                "principal": "spiffe://a",
            },
        ),
    ],
)
def test_the_caller_is_kept_by_kind(caller: Caller | None, expected: Mapping[str, object]) -> None:
    assert expected == kept(caller=caller).caller


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (
            Deny(Reason.KEYS_UNAVAILABLE, USER_RULE, caller=MISSING),
            {"kind": "refused", "reason": "keys_unavailable"},
        ),
        (
            Deny(Reason.KEY_UNKNOWN, USER_RULE, caller=MISSING),
            {"kind": "refused", "reason": "key_unknown"},
        ),
        (Deny(Reason.NOBODY_ADMITTED, USER_RULE, caller=MISSING), {"kind": "unread"}),
        (Allow(ANONYMOUS, USER_RULE, caller=MISSING), {"kind": "unread"}),
    ],
)
def test_a_token_whose_key_was_missing_is_what_came_of_it(
    verdict: Allow | Deny, expected: Mapping[str, object]
) -> None:
    assert expected == make_replay(verdict, request(), frozenset()).caller


def test_of_a_token_only_the_claims_of_clerk_are_kept() -> None:
    clerk = dict.fromkeys(CLERK_CLAIMS - {"act"}, 2)

    assert user({**clerk, "email": "mina@example.com"}) == {"kind": "user", "claims": clerk}


def test_claims_that_the_policy_reads_are_kept_as_well() -> None:
    found = user({"plan": {"name": "pro"}, "email": "mina@example.com"}, "plan", "beta")

    assert found == {"kind": "user", "claims": {"plan": {"name": "pro"}}}


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        ({"sub": "user_support", "email": "support@example.com"}, {"sub": "user_support"}),
        ({"sub": 7}, {}),
        ({}, {}),
        ("user_support", {}),
        (None, None),
    ],
)
def test_of_an_actor_only_the_id_is_kept(actor: object, expected: object) -> None:
    assert user({"act": actor}) == {"kind": "user", "claims": {"act": expected}}


def test_an_actor_that_the_policy_reads_is_kept_whole() -> None:
    actor = {"sub": "user_support", "iss": "https://example.com"}

    assert user({"act": actor}, "act") == {"kind": "user", "claims": {"act": actor}}


def nested(depth: int, innermost: object = 1) -> object:
    value = innermost
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (1.5, True),
        (float("inf"), False),
        (float("nan"), False),
        ({"a": [1, float("-inf")]}, False),
        ({"a": [None, True, "text"]}, True),
        (nested(MAX_DEPTH), True),
        (nested(MAX_DEPTH + 1), False),
        (nested(500), False),
    ],
)
def test_a_user_with_a_claim_that_json_cannot_carry_is_not_kept_in_part(
    value: object, *, is_kept: bool
) -> None:
    found = user({"v": 2, "plan": value}, "plan")

    assert found["kind"] == ("user" if is_kept else "unread")
    assert ("claims" in found) == is_kept


def test_a_claim_that_nobody_reads_may_be_anything() -> None:
    assert user({"plan": float("inf")}) == {"kind": "user", "claims": {}}


@pytest.mark.parametrize(
    ("share", "drawn", "expected"),
    [
        (0.0, 0.0, False),
        (0.25, 0.249, True),
        (0.25, 0.25, False),
        (1.0, 0.999_999, True),
    ],
)
def test_a_share_of_decisions_is_sampled(share: float, drawn: float, *, expected: bool) -> None:
    assert expected == sampling(share, lambda: drawn)()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.sampled_from([*sorted(CLERK_CLAIMS), "plan", "email"]), JSON),
)
def test_whatever_is_asked_the_log_gets_one_line_of_strict_json(
    method: str,
    host: str,
    target: str,
    headers: Mapping[str, str],
    document: Mapping[str, Any],
) -> None:
    asked = HttpRequest(method=method, host=host, target=target, headers=headers)

    found = kept(asked, caller=claims_of(document), claims=frozenset({"plan"})).document()
    line = json.dumps(found, allow_nan=False)

    assert "\n" not in line
    assert json.loads(line) == found
