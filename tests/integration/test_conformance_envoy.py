"""The conformance table, third depth: a real Envoy, judged by what the upstream saw.

Three Envoys: as shipped, with each transport; with the filter that strips identity
headers taken out and underscores let in, so that the gate stands alone; and the same
with headers sent raw. Nothing a client sends may reach the upstream under a name
that the gate uses.
"""

import time
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from conformance.table import IDENTITY, OPTIONAL, ROWS, USERS, Row, World, bearer
from transports import TRANSPORT, TRANSPORTS
from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.local.client import Client
from wicketgate.local.envoy_config import AS_SHIPPED, EnvoyOptions
from wicketgate.local.stack import LocalStack
from wicketgate.local.upstream import Seen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

ENVOYS = {
    "as shipped": AS_SHIPPED,
    "gate alone": EnvoyOptions(strip=False, underscores="ALLOW"),
    "raw headers": EnvoyOptions(strip=False, underscores="ALLOW", encode_raw_headers=True),
}
ATTACKER = "user_attacker"
SPELLINGS = [name for header in STRIPPED for name in spellings_of(header)]

numbers = count(1)


PAIRS = [
    *(("as shipped", transport) for transport in TRANSPORTS),
    ("gate alone", TRANSPORT),
    ("raw headers", TRANSPORT),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PAIRS, ids=", ".join)
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[LocalStack]:
    envoy, transport = request.param
    async with LocalStack(transport=transport, options=ENVOYS[envoy]) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


def now_in(stack: LocalStack, world: World) -> World:
    """Return the stack's own world, at this very moment."""
    return World(
        clerk=stack.clerk.instance,
        stranger=world.stranger,
        service_token=stack.service_token,
        now=time.time(),
    )


def url_of(stack: LocalStack, row: Row) -> str:
    """Return where the row is sent."""
    base = stack.edge if row.route.listener == "edge" else stack.internal
    return base + row.route.path


def seen_with(stack: LocalStack, tag: str) -> Seen | None:
    """Return what the upstream saw of the request tagged `tag`."""
    return next((seen for seen in stack.upstream.seen if seen.values("x-tag") == [tag]), None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.route.path} {row.name}")
async def test_envoy_gives_the_row_s_answer(
    row: Row, stack: LocalStack, world: World, client: Client
) -> None:
    sent = row.sends(now_in(stack, world))
    tag = str(next(numbers))

    reply = await client.send(url_of(stack, row), headers=[*sent.items(), ("x-tag", tag)])

    seen = seen_with(stack, tag)
    assert row.status == reply.status
    if row.reason:
        assert row.reason == reply.reason
        assert seen is None
    else:
        assert seen is not None
        identity = {name: seen.values(name) for name in IDENTITY if seen.values(name)}
        assert {name: [value] for name, value in row.identity.items()} == identity
        assert ATTACKER not in repr(seen.headers)
        arrives = "authorization" in sent and row.authorization_arrives
        assert arrives == bool(seen.values("authorization"))


CASES = {
    "lower": [str.lower],
    "UPPER": [str.upper],
    "Title": [str.title],
    "repeated": [str.lower] * 3,
    "repeated in Every case": [str.lower, str.upper, str.title],
}


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("signed_in", [True, False], ids=["user", "nobody"])
async def test_no_spelling_of_an_identity_header_reaches_the_upstream(
    name: str,
    cases: str,
    stack: LocalStack,
    world: World,
    client: Client,
    *,
    signed_in: bool,
) -> None:
    """
    Every spelling, in every case, once and repeated, with a user and without one.
    """
    sent = bearer()(now_in(stack, world)) if signed_in else {}
    tag = str(next(numbers))
    spoofed = [(spell(name), ATTACKER) for spell in CASES[cases]]

    reply = await client.send(
        stack.edge + OPTIONAL.path, headers=[*sent.items(), *spoofed, ("x-tag", tag)]
    )

    seen = seen_with(stack, tag)
    assert reply.status == 200
    assert seen is not None
    assert ATTACKER not in repr(seen.headers)


async def test_a_header_that_is_no_identity_does_reach_the_upstream(
    stack: LocalStack, client: Client
) -> None:
    """
    The twin of the rows above: they would also hold if nothing ever arrived.
    """
    tag = str(next(numbers))

    await client.send(
        stack.edge + OPTIONAL.path, headers=[("clerk-user-idx", ATTACKER), ("x-tag", tag)]
    )

    seen = seen_with(stack, tag)
    assert seen is not None
    assert seen.values("clerk-user-idx") == [ATTACKER]


async def test_two_authorization_headers_are_refused(
    stack: LocalStack, world: World, client: Client
) -> None:
    token = now_in(stack, world).clerk.mint(now=time.time())
    twice = [("authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]

    reply = await client.send(stack.edge + USERS.path, headers=twice)

    assert (reply.status, reply.reason) == (401, "authorization_malformed")


async def test_a_denial_is_explained_to_the_caller(stack: LocalStack, client: Client) -> None:
    reply = await client.send(stack.edge + USERS.path)

    headers = dict(reply.headers)
    assert headers["content-type"] == "application/problem+json"
    assert headers["www-authenticate"] == 'Bearer realm="wicketgate"'
    assert headers["cache-control"] == "no-store"
    assert headers["x-wicketgate-decision"]


async def test_a_grpc_caller_gets_a_status_and_one_line(stack: LocalStack, client: Client) -> None:
    """
    Envoy turns the 401 into grpc-status 16 and the body into the message.
    """
    reply = await client.send(
        stack.edge + USERS.path, method="POST", headers=[("content-type", "application/grpc")]
    )

    headers = dict(reply.headers)
    assert (reply.status, headers["grpc-status"]) == (200, "16")
    assert headers["grpc-message"].startswith("no_credential")
