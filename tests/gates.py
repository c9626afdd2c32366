"""Gates for tests: the real thing, with fakes where it touches the world."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from itertools import count

from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextRequest,
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)

from conformance.table import World
from wicketgate.adapters.envoy import Responses
from wicketgate.core.decision import (
    Judge,
)
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.policy.rule import Policy
from wicketgate.core.record import Record
from wicketgate.core.verdict import Verdict
from wicketgate.gate import Gate, KeySource, Recorder, Rulebook


@dataclass
class FakeKeys:
    """A key source that counts; `arriving` replaces the set at the next refresh."""

    snapshot: KeySet
    arriving: KeySet | None = None
    is_current: bool = True
    asked: list[str] = field(default_factory=list)

    async def refresh(self, kid: str) -> bool:
        """Deliver what is arriving."""
        self.asked.append(kid)
        if self.arriving is not None:
            self.snapshot = self.arriving
        return self.is_current


@dataclass
class FakeRecorder:
    """Keeps every record."""

    records: list[Record] = field(default_factory=list)

    def count(self, verdict: Verdict, seconds: float) -> bool:  # noqa: ARG002 - the seam's shape
        """Want a record of everything."""
        return True

    def record(self, record: Record) -> None:
        """Keep it."""
        self.records.append(record)


def make_gate(
    world: World,
    *,
    judge: Judge | None = None,
    policy: Policy | None = None,
    keys: KeySource | None = None,
    recorder: Recorder | None = None,
    responses: Responses | None = None,
) -> Gate:
    """Return a gate that stands in `world`, at its time."""
    return Gate(
        rulebook=Rulebook(judge or world.judge(), policy or RoutePolicy()),
        keys=keys or FakeKeys(world.keys()),
        responses=responses or Responses(IdentityHeaders()),
        recorder=recorder or FakeRecorder(),
        clock=lambda: world.now,
        timer=count().__next__,
        decision_ids=(f"test-{number}" for number in count(1)),
    )


def check_request(
    headers: Mapping[str, str],
    *,
    context: Mapping[str, str] | None = None,
    path: str = "/v1/me",
) -> bytes:
    """Return a serialised ``CheckRequest``, written by an encoder that is not ours."""
    http = AttributeContextHttpRequest(
        id="2120055335354900206",
        method="GET",
        headers={":path": path, ":method": "GET", **headers},
        path=path,
        host="api.example.com",
        scheme="http",
        protocol="HTTP/1.1",
    )
    attributes = AttributeContext(
        request=AttributeContextRequest(http=http), context_extensions=dict(context or {})
    )
    return bytes(CheckRequest(attributes=attributes))


async def answer(gate: Gate, raw: bytes) -> CheckResponse:
    """Return the gate's answer to `raw`, read by a decoder that is not ours."""
    given = gate.check(raw)
    return CheckResponse.parse(await given if isinstance(given, Awaitable) else given)


def upstream_headers(response: CheckResponse, sent: Mapping[str, str]) -> dict[str, str] | None:
    """Return what upstream would see of `sent`, or `None` when it sees nothing.

    Envoy's rules: code 0 allows, headers are overwritten, removal comes last.
    """
    if response.status is not None and response.status.code != 0:
        return None
    headers = dict(sent)
    ok = response.ok_response or OkHttpResponse()
    for option in ok.headers:
        assert option.header is not None
        headers[option.header.key.lower()] = option.header.value
    for name in ok.headers_to_remove:
        headers.pop(name.lower(), None)
    return headers


def denial(response: CheckResponse) -> DeniedHttpResponse:
    """Return the denied response of an answer that does deny."""
    assert response.status is not None
    assert response.status.code != 0
    assert response.denied_response is not None
    return response.denied_response
