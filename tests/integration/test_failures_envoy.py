"""What a real Envoy and its callers see when something is broken."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from conformance.table import OPTIONAL, USERS
from transports import on_both_transports
from wicketgate.local.clerk import PUBLIC_PATH, Mode
from wicketgate.local.clerk_instance import new_key
from wicketgate.local.client import Client, bearer
from wicketgate.local.envoy_config import EnvoyOptions
from wicketgate.local.stack import LocalStack
from wicketgate.settings import Transport

pytestmark = [pytest.mark.envoy, on_both_transports]

SPOOFED = [("clerk-user-id", "user_attacker"), ("x-clerk-user-id", "user_attacker")]
OBSCURE = EnvoyOptions(normalise=False, strip=False, underscores="ALLOW")


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


def signed_in(stack: LocalStack, **claims: object) -> list[tuple[str, str]]:
    """Return the header line of a user who signed in just now."""
    return [bearer(stack.clerk.instance.mint(now=time.time(), claims=claims))]


async def test_known_keys_keep_working_while_clerk_is_down(
    transport: Transport, client: Client
) -> None:
    async with LocalStack(transport=transport) as stack:
        stack.clerk.mode = Mode.DOWN
        good = await client.send(stack.edge + USERS.path, headers=signed_in(stack))
        bad = await client.send(
            stack.edge + USERS.path,
            headers=[bearer(stack.clerk.instance.mint(now=time.time(), key=new_key()))],
        )

    assert good.status == 200
    assert (bad.status, bad.reason) == (401, "signature_invalid")


async def test_a_restart_while_clerk_is_down_uses_the_copy_on_disk(
    transport: Transport, client: Client
) -> None:
    async with LocalStack(transport=transport) as stack:
        stack.clerk.mode = Mode.DOWN
        await stack.gate.stop()
        await stack.start_gate()

        async with asyncio.timeout(10):
            while True:
                reply = await client.send(stack.edge + USERS.path, headers=signed_in(stack))
                if reply.status != 503:  # until Envoy's next health check
                    break

    assert reply.status == 200


@pytest.mark.parametrize("kid", [None, "ins_2xAnotherKidAnotherKidAnoth"], ids=["same", "new"])
async def test_a_rotated_key_is_learnt_from_the_first_token_that_needs_it(
    kid: str | None, transport: Transport, client: Client
) -> None:
    """
    Clerk's ``kid`` is the instance id, so a rotation may keep it.
    """
    async with LocalStack(transport=transport) as stack:
        old = signed_in(stack)
        stack.clerk.instance.rotate(kid=kid)
        after = [
            await client.send(stack.edge + USERS.path, headers=headers)
            for headers in (signed_in(stack), old)
        ]

    assert [reply.status for reply in after] == [200, 401]


async def test_a_burst_of_forged_tokens_is_one_fetch(transport: Transport, client: Client) -> None:
    key = new_key()
    async with LocalStack(
        transport=transport, environment={"WICKETGATE_JWKS_COOLDOWN_SECONDS": "30"}
    ) as stack:
        before = stack.clerk.fetches[PUBLIC_PATH]
        replies = [
            await client.send(
                stack.edge + USERS.path,
                headers=[
                    bearer(
                        stack.clerk.instance.mint(
                            now=time.time(), key=key, header={"kid": f"ins_{number}"}
                        )
                    )
                ],
            )
            for number in range(100)
        ]
        fetched = stack.clerk.fetches[PUBLIC_PATH] - before

    assert {401} == {reply.status for reply in replies}
    assert fetched <= 1


async def test_a_gate_that_is_gone_lets_nobody_in(transport: Transport, client: Client) -> None:
    async with LocalStack(transport=transport) as stack:
        await stack.gate.kill()

        reply = await client.send(stack.edge + USERS.path, headers=signed_in(stack))

        assert reply.status == 503
        assert not stack.upstream.seen


@pytest.fixture(scope="module")
def targets() -> list[str]:
    return [
        "/public/../internal/x",
        "/public/./x",
        "//internal/x",
        "/public//x",
        "/public/%2e%2e/internal/x",
        "/public/..%2finternal",
        "/public%2f..%2finternal",
        "/public/..%5cinternal",
        "/public\\..\\internal",
        "/public/..;/internal",
        "/public/x;y=z",
        "/public/%252e%252e/internal",
        "/public/%00",
        "/public/%ff",
        "/public/%zz",
        "/public/%3fx",
        "/public/%23x",
    ]


async def test_a_target_that_two_readers_could_read_differently_reaches_nobody(
    targets: list[str], transport: Transport, client: Client
) -> None:
    """
    With Envoy's own normalisation off, so that the gate is the only one to notice.
    """
    async with LocalStack(transport=transport, options=OBSCURE) as stack:
        refused = {
            target: await client.send(stack.edge + target, headers=signed_in(stack))
            for target in targets
        }
        plain = await client.send(stack.edge + OPTIONAL.path, headers=signed_in(stack))
        seen = [each.path for each in stack.upstream.seen]

    assert dict.fromkeys(targets, 400) == {
        target: reply.status for target, reply in refused.items()
    }
    assert plain.status == 200
    assert seen == [OPTIONAL.path]
