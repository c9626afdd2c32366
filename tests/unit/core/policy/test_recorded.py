"""Lines of a decision log, read back without believing them."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import NOW
from wicketgate.core.policy.recorded import RecordedDecision, Skipped, read_line

REPLAY: Final[Mapping[str, Any]] = {
    "method": "GET",
    "host": "api.example.com",
    "path": "/orgs/7",
    "caller": {"kind": "none"},
}
LINE: Final[Mapping[str, Any]] = {
    "event": "decision",
    "level": "info",
    "timestamp": "2026-09-21T14:13:20Z",
    "verdict": "deny",
    "reason": "no_credential",
    "replay": REPLAY,
}


def read(line: Mapping[str, Any]) -> RecordedDecision | Skipped:
    return read_line(json.dumps(line).encode())


def replay(**changed: object) -> Mapping[str, Any]:
    """Return the line with these members of its replay."""
    return {**LINE, "replay": {**REPLAY, **changed}}


def test_a_decision_is_read_with_the_time_at_which_it_was_made() -> None:
    found = read(LINE)

    assert isinstance(found, RecordedDecision)
    assert (found.now, found.verdict, found.reason) == (NOW, "deny", "no_credential")
    assert (found.request.method, found.request.path) == ("GET", "/orgs/7")
    assert (found.request.headers, found.request.headers_cut) == ([], False)


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        ({"kind": "none"}, "anonymous"),
        ({"kind": "unread"}, "unknown"),
        ({"kind": "refused", "reason": "token_expired"}, "unknown"),
        ({"kind": "service", "name": "billing", "scopes": ["a"]}, "service:billing"),
        (
            {"kind": "service", "name": "b", "scopes": [], "not_after": 1, "principal": "a"},
            "service:b",
        ),
        ({"kind": "user", "claims": {"sub": "user_7"}}, "user:user_7"),
    ],
)
def test_a_decision_tells_who_asked(caller: Mapping[str, object], principal: str) -> None:
    found = read(replay(caller=caller))

    assert isinstance(found, RecordedDecision)
    assert found.principal == principal


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", Skipped.OTHER),
        (b" \t\r\n", Skipped.OTHER),
        (b'{"event":"listening"}\n', Skipped.OTHER),
        (b"{}", Skipped.OTHER),
        (b'{"event":"decision","verdict":"deny"}', Skipped.NO_REPLAY),
        (b'{"event":"decision","replay":null}', Skipped.BROKEN),
        (b'{"event":"decision","replay":{}}', Skipped.BROKEN),
        (b'{"event":"decision",', Skipped.BROKEN),
        (b"[]", Skipped.BROKEN),
        (b"wicketgate: draining", Skipped.BROKEN),
        (b"\xff\xfe", Skipped.BROKEN),
        (b"[" * 100_000, Skipped.BROKEN),
        (b'{"event":"other","event":"decision"}', Skipped.BROKEN),
    ],
)
def test_a_line_with_nothing_to_judge_is_skipped_for_a_reason(
    line: bytes, expected: Skipped
) -> None:
    assert expected == read_line(line)


@pytest.mark.parametrize(
    "line",
    [
        {**LINE, "timestamp": "yesterday"},
        {**LINE, "timestamp": 1_790_000_000},
        {**LINE, "timestamp": "2026-09-21T14:13:20"},
        {key: value for key, value in LINE.items() if key != "timestamp"},
        {**LINE, "verdict": "maybe"},
        {**LINE, "reason": 7},
        replay(method=7),
        replay(path=None),
        replay(host=["api.example.com"]),
        replay(context={"exposure": 7}),
        replay(headers="x-debug"),
        replay(headers=[7]),
        replay(headers_cut="no"),
        replay(path_cut=1),
        replay(claims={}),
        replay(source=False),
        replay(unheard_of=1),
        replay(caller="user"),
        replay(caller={}),
        replay(caller={"kind": "robot"}),
        replay(caller={"kind": "none", "claims": {}}),
        replay(caller={"kind": "user"}),
        replay(caller={"kind": "user", "claims": []}),
        replay(caller={"kind": "service", "name": "a"}),
        replay(caller={"kind": "service", "name": "a", "scopes": [], "not_after": "x"}),
        replay(caller={"kind": "refused", "reason": "for_fun"}),
    ],
)
def test_a_damaged_decision_is_broken(line: Mapping[str, Any]) -> None:
    assert read(line) is Skipped.BROKEN


@given(st.binary())
def test_any_bytes_can_be_read(line: bytes) -> None:
    assert isinstance(read_line(line), Skipped)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted({*REPLAY, "claims", "headers", "context"})), JSON)
def test_any_value_can_stand_anywhere(name: str, value: object) -> None:
    assert isinstance(read(replay(**{name: value})), RecordedDecision | Skipped)
