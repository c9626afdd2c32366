"""Our lean messages against the full published API, which another library encodes."""

from collections.abc import Mapping
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import Address, HeaderMap, HeaderValue, SocketAddress
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOptionHeaderAppendAction as Append
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    AttributeContextTlsSession,
    CheckRequest,
    CheckResponse,
)
from hypothesis import given
from hypothesis import strategies as st

from conformance.table import SESSION, World
from gates import answer, denial, make_gate
from tokens import STATIC_SERVICE, USER_RULE
from wicketgate.adapters.envoy import MAX_RAW_HEADERS, Responses, request_from
from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.identity import STRIPPED, IdentityHeaders, spellings_of
from wicketgate.core.reason import ANSWERS, PUBLIC_WORD, Reason
from wicketgate.core.verdict import (
    ANONYMOUS,
    Allow,
    Deny,
    Principal,
    User,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-_:", min_size=1, max_size=12)
OCTETS = st.binary(max_size=20)
USER_ID = UserId("user_2abc")
USER = User(
    Claims(
        user_id=USER_ID,
        session_id=SessionId(SESSION),
        issued_at=0.0,
        not_before=0.0,
        expires_at=60.0,
        document={},
    )
)


@given(
    method=TEXT,
    path=TEXT,
    host=TEXT,
    headers=st.dictionaries(NAMES, TEXT, max_size=5),
    context=st.dictionaries(TEXT, TEXT, max_size=3),
    principal=TEXT,
    unread=TEXT,
)
def test_a_check_request_means_the_same_here(
    *,
    method: str,
    path: str,
    host: str,
    headers: dict[str, str],
    context: dict[str, str],
    principal: str,
    unread: str,
) -> None:
    """
    The fields that are read arrive; those that are not are skipped, not stumbled over.
    """
    raw = bytes(
        CheckRequest(
            attributes=AttributeContext(
                source=AttributeContextPeer(
                    address=Address(
                        socket_address=SocketAddress(address="192.0.2.1", port_value=4711)
                    ),
                    service=unread,
                    labels={"a": unread},
                    principal=principal,
                    certificate=unread,
                ),
                destination=AttributeContextPeer(principal=unread),
                request=AttributeContextRequest(
                    http=AttributeContextHttpRequest(
                        id=unread,
                        method=method,
                        headers=headers,
                        path=path,
                        host=host,
                        scheme="http",
                        query=unread,
                        fragment=unread,
                        size=7,
                        protocol="HTTP/2",
                        body=unread,
                        raw_body=unread.encode(),
                    )
                ),
                context_extensions=context,
                tls_session=AttributeContextTlsSession(sni=unread),
            )
        )
    )

    request = request_from(raw)

    assert method == request.method
    assert path == request.target
    assert host == request.host
    assert {name.lower(): value for name, value in headers.items()} == request.headers
    assert context == request.context
    assert principal == request.source_principal


def raw_headers(*pairs: tuple[str, str | bytes]) -> bytes:
    """Return a Check as ``encode_raw_headers`` makes it."""
    entries = [
        HeaderValue(key=name, value=value)
        if isinstance(value, str)
        else HeaderValue(key=name, raw_value=value)
        for name, value in pairs
    ]
    http = AttributeContextHttpRequest(path="/", header_map=HeaderMap(headers=entries))
    return bytes(
        CheckRequest(attributes=AttributeContext(request=AttributeContextRequest(http=http)))
    )


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((("authorization", b"Bearer a"),), {"authorization": "Bearer a"}),
        ((("authorization", "Bearer a"),), {"authorization": "Bearer a"}),
        (
            (("authorization", b"Bearer a"), ("authorization", b"Bearer b")),
            {"authorization": "Bearer a,Bearer b"},
        ),
        (
            (("Authorization", b"Bearer a"), ("authorization", b"b")),
            {"authorization": "Bearer a,b"},
        ),
        ((("x", b"\xff"),), {"x": "\ufffd"}),
        ((("x", b""),), {"x": ""}),
    ],
)
def test_raw_headers_are_read_like_the_map(
    pairs: tuple[tuple[str, str | bytes], ...], expected: dict[str, str]
) -> None:
    assert expected == request_from(raw_headers(*pairs)).headers


def test_raw_headers_have_to_be_few_enough_for_all_to_wait() -> None:
    """
    Each is looked at while every other Check waits; the gate denies what raises here.
    """
    most = [(f"x-{number}", b"v") for number in range(MAX_RAW_HEADERS)]

    assert len(request_from(raw_headers(*most)).headers) == MAX_RAW_HEADERS
    with pytest.raises(ValueError, match="more than 10000 headers"):
        request_from(raw_headers(*most, ("x", b"v")))


