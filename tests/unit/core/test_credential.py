"""Exactly one credential, or none, or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import ORIGIN
from wicketgate.core.credential import (
    MAX_COOKIES,
    NO_CREDENTIAL,
    BearerToken,
    CookieRules,
    CookieTokens,
    credential_of,
    without_session_cookies,
)
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest

SUFFIXED = "__session_R4pxPy2l"
COOKIES = CookieRules(frozenset({"__session", SUFFIXED}), frozenset({ORIGIN}))


def test_the_cookie_suffix_is_clerk_s() -> None:
    """
    The test vector on which Clerk's JavaScript and Python SDKs agree.
    """
    key = "pk_test_YWJsZS1tb2xlLTEuY2xlcmsuYWNjb3VudHMuZGV2JA"

    assert CookieRules.of_instance(key, frozenset({ORIGIN})) == COOKIES


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer T", "T"),
        ("bearer T", "T"),
        ("BEARER T", "T"),
        ("bEaReR   T", "T"),
        ("Bearer Bearer", "Bearer"),
        ("Bearer !#+-~", "!#+-~"),
        ("Bearer a.b.c=", "a.b.c="),
    ],
)
def test_one_bearer_token_is_taken_whatever_the_case_of_the_scheme(value: str, token: str) -> None:
    assert BearerToken(token) == credential_of(
        HttpRequest(headers={"authorization": value}), COOKIES
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "T",
        "Bearer",
        "Bearer ",
        "BearerT",
        " Bearer T",
        "Bearer T ",
        "Bearer T extra",
        "Bearer Bearer T",
        "Bearer T,Bearer T2",
        "Bearer T,",
        "Bearer T, T",
        "Bearer ,",
        "Bearer\tT",
        "Bearer T\n",
        "Bearer\u00a0T",
        "Bearer T\u00e9",
        "Bearer \udcff",
        "Bearer T\x00",
        "Bearer T\x7f",
        "B\u0435arer T",
        "Basic dTpw",
        "Basic dTpw,Bearer T",
        "DPoP T",
        "Token T",
    ],
)
@pytest.mark.parametrize("cookies", [None, COOKIES], ids=["cookies off", "cookies on"])
def test_any_other_authorization_is_refused_and_not_skipped(
    value: str, cookies: CookieRules | None
) -> None:
    """
    Not even a good cookie makes up for a bad header.
    """
    request = HttpRequest(headers={"authorization": value, "cookie": "__session=T"})

    assert credential_of(request, cookies) is Reason.AUTHORIZATION_MALFORMED


def test_the_header_wins_over_the_cookie() -> None:
    request = HttpRequest(headers={"authorization": "Bearer H", "cookie": "__session=C"})

    assert BearerToken("H") == credential_of(request, COOKIES)


def test_nothing_sent_is_no_credential() -> None:
    assert credential_of(HttpRequest(), COOKIES) is NO_CREDENTIAL


def test_cookies_are_not_read_unless_turned_on() -> None:
    assert credential_of(HttpRequest(headers={"cookie": "__session=T"}), None) is NO_CREDENTIAL


@pytest.mark.parametrize(
    ("cookie", "tokens"),
    [
        ("__session=T", ("T",)),
        ("a=1; __session=T; b=2", ("T",)),
        ("a=1,__session=T", ("T",)),
        ("a{b=1; __session=T", ("T",)),
        ("lonely; __session=T", ("T",)),
        (";;\t__session=T\t;", ("T",)),
        ("__session=a=b==", ("a=b==",)),
        (f"{SUFFIXED}=T", ("T",)),
        (f"__session=OLD; {SUFFIXED}=NEW", ("NEW", "OLD")),
        (f"{SUFFIXED}=NEW; __session=OLD", ("NEW", "OLD")),
        (f"__session=T; {SUFFIXED}=T", ("T",)),
        ("__session=T; __session=T", ("T",)),
        ("__session=; __session=T", ("T",)),
    ],
)
def test_session_cookies_are_read_the_suffixed_one_first(
    cookie: str, tokens: tuple[str, ...]
) -> None:
    assert CookieTokens(tokens) == credential_of(HttpRequest(headers={"cookie": cookie}), COOKIES)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "a=1",
        "__session",
        "__session=",
        "__sessionEvil=T",
        "__session_evil=T",
        f"{SUFFIXED}x=T",
        "__SESSION=T",
        "x__session=T",
        "__session =T",
        '"__session"=T',
        "__Host-__session=T",
    ],
)
def test_no_other_cookie_is_a_session(cookie: str) -> None:
    assert credential_of(HttpRequest(headers={"cookie": cookie}), COOKIES) is NO_CREDENTIAL


@pytest.mark.parametrize("joint", [";", "; ", ",", ", "])
@pytest.mark.parametrize("name", ["__session", SUFFIXED])
def test_a_cookie_sent_twice_with_two_values_is_refused(name: str, joint: str) -> None:
    request = HttpRequest(headers={"cookie": f"{name}=A{joint}{name}=B"})

    assert credential_of(request, COOKIES) is Reason.COOKIE_AMBIGUOUS


@pytest.mark.parametrize(
    ("method", "headers", "is_accepted"),
    [
        ("GET", {}, True),
        ("HEAD", {}, True),
        ("OPTIONS", {}, True),
        ("GET", {"origin": ORIGIN}, True),
        ("GET", {"origin": "https://evil.example"}, False),
        ("GET", {"origin": "null"}, False),
        ("GET", {"origin": ""}, False),
        ("GET", {"origin": f"{ORIGIN}/"}, False),
        ("GET", {"origin": f"{ORIGIN},https://evil.example"}, False),
        ("POST", {}, False),
        ("get", {}, False),
        ("CONNECT", {}, False),
        ("", {}, False),
        ("POST", {"origin": ORIGIN}, True),
        ("POST", {"origin": "https://evil.example"}, False),
        ("POST", {"sec-fetch-site": "same-origin"}, True),
        ("POST", {"sec-fetch-site": "same-site"}, False),
        ("POST", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"sec-fetch-site": "none"}, False),
        ("POST", {"sec-fetch-site": "same-origin,cross-site"}, False),
        ("POST", {"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
    ],
)
def test_a_cookie_counts_only_when_our_own_origin_sent_it(
    method: str, headers: dict[str, str], *, is_accepted: bool
) -> None:
    request = HttpRequest(method=method, headers={"cookie": "__session=T", **headers})

    expected = CookieTokens(("T",)) if is_accepted else Reason.COOKIE_CROSS_SITE

    assert expected == credential_of(request, COOKIES)


def test_a_foreign_page_without_our_cookie_is_nobody_rather_than_refused() -> None:
    request = HttpRequest(
        method="POST", headers={"cookie": "a=1", "origin": "https://evil.example"}
    )

    assert credential_of(request, COOKIES) is NO_CREDENTIAL


@given(st.dictionaries(st.sampled_from(["authorization", "cookie", "origin"]), st.text()))
def test_a_credential_is_found_or_refused_in_any_headers(headers: dict[str, str]) -> None:
    """
    Nothing is raised; and a bearer token is one visible word, whatever surrounds it.
    """
    found = credential_of(HttpRequest(headers=headers), COOKIES)

    if isinstance(found, BearerToken):
        assert found.token.isascii()
        assert found.token.isprintable()
        assert not {" ", ","} & set(found.token)


@pytest.mark.parametrize(
    ("others", "credential"),
    [(MAX_COOKIES - 1, CookieTokens(("T",))), (MAX_COOKIES, Reason.COOKIE_AMBIGUOUS)],
)
def test_a_session_cookie_among_too_many_is_refused_unread(
    others: int, credential: CookieTokens | Reason
) -> None:
    request = HttpRequest(headers={"cookie": "__session=T" + ";a=b" * others})

    assert credential_of(request, COOKIES) == credential


def test_any_number_of_cookies_without_a_session_is_no_credential() -> None:
    request = HttpRequest(headers={"cookie": ";a=b" * MAX_COOKIES})

    assert credential_of(request, COOKIES) is NO_CREDENTIAL


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("__session=T" + ";a=b" * (MAX_COOKIES - 1), "; ".join(["a=b"] * (MAX_COOKIES - 1))),
        ("__session=T" + ";a=b" * MAX_COOKIES, ""),
        (";a=b" * MAX_COOKIES, None),
    ],
)
def test_of_too_many_cookies_none_is_left_when_one_may_be_a_session(
    header: str, left: str | None
) -> None:
    assert without_session_cookies(HttpRequest(headers={"cookie": header}), COOKIES) == left
