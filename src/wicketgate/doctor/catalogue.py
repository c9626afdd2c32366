"""Every kind of mistake: its word, how bad it is, what comes of it, and who says so."""

from collections.abc import Mapping
from typing import Final

from wicketgate.doctor.finding import Rule, Severity

_ERROR: Final = Severity.ERROR
_WARNING: Final = Severity.WARNING
_API: Final = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/"
_EXT_AUTHZ: Final = f"{_API}extensions/filters/http/ext_authz/v3/ext_authz.proto"
_MEASURED: Final = "measured with Envoy 1.40.0 and a gate: "


def _rule(name: str, severity: Severity, happens: str, source: str) -> Rule:
    return Rule(id=name, severity=severity, happens=happens, source=source)


_FILTER: Final = (
    _rule(
        "no-filter",
        _ERROR,
        "Nothing here asks the gate, so every request reaches an upstream unjudged.",
        _EXT_AUTHZ,
    ),
    _rule(
        "listener-unchecked",
        _WARNING,
        "This listener sends requests to a cluster that another one guards, and asks nobody.",
        _EXT_AUTHZ,
    ),
    _rule(
        "filter-off",
        _ERROR,
        "The filter is there and not in force: requests pass without a Check.",
        f"{_API}extensions/filters/network/http_connection_manager/v3/"
        "http_connection_manager.proto (HttpFilter.disabled); " + _EXT_AUTHZ,
    ),
    _rule(
        "shadow-mode",
        _ERROR,
        "The gate is asked and not obeyed: what it denies passes.",
        f"{_EXT_AUTHZ} (shadow_mode)",
    ),
    _rule(
        "failure-mode-allow",
        _ERROR,
        "When the gate cannot be reached in time, the request passes, and with it whatever "
        "identity headers the client made up.",
        _MEASURED + "200, and the upstream saw the client's own clerk_user_id",
    ),
    _rule(
        "status-on-error",
        _WARNING,
        "A gate that is down looks like a verdict: clients get 403, do not retry, and alarms "
        "count denials. Envoy before 1.37 does so for gRPC in any case.",
        f"{_EXT_AUTHZ} (status_on_error); " + _MEASURED + "403 with an empty body",
    ),
    _rule(
        "timeout-short",
        _WARNING,
        "A gate that waits for a new key of Clerk's (0.2 s) or for its turn on a busy machine "
        "is given up, and valid requests fail.",
        "https://github.com/envoyproxy/envoy/issues/4829 (200 ms is the default)",
    ),
    _rule(
        "timeout-long",
        _WARNING,
        "A gate that hangs holds every request for that long, until Envoy or its clients run "
        "out of connections.",
        "Istio's default is 600 s, Envoy Gateway's 10 s; "
        "https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/",
    ),
    _rule(
        "retry-interval",
        _WARNING,
        "max_interval is also the time that each try gets. A Check that takes longer is broken "
        "off and asked again, which makes a busy gate busier.",
        _MEASURED + "of 2,800 requests up to 248 failed at 0.05 s, 0 at 0.25 s",
    ),
    _rule(
        "retry-ignored",
        _WARNING,
        "Envoy takes a retry_policy inside envoy_grpc and ignores it: there are no retries.",
        _MEASURED + "no retry was made until it stood beside envoy_grpc",
    ),
    _rule(
        "encode-raw-headers",
        _WARNING,
        "Checks carry header_map and an empty headers. This gate reads both; others that read "
        "headers alone take every caller for a stranger.",
        f"{_EXT_AUTHZ} (encode_raw_headers)",
    ),
    _rule(
        "clear-route-cache",
        _WARNING,
        "After the Check Envoy chooses the route anew, and may choose one whose policy was not "
        "asked.",
        _MEASURED + "a header that the gate added sent the request to another route",
    ),
    _rule(
        "authorization-withheld",
        _ERROR,
        "Envoy does not send authorization along, so the gate sees nobody signed in.",
        f"{_EXT_AUTHZ} (allowed_headers, disallowed_headers)",
    ),
    _rule(
        "transport-api-version",
        _ERROR,
        "Unset means V2, which Envoy does not speak any more: it refuses the configuration.",
        f"{_EXT_AUTHZ} (transport_api_version)",
    ),
    _rule(
        "http-service",
        _ERROR,
        "The filter speaks the HTTP protocol of ext_authz. The gate speaks gRPC, so every "
        "Check fails.",
        _EXT_AUTHZ,
    ),
)

_ROUTES: Final = (
    _rule(
        "route-disabled",
        _ERROR,
        "Requests to these paths are not judged. A route that is open to everybody says so in "
        "its policy; then nobody comes in under a forged name either.",
        f"{_EXT_AUTHZ} (ExtAuthzPerRoute.disabled); " + _MEASURED + "no Check is made",
    ),
    _rule(
        "direct-response",
        _WARNING,
        "Before 1.20 Envoy answers by itself and asks nobody: what this route says is public.",
        "https://github.com/envoyproxy/envoy/pull/17546; 1.36.4 and 1.40.0 were seen to ask",
    ),
    _rule(
        "no-route",
        _WARNING,
        "Requests that no route takes get Envoy's own 404: there is no Check, no line in the "
        "gate's log, and strangers can tell which paths exist.",
        "https://github.com/envoyproxy/envoy/issues/32118; " + _MEASURED + "no Check is made",
    ),
)

