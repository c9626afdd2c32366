"""aiohttp behind the gate: who is asking?

Run: ``python aiohttp_app.py 8081``
"""

import re
import sys

from aiohttp import web

USER_ID = re.compile(r"user_[A-Za-z0-9]+")


def signed_in_user(request: web.Request) -> str | None:
    """Return the Clerk id of the user, or `None` when nobody is signed in."""
    values = request.headers.getall("clerk_user_id", [])
    if not values:
        return None
    if len(values) != 1 or not USER_ID.fullmatch(values[0]):
        raise web.HTTPInternalServerError(text="the gate did not write this identity header")
    return values[0]


async def who(request: web.Request) -> web.Response:
    """Say who is asking."""
    return web.json_response({"user": signed_in_user(request)})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/{path:.*}", who)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
