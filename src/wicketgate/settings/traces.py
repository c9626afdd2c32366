"""The settings of traces: which collector takes them, and what they are said to come from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from wicketgate.settings import locations
from wicketgate.settings.reader import EnvironReader
from wicketgate.settings.values import InvalidValueError, quoted

_ENDPOINT: Final = "WICKETGATE_TRACES_ENDPOINT"
_HEADERS: Final = "WICKETGATE_TRACES_HEADERS"
_SERVICE: Final = "OTEL_SERVICE_NAME"
_RESOURCE: Final = "OTEL_RESOURCE_ATTRIBUTES"
SERVICE_NAME: Final = "service.name"

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?")
_OURS: Final = frozenset(
    {"content-type", "content-length", "content-encoding", "transfer-encoding", "host"}
)
_KEY: Final = re.compile(r"[!-~]{1,128}")
_MAX_VALUE: Final = 256
_MAX_PAIRS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Where traces are told. Its `repr` holds no secret.

    Attributes:
        endpoint: The URL that takes OTLP over HTTP.
        headers: What every request to it carries.
        resource: What the spans are said to come from.
    """

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    resource: Mapping[str, str]


def traces(reader: EnvironReader) -> TraceSettings | None:
    """Read where traces are told; `None` for nowhere, and then nothing else is looked at."""
    if not reader.is_set(_ENDPOINT):
        if reader.is_set(_HEADERS):
            reader.mistake(
                _ENDPOINT, f"is not set, but {_HEADERS} is; expected the URL of a collector"
            )
        return None
    endpoint = reader.optional(_ENDPOINT, locations.traces_url)
    headers = reader.optional(_HEADERS, _header_pairs)
    resource = reader.optional(_RESOURCE, _attribute_pairs) or {}
    name = reader.optional(_SERVICE, _service_name)
    if endpoint is None:
        return None
    if name is not None or SERVICE_NAME not in resource:
        resource = {**resource, SERVICE_NAME: name or reader.default(_SERVICE)}
    return TraceSettings(endpoint=endpoint, headers=headers or {}, resource=resource)


def _service_name(text: str) -> str:
    if not text.isprintable() or len(text) > _MAX_VALUE:
        msg = f"is {quoted(text)}; expected a name in printable characters, at most {_MAX_VALUE}"
        raise InvalidValueError(msg)
    return text


def _header_pairs(text: str) -> Mapping[str, str]:
    expected = "expected name=value, separated by commas, with % for what is special in a value"
    return _pairs(text, _is_header, f"holds what is no header; {expected}")


def _attribute_pairs(text: str) -> Mapping[str, str]:
    expected = "expected key=value, separated by commas, with % for what is special in a value"
    return _pairs(text, _is_attribute, f"is {quoted(text)}; {expected}")


def _pairs(text: str, is_good: Callable[[str, str], bool], complaint: str) -> Mapping[str, str]:
    """Read pairs as OpenTelemetry writes them (W3C Baggage, without properties)."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        decoded = _decoded(value)
        if not equals or decoded is None or key in pairs or not is_good(key, decoded):
            raise InvalidValueError(complaint)
        pairs[key] = decoded
    if len(pairs) > _MAX_PAIRS:
        msg = f"has {len(pairs)} items; expected at most {_MAX_PAIRS}"
        raise InvalidValueError(msg)
    return pairs


def _decoded(text: str) -> str | None:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        return None


def _is_header(name: str, value: str) -> bool:
    return (
        _HEADER_NAME.fullmatch(name) is not None
        and name.lower() not in _OURS
        and _HEADER_VALUE.fullmatch(value) is not None
    )


def _is_attribute(key: str, value: str) -> bool:
    return _KEY.fullmatch(key) is not None and value.isprintable() and len(value) <= _MAX_VALUE