_MANAGER: Final = (
    _rule(
        "identity-not-stripped",
        _ERROR,
        "A client can send these headers itself, and wherever the gate is not asked or not "
        "obeyed, upstreams believe them. To CGI, WSGI and some proxies - and _ are the same.",
        _MEASURED + "with a disabled route and with failure_mode_allow they arrived",
    ),
    _rule(
        "identity-removed-after",
        _ERROR,
        "This comes after the gate and removes the identity that the gate has just set.",
        _MEASURED + "request_headers_to_remove left the upstream without clerk_user_id",
    ),
    _rule(
        "path-normalization",
        _ERROR,
        "The path that was judged and the path that an upstream understands can be two "
        "different ones: /public/../admin, //admin, /admin%2f.",
        "https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge; "
        "CVE-2019-9901, CVE-2021-29492",
    ),
    _rule(
        "cors-after-gate",
        _ERROR,
        "A preflight carries no token and is denied, and a denial lacks the headers without "
        "which scripts cannot read it: browsers on other origins are shut out.",
        _MEASURED + "401 for every preflight; 200 with cors in front",
    ),
)

_CLUSTER: Final = (
    _rule(
        "cluster-missing",
        _ERROR,
        "The filter asks a cluster that is not there: Envoy refuses the configuration, or "
        "every Check fails.",
        f"{_API}config/core/v3/grpc_service.proto (EnvoyGrpc.cluster_name)",
    ),
    _rule(
        "cluster-http1",
        _ERROR,
        "gRPC needs HTTP/2, and without a word Envoy speaks HTTP/1.1 to a cluster: every Check "
        "fails.",
        f"{_API}extensions/upstreams/http/v3/http_protocol_options.proto",
    ),
    _rule(
        "max-retries",
        _WARNING,
        "Only 3 retries may be under way at once, and the others fail: a gate that restarts "
        "under load costs requests in spite of the retry policy.",
        f"{_API}config/cluster/v3/circuit_breaker.proto; "
        + _MEASURED
        + "upstream_rq_retry_overflow 41 of 2,400",
    ),
    _rule(
        "no-health-check",
        _WARNING,
        "Envoy does not learn that a gate is draining, and sends it Checks until it is gone.",
        _MEASURED + "71 of 2,800 requests failed at a restart, 0 with a check each second",
    ),
)

_MESHES: Final = (
    _rule(
        "provider-unknown",
        _ERROR,
        "The policy names a provider that meshConfig does not have: Istio denies every request "
        "that the policy selects.",
        "https://istio.io/latest/docs/tasks/security/authorization/authz-custom/",
    ),
    _rule(
        "policy-partial",
        _WARNING,
        "A CUSTOM policy of Istio's asks the gate about what its rules select and about nothing "
        "else; one of Envoy Gateway's without extAuth takes the place of that which asks. The "
        "rest passes, unless another policy denies it.",
        "https://istio.io/latest/docs/reference/config/security/authorization-policy/",
    ),
    _rule(
        "envoy-cve",
        _ERROR,
        "This Envoy has a known vulnerability that touches what stands around a gate.",
        "the advisory",
    ),
)

_ENVIRONMENT: Final = (
    _rule(
        "settings",
        _ERROR,
        "The gate refuses to start.",
        "wicketgate authz --check",
    ),
    _rule(
        "settings-contradict",
        _WARNING,
        "Two settings speak of different Clerk instances, or one makes another pointless: "
        "tokens are refused, or accepted, that should not be.",
        "https://clerk.com/docs/guides/development/clerk-environment-variables",
    ),
    _rule(
        "keys-unreachable",
        _ERROR,
        "The gate cannot get Clerk's keys from here. With none on disk it refuses everybody.",
        "docs/operations.md, Clerk is down",
    ),
    _rule(
        "clock-skew",
        _ERROR,
        "This clock and Clerk's differ by more than the gate forgives: fresh tokens are not "
        "valid yet, or have expired already.",
        "RFC 9110 section 6.6.1 (Date); RFC 7519 section 4.1.4",
    ),
    _rule(
        "database-unreachable",
        _ERROR,
        "The gate hears of no revocation, and keeps no row of anybody.",
        "docs/operations.md, When the feed is down",
    ),
    _rule(
        "schema-behind",
        _ERROR,
        "The tables are older than this version: what it writes or reads is not there.",
        "wicketgate migrate --check",
    ),
)

RULES: Final = (*_FILTER, *_ROUTES, *_MANAGER, *_CLUSTER, *_MESHES, *_ENVIRONMENT)
RULE_BY_ID: Final[Mapping[str, Rule]] = {rule.id: rule for rule in RULES}
