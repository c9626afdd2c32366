"""The metrics that docs/operations.md lists are those that a gate exports."""

import asyncio
import json
import time
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

import grpc
from aiohttp import ClientSession
from psycopg.conninfo import conninfo_to_dict

from conformance.table import World
from database import Database
from exposition import documented, exported, open_labels
from gates import check_request
from processes import check, code, environ, gate, serving
from wicketgate.local.clerk import ClerkDouble
from wicketgate.settings import Transport

SERVICE = "a-service-token-that-is-long-enough-0123"
POLICY = """
version: 1
rules:
  - { name: strict, shadow: true, match: { paths: /v1/** }, allow: { user: { org_role: admin } } }
  - { name: app, match: { paths: /v1/** }, allow: [user, service] }
"""


async def scrape(admin: str) -> str:
    async with ClientSession() as session, session.get(f"http://{admin}/metrics") as answer:
        return await answer.text()


async def test_the_table_lists_what_a_gate_with_everything_on_exports(
    world: World, database: Database, tmp_path: Path
) -> None:
    policy, tokens = tmp_path / "policy.yaml", tmp_path / "tokens.yaml"
    policy.write_text(POLICY)
    digest = sha256(SERVICE.encode()).hexdigest()
    token = {"name": "billing", "sha256": digest, "scopes": ["app"]}
    tokens.write_text(json.dumps({"version": 1, "tokens": [token]}))
    async with ClerkDouble(world.clerk) as clerk:
        variables = environ(
            world,
            WICKETGATE_TRANSPORT=Transport.WIRE,
            CLERK_JWT_KEY="",
            CLERK_JWKS_URL=clerk.jwks_url,
            WICKETGATE_POLICY_FILE=str(policy),
            WICKETGATE_SERVICE_TOKENS_FILE=str(tokens),
            DATABASE_URL="postgresql://?" + urlencode(conninfo_to_dict(database.url)),
            WICKETGATE_FIRST_SIGHT="sync",
            # Nobody listens there.
            WICKETGATE_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces",
        )
        async with (
            gate(variables) as running,
            grpc.aio.insecure_channel(running.checks) as channel,
        ):
            async with asyncio.timeout(30):
                while not await serving(channel):  # noqa: ASYNC110 - nobody would set an event
                    await asyncio.sleep(0.02)
            allowed = []
            for bearer in (world.clerk.mint(now=time.time()), SERVICE):
                headers = {"authorization": f"Bearer {bearer}"}
                context = {"exposure": "internal"}
                answered = await check(channel, check_request(headers, context=context))
                allowed.append(code(answered))
            text = await scrape(running.admin)

    assert allowed == [0, 0]
    assert exported(text) == documented("metric")
    assert not list(open_labels(text, rules=frozenset({"strict", "app", "billing"})))
    assert "\nprocess_cpu_seconds_total " in text
