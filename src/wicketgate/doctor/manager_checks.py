"""What can be wrong around the filter, given a manager that asks the gate.

What a Lua, Wasm or external processing filter removes cannot be read from a
configuration, and counts as not removed.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.doctor.filter_checks import matches
from wicketgate.doctor.finding import Drop, Fault, Faults, Insert, Put
from wicketgate.doctor.node import Node
from wicketgate.doctor.parts import CORS, EXT_AUTHZ, HEADER_MUTATION, TYPES, Manager, config_of
from wicketgate.doctor.route_checks import is_on_everywhere

_UNDERSCORES: Final = frozenset({"DROP_HEADER", "REJECT_REQUEST", "1", "2"})
_REJECT: Final = "REJECT_REQUEST"
_SLASHES: Final = frozenset(
    {_REJECT, "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD", "2", "3", "4"}
)
_SHOWN: Final = 4
"""Of the names that are missing; the others are much alike."""


def identity_not_stripped(manager: Manager, identity: Sequence[str]) -> Faults:
    """Yield names that clients can send and that upstreams believe.

    Args:
        manager: What asks the gate.
        identity: The headers by which upstreams learn who was let in.
    """
    gate = manager.places_of(EXT_AUTHZ)[0]
    removals = [*_early(manager.node), *_removals(manager.filters[:gate])]
    action = manager.node.at("common_http_protocol_options", "headers_with_underscores_action")
    drops = str(action.value) in _UNDERSCORES
    found = missing(identity, removals, drops_underscores=drops)
    if found:
        place = manager.filters[gate].place
        edit = Insert(place, strip_filter(identity))
        yield Fault("identity-not-stripped", place, shown(found), (edit,))


def missing(
    identity: Sequence[str], removals: Sequence[Node], *, drops_underscores: bool
) -> list[str]:
    """Return the spellings of the names in `identity` that get past `removals`."""
    return [
        spelling
        for name in dict.fromkeys((*STRIPPED, *identity))
        for spelling in spellings_of(name)
        if not (drops_underscores and "_" in spelling)
        and not any(_removes(each, spelling) for each in removals)
    ]


def shown(names: Sequence[str]) -> str:
    """Return names that nothing removes as evidence."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"in front of the gate nothing removes {', '.join(names[:_SHOWN])}{more}"


def strip_filter(identity: Sequence[str]) -> dict[str, Any]:
    """Return the filter that removes every spelling of the names."""
    # Short patterns, because before 1.39 Envoy refuses long ones (RE2 program size).
    patterns = (
        "(?i)" + name.replace("_", ".").replace("-", ".")
        for name in dict.fromkeys((*STRIPPED, *identity))
    )
    removals = [
        {"remove_on_match": {"key_matcher": {"safe_regex": {"regex": each}}}} for each in patterns
    ]
    return {
        "name": "strip_identity",
        "typed_config": {
            "@type": TYPES + HEADER_MUTATION,
            "mutations": {"request_mutations": removals},
        },
    }


def identity_removed_after(manager: Manager, identity: Sequence[str]) -> Faults:
    """Yield what takes the identity away again.

    Args:
        manager: What asks the gate.
        identity: As for `identity_not_stripped`.
    """
    names = {"clerk_user_id", "wicketgate-principal", *identity}
    for level in manager.levels:
        for item in level.at("request_headers_to_remove").items():
            if item.text.lower() in names:
                found = f"request_headers_to_remove has {item.text}"
                yield Fault("identity-removed-after", item.place, found, (Drop(item.place),))
    gate = manager.places_of(EXT_AUTHZ)[-1]
    for removal in _removals(manager.filters[gate + 1 :]):
        found_name = next((name for name in sorted(names) if _removes(removal, name)), None)
        if found_name is not None:
            found = f"a filter behind the gate removes {found_name}"
            yield Fault("identity-removed-after", removal.place, found, (Drop(removal.place),))


def path_normalization(manager: Manager) -> Faults:
    """Yield paths that two readers can read differently."""
    node = manager.node
    slashes = node.at("path_with_escaped_slashes_action")
    wanted = [
        *((each, True) for each in _flags(node) if not each.is_true),
        *([] if str(slashes.value) in _SLASHES else [(slashes, _REJECT)]),
    ]
    if wanted:
        names = ", ".join(str(each.place[-1]) for each, _ in wanted)
        edits = tuple(Put(each.place, value) for each, value in wanted)
        yield Fault("path-normalization", wanted[0][0].place, f"off or not set: {names}", edits)


def cors_after_gate(manager: Manager) -> Faults:
    """Yield preflights that need a token."""
    gate = manager.places_of(EXT_AUTHZ)[0]
    places = manager.places_of(CORS)
    # Where one of them is in front, a preflight does not get as far as the other.
    for at in places:
        if gate < min(places):
            node = manager.filters[at]
            edits = (Drop(node.place), Insert(manager.filters[gate].place, node.value))
            yield Fault("cors-after-gate", node.place, "cors comes after ext_authz", edits)


def listener_unchecked(manager: Manager, guarded: Collection[str]) -> Faults:
    """Yield a way around the gate.

    Args:
        manager: One that does not ask.
        guarded: The clusters that are reached through a gate elsewhere.
    """
    both = sorted(manager.targets & set(guarded))
    if both:
        found = f"requests to {both[0]} pass {manager.node.at('stat_prefix').text} unasked"
        advice = "give it the ext_authz filter of the other, or have its routes end elsewhere"
        place = manager.node.at("http_filters").place
        yield Fault("listener-unchecked", place, found, advice=advice)


def filter_off(manager: Manager) -> Faults:
    """Yield a filter that routes have to switch on, and upgrades that go around it."""
    for at in manager.places_of(EXT_AUTHZ):
        node = manager.filters[at].at("disabled")
        # Envoy Gateway has it like this, and switches it on in each route.
        if node.is_true and not is_on_everywhere(manager, manager.filters[at].at("name").text):
            yield Fault("filter-off", node.place, "the filter is disabled", (Drop(node.place),))
    for upgrade in manager.node.at("upgrade_configs").items():
        filters = upgrade.at("filters")
        # With filters of its own, an upgrade does not go through those of the manager.
        if filters.listed and all(config_of(each)[0] != EXT_AUTHZ for each in filters.items()):
            found = f"upgrades to {upgrade.at('upgrade_type').text} have filters without ext_authz"
            yield Fault("filter-off", filters.place, found, (Drop(filters.place),))


def _flags(node: Node) -> tuple[Node, Node]:
    return node.at("normalize_path"), node.at("merge_slashes")


def _early(node: Node) -> Iterator[Node]:
    for extension in node.at("early_header_mutation_extensions").items():
        yield from extension.at("typed_config", "mutations").items()


def _removals(filters: Sequence[Node]) -> Iterator[Node]:
    for entry in filters:
        kind, config = config_of(entry)
        if kind == HEADER_MUTATION and not entry.at("disabled").is_true:
            yield from config.at("mutations", "request_mutations").items()


def _removes(mutation: Node, name: str) -> bool:
    return mutation.at("remove").text.lower() == name or matches(
        mutation.at("remove_on_match", "key_matcher"), name
    )
