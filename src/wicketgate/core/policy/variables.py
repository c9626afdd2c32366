"""What a condition can speak about, for one request.

Credentials are not among it: neither ``authorization`` nor ``cookie`` is in
``request.headers``, and the query, in which people put tokens, is not there at all.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from wicketgate.core.claims import Claims
from wicketgate.core.policy.host import canonical_host
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import ServiceToken

NAMES: Final = frozenset({"request", "claims", "user", "service", "source", "path", "context"})
"""The variables."""

UNSAID: Final[Mapping[str, str]] = {"exposure": "public"}
"""What a route's ``context_extensions`` mean where they say nothing."""

MAX_HEADER: Final = 4096
"""Longer values are not there: what a condition does with one costs by its length."""

HIDDEN_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

_SECONDS_PER_MINUTE: Final = 60


Fields = frozenset[str] | None
"""Names of fields; `None` for all."""


def variables_of(
    wanted: Mapping[str, Fields],
    *,
    request: HttpRequest,
    parameters: Mapping[str, str],
    claims: Claims | None,
    service: ServiceToken | None,
    now: float,
) -> dict[str, Mapping[str, Any]]:
    """Return the values of the variables that are `wanted`, and at least the fields that are.

    Args:
        wanted: Names from `wicketgate.core.policy.condition.VARIABLES`, and fields.
        request: The request.
        parameters: The named segments of its path.
        claims: The user's; `None` unless a user was admitted.
        service: Likewise for a service.
        now: POSIX seconds.
    """
    values: dict[str, Mapping[str, Any]] = {}
    for name, fields in wanted.items():
        match name:
            case "user":
                values[name] = {} if claims is None else _user(fields, claims, now)
            case "path":
                values[name] = parameters
            case "claims":
                values[name] = {} if claims is None else claims.document
            case "request":
                values[name] = _request(request)
            case "service":
                values[name] = {} if service is None else _service(service)
            case "source":
                values[name] = {"principal": request.source_principal}
            case _:
                values[name] = {**UNSAID, **request.context}
    return values


def _request(request: HttpRequest) -> dict[str, Any]:
    return {
        "method": request.method,
        "host": canonical_host(request.host) or "",
        "path": request.path,
        "headers": {
            name: value
            for name, value in request.headers.items()
            if _is_shown(name) and len(value) <= MAX_HEADER
        },
    }


def _is_shown(name: str) -> bool:
    return name not in HIDDEN_HEADERS and not name.startswith(":")


def _user(fields: Fields, claims: Claims, now: float) -> dict[str, Any]:
    """Return what the token tells; what it does not tell is not there."""
    found = {}
    for name in USER_FIELDS if fields is None else fields:
        read = USER_FIELDS.get(name)
        value = None if read is None else read(claims, now)
        if value is not None:
            found[name] = value
    return found


def _permissions(claims: Claims) -> list[str] | None:
    permissions = claims.facts.org_permissions
    return None if permissions is None else sorted(permissions)


def _age(minutes: int | None, claims: Claims, now: float) -> int | None:
    """Return the seconds since a factor that was `minutes` old when the token was issued."""
    if minutes is None:
        return None
    return minutes * _SECONDS_PER_MINUTE + max(int(now - claims.issued_at), 0)


USER_FIELDS: Final[Mapping[str, Callable[[Claims, float], object]]] = {
    "id": lambda claims, _: claims.user_id,
    "session_id": lambda claims, _: claims.session_id,
    "org_id": lambda claims, _: claims.facts.org_id,
    "org_slug": lambda claims, _: claims.facts.org_slug,
    "org_role": lambda claims, _: claims.facts.org_role,
    "org_permissions": lambda claims, _: _permissions(claims),
    "session_age": lambda claims, now: _age(claims.facts.first_factor_minutes, claims, now),
    "second_factor_age": lambda claims, now: _age(claims.facts.second_factor_minutes, claims, now),
    "actor_id": lambda claims, _: claims.facts.actor_id,
    "is_impersonated": lambda claims, _: claims.facts.is_impersonated,
    "is_pending": lambda claims, _: claims.facts.is_pending,
}
"""The fields of ``user``."""


KNOWN_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset(USER_FIELDS),
    "request": frozenset({"method", "host", "path", "headers"}),
    "service": frozenset({"name", "scopes"}),
    "source": frozenset({"principal"}),
}
"""The fields of variables that have no others."""


def _service(service: ServiceToken) -> dict[str, Any]:
    return {"name": service.name, "scopes": sorted(service.scopes)}
