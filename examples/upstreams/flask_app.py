"""Flask behind the gate: who is asking?

gunicorn, waitress and Werkzeug's own server drop ``clerk_user_id``, so the gate runs with
``WICKETGATE_IDENTITY_ALIASES=x-clerk-user-id`` and this reads the alias.

Run: ``gunicorn --bind 127.0.0.1:8081 flask_app:app``
"""

import re

from flask import Flask, abort, request

USER_ID = re.compile(r"user_[A-Za-z0-9]+")

app = Flask(__name__)


def signed_in_user() -> str | None:
    """Return the Clerk id of the user, or `None` when nobody is signed in."""
    user: str | None = request.headers.get("x-clerk-user-id")
    # WSGI joins what came twice with a comma, which is no user id.
    if user is not None and not USER_ID.fullmatch(user):
        abort(500, "the gate did not write this identity header")
    return user


@app.get("/", defaults={"path": ""})
@app.get("/<path:path>")
def who(path: str) -> dict[str, str | None]:  # noqa: ARG001 - every path is answered alike
    """Say who is asking."""
    return {"user": signed_in_user()}
