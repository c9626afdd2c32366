"""Service tokens: recognised exactly, configured safely, never quoted."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import SERVICE_TOKEN
from wicketgate.core.credential import BearerToken, credential_of
from wicketgate.core.jws import MACHINE_PREFIXES, MAX_TOKEN_BYTES
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import (
    EVERY_SCOPE,
    MIN_LENGTH,
    ServiceToken,
    ServiceTokens,
    complaint_about,
)

SECOND = "another-service-token-for-the-rotation"
NAMED = "a-token-of-the-tokens-file-for-billing"


def named(token: str = NAMED, *, scopes: frozenset[str] = frozenset()) -> ServiceToken:
    return ServiceToken(name="billing", digest=sha256(token.encode()).digest(), scopes=scopes)


@pytest.mark.parametrize("token", [SERVICE_TOKEN, SECOND])
def test_every_configured_token_is_recognised(token: str) -> None:
    expected = ServiceToken(
        name="static",
        digest=sha256(token.encode()).digest(),
        scopes=frozenset({EVERY_SCOPE}),
    )

    assert expected == ServiceTokens([SERVICE_TOKEN, SECOND]).recognise(token)


def test_tokens_have_names() -> None:
    assert ServiceTokens([SERVICE_TOKEN], [named()]).names == ("billing", "static")


def test_a_token_of_the_file_is_recognised_as_what_the_file_says() -> None:
    known = ServiceTokens([SERVICE_TOKEN], named=[named(SECOND), named()])

    assert named() == known.recognise(NAMED)


@pytest.mark.parametrize("token", [f"{NAMED}x", NAMED[:-1], "", "billing"])
def test_nothing_like_a_token_of_the_file_is_recognised(token: str) -> None:
    assert ServiceTokens(named=[named()]).recognise(token) is None


@pytest.mark.parametrize(
    ("scopes", "wanted", "expected"),
    [
        ({"a"}, {"a"}, True),
        ({"a", "b"}, {"b", "c"}, True),
        ({EVERY_SCOPE}, {"anything"}, True),
        ({EVERY_SCOPE}, set[str](), True),
        ({"a"}, {"b"}, False),
        ({"a"}, set[str](), False),
        (set[str](), {"a"}, False),
        ({"a"}, {EVERY_SCOPE}, False),
    ],
)
def test_scopes(scopes: set[str], wanted: set[str], *, expected: bool) -> None:
    assert expected == named(scopes=frozenset(scopes)).has_scope(wanted)


@pytest.mark.parametrize(
    "token",
    [
        "",
        SERVICE_TOKEN[:-1],
        SERVICE_TOKEN + "x",
        SERVICE_TOKEN.upper(),
        f" {SERVICE_TOKEN}",
        f"{SERVICE_TOKEN},{SECOND}",
        "a.b.c",
        "\udcff" * MIN_LENGTH,
    ],
)
def test_nothing_else_is_recognised(token: str) -> None:
    assert not ServiceTokens([SERVICE_TOKEN, SECOND]).recognise(token)


@pytest.mark.parametrize("token", ["", SERVICE_TOKEN, "a.b.c"])
def test_without_tokens_nothing_is_recognised(token: str) -> None:
    """
    An empty setting must not mean that the empty token is one.
    """
    assert not ServiceTokens().recognise(token)


def test_it_tells_whether_any_token_is_configured() -> None:
    assert ServiceTokens([SERVICE_TOKEN])
    assert ServiceTokens(named=[named()])
    assert not ServiceTokens()


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("x" * MIN_LENGTH, None),
        ("x" * (MIN_LENGTH - 1), f"has {MIN_LENGTH - 1} characters"),
        ("", "has 0 characters"),
        ("." + "x" * MIN_LENGTH, None),
        ("x" * MIN_LENGTH + "..", "two dots"),
        ("..." + "x" * MIN_LENGTH, None),
        ("mt_" + "x" * MIN_LENGTH, "begins like a Clerk machine token"),
        ("oat_" + "x" * MIN_LENGTH, "begins like a Clerk machine token"),
        ("x" * MAX_TOKEN_BYTES, None),
        ("x" * (MAX_TOKEN_BYTES + 1), "more than 8192"),
        ("x" * MIN_LENGTH + " y", "a space, a comma"),
        ("x" * MIN_LENGTH + ",y", "a space, a comma"),
        ("x" * MIN_LENGTH + "\n", "a space, a comma"),
        ("x" * MIN_LENGTH + "\x7f", "a space, a comma"),
        ("x" * MIN_LENGTH + "\u00e9", "a space, a comma"),
    ],
)
def test_a_token_that_could_not_work_is_complained_about(
    token: str, complaint: str | None
) -> None:
    found = complaint_about(token)

    assert (complaint is None) == (found is None)
    assert (complaint or "") in (found or "")


def test_an_unusable_token_is_refused_by_number_and_never_quoted() -> None:
    with pytest.raises(ValueError, match="service token 2 has 9 characters") as refused:
        ServiceTokens([SERVICE_TOKEN, "too-short"])

    assert "too-short" not in str(refused.value)


def test_the_tokens_themselves_are_not_kept() -> None:
    """
    What a memory dump of the object holds is digests.
    """
    kept = vars(ServiceTokens([SERVICE_TOKEN]))
    digests = [known.digest for known in kept["_tokens"]]

    assert SERVICE_TOKEN not in repr(kept)
    assert [sha256(SERVICE_TOKEN.encode()).digest()] == digests


@given(st.text(st.characters(), min_size=MIN_LENGTH))
def test_a_token_without_complaint_fits_an_authorization_header(token: str) -> None:
    """
    Whoever configures it can also send it: the two grammars are one.
    """
    request = HttpRequest(headers={"authorization": f"Bearer {token}"})
    if complaint_about(token) is None:
        assert BearerToken(token) == credential_of(request, None)
        assert ServiceTokens([token]).recognise(token)
    elif token.count(".") != 2 and not token.startswith(MACHINE_PREFIXES):
        assert BearerToken(token) != credential_of(request, None)


@given(st.text(st.characters()))
def test_any_text_can_be_asked_about(token: str) -> None:
    found = ServiceTokens([SERVICE_TOKEN]).recognise(token)

    assert (token == SERVICE_TOKEN) == (found is not None)
