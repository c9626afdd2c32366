"""Which host a request is for, and which patterns it fits."""

from itertools import product

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.policy.host import MAX_HOST, HostPattern, canonical_host


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("", ""),
        ("api.example.com", "api.example.com"),
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("api.example.com:8443", "api.example.com"),
        ("api.example.com.:8443", "api.example.com"),
        ("API.example.com.:443", "api.example.com"),
        ("localhost", "localhost"),
        ("a", "a"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[::ffff:192.0.2.1]", "[::ffff:c000:201]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("a" * MAX_HOST, "a" * MAX_HOST),
    ],
)
def test_case_port_and_final_dot_make_no_difference(authority: str, host: str) -> None:
    assert host == canonical_host(authority)


NOT_A_HOST = [
    pytest.param("api.example.com\n", id="line feed"),
    pytest.param("api.example.com\nother.example", id="line feed within"),
    pytest.param("\napi.example.com", id="line feed first"),
    pytest.param(" api.example.com", id="space"),
    pytest.param("api example.com", id="space within"),
    pytest.param("api.example.com\t", id="tab"),
    pytest.param("api.example.com\x00", id="NUL"),
    pytest.param("user@api.example.com", id="userinfo"),
    pytest.param("api.example.com@evil.example", id="userinfo that looks like the host"),
    pytest.param("api.example.com:", id="port without digits"),
    pytest.param("api.example.com:80:80", id="two ports"),
    pytest.param("api.example.com:http", id="port by name"),
    pytest.param("api.example.com:800000", id="port of six digits"),
    pytest.param("api.example.com:\u0661", id="port of another script"),
    pytest.param("api.example.com..", id="two final dots"),
    pytest.param("api..example.com", id="empty label"),
    pytest.param(".example.com", id="dot first"),
    pytest.param(".", id="dot alone"),
    pytest.param(":80", id="port alone"),
    pytest.param("-api.example.com", id="dash first"),
    pytest.param("api.example.com-", id="dash last"),
    pytest.param("api.example.com/admin", id="path"),
    pytest.param("api.example.com\\", id="backslash"),
    pytest.param("api.example.com?x", id="query"),
    pytest.param("api.example.com#x", id="fragment"),
    pytest.param("api%2eexample.com", id="percent"),
    pytest.param("api.example.com,other.example", id="two joined"),
    pytest.param("*.example.com", id="wildcard"),
    pytest.param("b\u00fccher.example", id="not ASCII"),
    pytest.param("\u212aelvin.example", id="lower-cases into ASCII"),
    pytest.param("example\u3002com", id="ideographic full stop"),
    pytest.param("\udcff", id="surrogate"),
    pytest.param("[::1", id="bracket left open"),
    pytest.param("::1", id="address without brackets"),
    pytest.param("[::1%25eth0]", id="zone"),
    pytest.param("[]", id="brackets around nothing"),
    pytest.param("[::1]x", id="more after the bracket"),
    pytest.param("a" * (MAX_HOST + 1), id="too long"),
]


@pytest.mark.parametrize("authority", NOT_A_HOST)
def test_what_two_readers_could_take_for_different_hosts_is_none(authority: str) -> None:
    assert canonical_host(authority) is None


LABELS = st.text("abAB01_-", min_size=1, max_size=4)
AUTHORITIES = st.one_of(
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.text("aA1.-_:@[]* \n/", max_size=12),
    st.text(st.characters(), max_size=8),
)


@given(AUTHORITIES)
@example("[::1]")
def test_the_host_of_any_text_is_plain_or_none(authority: str) -> None:
    """
    Nothing is raised, and a host that was found is found again in itself.
    """
    host = canonical_host(authority)

    if host:
        assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-[:]")
        assert host == canonical_host(host)
        assert host == canonical_host(f"{host.upper()}.:8080")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.com", "api.example.com"),
        ("*.example.com", "*.example.com"),
        ("*.Example.COM", "*.example.com"),
        ("localhost", "localhost"),
        ("*.com", "*.com"),
        ("_srv.example.com", "_srv.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_patterns_that_are_understood(text: str, expected: str) -> None:
    assert HostPattern(expected) == HostPattern.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "*.", ".", "**.example.com", "*.*.example.com", "a.*.example.com"),
        *("*example.com", "example.*", "api.example.com:443", "api.example.com.", ".example.com"),
        *("api..example.com", "-a.example.com", "a-.example.com", "user@example.com"),
        *("https://example.com", "example.com/", "a b", "a\n", "\n", "*.[::1]", "[::1]:80"),
        *("b\u00fccher.example", "a" * (MAX_HOST + 1), "\udcff"),
    ],
)
def test_patterns_that_are_refused(text: str) -> None:
    expected = r"^expected a host such as api\.example\.com or \*\.example\.com, without a port$"

    with pytest.raises(ValueError, match=expected):
        HostPattern.parse(text)


@pytest.mark.parametrize("text", ["[:::]", "[1:2]", "[.]"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an address instead of "):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("api.example.com", "api.example.com", True),
        ("api.example.com", "apixexample.com", False),
        ("api.example.com", "v1.api.example.com", False),
        ("api.example.com", "example.com", False),
        ("api.example.com", "", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "v1.api.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "notexample.com", False),
        ("*.example.com", "api.example.com.evil.example", False),
        ("*.example.com", "api.examplexcom", False),
        ("*.example.com", "", False),
        ("[::1]", "[::1]", True),
        ("[::1]", "[::11]", False),
    ],
)
def test_which_hosts_fit(pattern: str, host: str, *, fits: bool) -> None:
    parsed = HostPattern.parse(pattern)

    assert fits == parsed.matches(host)
    assert fits == (re2.fullmatch(parsed.expression, host) is not None)


@pytest.mark.parametrize(
    ("pattern", "other", "covers"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("a.example", "*.a.example", False),
        ("a.example", "*.example", False),
        ("*.example", "a.example", True),
        ("*.example", "b.a.example", True),
        ("*.example", "*.example", True),
        ("*.example", "*.a.example", True),
        ("*.example", "example", False),
        ("*.a.example", "*.example", False),
        ("*.a.example", "*.b.example", False),
        ("*.a.example", "*.ba.example", False),
    ],
)
def test_which_pattern_covers_which(pattern: str, other: str, *, covers: bool) -> None:
    assert covers == HostPattern.parse(pattern).covers(HostPattern.parse(other))


NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)
PATTERNS = st.tuples(st.sampled_from(["", "*."]), NAMES).map("".join).map(HostPattern.parse)
# A label that no pattern has stands for all the others.
HOSTS = [".".join(labels) for count in range(1, 6) for labels in product("abz", repeat=count)]


@given(PATTERNS, PATTERNS)
def test_a_pattern_covers_another_exactly_when_it_fits_all_that_the_other_fits(
    pattern: HostPattern, other: HostPattern
) -> None:
    expected = all(pattern.matches(host) for host in HOSTS if other.matches(host))

    assert expected == pattern.covers(other)


@given(PATTERNS, st.text("ab.z", max_size=8) | st.sampled_from(HOSTS))
def test_the_expression_fits_what_the_pattern_fits(pattern: HostPattern, host: str) -> None:
    assert pattern.matches(host) == (re2.fullmatch(pattern.expression, host) is not None)
