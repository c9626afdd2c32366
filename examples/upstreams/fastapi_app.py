"""FastAPI behind the gate: who is asking?

Run: ``uvicorn fastapi_app:app --host 127.0.0.1 --port 8081``
"""

import re
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException

USER_ID = re.compile(r"user_[A-Za-z0-9]+")

app = FastAPI()


def signed_in_user(
    # The alias, because Header() makes clerk-user-id of the parameter's name, and asks for that.
    # A list, because two values are a fault, and a str would be the first of them.
    clerk_user_id: Annotated[list[str] | None, Header(alias="clerk_user_id")] = None,
) -> str | None:
    """Return the Clerk id of the user, or `None` when nobody is signed in."""
    if clerk_user_id is None:
        return None
    if len(clerk_user_id) != 1 or not USER_ID.fullmatch(clerk_user_id[0]):
        raise HTTPException(500, "the gate did not write this identity header")
    return clerk_user_id[0]


@app.get("/{path:path}")
def who(
    path: str,  # noqa: ARG001 - every path is answered alike
    user: Annotated[str | None, Depends(signed_in_user)],
) -> dict[str, str | None]:
    """Say who is asking."""
    return {"user": user}
