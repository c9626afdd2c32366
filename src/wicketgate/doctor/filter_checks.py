"""What can be wrong with the ext_authz filter itself, given its configuration."""

from collections.abc import Mapping
from typing import Final

import re2

from wicketgate.doctor.finding import Check, Drop, Fault, Faults, Put
from wicketgate.doctor.node import Node

MIN_SECONDS: Final = 0.25
"""The gate may wait 0.2 s for a key; below this it cannot even say so."""
MAX_SECONDS: Final = 5.0
"""Ten times of what is recommended; a browser's user has left."""
DEFAULT_SECONDS: Final = 0.2
"""Envoy's, for ext_authz (``DefaultTimeout``)."""
_TIMEOUT: Final = "0.5s"
_MAX_INTERVAL: Final = "0.25s"
_DEFAULT_BASE: Final = 1.0
_TIMES_BASE: Final = 10
"""Without a word, max_interval is ten times base_interval."""
_NO_VERDICTS: Final = frozenset(
    {
        *("RequestTimeout", "TooManyRequests", "InternalServerError", "NotImplemented"),
        *("BadGateway", "ServiceUnavailable", "GatewayTimeout", "HTTPVersionNotSupported"),
        *("VariantAlsoNegotiates", "InsufficientStorage", "LoopDetected", "NotExtended"),
        "NetworkAuthenticationRequired",
    }
)
VERDICT_CODES: Final = frozenset(range(500)) - {408, 429}
"""All others say that it may be better later; so do the names above."""
_NOBODY: Final = "authorization"


def failure_mode_allow(config: Node) -> Faults:
    """Yield a gate whose absence lets everybody in."""
    node = config.at("failure_mode_allow")
    if node.is_true:
        yield Fault(
            "failure-mode-allow",
            node.place,
            "failure_mode_allow is true",
            (Put(node.place, value=False),),
        )


def status_on_error(config: Node) -> Faults:
    """Yield a gate whose absence looks like a verdict."""
    node = config.at("status_on_error")
    code = node.at("code")
    if code.text in _NO_VERDICTS or (code.number or 0) not in VERDICT_CODES:
        return
    found = f"status_on_error is {code.value}" if node.is_there else "there is no status_on_error"
    yield Fault(
        "status-on-error", node.place, found, (Put(node.place, {"code": "ServiceUnavailable"}),)
    )


def timeouts(config: Node) -> Faults:
    """Yield a gate that is given too little time, or too much."""
    if not config.at("grpc_service").is_there:
        return
    node = config.at("grpc_service", "timeout")
    yield from of_timeout(node, default=DEFAULT_SECONDS)


def of_timeout(node: Node, *, default: float) -> Faults:
    """Yield a timeout that is too short or too long.

    Args:
        node: The timeout.
        default: What counts without one, in seconds.
    """
    seconds = default if node.seconds is None else node.seconds
    found = f"the timeout is {seconds:g} s" + ("" if node.is_there else ", the default")
    edits = (Put(node.place, _TIMEOUT),)
    if 0 < seconds < MIN_SECONDS:
        yield Fault("timeout-short", node.place, found, edits)
    elif seconds == 0 or seconds >= MAX_SECONDS:
        yield Fault("timeout-long", node.place, found, edits)


def retry_interval(config: Node) -> Faults:
    """Yield tries that are broken off before a gate can have answered."""
    service = config.at("grpc_service")
    if not service.at("retry_policy").is_there:
        return
    back_off = service.at("retry_policy", "retry_back_off")
    node = back_off.at("max_interval")
    base = back_off.at("base_interval").seconds or _DEFAULT_BASE
    seconds = node.seconds or _TIMES_BASE * base
    whole = service.at("timeout").seconds or DEFAULT_SECONDS
    if seconds >= min(whole, MIN_SECONDS):
        return
    found = f"max_interval is {seconds:g} s" + (
        "" if node.is_there else ", ten times base_interval"
    )
    yield Fault("retry-interval", node.place, found, (Put(node.place, _MAX_INTERVAL),))


def retry_ignored(config: Node) -> Faults:
    """Yield a retry policy that is in the wrong place."""
    service = config.at("grpc_service")
    node = service.at("envoy_grpc", "retry_policy")
    if node.is_there:
        there = service.at("retry_policy")
        move = () if there.is_there else (Put(there.place, node.value),)
        found = "retry_policy is inside envoy_grpc"
        yield Fault("retry-ignored", node.place, found, (Drop(node.place), *move))


def encode_raw_headers(config: Node) -> Faults:
    """Yield Checks whose headers are in another field."""
    node = config.at("encode_raw_headers")
    if node.is_true:
        yield Fault(
            "encode-raw-headers", node.place, "encode_raw_headers is true", (Drop(node.place),)
        )


