"""Answers in the shape of Clerk's own.

The content type is exactly ``application/json``, because Clerk's JavaScript SDK
compares it with that.

Source: Clerk Backend API, error objects.
"""

import json
from collections.abc import Mapping

from aiohttp import web


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer of JSON that is encoded already."""
    # A body of bytes: for a text aiohttp would add a charset.
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return one of Clerk's errors."""
    document = {
        "errors": [{"message": message, "long_message": message, "code": code}],
        "clerk_trace_id": "5f0e2b1c9d8a47f6a3e1c0b2d4f68a90",
    }
    return answer(status, json.dumps(document).encode(), headers)
