"""Policies and callers for the tests that run a policy file through a real Envoy."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from wicketgate.local.client import NO_ANSWER, Client, Reply
from wicketgate.local.stack import LocalStack
from wicketgate.local.upstream import Seen

ANSWERED: Final = "x-envoy-upstream-service-time"
"""Envoy adds it to the answers of upstreams, and to no other."""
LOG_SECONDS: Final = 5.0
ORGANISATION: Final = "org_2xKtrueTenantOfTheTests0000"


def token(stack: LocalStack, **claims: object) -> str:
    """Return a token of the stack's Clerk, minted now."""
    return stack.clerk.instance.mint(now=time.time(), claims=claims)


def v2(org_id: str = ORGANISATION, role: str = "member", **packed: object) -> dict[str, Any]:
    """Return the claims of a member, as version 2 packs them: roles without ``org:``."""
    return {"v": 2, "o": {"id": org_id, "slg": "acme", "rol": role, **packed}}


def v1(
    org_id: str = ORGANISATION, role: str = "org:member", permissions: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the same as version 1 spells it."""
    return {
        "v": 1,
        "org_id": org_id,
        "org_slug": "acme",
        "org_role": role,
        "org_permissions": list(permissions),
    }


def credential(stack: LocalStack, who: str) -> str:
    """Return what `who` shows: a row's caller, or a token that nobody should take."""
    mint = stack.clerk.instance.mint
    match who:
        case "member":
            return token(stack)
        case "admin":
            return token(stack, **v2(role="admin"))
        case "service":
            return stack.service_token
        case "crit":
            return mint(now=time.time(), header={"crit": ["exp"]}, claims=v2(role="admin"))
        case "huge":
            return "a" * 8193
        case "enormous":
            return "a" * 33 * 1024
        case _:
            msg = f"nobody is called {who!r}"
            raise ValueError(msg)


def outcome(reply: Reply, seen: Sequence[Seen]) -> str:
    """Return what became of a request, in the words of conformance/paths.yaml."""
    headers = dict(reply.headers)
    assert (ANSWERED in headers) == bool(seen), "the upstream answered what it did not tell of"
    if seen:
        (only,) = seen
        assert reply.status == 200
        return f"upstream {only.path}"
    if reply.status == NO_ANSWER:
        return "closed"
    if "x-wicketgate-decision" in headers:
        return f"gate {reply.status} {reply.reason}"
    return f"envoy {reply.status}"


async def decision_on(stack: LocalStack, seen: Seen) -> dict[str, Any]:
    """Return what the stack's gate logs about a request that the upstream saw."""
    (request_id,) = seen.values("x-request-id")

    def logged() -> list[dict[str, Any]]:
        events = map(_event, stack.gate.stderr.splitlines())
        return [event for event in events if event.get("request_id") == request_id]

    async def is_logged() -> bool:
        return bool(logged())

    await stack.gate.wait_until(is_logged, seconds=LOG_SECONDS, what="done with its log")
    (event,) = logged()
    return event


async def metric(stack: LocalStack, client: Client, name: str, **labels: str) -> float:
    """Return the value of a metric of the stack's gate; 0 when it was never counted."""
    reply = await client.send(f"{stack.gate_admin}/metrics")
    for family in text_string_to_metric_families(reply.body.decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return 0.0


def _event(line: str) -> dict[str, Any]:
    # The last line may still be on its way.
    with suppress(ValueError):
        document = json.loads(line)
        if isinstance(document, dict):
            return document
    return {}
