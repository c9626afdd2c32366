"""The least that could take a delivery: aiohttp, svix, one upsert, one commit each.

No limits, no guard, no log, no metrics, and no care for anything that goes wrong:
the yardstick for the product, on the same machine and in the same run.

python -m suite.servers.receiver PORT SECRET DATABASE_URL
"""

import json
import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web
from psycopg_pool import AsyncConnectionPool
from svix.webhooks import Webhook

UPSERT = """
    INSERT INTO wicketgate.users (clerk_user_id, primary_email, first_name, last_name)
    VALUES (%s, %s, %s, %s)
    ON CONFLICT (clerk_user_id) DO UPDATE SET primary_email = EXCLUDED.primary_email
"""


def application(secret: str, database_url: str) -> web.Application:
    """Return the application."""
    webhook = Webhook(secret)
    pool = AsyncConnectionPool(
        database_url, min_size=8, max_size=8, kwargs={"autocommit": True}, open=False
    )

    async def opened(_: web.Application) -> AsyncIterator[None]:
        await pool.open()
        yield
        await pool.close()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        webhook.verify(body, dict(request.headers))
        user = json.loads(body)["data"]
        email = user["email_addresses"][0]["email_address"]
        async with pool.connection() as connection:
            await connection.execute(
                UPSERT, (user["id"], email, user["first_name"], user["last_name"])
            )
        return web.Response(status=204)

    bare = web.Application()
    bare.cleanup_ctx.append(opened)
    bare.router.add_post("/webhooks/clerk", take)
    return bare


if __name__ == "__main__":
    port, secret, database_url = sys.argv[1:]
    web.run_app(
        application(secret, database_url),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
