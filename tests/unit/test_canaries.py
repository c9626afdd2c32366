"""Secrets put into every input of a Check, and looked for wherever anything comes out.

Each is a word of its own, so that what is found tells where it came from.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from typing import Any, Final

import pytest
from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    AttributeContextTlsSession,
    CheckRequest,
    CheckResponse,
)

from gates import FakeKeys, FakeRecorder
from tokens import NOW, judge, keys, stranger_key
from tokens import clerk as clerk_instance
from wicketgate.adapters.envoy import Responses
from wicketgate.adapters.otlp import SpanEncoder
from wicketgate.adapters.telemetry import Telemetry, make_log
from wicketgate.adapters.traces import Traces
from wicketgate.core.credential import CookieRules
from wicketgate.core.identity import IdentityHeaders
from wicketgate.core.keys import KeySet
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.rule import Match, Policy
from wicketgate.core.record import DecisionDetail, DecisionLog
from wicketgate.core.replay_record import Sampling, sampling
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.status.denials import DenialLedger
from wicketgate.gate import Gate, Recorder, Rulebook


def canary(place: str) -> str:
    """Return the secret of a place, which is named by lower-case letters from a to y."""
    return f"CANARY{place}Z"


def found_in(output: bytes) -> set[str]:
    """Return the places whose secrets are in `output`, in whatever case."""
    return {found.decode() for found in re.findall(rb"canary([a-y]+)z", output.lower())}


POLICY: Final = """
version: 1
rules:
  - name: shadow
    shadow: true
    allow: { user: { org_role: nobody } }
    when: claims.plan == "none" && request.headers["x-a"] == "b"
  - { name: open, match: { paths: /open/** }, allow: anonymous }
  - { name: optional, match: { paths: /optional/** }, allow: [user, anonymous] }
  - { name: stripped, match: { paths: /stripped/** }, allow: user, credentials: strip }
  - { name: admin, match: { paths: /admin/** }, allow: { user: { org_role: admin } } }
  - { name: jobs, match: { paths: /jobs/** }, allow: service }
  - { name: nobody, match: { paths: /nobody/** }, allow: [] }
  - { name: failing, match: { paths: /failing/** }, allow: user, when: claims.beta == 1 }
  - name: unusable
    match: { paths: /unusable/** }
    allow: user
    headers: { x-list: claims.list }
  - name: "app"
    match: { paths: "/app/{segment}/**" }
    allow: user
    when: claims.plan != "none" && path.segment != "none"
    headers: { x-plan: claims.plan }
"""
CLAIMS: Final[Mapping[str, Any]] = {
    "sub": f"user_{canary('sub')}",
    "sid": f"sess_{canary('sid')}",
    "azp": f"https://{canary('party')}.example.com",
    "act": {"sub": f"user_{canary('actorsub')}", "email": canary("actoremail")},
    "o": {
        "id": f"org_{canary('orgid')}",
        "slg": canary("orgslug"),
        "rol": canary("orgrole"),
        "per": canary("permission"),
        "fpm": "1",
    },
    "fea": f"o:{canary('feature')}",
    "pla": f"u:{canary('plan')}",
    "plan": canary("readclaim"),
    "list": [canary("listclaim"), "a,b"],
    "email": canary("email"),
    "metadata": {"address": canary("metadata")},
    "jti": canary("jti"),
}
HEADER: Final = {"x-extra": canary("tokenheader")}
TOKEN: Final = clerk_instance().mint(now=NOW, claims=CLAIMS, header=HEADER)
EXPIRED: Final = clerk_instance().mint(now=NOW - 1_000, claims=CLAIMS, header=HEADER)
UNKNOWN: Final = clerk_instance().mint(
    now=NOW, claims=CLAIMS, header={**HEADER, "kid": canary("keyid")}
)
FORGED: Final = clerk_instance().mint(now=NOW, claims=CLAIMS, header=HEADER, key=stranger_key())
SERVICE: Final = canary("servicetoken") + "x" * 32
DIGEST: Final = sha256(SERVICE.encode())
COOKIES: Final = CookieRules(names=frozenset({"__session"}), origins=frozenset())

REQUEST: Final = {"host", "path", "source", "context", "headername"}
"""What a replay has of every request."""
CLERK: Final = {
    *("sub", "sid", "party", "actorsub", "orgid", "orgslug", "orgrole", "permission"),
    *("feature", "plan"),
}
"""What it has of a user's token, beside what the policy reads."""
READ: Final = {"readclaim", "listclaim"}
NAMED: Final = {"sub"}
"""Who was let in; also who was refused, in the metadata for Envoy's access log."""


def check_request(
    path: str, credential: Mapping[str, str], *, context: Mapping[str, str] | None = None
) -> bytes:
    """Return a Check with a secret in every field that Envoy knows."""
    target = f"{path}?token={canary('query')}#{canary('fragment')}"
    headers = {
        ":path": target,
        ":authority": canary("authority"),
        "x-a": canary("headervalue"),
        f"x-{canary('headername').lower()}": canary("namedvalue"),
        "x-request-id": f"{canary('requestid')} is not plain",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": f"vendor={canary('tracestate')}",
        "proxy-authorization": canary("proxy"),
        "cookie": f"other={canary('cookie')}",
        **credential,
    }
    http = AttributeContextHttpRequest(
        id=canary("envoyid"),
        method="GET",
        headers=headers,
        path=target,
        host=f"{canary('host')}.example.com:8443",
        scheme=canary("scheme"),
        query=canary("queryfield"),
        fragment=canary("fragmentfield"),
        protocol=canary("protocol"),
        body=canary("body"),
        raw_body=canary("rawbody").encode(),
    )
    attributes = AttributeContext(
        source=AttributeContextPeer(
            service=canary("service"),
            labels={"a": canary("label")},
            principal=f"spiffe://{canary('source')}",
            certificate=canary("certificate"),
        ),
        destination=AttributeContextPeer(principal=canary("destination")),
        request=AttributeContextRequest(time=datetime.fromtimestamp(NOW, UTC), http=http),
        context_extensions={"tier": canary("context"), **(context or {})},
        metadata_context=Metadata(),
        tls_session=AttributeContextTlsSession(sni=canary("sni")),
    )
    return bytes(CheckRequest(attributes=attributes))


def bearer(token: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"}


def cookie(token: str) -> Mapping[str, str]:
    return {"cookie": f"__session={token}; other={canary('cookie')}"}


@dataclass(frozen=True)
class Scenario:
    """One Check, and what may come out of it.

    Attributes:
        raw: The Check.
        reason: What becomes of it.
        answered: Places whose secrets the answer needs.
        replayed: Places whose secrets a replay needs.
        policy: What judges it, if not `POLICY`.
    """

    raw: bytes
    reason: str
    answered: frozenset[str] = frozenset()
    replayed: frozenset[str] = frozenset(REQUEST)
    policy: Policy | None = None


def scenario(
    path: str,
    credential: Mapping[str, str],
    reason: str,
    *answered: str,
    knows_user: bool = False,
    context: Mapping[str, str] | None = None,
    policy: Policy | None = None,
) -> Scenario:
    """Return a Check for a path with a secret in it."""
    raw = check_request(f"{path}/{canary('path')}", credential, context=context)
    replayed = REQUEST | (CLERK | READ if knows_user else set())
    return Scenario(raw, reason, frozenset(answered), frozenset(replayed), policy)


class BrokenPolicy:
    def match(self, request: HttpRequest) -> Match:
        raise RuntimeError(canary("exception") + request.target + str(request.headers))


INSIDE: Final = {"exposure": "internal"}
SCENARIOS: Final = {
    "a user is allowed": scenario(
        "/app/a", bearer(TOKEN), "allowed", *NAMED, "readclaim", knows_user=True
    ),
    "a user of a cookie is allowed": scenario(
        "/app/a", cookie(TOKEN), "allowed", *NAMED, "readclaim", knows_user=True
    ),
    "a user's cookie is stripped, and the others are sent on": scenario(
        "/stripped", cookie(TOKEN), "allowed", *NAMED, "cookie", knows_user=True
    ),
    "a user is denied": scenario(
        "/admin", bearer(TOKEN), "role_not_admitted", *NAMED, knows_user=True
    ),
    "a user where nobody is admitted": scenario(
        "/nobody", bearer(TOKEN), "nobody_admitted", *NAMED, knows_user=True
    ),
    "a user where services are admitted": scenario(
        "/jobs", bearer(TOKEN), "user_not_admitted", *NAMED, knows_user=True
    ),
    "a user where nobody is asked": scenario("/open", bearer(TOKEN), "allowed", knows_user=True),
    "a condition fails": scenario(
        "/failing", bearer(TOKEN), "condition_failed", *NAMED, knows_user=True
    ),
    "a claim is unusable": scenario(
        "/unusable", bearer(TOKEN), "claim_unusable", *NAMED, knows_user=True
    ),
    "an expired token": scenario("/app/a", bearer(EXPIRED), "token_expired"),
    "a token of an unknown key": scenario("/app/a", bearer(UNKNOWN), "key_unknown"),
    "a forged token": scenario("/app/a", bearer(FORGED), "signature_invalid"),
    "a token that is cut": scenario("/app/a", bearer(TOKEN[:-9]), "token_malformed"),
    "a token that is none": scenario("/app/a", bearer(canary("opaque")), "token_malformed"),
    "another scheme": scenario(
        "/app/a", {"authorization": f"Basic {canary('basic')}"}, "authorization_malformed"
    ),
    "no credential": scenario("/app/a", {}, "no_credential"),
    "nobody in particular is allowed": scenario("/optional", {}, "allowed"),
    "a service is allowed": scenario("/jobs", bearer(SERVICE), "allowed", context=INSIDE),
    "a service is denied": scenario(
        "/app/a", bearer(SERVICE), "service_not_admitted", context=INSIDE
    ),
    "a service from outside": scenario("/jobs", bearer(SERVICE), "service_token_exposed"),
    "an ambiguous path": scenario("/app//a", bearer(TOKEN), "ambiguous_path"),
    "a route with a word that is not understood": scenario(
        "/app/a", bearer(TOKEN), "route_misconfigured", context={"exposure": "intrnal"}
    ),
    "a defect": scenario("/app/a", bearer(TOKEN), "internal_error", policy=BrokenPolicy()),
    "bytes that are no Check": Scenario(
        canary("garbage").encode(), "request_unreadable", replayed=frozenset()
    ),
}


def rulebook(policy: Policy | None, detail: DecisionDetail) -> Rulebook:
    parsed = parse_policy(POLICY)
    service = ServiceToken(name="cron", digest=DIGEST.digest(), scopes=frozenset({"jobs"}))
    by = judge(
        named=(service,),
        cookies=COOKIES,
        always_identify=detail is DecisionDetail.REPLAY,
    )
    return Rulebook(by, policy or parsed.policy, parsed.claims)


def gate(
    recorder: Recorder,
    *,
    detail: DecisionDetail = DecisionDetail.REPLAY,
    policy: Policy | None = None,
    replays: Sampling | None = None,
    key_set: KeySet | None = None,
) -> Gate:
    return Gate(
        rulebook=rulebook(policy, detail),
        keys=FakeKeys(keys() if key_set is None else key_set),
        responses=Responses(IdentityHeaders()),
        recorder=recorder,
        clock=lambda: NOW,
        timer=count().__next__,
        decision_ids=(f"test-{number}" for number in count(1)),
        replays=replays,
    )


@dataclass(frozen=True)
class Outputs:
    """Everything that came out."""

    answer: bytes
    log: bytes
    metrics: bytes
    status: bytes
    traces: bytes


async def outputs(each: Scenario, detail: DecisionDetail) -> Outputs:
    stream = io.StringIO()
    telemetry = Telemetry(
        make_log(stream, level="debug"),
        decisions=stream,
        decision_log=DecisionLog.ALL,
        clock=lambda: NOW,
    )
    replays = sampling(1.0, lambda: 0.5) if detail is DecisionDetail.REPLAY else None
    denials = DenialLedger(lambda: NOW)
    asked = gate(telemetry, detail=detail, policy=each.policy, replays=replays)
    asked.denials = denials
    sent: list[bytes] = []

    async def send(body: bytes) -> None:
        sent.append(body)

    encode = SpanEncoder({"service.name": "edge"})
    asked.traces = traces = Traces(
        encode, send, log=telemetry.log, registry=telemetry.registry, pause_seconds=0
    )
    answer = asked.check(each.raw)
    whole = answer if isinstance(answer, bytes) else await answer
    traces.start()
    await traces.close()
    return Outputs(
        whole,
        stream.getvalue().encode(),
        telemetry.exposition(),
        json.dumps(denials.newest()).encode(),
        b"".join(sent),
    )


def pieces_of_secrets() -> Iterator[bytes]:
    """Yield what no output may hold, however it was written in the request."""
    for token in (TOKEN, EXPIRED, UNKNOWN, FORGED):
        _, payload, signature = token.split(".")
        yield payload[:40].encode()
        yield signature[:40].encode()
    yield SERVICE.encode()
    yield DIGEST.hexdigest().encode()
    yield canary("exception").encode()


both = pytest.mark.parametrize("detail", DecisionDetail)
each_scenario = pytest.mark.parametrize("each", SCENARIOS.values(), ids=SCENARIOS)


@both
@each_scenario
async def test_a_scenario_is_what_it_is_called(each: Scenario, detail: DecisionDetail) -> None:
    out = await outputs(each, detail)

    assert out.log.count(b"\n") == 1
    assert f'"reason":"{each.reason}"'.encode() in out.log
    assert (CheckResponse.parse(out.answer).ok_response is not None) == (each.reason == "allowed")


@both
@each_scenario
async def test_no_secret_is_in_the_metrics(each: Scenario, detail: DecisionDetail) -> None:
    assert found_in((await outputs(each, detail)).metrics) == set()


@each_scenario
async def test_a_trace_is_told_what_tracing_systems_keep_and_no_secret(each: Scenario) -> None:
    traces = (await outputs(each, DecisionDetail.STANDARD)).traces

    is_read = each.reason != "request_unreadable"
    assert found_in(traces) == ({"tracestate"} if is_read else set())
    assert (each.reason.encode() in traces) == is_read


@both
@each_scenario
async def test_an_answer_has_the_secrets_that_it_is_made_of(
    each: Scenario, detail: DecisionDetail
) -> None:
    assert each.answered == found_in((await outputs(each, detail)).answer)


@both
@each_scenario
async def test_a_denied_caller_is_told_no_secret(each: Scenario, detail: DecisionDetail) -> None:
    response = CheckResponse.parse((await outputs(each, detail)).answer)

    assert found_in(bytes(response.denied_response or b"")) == set()


@each_scenario
async def test_no_secret_is_in_a_standard_log(each: Scenario) -> None:
    assert found_in((await outputs(each, DecisionDetail.STANDARD)).log) == set()


@each_scenario
async def test_a_replay_has_the_secrets_that_it_needs_and_no_other(each: Scenario) -> None:
    assert each.replayed == found_in((await outputs(each, DecisionDetail.REPLAY)).log)


@both
@each_scenario
async def test_no_piece_of_a_credential_comes_out(each: Scenario, detail: DecisionDetail) -> None:
    out = await outputs(each, detail)
    whole = out.answer + out.log + out.metrics + out.status + out.traces

    assert [piece for piece in pieces_of_secrets() if piece in whole] == []


@both
@each_scenario
async def test_the_status_page_names_the_user_who_was_denied_and_has_no_other_secret(
    each: Scenario, detail: DecisionDetail
) -> None:
    out = await outputs(each, detail)
    named = each.answered & NAMED if each.reason != "allowed" else set()

    assert named == found_in(out.status)
    assert (each.reason.encode() in out.status) is (each.reason != "allowed")


def test_the_secrets_would_be_found() -> None:
    """
    A test that looks for nothing passes always.
    """
    raw = SCENARIOS["a user is allowed"].raw

    assert {*REQUEST, "query", "cookie", "body", "label", "sni", "headervalue"} <= found_in(raw)
    assert len(found_in(repr(CLAIMS).encode())) == 16


# --- who asks for a replay ---------------------------------------------------------


def test_without_replays_a_gate_makes_none() -> None:
    recorder = FakeRecorder()

    gate(recorder).check(SCENARIOS["a user is allowed"].raw)

    assert [record.replay for record in recorder.records] == [None]


def test_a_gate_asks_once_for_each_decision_whether_it_is_replayed() -> None:
    recorder = FakeRecorder()
    wishes = iter([True, False, True])
    asked = gate(recorder, replays=wishes.__next__)

    for _ in range(3):
        asked.check(SCENARIOS["a user is allowed"].raw)

    assert [record.replay is not None for record in recorder.records] == [True, False, True]
    assert not list(wishes)


def test_bytes_that_are_no_check_leave_nothing_to_replay() -> None:
    recorder = FakeRecorder()

    gate(recorder, replays=lambda: True).check(SCENARIOS["bytes that are no Check"].raw)

    assert [record.replay for record in recorder.records] == [None]


@pytest.mark.parametrize(
    ("key_set", "reason"), [(None, "key_unknown"), (KeySet(), "keys_unavailable")]
)
async def test_a_token_whose_key_did_not_come_is_replayed_as_what_came_of_it(
    key_set: KeySet | None, reason: str
) -> None:
    recorder = FakeRecorder()
    asked = gate(recorder, replays=lambda: True, key_set=key_set)

    answer = asked.check(SCENARIOS["a token of an unknown key"].raw)
    assert not isinstance(answer, bytes)
    await answer

    (record,) = recorder.records
    assert record.replay is not None
    assert record.replay.caller == {"kind": "refused", "reason": reason}
