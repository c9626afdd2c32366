"""Routes that the gate is not asked about, given a manager that asks it."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from wicketgate.doctor.finding import Check, Drop, Fault, Faults, Insert, Put, Version
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import (
    EXT_AUTHZ,
    FILTER_CONFIG,
    PER_ROUTE,
    TYPES,
    Manager,
    config_of,
    unwrapped,
)

_NAME: Final = "envoy.filters.http.ext_authz"
_GOOD: Final = 400
"""From this status on an answer gives nothing away."""
_JUDGED: Final = (1, 20, 0)
"""The first Envoy that asks about direct responses and redirects, too."""
_NARROWER: Final = ("headers", "query_parameters", "runtime_fraction", "grpc", "tls_context")


def route_disabled(manager: Manager) -> Faults:
    """Yield what switches the filter off."""
    names = {each.at("name").text for each in manager.filters if config_of(each)[0] == EXT_AUTHZ}
    for level in manager.levels:
        yield from disabled_in(level, names)


def disabled_in(level: Node, names: Collection[str] = ()) -> Faults:
    """Yield what switches the filter off in a route, or in what is around routes.

    Args:
        level: It has the ``typed_per_filter_config``.
        names: What the filter is called, beside its usual name.
    """
    for name, config in level.at("typed_per_filter_config").entries():
        kind, node = _switch(config)
        if name not in {*names, _NAME} and kind != PER_ROUTE:
            continue
        if node.is_true:
            found = f"{_of_route(level)} switches {name} off"
            yield Fault("route-disabled", node.place, found, (Put(config.place, _anonymous()),))


def is_on_everywhere(manager: Manager, name: str) -> bool:
    """Tell whether each route that leads anywhere switches on a filter that is disabled.

    Args:
        manager: Whose routes; if they are not known, they switch nothing on.
        name: What the filter is called.
    """
    routes = [
        (route, host, config)
        for config in manager.routes
        for host in config.at("virtual_hosts").items()
        for route in host.at("routes").items()
        if route.at("route").is_there
    ]
    # Routes in a tree of matchers, or fetched host by host, are not read here.
    is_known = not any(
        each.is_there
        for config in manager.routes
        for each in (
            config.at("vhds"),
            *(host.at("matcher") for host in config.at("virtual_hosts").items()),
        )
    )
    return is_known and bool(routes) and all(_is_on(levels, name) for levels in routes)


def _is_on(levels: Sequence[Node], name: str) -> bool:
    # The most specific one that has a setting decides, and any setting but "off" is "on".
    settings = (level.at("typed_per_filter_config", name) for level in levels)
    setting = next((each for each in settings if each.is_there), None)
    return setting is not None and not _switch(setting)[1].is_true


def direct_response(manager: Manager, version: Version | None) -> Faults:
    """Yield answers that an old Envoy gives without asking.

    Args:
        manager: What asks the gate.
        version: Envoy's, if it is known.
    """
    if version is None or version >= _JUDGED:
        return
    for host in manager.hosts:
        for route in host.at("routes").items():
            node = route.at("direct_response")
            status = node.at("status").number or 0
            if node.is_there and status < _GOOD:
                found = f"{_of_route(route)} answers {status:g} by itself"
                edits = (Drop(node.place), Put(route.at("route").place, _forward(host)))
                yield Fault("direct-response", node.place, found, edits)


def no_route(manager: Manager) -> Faults:
    """Yield hosts that have paths without a route."""
    for host in manager.hosts:
        routes = host.at("routes")
        is_known = not host.at("matcher").is_there
        if is_known and not any(map(_takes_all, routes.items())):
            last = (*routes.place, len(routes.listed))
            edit = Insert(last, {"match": {"prefix": "/"}, "route": _forward(host)})
            found = f"no route of the virtual host {host.at('name').text} takes every path"
            yield Fault("no-route", host.place, found, (edit,))


def _switch(config: Node) -> tuple[str, Node]:
    """Return the kind of a filter's setting, and what switches the filter off in it."""
    kind, setting = unwrapped(config)
    if kind == FILTER_CONFIG and not setting.at("disabled").is_true:
        # Envoy takes a setting that is wrapped in one like the setting alone.
        kind, setting = unwrapped(setting.at("config"))
    return kind, setting.at("disabled")


def _takes_all(route: Node) -> bool:
    match = route.at("match")
    if any(match.at(key).is_there for key in _NARROWER):
        return False
    prefix = match.at("prefix")
    is_open = prefix.is_there and prefix.text in {"", "/"}
    return is_open or match.at("safe_regex", "regex").text in {".*", "/.*"}


def _of_route(level: Node) -> str:
    for key, match in level.at("match").entries():
        if isinstance(match.value, str):
            return f"the route {key} {match.value}"
    return f"{level.at('name').text or 'the route'}"


def _anonymous() -> dict[str, Any]:
    return {
        "@type": TYPES + PER_ROUTE,
        "check_settings": {"context_extensions": {"policy": "anonymous"}},
    }


def _forward(host: Node) -> dict[str, Any]:
    clusters = (route.at("route", "cluster").text for route in host.at("routes").items())
    return {"cluster": next(filter(None, clusters), "upstream")}


ROUTE_CHECKS: Final[tuple[Check, ...]] = (route_disabled, no_route)
"""Each takes a manager that asks the gate."""
