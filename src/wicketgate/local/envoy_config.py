"""The project's own ``envoy.yaml``, with other addresses, and weakened on request.

Ports and addresses are found by the names of listeners and clusters; the rest
is left as it is, so what the tests run is what users copy. `EnvoyOptions` makes the
changes that a policy asks for, as operators are told to make them, and weakenings,
which exist to prove that one line of defence holds without another.
"""

import json
import re
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
class PeerTls:
    """TLS in which both sides show a certificate; all three files are PEM.

    Attributes:
        certificate: What Envoy shows.
        key: Its key.
        authority: Who vouches for the clients.
    """

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions:
    """How the configuration departs from the one that users are given.

    Attributes:
        strip: Remove identity headers of clients before the gate is asked.
        normalise: Normalise paths, merge slashes, refuse escaped ones.
        underscores: Envoy's ``headers_with_underscores_action``.
        failure_mode_allow: Let requests in when the gate does not answer.
        encode_raw_headers: Send headers as bytes, in ``header_map``.
        policy_headers: Headers that rules set, in lower case: the gate may change
            them, and no client may send them, in any spelling.
        shown_headers: Further headers of clients that rules ask about, in lower case.
        session_cookies: Show the gate cookies, and let it take session cookies out.
        peers: Ask the clients of the internal listener for a certificate; who they are
            is then the ``source.principal`` of their requests.
    """

    strip: bool = True
    normalise: bool = True
    underscores: str = "DROP_HEADER"
    failure_mode_allow: bool = False
    encode_raw_headers: bool = False
    policy_headers: tuple[str, ...] = ()
    shown_headers: tuple[str, ...] = ()
    session_cookies: bool = False
    peers: PeerTls | None = None


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
    if options.peers is not None:
        internal = _named(resources["listeners"], "internal")
        for chain in internal["filter_chains"]:
            chain["transport_socket"] = _peer_socket(options.peers)
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
    strip = _named(manager["http_filters"], STRIP_FILTER)
    for name in options.policy_headers:
        _let_change(authz, re.sub("[-_]", "[-_]", name))
        # One for each, because Envoy refuses long expressions (RE2 program size).
        key = {"safe_regex": {"regex": f"(?i){re.sub('[-_]', '.', name)}"}}
        for of in ("request_mutations", "request_trailers_mutations"):
            removals = strip["typed_config"]["mutations"].setdefault(of, [])
            removals.append({"remove_on_match": {"key_matcher": key}})
    shown = [*options.shown_headers, *(["cookie"] if options.session_cookies else [])]
    authz["allowed_headers"]["patterns"] += [{"exact": name} for name in shown]
    if options.session_cookies:
        _let_change(authz, "cookie")
    if not options.strip:
        manager["http_filters"].remove(strip)


def _let_change(authz: Document, expression: str) -> None:
    """Let the gate set and remove one more header."""
    allowed = authz["decoder_header_mutation_rules"]["allow_expression"]
    allowed["regex"] = allowed["regex"].removesuffix(")$") + f"|{expression})$"


def _peer_socket(tls: PeerTls) -> Document:
    common = {
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(tls.certificate)},
                "private_key": {"filename": str(tls.key)},
            }
        ],
        "validation_context": {"trusted_ca": {"filename": str(tls.authority)}},
    }
    kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"type.googleapis.com/{kind}",
            "require_client_certificate": True,
            "common_tls_context": common,
        },
    }


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
