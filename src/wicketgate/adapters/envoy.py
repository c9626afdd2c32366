"""Between Envoy's messages and ours; the only user of protobuf.

Pure: bytes in, bytes out. Envoy lets a request pass when, and only when,
``status.code`` is 0, whatever else the answer says, and an answer without a
status has code 0. So code 0 is written in one place, `_allowed`, and every other
answer goes through `_denied`, which cannot produce it.

Source: ``envoy.service.auth.v3.CheckRequest`` and ``CheckResponse``;
``google.rpc.Code``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, assert_never

from google.protobuf.message import DecodeError
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
from wicketgate.core.answer import TYPE_BASE, UNAVAILABLE, answer_to
from wicketgate.core.claims import UserId
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.policy.rule import Rule
from wicketgate.core.prepared import Blanks, PreparedAnswers
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

MAX_RAW_HEADERS: Final = 10_000
"""Each costs a µs, and all other Checks wait. Envoy takes 100 unless told otherwise."""

_OVERWRITE: Final = HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD


class UnreadableError(ValueError):
    """The bytes are no Check that is looked at. The message says why."""


def request_from(raw: bytes) -> HttpRequest:
    """Read a serialised ``CheckRequest``.

    Raises:
        UnreadableError: `raw` is not a ``CheckRequest``, or has more than
            `MAX_RAW_HEADERS` raw headers. The message quotes nothing of it.
    """
    try:
        attributes = CheckRequest.FromString(raw).attributes
    except DecodeError:
        msg = "not a CheckRequest"
        raise UnreadableError(msg) from None
    http = attributes.request.http
    # Maps are handed on as they are: of thirty headers two are looked at. Mind that
    # the map of a message makes an entry of whatever is asked for by `[]`.
    return HttpRequest(
        method=http.method,
        host=http.host,
        target=http.path,
        headers=_raw_headers(http) if http.HasField("header_map") else http.headers,
        context=attributes.context_extensions,
        source_principal=attributes.source.principal,
    )


def _raw_headers(http: AttributeContext.HttpRequest) -> dict[str, str]:
    if len(http.header_map.headers) > MAX_RAW_HEADERS:
        msg = f"more than {MAX_RAW_HEADERS} headers"
        raise UnreadableError(msg)
    values = {name: [value] for name, value in http.headers.items()}
    # Filled instead of `headers` under encode_raw_headers. Were both ever filled,
    # joining makes two credentials of one, which is refused.
    for entry in http.header_map.headers:
        value = entry.value or entry.raw_value.decode("utf-8", "replace")
        values.setdefault(entry.key.lower(), []).append(value)
    return {name: ",".join(parts) for name, parts in values.items()}


class Responses:
    """Serialises verdicts as ``CheckResponse``."""

    def __init__(
        self,
        identity: IdentityHeaders,
        *,
        error_response: bool = False,
        type_base: str = TYPE_BASE,
    ) -> None:
        """Prepare to answer.

        Args:
            identity: Plans the headers of allowed requests.
            error_response: Answer "cannot decide" with ``error_response`` (Envoy
                1.37 and later), which leaves it to ``failure_mode_allow``.
            type_base: What the types of problem documents begin with.
        """
        self._identity = identity
        self._error_response = error_response
        self._type_base = type_base
        self._prepared = PreparedAnswers()

    def serialise(
        self, verdict: Verdict, *, decision_id: str, is_grpc: bool, local_id: str = ""
    ) -> bytes:
        """Return the serialised ``CheckResponse`` for `verdict`.

        Args:
            verdict: What was decided.
            decision_id: Names the decision, to the caller and in the logs.
            is_grpc: The caller speaks gRPC, and reads a line of text.
            local_id: The id that an allowed user has in our own table, to tell the
                upstream; empty for none.
        """
        match verdict:
            case Allow():
                return self._allow(verdict, decision_id, local_id)
            case Deny():
                return self._deny(verdict, decision_id, is_grpc=is_grpc)
            case _:
                assert_never(verdict)

    def _allow(self, allow: Allow, decision_id: str, local_id: str) -> bytes:
        principal, rule = allow.principal, allow.rule
        if isinstance(principal, User):
            kind: Principal | None = None
            blanks = Blanks(decision_id, principal.claims.user_id, local_id)
        else:
            kind, blanks = principal, Blanks(decision_id)
        if allow.cookie is not None:
            # As many answers as there are cookies; nobody would ask for one again.
            return self._allowed(allow, blanks)
        key = (
            kind,
            id(rule),
            allow.carries_service_token,
            allow.set_headers,
            allow.removed_headers,
        )
        known = self._prepared.find(key, blanks)
        if known is not None:
            return known
        return self._prepared.keep(key, partial(self._allowed, allow), blanks, pinned=rule)

    def _deny(self, deny: Deny, decision_id: str, *, is_grpc: bool) -> bytes:
        principal, rule = deny.principal, deny.rule
        user_id = principal.claims.user_id if isinstance(principal, User) else ""
        blanks = Blanks(decision_id, user_id)
        key = (id(rule), deny.reason, is_grpc)
        known = self._prepared.find(key, blanks)
        if known is not None:
            return known
        make = partial(self._denied, deny, is_grpc=is_grpc)
        return self._prepared.keep(key, make, blanks, pinned=rule)

    def _allowed(self, allow: Allow, blanks: Blanks) -> bytes:
        plan = self._identity.plan(_named(allow, blanks.user_id), local_id=blanks.local_id)
        return CheckResponse(
            status=Status(code=_OK),
            ok_response=OkHttpResponse(headers=_options(plan.set), headers_to_remove=plan.remove),
            dynamic_metadata=_metadata("allowed", allow.rule, blanks),
        ).SerializeToString(deterministic=True)

    def _denied(self, deny: Deny, blanks: Blanks, *, is_grpc: bool) -> bytes:
        answer = answer_to(
            deny.reason,
            decision_id=blanks.decision_id,
            is_grpc=is_grpc,
            type_base=self._type_base,
        )
        response = CheckResponse(
            status=Status(code=_CODES.get(answer.status, _PERMISSION_DENIED), message=deny.reason),
            dynamic_metadata=_metadata(deny.reason, deny.rule, blanks),
        )
        denied = DeniedHttpResponse(
            status=HttpStatus(code=answer.status),
            headers=_options(answer.headers),
            body=answer.body,
        )
        if answer.status == UNAVAILABLE and self._error_response:
            response.error_response.CopyFrom(denied)
        else:
            response.denied_response.CopyFrom(denied)
        return response.SerializeToString(deterministic=True)


def _named(allow: Allow, user_id: str) -> Allow:
    """Return `allow` for another user."""
    if not isinstance(allow.principal, User):
        return allow
    claims = replace(allow.principal.claims, user_id=UserId(user_id))
    return replace(allow, principal=User(claims))


def _options(headers: Iterable[tuple[str, str]]) -> list[HeaderValueOption]:
    # `append` stays unset: Envoy's ext_authz obeys it before `append_action`, and
    # true would keep the client's own copy.
    return [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE)
        for name, value in headers
    ]


def _metadata(reason: Reason | str, rule: Rule | None, blanks: Blanks) -> Struct:
    """Return the dynamic metadata that Envoy's access log can print."""
    metadata = Struct()
    metadata.fields["reason"].string_value = reason
    metadata.fields["decision_id"].string_value = blanks.decision_id
    if rule is not None:
        metadata.fields["rule"].string_value = rule.name
    if blanks.user_id:
        metadata.fields["user_id"].string_value = blanks.user_id
    return metadata
