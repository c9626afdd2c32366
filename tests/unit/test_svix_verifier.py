"""Svix' library, behind its gate."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks import OTHER_SECRET, SECRET, USER_CREATED, signed
from wicketgate.adapters.svix_verifier import SvixVerifier
from wicketgate.core.delivery import MessageId
from wicketgate.core.webhook import UnverifiedHeaders


def unverified(body: bytes = USER_CREATED) -> UnverifiedHeaders:
    headers = signed(body)
    return UnverifiedHeaders(
        message_id=MessageId(headers["svix-id"]),
        timestamp=headers["svix-timestamp"],
        signatures=headers["svix-signature"],
    )


@pytest.mark.parametrize("body", [USER_CREATED, b"", b"not JSON", b"\xef\xbb\xbf{}"])
def test_a_signature_of_the_secret_is_accepted_whatever_was_signed(body: bytes) -> None:
    assert SvixVerifier(SECRET).accepts(unverified(body), body)


def test_a_signature_of_another_secret_is_not() -> None:
    assert not SvixVerifier(OTHER_SECRET).accepts(unverified(), USER_CREATED)


def test_another_body_is_not() -> None:
    assert not SvixVerifier(SECRET).accepts(unverified(), USER_CREATED + b" ")


@pytest.mark.parametrize(
    "hostile",
    [
        replace(unverified(), message_id=MessageId("\udcff")),
        replace(unverified(), timestamp="nan"),
        replace(unverified(), timestamp="9" * 400),
        *(replace(unverified(), signatures=it) for it in ("", "v1", "v1,A", "v1,é", "v1,a,b")),
    ],
)
def test_hostile_headers_do_not_verify_and_raise_nothing(hostile: UnverifiedHeaders) -> None:
    """
    The gate lets none of these through, and must not be needed for this.
    """
    assert not SvixVerifier(SECRET).accepts(hostile, USER_CREATED)


def test_a_body_that_is_not_utf_8_does_not_verify() -> None:
    assert not SvixVerifier(SECRET).accepts(unverified(b"\xff"), b"\xff")


@given(st.text(st.characters()), st.text(st.characters()), st.binary(max_size=50))
def test_whatever_comes_raises_nothing(message_id: str, signature: str, body: bytes) -> None:
    headers = replace(unverified(), message_id=MessageId(message_id), signatures=signature)

    assert not SvixVerifier(SECRET).accepts(headers, body)


@pytest.mark.parametrize("secret", ["", "whsec_", "whpk_x", SECRET[:-1], f" {SECRET}"])
def test_a_secret_that_is_none_is_refused_and_never_quoted(secret: str) -> None:
    with pytest.raises(ValueError, match="the signing secret ") as refused:
        SvixVerifier(secret)

    assert SECRET[6:14] not in str(refused.value)


def test_the_secret_is_not_shown() -> None:
    assert SECRET[6:] not in repr(SvixVerifier(SECRET))
