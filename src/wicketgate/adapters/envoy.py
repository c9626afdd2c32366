"""Between Envoy's messages and ours; the only user of protobuf.

Pure: bytes in, bytes out. Envoy lets a request pass when, and only when,
``status.code`` is 0, whatever else the answer says, and an answer without a
status has code 0. So code 0 is written in one place, `_allowed`, and every other
answer goes through `_denied`, which cannot produce it.

Source: ``envoy.service.auth.v3.CheckRequest`` and ``CheckResponse``;
``google.rpc.Code``.
"""

from collections.abc import Iterable, Mapping
from typing import Final, assert_never

from google.protobuf.struct_pb2 import Struct

from wicketgate._gen.ext_authz_pb2 import (
    AttributeContext,
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from wicketgate.core.answer import UNAVAILABLE, answer_to
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.verdict import (
    Allow,
    Deny,
    Principal,
    User,
    Verdict,
)

SERVICE: Final = "envoy.service.auth.v3.Authorization"
"""The gRPC service; also the name under which its health is asked for."""

_OK: Final = 0
_PERMISSION_DENIED: Final = 7
_CODES: Final[Mapping[int, int]] = {400: 3, 401: 16, 403: _PERMISSION_DENIED, 503: 14}
"""``google.rpc.Code`` for the HTTP statuses that denials have."""

MAX_PREPARED_BYTES: Final = 8 * 1024 * 1024
"""Answers that are kept, about 600 bytes each: one for each user under each rule."""

_OVERWRITE: Final = HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD


def request_from(raw: bytes) -> HttpRequest:
    """Read a serialised ``CheckRequest``.

    Raises:
        google.protobuf.message.DecodeError: `raw` is not a ``CheckRequest``.
    """
    attributes = CheckRequest.FromString(raw).attributes
    http = attributes.request.http
    return HttpRequest(
        method=http.method,
        host=http.host,
        target=http.path,
        headers=_headers_of(http),
        context=dict(attributes.context_extensions),
        source_principal=attributes.source.principal,
    )


def _headers_of(http: AttributeContext.HttpRequest) -> dict[str, str]:
    if not http.HasField("header_map"):
        return dict(http.headers)
    values = {name: [value] for name, value in http.headers.items()}
    # Filled instead of `headers` under encode_raw_headers. Were both ever filled,
    # joining makes two credentials of one, which is refused.
    for entry in http.header_map.headers:
        value = entry.value or entry.raw_value.decode("utf-8", "replace")
        values.setdefault(entry.key.lower(), []).append(value)
    return {name: ",".join(parts) for name, parts in values.items()}


class Responses:
    """Serialises verdicts as ``CheckResponse``."""

    def __init__(self, identity: IdentityHeaders, *, error_response: bool = False) -> None:
        """Prepare to answer.

        Args:
            identity: Plans the headers of allowed requests.
            error_response: Answer "cannot decide" with ``error_response`` (Envoy
                1.37 and later), which leaves it to ``failure_mode_allow``.
        """
        self._identity = identity
        self._error_response = error_response
        # The rule is kept beside the answer, so that its id comes to stand for no other.
        self._prepared: dict[tuple[object, ...], tuple[object, _Prepared]] = {}
        self._prepared_bytes = 0

    def serialise(self, verdict: Verdict, *, decision_id: str, is_grpc: bool) -> bytes:
        """Return the serialised ``CheckResponse`` for `verdict`."""
        match verdict:
            case Allow():
                return self._prepared_for(verdict).with_id(decision_id)
            case Deny():
                denied = self._denied(verdict, is_grpc=is_grpc, decision_id=decision_id)
                return denied.with_id(decision_id)
            case _:
                assert_never(verdict)

    def _prepared_for(self, allow: Allow) -> "_Prepared":
        """Return the answer without the decision's id, serialised once for each outcome.

        The same token under the same rule has the same outcome, but for cookies.
        """
        if allow.cookie is not None:
            return self._allowed(allow)
        principal = allow.principal
        key = (
            principal.claims.user_id if isinstance(principal, User) else principal,
            id(allow.rule),
            allow.carries_service_token,
            allow.set_headers,
            allow.removed_headers,
        )
        found = self._prepared.get(key)
        if found is not None:
            return found[1]
        answer = self._allowed(allow)
        self._prepared_bytes += answer.size
        if self._prepared_bytes > MAX_PREPARED_BYTES:
            self._prepared.clear()
            self._prepared_bytes = answer.size
        self._prepared[key] = (allow.rule, answer)
        return answer

    def _allowed(self, allow: Allow) -> "_Prepared":
        plan = self._identity.plan(allow)
        response = CheckResponse(
            status=Status(code=_OK),
            ok_response=OkHttpResponse(headers=_options(plan.set), headers_to_remove=plan.remove),
        )
        return _Prepared(response, _metadata("allowed", allow.rule.name, allow.principal))

    def _denied(self, deny: Deny, *, is_grpc: bool, decision_id: str) -> "_Prepared":
        answer = answer_to(deny.reason, decision_id=decision_id, is_grpc=is_grpc)
        denied = DeniedHttpResponse(
            status=HttpStatus(code=answer.status),
            headers=_options(answer.headers),
            body=answer.body,
        )
        status = Status(code=_CODES.get(answer.status, _PERMISSION_DENIED), message=deny.reason)
        if answer.status == UNAVAILABLE and self._error_response:
            response = CheckResponse(status=status, error_response=denied)
        else:
            response = CheckResponse(status=status, denied_response=denied)
        rule = deny.rule.name if deny.rule else ""
        return _Prepared(response, _metadata(deny.reason, rule, deny.principal))


def _options(headers: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    # `append` stays unset: Envoy's ext_authz obeys it before `append_action`, and
    # true would keep the client's own copy.
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE)
        for name, value in headers
    ]


def _metadata(reason: Reason | str, rule: str, principal: Principal | None) -> Struct:
    """Return the dynamic metadata that Envoy's access log can print."""
    metadata = Struct()
    metadata.fields["reason"].string_value = reason
    if rule:
        metadata.fields["rule"].string_value = rule
    if isinstance(principal, User):
        metadata.fields["user_id"].string_value = principal.claims.user_id
    return metadata


class _Prepared:
    """A serialised answer that lacks nothing but the decision's id."""

    __slots__ = ("_answer", "_metadata", "size")

    def __init__(self, response: CheckResponse, metadata: Struct) -> None:
        self._answer = response.SerializeToString() + _METADATA_TAG
        self._metadata = metadata.SerializeToString()
        self.size = len(self._answer) + len(self._metadata)

    def with_id(self, decision_id: str) -> bytes:
        """Return the answer, with the id among its dynamic metadata.

        The fields of a Struct are a map, and a map is written entry after entry.
        """
        entry = Struct()
        entry.fields["decision_id"].string_value = decision_id
        metadata = self._metadata + entry.SerializeToString()
        return self._answer + _varint(len(metadata)) + metadata


_METADATA_TAG: Final = bytes([CheckResponse.DYNAMIC_METADATA_FIELD_NUMBER << 3 | 2])
"""Field number and wire type LEN (Protocol Buffers, "Encoding")."""


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits an octet
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