def clear_route_cache(config: Node) -> Faults:
    """Yield a second choice of the route."""
    node = config.at("clear_route_cache")
    if node.is_true:
        yield Fault(
            "clear-route-cache",
            node.place,
            "clear_route_cache is true",
            (Put(node.place, value=False),),
        )


def authorization_withheld(config: Node) -> Faults:
    """Yield lists of headers that leave the token out."""
    allowed = config.at("allowed_headers", "patterns")
    if allowed.is_there and not any(matches(each, _NOBODY) for each in allowed.items()):
        edit = Put((*allowed.place, len(allowed.listed)), {"exact": _NOBODY})
        yield Fault(
            "authorization-withheld",
            allowed.place,
            "allowed_headers does not list authorization",
            (edit,),
        )
    disallowed = config.at("disallowed_headers")
    patterns = disallowed.at("patterns")
    for pattern in patterns.items():
        if matches(pattern, _NOBODY):
            yield Fault(
                "authorization-withheld",
                pattern.place,
                "disallowed_headers lists authorization",
                # Envoy refuses a list without patterns.
                (Drop(pattern.place if len(patterns.listed) > 1 else disallowed.place),),
            )


def transport_api_version(config: Node) -> Faults:
    """Yield a protocol that is gone."""
    node = config.at("transport_api_version")
    if node.value not in ("V3", 2):
        found = f"transport_api_version is {node.value}" if node.is_there else "there is none"
        yield Fault("transport-api-version", node.place, found, (Put(node.place, "V3"),))


def http_service(config: Node) -> Faults:
    """Yield a filter that does not speak gRPC."""
    node = config.at("http_service")
    if node.is_there:
        grpc = {"timeout": _TIMEOUT, "envoy_grpc": {"cluster_name": "authz"}}
        edits = (Drop(node.place), Put(config.at("grpc_service").place, grpc))
        yield Fault("http-service", node.place, "the filter has an http_service", edits)


def shadow_mode(config: Node) -> Faults:
    """Yield a gate that is not obeyed."""
    node = config.at("shadow_mode")
    if node.is_true:
        yield Fault("shadow-mode", node.place, "shadow_mode is true", (Drop(node.place),))


def filter_enabled(config: Node) -> Faults:
    """Yield a filter that is in force for a part of the requests only."""
    share = config.at("filter_enabled", "default_value")
    denominators = {"": 100, "HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
    whole = denominators.get(share.at("denominator").text, 100)
    if not share.is_there or config.at("deny_at_disable", "default_value").is_true:
        return
    number = share.at("numerator").number or 0
    if number < whole:
        node = config.at("filter_enabled")
        found = f"filter_enabled is {number:g} of {whole}"
        yield Fault("filter-off", node.place, found, (Drop(node.place),))


def filter_enabled_metadata(config: Node) -> Faults:
    """Yield a filter that is in force for requests with some metadata only."""
    node = config.at("filter_enabled_metadata")
    keys = [each.at("key").text for each in node.at("path").items()]
    # Istio's own: its RBAC filter says which requests a CUSTOM policy selects.
    if node.is_there and not any(key.startswith("istio") for key in keys):
        name = node.at("filter").text
        found = f"filter_enabled_metadata leaves it to metadata of {name}"
        yield Fault("filter-off", node.place, found, (Drop(node.place),))


def matches(matcher: Node, name: str) -> bool:
    """Tell whether a ``StringMatcher`` matches the name of a header, in lower case."""
    fold = matcher.at("ignore_case").is_true

    def folded(key: str) -> str:
        text = matcher.at(key).text
        return text.lower() if fold else text

    regex = matcher.at("safe_regex", "regex").text
    return (
        folded("exact") == name
        or bool(folded("prefix") and name.startswith(folded("prefix")))
        or bool(folded("suffix") and name.endswith(folded("suffix")))
        or bool(folded("contains") and folded("contains") in name)
        or bool(regex and _fits(regex, name))
    )


def _fits(regex: str, name: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        return bool(re2.compile(regex, options).fullmatch(name))
    except re2.error:
        # Envoy refuses the file for it, and says so better.
        return False


FILTER_CHECKS: Final[tuple[Check, ...]] = (
    *(http_service, transport_api_version, failure_mode_allow, shadow_mode, filter_enabled),
    *(status_on_error, timeouts, retry_interval, retry_ignored, encode_raw_headers),
    *(clear_route_cache, authorization_withheld, filter_enabled_metadata),
)
"""Each takes the configuration of one filter."""

UNSAID_BY_DEFAULT: Final[Mapping[Check, tuple[str, ...]]] = {
    transport_api_version: ("transport_api_version",),
    status_on_error: ("status_on_error",),
    timeouts: ("grpc_service", "timeout"),
}
"""Of these checks, the field whose absence is what they find."""
