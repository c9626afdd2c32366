"""A compact JWS taken apart, strictly."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import clerk, token, valid_token
from wicketgate.core.jws import MACHINE_PREFIXES, MAX_TOKEN_BYTES, UnverifiedJws, parse_jws
from wicketgate.core.reason import Reason
from wicketgate.local.clerk_instance import ABSENT, base64url

HEADER = {"alg": "RS256", "kid": "ins_1", "typ": "JWT"}


def form(header: object = HEADER, payload: object = None, signature: bytes = b"s") -> str:
    """Return the form of a token; nobody signed it."""
    segments = (json.dumps(header).encode(), json.dumps(payload or {}).encode(), signature)
    return ".".join(base64url(segment) for segment in segments)


def test_a_session_token_falls_into_its_parts() -> None:
    parts = parse_jws(valid_token())

    assert isinstance(parts, UnverifiedJws)
    assert clerk().kid == parts.kid
    assert parts.category == "cl_B7d4PD111AAA"
    assert valid_token().rpartition(".")[0].encode() == parts.signing_input
    assert valid_token().rpartition(".")[2] == base64url(parts.signature)
    assert clerk().issuer == parts.unverified_claims["iss"]


@pytest.mark.parametrize(
    "header",
    [
        {"typ": ABSENT},
        {"cat": ABSENT},
        {"oiat": 1},
        {"kid": "x"},
        {"kid": "A-Za-z0-9_-"},
        {"kid": "x" * 128},
    ],
)
def test_headers_that_ask_for_nothing_are_accepted(header: dict[str, object]) -> None:
    assert isinstance(parse_jws(token(header=header)), UnverifiedJws)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": ABSENT}, Reason.TOKEN_ALGORITHM),
        ({"alg": None}, Reason.TOKEN_ALGORITHM),
        ({"alg": "none"}, Reason.TOKEN_ALGORITHM),
        ({"alg": "rs256"}, Reason.TOKEN_ALGORITHM),
        ({"alg": "RS256 "}, Reason.TOKEN_ALGORITHM),
        ({"alg": ["RS256"]}, Reason.TOKEN_ALGORITHM),
        ({"alg": "RS384"}, Reason.TOKEN_ALGORITHM),
        ({"alg": "HS256"}, Reason.TOKEN_ALGORITHM),
        ({"alg": "EdDSA"}, Reason.TOKEN_ALGORITHM),
        ({"crit": []}, Reason.TOKEN_HEADER_UNSUPPORTED),
        ({"crit": None}, Reason.TOKEN_HEADER_UNSUPPORTED),
        ({"b64": True}, Reason.TOKEN_HEADER_UNSUPPORTED),
        ({"zip": "DEF"}, Reason.TOKEN_HEADER_UNSUPPORTED),
        ({"typ": "jwt"}, Reason.TOKEN_TYPE),
        ({"typ": "JWS"}, Reason.TOKEN_TYPE),
        ({"typ": ""}, Reason.TOKEN_TYPE),
        ({"typ": None}, Reason.TOKEN_TYPE),
        ({"typ": ["JWT"]}, Reason.TOKEN_TYPE),
        ({"typ": "at+jwt"}, Reason.MACHINE_TOKEN),
        ({"typ": "application/at+jwt"}, Reason.MACHINE_TOKEN),
        ({"kid": ABSENT}, Reason.KEY_ID_INVALID),
        ({"kid": None}, Reason.KEY_ID_INVALID),
        ({"kid": ""}, Reason.KEY_ID_INVALID),
        ({"kid": 1}, Reason.KEY_ID_INVALID),
        ({"kid": ["ins_1"]}, Reason.KEY_ID_INVALID),
        ({"kid": "x" * 129}, Reason.KEY_ID_INVALID),
        ({"kid": "../../etc/passwd"}, Reason.KEY_ID_INVALID),
        ({"kid": "ins_1\n"}, Reason.KEY_ID_INVALID),
        ({"kid": "ins_\u0661"}, Reason.KEY_ID_INVALID),
    ],
)
def test_any_other_header_is_refused(header: dict[str, object], reason: Reason) -> None:
    assert reason is parse_jws(token(header=header))


@pytest.mark.parametrize("prefix", MACHINE_PREFIXES)
def test_machine_credentials_are_told_apart_by_their_prefix(prefix: str) -> None:
    assert parse_jws(prefix + "abc") is Reason.MACHINE_TOKEN
    assert parse_jws("x" + prefix + "abc") is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    ("length", "is_accepted"), [(MAX_TOKEN_BYTES, True), (MAX_TOKEN_BYTES + 1, False)]
)
def test_the_limit_of_length_is_inclusive(length: int, *, is_accepted: bool) -> None:
    # One of four lengths is no base64url at all: lengthen the header until it is.
    text = next(
        text for kid in ("i", "in", "ins", "ins_") if (text := _exactly(length, kid)) is not None
    )
    parsed = parse_jws(text)

    assert length == len(text)
    assert is_accepted == isinstance(parsed, UnverifiedJws)
    assert is_accepted or parsed is Reason.TOKEN_TOO_LARGE


def _exactly(length: int, kid: str) -> str | None:
    start = form({**HEADER, "kid": kid}, signature=b"") + "A"
    text = start.ljust(length, "A")
    return None if len(text.rpartition(".")[2]) % 4 == 1 else text


def test_the_limit_can_be_set() -> None:
    assert parse_jws(form(), limit=10) is Reason.TOKEN_TOO_LARGE
    assert isinstance(parse_jws(form(), limit=len(form())), UnverifiedJws)


VALID_HEADER, VALID_PAYLOAD, VALID_SIGNATURE = form().split(".")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("opaque", id="one segment"),
        pytest.param(f"{VALID_HEADER}.{VALID_PAYLOAD}", id="two segments"),
        pytest.param(f"{form()}.", id="four segments"),
        pytest.param(f"{form()}.e30.e30", id="JWE"),
        pytest.param(f".{VALID_PAYLOAD}.{VALID_SIGNATURE}", id="no header"),
        pytest.param(f"{VALID_HEADER}..{VALID_SIGNATURE}", id="no payload"),
        pytest.param("..", id="nothing but dots"),
        pytest.param(f"{form()}=", id="padded signature"),
        pytest.param(f"{form()}====", id="padding without need"),
        pytest.param(f"{form()}\n", id="trailing line feed"),
        pytest.param(f" {form()}", id="leading space"),
        pytest.param(form()[:-1] + "x", id="stray trailing bits"),
        pytest.param(f"{VALID_HEADER}.{VALID_PAYLOAD}.A", id="impossible length"),
        pytest.param(f"{VALID_HEADER}.{VALID_PAYLOAD}.+/+/", id="standard alphabet"),
        pytest.param(f"{VALID_HEADER}.{VALID_PAYLOAD}.AA*AA", id="foreign character"),
        pytest.param(f"{form()}\u00e9", id="not ASCII"),
        pytest.param(f"{form()}\udcff", id="surrogate"),
        pytest.param(f"bnVsbA.{VALID_PAYLOAD}.c3M", id="header null"),
        pytest.param(f"{VALID_HEADER}.bnVsbA.c3M", id="payload null"),
        pytest.param(f"{VALID_HEADER}.W10.c3M", id="payload array"),
    ],
)
def test_any_other_form_is_malformed(text: str) -> None:
    assert parse_jws(text) is Reason.TOKEN_MALFORMED


def test_an_empty_signature_is_a_form_and_nothing_more() -> None:
    """
    Whether it verifies is for the key to say.
    """
    parts = parse_jws(form(signature=b""))

    assert isinstance(parts, UnverifiedJws)
    assert parts.signature == b""


@given(st.text(st.characters()))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    assert isinstance(parse_jws(text), UnverifiedJws | Reason)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["RS256", "JWT"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["alg", "typ", "kid", "cat", "crit", "b64", "zip"]), JSON)
def test_any_one_header_member_spoiled_is_refused_or_harmless(name: str, value: object) -> None:
    parsed = parse_jws(form({**HEADER, name: value}))

    if isinstance(parsed, UnverifiedJws):
        assert name not in {"crit", "b64", "zip"}
        assert name not in {"alg", "typ"} or HEADER[name] == value


def plainly_decoded(segment: str) -> bytes | None:
    """Return what base64url says, if a strict encoder would have written it so."""
    try:
        raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        return None
    return raw if base64url(raw) == segment else None


@given(
    st.binary(max_size=12).map(base64url),
    st.integers(0, 16),
    st.text(st.sampled_from("AQgwBPZ_-+/=. \n\x7f"), max_size=2),
)
def test_a_signature_is_read_as_a_strict_decoder_would(text: str, at: int, put: str) -> None:
    segment = text[:at] + put + text[at:]
    head = form().rpartition(".")[0]

    parts = parse_jws(f"{head}.{segment}")

    found = parts.signature if isinstance(parts, UnverifiedJws) else None
    assert found == (None if "." in segment else plainly_decoded(segment))


@pytest.mark.parametrize(
    "last", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)
@pytest.mark.parametrize("start", ["", "A", "AA", "AAA"])
def test_stray_bits_are_refused_after_any_number_of_characters(start: str, last: str) -> None:
    segment = start + last
    parts = parse_jws(f"{form().rpartition('.')[0]}.{segment}")

    found = parts.signature if isinstance(parts, UnverifiedJws) else None
    assert found == plainly_decoded(segment)
