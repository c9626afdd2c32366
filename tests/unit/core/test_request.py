"""Which request targets can be judged, and what a request says of itself."""

import posixpath
import string
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wicketgate.core.request import HttpRequest, is_ambiguous


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/me",
        "/v1/me/",
        "/a.b/c..d/e.",
        "/.well-known/jwks.json",
        "/...",
        "/a%20b",
        "/100%25",
        "/caf%C3%A9",
        "/a:b@c!$&'()*+,=~_-",
        '/"<>^`{|}',
    ],
)
def test_paths_that_every_reader_reads_alike_are_judged(path: str) -> None:
    assert not is_ambiguous(path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="empty"),
        pytest.param("*", id="asterisk form"),
        pytest.param("http://other/admin", id="absolute form"),
        pytest.param("admin", id="no slash"),
        pytest.param("//admin", id="CVE-2026-26205: parsed as an authority"),
        pytest.param("/a//b", id="CVE-2021-29492: doubled slash"),
        pytest.param("/a//", id="doubled trailing slash"),
        pytest.param("/public/../admin", id="CVE-2019-9901: dot dot"),
        pytest.param("/public/..", id="dot dot last"),
        pytest.param("/./admin", id="dot"),
        pytest.param("/public/%2e%2e/admin", id="dot dot encoded"),
        pytest.param("/public/.%2E/admin", id="dot dot half encoded"),
        pytest.param("/public/%2e", id="dot encoded"),
        pytest.param("/public/..;/admin", id="path parameter"),
        pytest.param("/admin;x", id="parameter"),
        pytest.param("/admin%3bx", id="parameter encoded"),
        pytest.param("/public\\..\\admin", id="backslash"),
        pytest.param("/public%5c..%5cadmin", id="backslash encoded"),
        pytest.param("/admin%2f", id="CVE-2021-29492: slash encoded"),
        pytest.param("/admin%2F..%2Fx", id="slash encoded, upper case"),
        pytest.param("/admin#f", id="CVE-2021-32779: fragment"),
        pytest.param("/admin%23f", id="fragment encoded"),
        pytest.param("/admin%3fx", id="CVE-2026-32811: question mark encoded"),
        pytest.param("/admin%00", id="NUL"),
        pytest.param("/admin%0d%0a", id="line break"),
        pytest.param("/admin%7f", id="DEL"),
        pytest.param("/admin\n", id="raw line feed"),
        pytest.param("/ad min", id="raw space"),
        pytest.param("/caf\u00e9", id="raw non-ASCII"),
        pytest.param("/\udcff", id="surrogate"),
        pytest.param("/%61dmin", id="a letter encoded"),
        pytest.param("/x%2ey", id="a dot encoded"),
        pytest.param("/%7Eada", id="a tilde encoded"),
        pytest.param("/" + "a" * 4095 + "%20", id="too long to be looked at"),
        pytest.param("/a%zz", id="not hexadecimal"),
        pytest.param("/a%", id="escape without digits"),
        pytest.param("/a%4", id="escape with one digit"),
        pytest.param("/%252e%252e/admin", id="escape encoded"),
        pytest.param("/%25%32%65/admin", id="escape encoded, and its digits"),
        pytest.param("/%25%32e/admin", id="escape encoded, and one digit"),
        pytest.param("/%c0%ae%c0%ae/admin", id="overlong UTF-8"),
        pytest.param("/%ff", id="not UTF-8"),
        pytest.param("/%ed%a0%80", id="surrogate in UTF-8"),
    ],
)
def test_paths_that_two_readers_could_read_differently_are_ambiguous(path: str) -> None:
    assert is_ambiguous(path)


PIECES = st.sampled_from(
    [
        *("/", ".", "..", "%", "%2e", "%2E", "%2f", "%5c", "%25", "%32", "%65", "%20", "%00"),
        *("a", "admin", ";", "\\", "?", "#", "%c3%a9", "%c3", "2e", "25", "~", " ", "\u00e9"),
    ]
)
PATHS = st.one_of(
    st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)),
    st.text(st.characters(), max_size=30).map("/{}".format),
    st.text(st.characters(), max_size=30),
)


def _segments(path: str) -> list[str]:
    """Read a path as a router does that decodes first and resolves afterwards."""
    segments = posixpath.normpath(unquote(path, errors="strict")).split("/")
    return segments if segments != ["", ""] else [""]


@given(PATHS)
@example("/%25%32%65/x")
@example("/a%2e/b")
@example("//")
def test_an_unambiguous_path_has_the_same_segments_to_every_reader(path: str) -> None:
    """
    Split then decode, decode then resolve then split, and decode twice: all agree.
    """
    if is_ambiguous(path):
        return

    without_last_slash = path.removesuffix("/")
    split_first = [unquote(segment) for segment in without_last_slash.split("/")]

    assert split_first == _segments(path)
    assert split_first == [unquote(segment) for segment in split_first]


@given(st.text(st.characters()))
def test_every_path_gets_a_verdict(path: str) -> None:
    """
    No text makes the reader raise, and only what begins with a slash can pass.
    """
    assert is_ambiguous(path) or path.startswith("/")


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a", "/a"), ("/a?x=1", "/a"), ("/a?x=../?y", "/a"), ("?x", ""), ("", "")],
)
def test_the_path_ends_at_the_first_question_mark(target: str, path: str) -> None:
    assert path == HttpRequest(target=target).path


@pytest.mark.parametrize(
    ("content_type", "is_grpc"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc+", True),
        ("application/grpc-web", False),
        ("application/grpc; charset=utf-8", False),
        ("Application/Grpc", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_grpc_callers_are_told_by_their_content_type(content_type: str, *, is_grpc: bool) -> None:
    assert is_grpc == HttpRequest(headers={"content-type": content_type}).is_grpc


def test_a_request_without_content_type_is_not_grpc() -> None:
    assert not HttpRequest().is_grpc


def test_every_escape_of_a_control_a_delimiter_or_a_plain_character_is_ambiguous() -> None:
    """
    The table of unsafe escapes has no gap, and does not reach beyond its purpose.
    """
    plain = f"{string.ascii_letters}{string.digits}-._~".encode()
    unsafe = {*range(0x20), 0x7F, *b"/\\;?#", *plain}
    visible = [octet for octet in range(0x80) if not is_ambiguous(f"/x%{octet:02X}y")]

    assert sorted(set(range(0x80)) - unsafe) == visible
