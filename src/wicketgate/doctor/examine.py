"""Which documents these are, and all faults in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from wicketgate.doctor.documents import Places
from wicketgate.doctor.envoy import envoy_faults
from wicketgate.doctor.finding import Fault, Version
from wicketgate.doctor.gateway import gateway_faults
from wicketgate.doctor.istio import istio_faults
from wicketgate.doctor.node import Node


class Kind(StrEnum):
    """What a file holds."""

    ENVOY = "Envoy"
    ISTIO = "Istio"
    GATEWAY = "Envoy Gateway"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the documents do not say themselves.

    Attributes:
        version: Envoy's, if somebody said so.
        identity: Headers that carry identity, beside those that always do.
    """

    version: Version | None = None
    identity: tuple[str, ...] = ()


_ENVOY_KEYS: Final = ("static_resources", "dynamic_resources", "configs")


class UnknownDocumentError(ValueError):
    """Nothing in the file is anything that is examined here."""


def examine(values: Sequence[Any], scope: Scope = Scope()) -> list[Fault]:
    """Return the faults in the documents of one file; each once.

    Args:
        values: What the documents hold. Places begin with the index of one of them.
        scope: What they do not say.

    Raises:
        UnknownDocumentError: there is nothing in them to be examined.
    """
    documents = [each for at, value in enumerate(values) for each in _objects(Node(value, (at,)))]
    kinds = kinds_of(documents)
    if not kinds:
        raise UnknownDocumentError
    faults: list[Fault] = []
    if Kind.ENVOY in kinds:
        for each in filter(_is_envoy, documents):
            faults += envoy_faults(each, identity=scope.identity, version=scope.version)
    if Kind.ISTIO in kinds:
        faults += istio_faults(documents, identity=scope.identity)
    if Kind.GATEWAY in kinds:
        faults += gateway_faults(documents, identity=scope.identity)
    places = Places(values)
    # What an alias repeats is one mistake, and the first that was found stays.
    return list(
        {
            (fault.rule, places.canonical(fault.place), fault.found): fault
            for fault in reversed(faults)
        }.values()
    )[::-1]


def kinds_of(documents: Sequence[Node]) -> set[Kind]:
    """Return what the documents are."""
    return {kind for each in documents for kind in _kinds_of(each)}


def _kinds_of(document: Node) -> set[Kind]:
    if _is_envoy(document):
        return {Kind.ENVOY}
    group = document.at("apiVersion").text.partition("/")[0]
    if group.endswith("istio.io") or _is_mesh(document):
        return {Kind.ISTIO}
    return {Kind.GATEWAY} if group == "gateway.envoyproxy.io" else set()


def _is_envoy(document: Node) -> bool:
    return any(document.at(key).is_there for key in _ENVOY_KEYS)


def _is_mesh(document: Node) -> bool:
    return document.at("meshConfig").is_there or document.at("extensionProviders").is_there


def _objects(document: Node) -> list[Node]:
    is_list = document.at("kind").text.endswith("List") and document.at("items").is_there
    return list(document.at("items").items()) if is_list else [document]
