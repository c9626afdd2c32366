"""The project's own ``envoy.yaml``, with other addresses, and weakened on request.

Ports and addresses are found by the names of listeners and clusters; the rest
is left as it is, so what the tests run is what users copy. The weakenings of
`EnvoyOptions` exist to prove that one line of defence holds without another.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from wicketgate.errors import ConfigurationError, EnvironmentFaultError

Document = dict[str, Any]
"""A parsed Envoy bootstrap: whatever YAML held."""

Addresses = str | Sequence[str]
"""One or several of ``host:port`` and ``unix:/path``."""

STRIP_FILTER: Final = "strip_identity"
AUTHZ_FILTER: Final = "envoy.filters.http.ext_authz"

_PLACES: Final = (
    Path(__file__).with_name("envoy.yaml"),  # installed from a wheel
    Path(__file__).parents[3] / "envoy.yaml",  # a checkout
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions:
    """How the configuration departs from the one that users are given.

    Attributes:
        strip: Remove identity headers of clients before the gate is asked.
        normalise: Normalise paths, merge slashes, refuse escaped ones.
        underscores: Envoy's ``headers_with_underscores_action``.
        failure_mode_allow: Let requests in when the gate does not answer.
        encode_raw_headers: Send headers as bytes, in ``header_map``.
    """

    strip: bool = True
    normalise: bool = True
    underscores: str = "DROP_HEADER"
    failure_mode_allow: bool = False
    encode_raw_headers: bool = False


AS_SHIPPED: Final = EnvoyOptions()


def envoy_document() -> str:
    """Return the text of the project's ``envoy.yaml``.

    Raises:
        EnvironmentFaultError: the installation lacks it.
    """
    for place in _PLACES:
        if place.is_file():
            return place.read_text("utf-8")
    msg = f"envoy.yaml is not where it belongs ({_PLACES[0]}); install wicketgate again"
    raise EnvironmentFaultError(msg)


def render_config(
    document: str,
    *,
    listeners: Mapping[str, int],
    clusters: Mapping[str, Addresses],
    admin_port: int,
    options: EnvoyOptions = AS_SHIPPED,
) -> str:
    """Return `document` with other ports and addresses, as JSON.

    Args:
        document: An Envoy bootstrap in YAML.
        listeners: The port of each listener, by name. Others keep theirs.
        clusters: The endpoints of each cluster, by name. Others keep theirs.
        admin_port: The port of the admin interface.
        options: Further departures.

    Raises:
        ConfigurationError: a name is not in the document.
    """
    # Through JSON, because YAML aliases are shared objects: a change to one
    # listener's filters would be made twice to the other's.
    parsed: Document = json.loads(json.dumps(yaml.safe_load(document)))
    parsed["admin"]["address"]["socket_address"]["port_value"] = admin_port
    resources = parsed["static_resources"]
    for name, port in listeners.items():
        _named(resources["listeners"], name)["address"]["socket_address"]["port_value"] = port
    for name, addresses in clusters.items():
        several = [addresses] if isinstance(addresses, str) else addresses
        assignment = _named(resources["clusters"], name)["load_assignment"]
        assignment["endpoints"] = [{"lb_endpoints": [_endpoint(each) for each in several]}]
    for manager in connection_managers(parsed):
        _apply(options, manager)
    return json.dumps(parsed, indent=1)


def connection_managers(document: Document) -> Iterator[Document]:
    """Yield the HTTP connection manager of every listener."""
    for listener in document["static_resources"]["listeners"]:
        for chain in listener["filter_chains"]:
            for each in chain["filters"]:
                yield each["typed_config"]


def _apply(options: EnvoyOptions, manager: Document) -> None:
    manager["common_http_protocol_options"]["headers_with_underscores_action"] = (
        options.underscores
    )
    if not options.normalise:
        manager["normalize_path"] = manager["merge_slashes"] = False
        manager["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED"
    authz = _named(manager["http_filters"], AUTHZ_FILTER)["typed_config"]
    authz["failure_mode_allow"] = options.failure_mode_allow
    authz["encode_raw_headers"] = options.encode_raw_headers
    if not options.strip:
        manager["http_filters"].remove(_named(manager["http_filters"], STRIP_FILTER))


def _named(entries: Iterable[Document], name: str) -> Document:
    known = {entry["name"]: entry for entry in entries}
    if name not in known:
        msg = f"envoy.yaml has nothing called {name!r}; expected one of {', '.join(known)}"
        raise ConfigurationError(msg)
    return known[name]


def _endpoint(address: str) -> Document:
    if address.startswith("unix:"):
        return {"endpoint": {"address": {"pipe": {"path": address.removeprefix("unix:")}}}}
    host, _, port = address.rpartition(":")
    socket_address = {"address": host.strip("[]"), "port_value": int(port)}
    return {"endpoint": {"address": {"socket_address": socket_address}}}
