"""What a session token says about its user, in the same words for both claim shapes.

Clerk's version 2 (``v: 2``) packs the organisation into ``o`` and its permissions
into bits; version 1 spells them out. The official SDKs unpack some tokens
differently; those permissions are not read at all.

Source: Clerk, "Session tokens" (claims ``o``, ``fea``, ``fva``, ``sts``, ``act``;
version 2 of the session token).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Any, Final

from wicketgate.core.value import value

ROLE_PREFIX: Final = "org:"
_VERSION: Final = 2
_ORGANISATION_SCOPES: Final = frozenset({"o", "ou", "uo"})
_MASK_DIGITS: Final = 20
"""Masks have a bit for each permission of a feature; 2**63 has 19 digits."""
_FACTORS: Final = 2


@value
class UserFacts:
    """One user, as the token describes them. What the token does not say is `None`.

    Attributes:
        org_id: The active organisation.
        org_slug: Its slug.
        org_role: The user's role in it, with its prefix: ``org:admin``.
        org_permissions: Such as ``org:invoices:read``; `None` when they are there
            and the official SDKs would not agree about them.
        first_factor_minutes: Minutes between the first factor and the token.
        second_factor_minutes: Likewise for the second; `None` when there was none.
        is_impersonated: Somebody else is signed in as the user.
        actor_id: Who that is.
        is_pending: The session waits for its user to finish something.
    """

    _: KW_ONLY
    org_id: str | None = None
    org_slug: str | None = None
    org_role: str | None = None
    org_permissions: frozenset[str] | None = frozenset()
    first_factor_minutes: int | None = None
    second_factor_minutes: int | None = None
    is_impersonated: bool = False
    actor_id: str | None = None
    is_pending: bool = False


def facts_of(document: Mapping[str, Any]) -> UserFacts:
    """Read the facts out of a token's payload. Nothing is raised, whatever it holds."""
    first, second = _factors(document.get("fva"))
    actor = document.get("act")
    organisation = _version_2(document) if document.get("v") == _VERSION else _version_1(document)
    org_id, org_slug, org_role, permissions = organisation
    return UserFacts(
        org_id=org_id,
        org_slug=org_slug,
        org_role=org_role,
        org_permissions=permissions,
        first_factor_minutes=first,
        second_factor_minutes=second,
        is_impersonated=actor is not None,
        actor_id=_text(actor.get("sub")) if isinstance(actor, Mapping) else None,
        is_pending=document.get("sts") == "pending",
    )


_Organisation = tuple[str | None, str | None, str | None, frozenset[str] | None]


def _version_1(document: Mapping[str, Any]) -> _Organisation:
    named = document.get("org_permissions", [])
    is_list = isinstance(named, list) and all(isinstance(each, str) for each in named)
    return (
        _text(document.get("org_id")),
        _text(document.get("org_slug")),
        _role(document.get("org_role")),
        frozenset(named) if is_list else None,
    )


def _version_2(document: Mapping[str, Any]) -> _Organisation:
    packed = document.get("o")
    if not isinstance(packed, Mapping):
        return None, None, None, frozenset()
    return (
        _text(packed.get("id")),
        _text(packed.get("slg")),
        _role(packed.get("rol")),
        _permissions(document.get("fea"), packed.get("per"), packed.get("fpm")),
    )


def _permissions(features: object, names: object, masks: object) -> frozenset[str] | None:
    """Unpack permissions: one mask per feature, one bit per name.

    `None` where the SDKs for JavaScript and Python were seen to disagree: a
    feature of the user before one of the organisation, a scope or a mask that is
    neither, a name with a colon, space around an item, lists that do not match.
    """
    if names is None and masks is None:
        return frozenset()
    if not (_is_list(features) and _is_list(names) and _is_list(masks)):
        return None
    scoped = [each.partition(":") for each in str(features).split(",")]
    bits = str(masks).split(",")
    permissions = str(names).split(",")
    if len(scoped) != len(bits) or not all(permissions) or not all(map(_is_mask, bits)):
        return None
    granted: set[str] = set()
    ended = False
    for (scope, colon, feature), mask in zip(scoped, map(int, bits), strict=True):
        if not colon or not feature or ":" in feature:
            return None
        if scope == "u":
            ended = True
            continue
        if ended or scope not in _ORGANISATION_SCOPES or mask >> len(permissions):
            return None
        granted.update(
            f"org:{feature}:{name}" for bit, name in enumerate(permissions) if mask >> bit & 1
        )
    return frozenset(granted)


def _is_list(value: object) -> bool:
    return isinstance(value, str) and bool(value) and not any(map(str.isspace, value))


def _is_mask(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MASK_DIGITS


def _factors(ages: object) -> tuple[int | None, int | None]:
    if not isinstance(ages, list) or len(ages) != _FACTORS:
        return None, None
    first, second = (age if type(age) is int and age >= 0 else None for age in ages)
    return first, second


def _role(value: object) -> str | None:
    role = _text(value)
    if role is None or role.startswith(ROLE_PREFIX):
        return role
    return ROLE_PREFIX + role


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