async def test_a_check_with_more_raw_headers_is_denied(world: World) -> None:
    many = raw_headers(*[("x", b"v")] * (MAX_RAW_HEADERS + 1))

    denied = denial(await answer(make_gate(world), many))

    assert denied.status is not None
    assert denied.status.code == 400


def test_a_header_in_both_places_is_joined_and_so_refused() -> None:
    """
    Envoy fills one or the other; a mixture must not let either be overlooked.
    """
    http = AttributeContextHttpRequest(
        path="/",
        headers={"authorization": "Bearer a"},
        header_map=HeaderMap(headers=[HeaderValue(key="authorization", raw_value=b"Bearer b")]),
    )
    raw = bytes(
        CheckRequest(attributes=AttributeContext(request=AttributeContextRequest(http=http)))
    )

    assert request_from(raw).headers == {"authorization": "Bearer a,Bearer b"}


def decoded(
    verdict: Allow | Deny, *, aliases: tuple[str, ...] = (), error_response: bool = False
) -> CheckResponse:
    """Return the answer to `verdict`, read by the other library."""
    responses = Responses(IdentityHeaders(aliases=aliases), error_response=error_response)
    return CheckResponse.parse(responses.serialise(verdict, decision_id="d-1", is_grpc=False))


def metadata(response: CheckResponse) -> dict[str, Any]:
    """Return the dynamic metadata's strings."""
    assert response.dynamic_metadata is not None
    return {name: value.string_value for name, value in response.dynamic_metadata.fields.items()}


SET: Mapping[str, tuple[Principal, dict[str, str]]] = {
    "user": (USER, {"clerk_user_id": USER_ID, "wicketgate-principal": f"user:{USER_ID}"}),
    "service": (STATIC_SERVICE, {"wicketgate-principal": "service:static"}),
    "anonymous": (ANONYMOUS, {"wicketgate-principal": "anonymous"}),
}


@pytest.mark.parametrize("kind", SET)
def test_an_allow_has_code_0_and_overwrites(kind: str) -> None:
    principal, expected = SET[kind]

    response = decoded(Allow(principal, USER_RULE))

    assert response.status is not None
    assert response.status.code == 0
    assert response.denied_response is None
    assert response.error_response is None
    assert response.ok_response is not None
    options = response.ok_response.headers
    assert expected == {o.header.key: o.header.value for o in options if o.header}
    assert {Append.OVERWRITE_IF_EXISTS_OR_ADD} == {o.append_action for o in options}
    assert {None} == {o.append for o in options}


@pytest.mark.parametrize("aliases", [(), ("x-clerk-user-id",), ("x-user",)])
@pytest.mark.parametrize("kind", SET)
def test_an_allow_removes_every_other_spelling(kind: str, aliases: tuple[str, ...]) -> None:
    """
    Envoy removes after it sets: a name in both lists would arrive nowhere.
    """
    principal, _ = SET[kind]

    ok = decoded(Allow(principal, USER_RULE), aliases=aliases).ok_response

    assert ok is not None
    written = {option.header.key for option in ok.headers if option.header}
    removed = set(ok.headers_to_remove)
    assert not written & removed
    known = {name for header in (*STRIPPED, *aliases) for name in spellings_of(header)}
    assert known <= written | removed


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("error_response", [False, True])
def test_no_denial_has_code_0(reason: Reason, *, error_response: bool) -> None:
    response = decoded(Deny(reason, USER_RULE), error_response=error_response)

    assert response.status is not None
    assert response.status.code != 0
    assert response.ok_response is None
    expected = ANSWERS[PUBLIC_WORD.get(reason, reason)].status
    is_error = error_response and expected == 503
    denied = response.error_response if is_error else response.denied_response
    assert denied is not None
    assert denied.status is not None
    assert expected == denied.status.code
    assert (response.error_response is not None) == is_error
    assert metadata(response)["reason"] == reason


def test_metadata_names_the_user_and_the_decision() -> None:
    expected = {
        "reason": "allowed",
        "decision_id": "d-1",
        "rule": "public:user",
        "user_id": USER_ID,
    }
    assert expected == metadata(decoded(Allow(USER, USER_RULE)))


def test_metadata_names_nobody_who_was_not_verified() -> None:
    assert "user_id" not in metadata(decoded(Deny(Reason.SIGNATURE_INVALID, USER_RULE)))
