"""What the stacks of the README's table make of a header name with underscores.

Each application answers with what its framework says when it is asked for ``clerk_user_id`` in the way
that its manual shows. Not one of them is how to do it: that is in ``examples/``. The imports are
inside, because each stack has only its own.
"""
# ruff: noqa: PLC0415, ANN401, E501 - see above; the frameworks are not installed where types are checked

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

NAME = "clerk_user_id"


async def asgi(_: Any, __: Any, send: Any) -> None:
    """Raw ASGI: names as they came, in lower case."""
    await _answer(send, dict(_["headers"]).get(NAME.encode()))


async def starlette(scope: Any, _: Any, send: Any) -> None:
    """Starlette's mapping of headers."""
    from starlette.requests import Request

    value = Request(scope).headers.get(NAME)
    await _answer(send, None if value is None else value.encode())


async def _answer(send: Any, value: bytes | None) -> None:
    body = json.dumps({"value": value and value.decode()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Raw WSGI: the variable that CGI makes of the name."""
    start("200 OK", [("content-type", "application/json")])
    return [json.dumps({"value": environ.get("HTTP_CLERK_USER_ID")}).encode()]


def fastapi() -> Any:
    """FastAPI's parameter, without an alias."""
    from typing import Annotated

    from fastapi import FastAPI, Header

    app = FastAPI()

    def read(clerk_user_id: Annotated[str | None, Header()] = None) -> dict[str, str | None]:
        return {"value": clerk_user_id}

    app.get("/")(read)
    return app


def django(kind: str) -> Any:
    """Django's mapping of headers."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import re_path

    def read(request: Any) -> Any:
        return JsonResponse({"value": request.headers.get(NAME)})

    settings.configure(ROOT_URLCONF=(re_path("", read),), ALLOWED_HOSTS=["*"])
    return get_asgi_application() if kind == "asgi" else get_wsgi_application()


def django_asgi() -> Any:
    """Make Django for uvicorn's ``--factory``."""
    return django("asgi")


def serve(server: str, port: int) -> None:
    """Serve `wsgi` with a server that has no program of its own."""
    if server == "wsgiref":
        from wsgiref.simple_server import make_server

        make_server("127.0.0.1", port, wsgi).serve_forever()
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, wsgi)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
