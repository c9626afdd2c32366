"""The users' part of Clerk's Backend API, on loopback.

As strict as Clerk where a client can go wrong: lists are bare arrays, ten long and
newest first unless asked otherwise, a limit beyond 500 counts as none, and a
cursor goes with no other order and no offset.

Source: Clerk Backend API 2026-05-12, ``/v1/users``, ``/v1/users/count``,
``/v1/users/{user_id}``, ``/v1/instance``; for the limit, the SDKs' issues.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiohttp import web

from wicketgate.local.clerk_answers import answer, error
from wicketgate.local.clerk_users import INSTANCE_ID, Document, minified

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 500
_ORDERS: Final = ("created_at", "updated_at", "last_active_at")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Cursors(StrEnum):
    """What becomes of ``starting_after``."""

    TAKEN = "taken"
    """The next page begins after that user."""
    REFUSED = "refused"
    """422, as if the version were too old for it."""
    IGNORED = "ignored"
    """Nothing, as if the parameter were unknown."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that has nothing to do with the question.

    Attributes:
        status: Such as 429.
        retry_after: The header of that name, if any.
        body: Something in place of Clerk's words, such as a proxy's page.
    """

    status: int
    retry_after: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came."""

    path: str
    query: str
    version: str | None


class ClerkBackend:
    """Keeps users and lists them.

    Attributes:
        users: Everybody, by id.
        cursors: How it treats ``starting_after``.
        refusals: What is answered to the next requests, one each; `None` is the truth.
        asked: Every request, oldest first.
    """

    def __init__(self, *, secret_key: str, instance_id: str = INSTANCE_ID) -> None:
        """Have no users yet, and take `secret_key` alone."""
        self.users: dict[str, Document] = {}
        self.cursors = Cursors.TAKEN
        self.refusals: deque[Refusal | None] = deque()
        self.asked: list[Asked] = []
        self._authorization = f"Bearer {secret_key}"
        self._instance_id = instance_id

    def put(self, *users: Document) -> None:
        """Add users, or replace them."""
        self.users |= {user["id"]: user for user in users}

    def add_to(self, application: web.Application, guard: Callable[[Handler], Handler]) -> None:
        """Add its addresses to `application`, each behind `guard`."""
        for path, handler in (
            ("/v1/users", self._list),
            ("/v1/users/count", self._count),
            ("/v1/users/{user_id}", self._one),
            ("/v1/instance", self._instance),
        ):
            application.router.add_get(path, guard(self._admitted(handler)))

    def _admitted(self, handler: Callable[[web.Request], web.Response]) -> Handler:
        async def admit(request: web.Request) -> web.Response:
            version = request.headers.get("clerk-api-version")
            self.asked.append(Asked(request.path, request.rel_url.raw_query_string, version))
            refusal = self.refusals.popleft() if self.refusals else None
            if refusal is not None:
                return _refused(refusal)
            if request.headers.get("authorization") != self._authorization:
                return error(401, "clerk_key_invalid", "The provided Clerk Secret Key is invalid.")
            return handler(request)

        return admit

    def _count(self, _: web.Request) -> web.Response:
        return _document({"object": "total_count", "total_count": len(self.users)})

    def _instance(self, _: web.Request) -> web.Response:
        return _document(
            {
                "object": "instance",
                "id": self._instance_id,
                "environment_type": "development",
                "allowed_origins": None,
            }
        )

    def _one(self, request: web.Request) -> web.Response:
        user = self.users.get(request.match_info["user_id"])
        if user is None:
            return error(404, "resource_not_found", "not found")
        return _document(user)

    def _list(self, request: web.Request) -> web.Response:
        query = request.query
        order = query.get("order_by", "-created_at")
        field = order.lstrip("+-")
        limit, offset = (
            _number(query.get("limit"), DEFAULT_LIMIT),
            _number(query.get("offset"), 0),
        )
        if field not in _ORDERS or limit is None or limit < 1 or offset is None:
            return _invalid("a parameter is not one of the allowed values")
        if limit > MAX_LIMIT:
            limit = DEFAULT_LIMIT
        users = sorted(
            self.users.values(),
            key=lambda user: (user[field] or 0, user["id"]),
            reverse=order.startswith("-"),
        )
        after = query.get("starting_after")
        if after is not None and self.cursors is not Cursors.IGNORED:
            place = next((n for n, user in enumerate(users) if user["id"] == after), None)
            refused = self.cursors is Cursors.REFUSED or field != "created_at" or offset
            if refused or place is None:
                return _invalid("starting_after cannot be used with this request")
            offset = place + 1
        return _document(users[offset : offset + limit])


def _number(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() else None


def _document(document: object) -> web.Response:
    return answer(200, minified(document))


def _invalid(message: str) -> web.Response:
    return error(422, "form_param_value_invalid", message)


def _refused(refusal: Refusal) -> web.Response:
    headers = {"Retry-After": refusal.retry_after} if refusal.retry_after else {}
    if refusal.body is not None:
        return web.Response(
            status=refusal.status, body=refusal.body, content_type="text/html", headers=headers
        )
    code = "too_many_requests" if refusal.status == 429 else "internal_clerk_error"  # noqa: PLR2004 - RFC 6585
    return error(refusal.status, code, "Please try again later.", headers)
