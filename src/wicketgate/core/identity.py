"""The headers by which upstreams learn who was let in.

Upstreams believe these headers, so whatever a client sent under the same name,
or under a name that some framework takes for the same (CGI and WSGI make no
difference between ``-`` and ``_``), must not arrive. Envoy removes after it
sets, so a name that is set is never among those removed.

Source: Envoy ``OkHttpResponse.headers`` and ``headers_to_remove``; RFC 3875
section 4.1.18.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Final, assert_never

from wicketgate.core.policy.rule import Credentials
from wicketgate.core.verdict import (
    Allow,
    Anonymous,
    Principal,
    Service,
    User,
)

USER_HEADER: Final = "clerk_user_id"
PRINCIPAL_HEADER: Final = "wicketgate-principal"
USER_ALIAS: Final = "x-clerk-user-id"
"""The alias for stacks that drop names with underscores. Always stripped from clients."""

LOCAL_ID_HEADER: Final = "x-user-id"
"""The user's ``id`` in our own table, where that is sent. Always stripped from clients."""

STRIPPED: Final = (USER_HEADER, PRINCIPAL_HEADER, USER_ALIAS, LOCAL_ID_HEADER)


@dataclass(frozen=True, slots=True)
class HeaderPlan:
    """What is done to the headers of an allowed request.

    Attributes:
        set: Pairs of name and value that replace whatever the client sent.
        remove: Names to take away; disjoint from the names set.
    """

    set: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]


class IdentityHeaders:
    """Plans the identity headers for every kind of principal."""

    def __init__(
        self, *, aliases: Iterable[str] = (), forward_service_token: bool = False
    ) -> None:
        """Prepare the plans.

        Args:
            aliases: Further names, in lower case, under which the user id is sent.
            forward_service_token: Leave the ``Authorization`` header of a
                service's call in place.
        """
        self._user_headers = (USER_HEADER, *aliases)
        known = dict.fromkeys((*STRIPPED, *self._user_headers))
        spellings = dict.fromkeys(name for header in known for name in spellings_of(header))
        stripped = tuple(name for name in spellings if name != PRINCIPAL_HEADER)
        self._remove_for_user = tuple(n for n in stripped if n not in self._user_headers)
        self._remove_for_known_user = tuple(
            name for name in self._remove_for_user if name != LOCAL_ID_HEADER
        )
        self._remove_for_others = stripped
        self._forward_service_token = forward_service_token

    def plan(self, allow: Allow, *, local_id: str = "") -> HeaderPlan:
        """Return what to set and what to remove for an allowed request.

        Args:
            allow: Who is let in, and by which rule.
            local_id: The user's id in our own table, if upstreams are told; empty when
                they are not, or it is not known, or there is no user.
        """
        told, remove = self._named(allow.principal, local_id)
        if self._ends_here(allow):
            remove += ("authorization",)
        if allow.cookie:
            told += (("cookie", allow.cookie),)
        elif allow.cookie is not None:
            remove += ("cookie",)
        return HeaderPlan(told + allow.set_headers, remove + allow.removed_headers)

    def _named(
        self, principal: Principal, local_id: str
    ) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        match principal:
            case User(claims):
                named = tuple((name, str(claims.user_id)) for name in self._user_headers)
                who = (PRINCIPAL_HEADER, f"user:{claims.user_id}")
                if local_id:
                    own = (LOCAL_ID_HEADER, local_id)
                    return (*named, own, who), self._remove_for_known_user
                return (*named, who), self._remove_for_user
            case Service(name):
                return ((PRINCIPAL_HEADER, f"service:{name}"),), self._remove_for_others
            case Anonymous():
                return ((PRINCIPAL_HEADER, "anonymous"),), self._remove_for_others
            case _:
                assert_never(principal)

    def _ends_here(self, allow: Allow) -> bool:
        """Tell whether the ``Authorization`` header ends at the gate."""
        if allow.rule.credentials is not None:
            return allow.rule.credentials is Credentials.STRIP
        return allow.carries_service_token and not self._forward_service_token


def spellings_of(name: str) -> tuple[str, ...]:
    """Return `name` in every mixture of dashes and underscores, itself included."""
    words = name.replace("_", "-").split("-")
    return tuple(
        "".join(word + mark for word, mark in zip(words, (*marks, ""), strict=True))
        for marks in product("-_", repeat=len(words) - 1)
    )
