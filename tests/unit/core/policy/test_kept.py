"""What was kept is there; whoever asks for the rest is noticed."""

from collections.abc import Callable

import pytest

from wicketgate.core.policy.kept import KeptClaims, KeptHeaders


@pytest.mark.parametrize(
    ("ask", "answer", "is_doubtful", "is_copied"),
    [
        (lambda headers: "x-debug" in headers, True, False, False),
        (lambda headers: "x-other" in headers, False, False, False),
        (lambda headers: "authorization" in headers, False, True, False),
        (lambda headers: "cookie" in headers, False, True, False),
        (lambda headers: headers["x-debug"], "", False, True),
        (lambda headers: headers.get("x-other"), None, False, False),
        (lambda headers: headers.get("cookie"), None, True, False),
        (dict, {"x-debug": ""}, False, True),
        (list, ["x-debug"], False, True),
        (len, 1, False, False),
    ],
)
def test_headers_are_known_by_name(
    ask: Callable[[KeptHeaders], object], answer: object, *, is_doubtful: bool, is_copied: bool
) -> None:
    headers = KeptHeaders(["x-debug"], is_cut=False)

    assert answer == ask(headers)
    assert (headers.is_doubtful, headers.is_copied) == (is_doubtful, is_copied)


@pytest.mark.parametrize(
    ("ask", "is_doubtful", "is_copied"),
    [
        (lambda headers: "x-debug" in headers, False, False),
        (lambda headers: "x-other" in headers, True, False),
        (len, True, False),
        (lambda headers: next(iter(headers)), False, True),
    ],
)
def test_headers_that_were_cut_may_have_been_any(
    ask: Callable[[KeptHeaders], object], *, is_doubtful: bool, is_copied: bool
) -> None:
    headers = KeptHeaders(["x-debug"], is_cut=True)
    ask(headers)

    assert (headers.is_doubtful, headers.is_copied) == (is_doubtful, is_copied)


@pytest.mark.parametrize("is_cut", [False, True])
def test_where_there_was_no_header_there_is_no_value_to_be_known(*, is_cut: bool) -> None:
    headers = KeptHeaders([], is_cut=is_cut)

    assert dict(headers) == {}
    assert headers.is_copied == is_cut


@pytest.mark.parametrize(
    ("ask", "answer", "is_doubtful"),
    [
        (lambda claims: claims["sub"], "user_1", False),
        (lambda claims: claims.get("o"), None, False),
        (lambda claims: "o" in claims, False, False),
        (lambda claims: "plan" in claims, False, True),
        (lambda claims: claims.get("plan"), None, True),
        (list, ["sub"], True),
        (len, 1, True),
    ],
)
def test_claims_are_known_as_far_as_they_were_looked_for(
    ask: Callable[[KeptClaims], object], answer: object, *, is_doubtful: bool
) -> None:
    claims = KeptClaims({"sub": "user_1"}, known=frozenset({"sub", "o"}))

    assert answer == ask(claims)
    assert is_doubtful == claims.is_doubtful


def test_what_was_asked_before_it_began_is_forgotten() -> None:
    claims = KeptClaims({}, known=frozenset())
    assert "plan" not in claims

    claims.begin()

    assert not claims.is_doubtful
