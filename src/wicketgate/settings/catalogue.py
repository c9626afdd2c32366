"""Every setting: who reads it, its name, its meaning, its default, an example.

`wicketgate.settings` reads what is listed here and nothing else; the README's
table and the command line's help are made from it, so they cannot disagree.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Process(StrEnum):
    """A command that reads settings, by its name."""

    AUTHZ = "authz"
    WEBHOOKS = "webhooks"
    MIGRATE = "migrate"
    SYNC = "sync"
    REVOKE = "revoke"
    REVOCATIONS = "revocations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable.

    Attributes:
        name: The variable.
        meaning: What it is for, in one sentence.
        default: The value when unset. Empty for none; several words describe a
            value that depends on others.
        example: A value as it is typed after ``NAME=`` in a shell.
        secret: Never shown, and may come from the file named by `file_name`.
        processes: Who reads it.
    """

    name: str
    meaning: str
    default: str = ""
    example: str
    secret: bool = False
    processes: tuple[Process, ...] = (Process.AUTHZ,)

    @property
    def file_name(self) -> str:
        """The variable that names a file with the value; for secrets only."""
        return f"{self.name}_FILE"


SETTINGS: Final = (
    Setting(
        name="CLERK_PUBLISHABLE_KEY",
        meaning="Tells the Clerk instance: whose tokens count and where its keys are.",
        example="pk_test_YWJsZS1tb2xlLTEuY2xlcmsuYWNjb3VudHMuZGV2JA",
    ),
    Setting(
        name="CLERK_ISSUER",
        meaning="Exact `iss` values that are accepted, separated by commas.",
        default="derived from `CLERK_PUBLISHABLE_KEY`",
        example="https://clerk.example.com",
    ),
    Setting(
        name="CLERK_JWKS_URL",
        meaning="Where the keys are fetched: https, or http to a loopback host.",
        default="derived from `CLERK_PUBLISHABLE_KEY`",
        example="https://clerk.example.com/.well-known/jwks.json",
    ),
    Setting(
        name="CLERK_JWT_KEY",
        meaning="The instance's public key in PEM form; with it no key is ever fetched.",
        example='"$(cat clerk.pem)"',
        secret=True,
    ),
    Setting(
        name="CLERK_AUTHORIZED_PARTIES",
        meaning="Exact origins whose tokens are accepted (`azp`), separated by commas.",
        example="https://app.example.com,http://localhost:3000",
    ),
    Setting(
        name="WICKETGATE_AZP_CHECK",
        meaning="`off`, `if-present` (when the token has an `azp`), or `required`.",
        default="`required` with `CLERK_AUTHORIZED_PARTIES`, else `off`",
        example="if-present",
    ),
    Setting(
        name="CLERK_AUDIENCE",
        meaning="When set, `aud` must name one of these, separated by commas.",
        example="https://api.example.com",
    ),
    Setting(
        name="SERVICE_AUTH_TOKEN",
        meaning="Tokens of internal services, separated by commas; 32 characters or more each.",
        example='"$(openssl rand -hex 32)"',
        secret=True,
    ),
    Setting(
        name="WICKETGATE_AUTHZ_ADDRESS",
        meaning="Where Envoy asks: `host:port`, `[ipv6]:port` or `unix:/path`.",
        default="127.0.0.1:9191",
        example="unix:/run/wicketgate/authz.sock",
    ),
    Setting(
        name="WICKETGATE_ADMIN_ADDRESS",
        meaning="Where the status page, `/metrics`, `/healthz` and `/readyz` are served.",
        default="127.0.0.1:9464",
        example="0.0.0.0:9464",
    ),
    Setting(
        name="WICKETGATE_STATUS_TOKEN",
        meaning="Demanded from whoever reads the status page; without one the page is served on "
        "loopback addresses and Unix sockets only. 32 characters or more, commas between several.",
        example='"$(openssl rand -hex 32)"',
        secret=True,
        processes=(Process.AUTHZ, Process.WEBHOOKS),
    ),
    Setting(
        name="WICKETGATE_TLS_CERT_FILE",
        meaning="PEM file of the certificate chain shown to Envoy; turns TLS on.",
        example="/etc/wicketgate/tls.crt",
    ),
    Setting(
        name="WICKETGATE_TLS_KEY_FILE",
        meaning="PEM file of the certificate's private key.",
        example="/etc/wicketgate/tls.key",
    ),
    Setting(
        name="WICKETGATE_TLS_CLIENT_CA_FILE",
        meaning="PEM file of the authorities that sign client certificates; turns mTLS on.",
        example="/etc/wicketgate/ca.crt",
    ),
    Setting(
        name="WICKETGATE_TLS_ALLOWED_SANS",
        meaning="Client certificates must carry one of these names, separated by commas.",
        default="any name that the authorities signed",
        example="spiffe://cluster.local/ns/edge/sa/envoy",
    ),
    Setting(
        name="WICKETGATE_TRANSPORT",
        meaning="The gRPC implementation: `wire`, our own, or `grpcio`.",
        default="wire",
        example="grpcio",
    ),
    Setting(
        name="WICKETGATE_TEMPLATE_TOKENS",
        meaning="Accept tokens minted from a JWT template; they outlive their session.",
        default="false",
        example="true",
    ),
    Setting(
        name="WICKETGATE_PENDING_SESSIONS",
        meaning="Accept sessions that still have a task to finish (`sts` is `pending`).",
        default="false",
        example="true",
    ),
    Setting(
        name="WICKETGATE_IMPERSONATION",
        meaning="`allow` or `deny` tokens of someone who acts as the user (`act`).",
        default="allow",
        example="deny",
    ),
    Setting(
        name="WICKETGATE_MAX_TOKEN_LIFETIME_SECONDS",
        meaning="The longest life (`exp` less `iat`) of an accepted token. Revocations outlast "
        "it.",
        default="86400",
        example="3600",
        processes=(Process.AUTHZ, Process.MIGRATE),
    ),
    Setting(
        name="WICKETGATE_CLOCK_SKEW_SECONDS",
        meaning="How far Clerk's clock may be from this one; 0 to 300.",
        default="5",
        example="10",
    ),
    Setting(
        name="WICKETGATE_SESSION_COOKIES",
        meaning="Also read Clerk's session cookies; needs `CLERK_PUBLISHABLE_KEY` and "
        "`CLERK_AUTHORIZED_PARTIES`.",
        default="false",
        example="true",
    ),
    Setting(
        name="WICKETGATE_IDENTITY_ALIASES",
        meaning="Further headers that carry the user id upstream, separated by commas.",
        example="x-clerk-user-id",
    ),
    Setting(
        name="WICKETGATE_FORWARD_SERVICE_TOKEN",
        meaning="Leave the `Authorization` header of a service's call in place.",
        default="false",
        example="true",
    ),
    Setting(
        name="WICKETGATE_ERROR_RESPONSE",
        meaning="Say 503 through `error_response`, which Envoy knows from 1.37 on.",
        default="false",
        example="true",
    ),
    Setting(
        name="WICKETGATE_PROBLEM_TYPE_BASE",
        meaning="Where your copy of docs/reasons.md is: what the `type` of a problem document "
        "begins with, before the reason. Ends with `#`, `/` or `=`.",
        default="`urn:wicketgate:reason:`, which identifies and leads nowhere",
        example="https://docs.example.com/wicketgate/reasons#",
    ),
    Setting(
        name="WICKETGATE_DRAIN_SECONDS",
        meaning="How long to keep serving after SIGTERM, for Envoy or a load balancer to notice.",
        default="3",
        example="10",
        processes=(Process.AUTHZ, Process.WEBHOOKS),
    ),
    Setting(
        name="WICKETGATE_GRACE_SECONDS",
        meaning="How long calls in flight may take to finish after that.",
        default="5",
        example="10",
        processes=(Process.AUTHZ, Process.WEBHOOKS),
    ),
    Setting(
        name="WICKETGATE_JWKS_CACHE_FILE",
        meaning="Where the last good keys are kept for a start without Clerk; `off` for nowhere.",
        default="`$XDG_CACHE_HOME/wicketgate/jwks.json`, else `~/.cache/wicketgate/jwks.json`",
        example="/var/cache/wicketgate/jwks.json",
    ),
    Setting(
        name="WICKETGATE_JWKS_REFRESH_SECONDS",
        meaning="How often the keys are fetched anew.",
        default="300",
        example="600",
    ),
    Setting(
        name="WICKETGATE_JWKS_COOLDOWN_SECONDS",
        meaning="The least time between two fetches that tokens with an unknown key cause.",
        default="30",
        example="60",
    ),
    Setting(
        name="WICKETGATE_JWKS_MAX_STALE_SECONDS",
        meaning="How long the last good keys count while Clerk cannot be reached.",
        default="86400",
        example="3600",
    ),
    Setting(
        name="WICKETGATE_JWKS_WAIT_SECONDS",
        meaning="How long a request waits for a key; keep it under Envoy's ext_authz timeout.",
        default="0.2",
        example="0.1",
    ),
    Setting(
        name="WICKETGATE_TOKEN_CACHE_SIZE",
        meaning="Verified tokens that are remembered (about 2 KiB each); 0 for none.",
        default="10000",
        example="50000",
    ),
    Setting(
        name="WICKETGATE_LOG_LEVEL",
        meaning="`debug`, `info`, `warning` or `error`.",
        default="info",
        example="warning",
        processes=(Process.AUTHZ, Process.WEBHOOKS),
    ),
    Setting(
        name="WICKETGATE_POLICY_FILE",
        meaning="The policy of the mesh, in YAML; followed as it changes. Without one, the "
        "routes' `context_extensions` say who is admitted.",
        example="/etc/wicketgate/policy.yaml",
    ),
    Setting(
        name="WICKETGATE_SERVICE_TOKENS_FILE",
        meaning="Named service tokens, as hashes with scopes and an end; followed as it changes.",
        example="/etc/wicketgate/service-tokens.yaml",
    ),
    Setting(
        name="WICKETGATE_DECISION_LOG",
        meaning="Which decisions get a log line: `all`, `denied` or `off`.",
        default="all",
        example="denied",
    ),
    Setting(
        name="WICKETGATE_DECISION_DETAIL",
        meaning="What a decision's log line holds: `standard`, or `replay` for what "
        "`wicketgate policy diff` needs: method, host, path and the claims that policies read.",
        default="standard",
        example="replay",
    ),
    Setting(
        name="WICKETGATE_REPLAY_SHARE",
        meaning="Of the decisions logged under `replay`, the share that gets it: 0 to 1.",
        default="1",
        example="0.05",
    ),
    Setting(
        name="WICKETGATE_TRACES_ENDPOINT",
        meaning="Continue the traces of requests, and tell them to the collector at this URL "
        "(OTLP over HTTP); unset, there are none. Needs `wicketgate[otel]`.",
        example="http://collector:4318/v1/traces",
    ),
    Setting(
        name="WICKETGATE_TRACES_HEADERS",
        meaning="Headers for that collector, as `name=value`, separated by commas.",
        example='"$(cat collector-headers.txt)"',
        secret=True,
    ),
    Setting(
        name="OTEL_SERVICE_NAME",
        meaning="What spans are said to come from. Read with `WICKETGATE_TRACES_ENDPOINT` only.",
        default="wicketgate-authz",
        example="edge-gate",
    ),
    Setting(
        name="OTEL_RESOURCE_ATTRIBUTES",
        meaning="More about that, as `key=value`, separated by commas. Read with "
        "`WICKETGATE_TRACES_ENDPOINT` only.",
        example="deployment.environment.name=production,k8s.pod.name=wicketgate-authz-0",
    ),
    Setting(
        name="WICKETGATE_FIRST_SIGHT",
        meaning="Make the row of a user whom the gate has not seen before: `off`, `async` (while "
        "the request goes on) or `sync` (before, for 50 ms at most); needs `DATABASE_URL`.",
        default="off",
        example="sync",
    ),
    Setting(
        name="WICKETGATE_USER_ID_HEADER",
        meaning="Tell upstreams the `id` of the user's row, in `x-user-id`; needs "
        "`WICKETGATE_FIRST_SIGHT`.",
        default="false",
        example="true",
    ),
    Setting(
        name="CLERK_WEBHOOK_SIGNING_SECRET",
        meaning="Signing secrets of the webhook's endpoints, separated by commas.",
        example='"$(cat whsec.txt)"',
        secret=True,
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="CLERK_INSTANCE_ID",
        meaning="When set, events of other Clerk instances are ignored, samples among them.",
        example="ins_2xKAbCdEfGhIjKlMnOpQrStUvWx",
        processes=(Process.WEBHOOKS, Process.SYNC),
    ),
    Setting(
        name="DATABASE_URL",
        meaning="Where Postgres is, as a `postgresql://` URL.",
        example='"$(cat database-url.txt)"',
        secret=True,
        processes=tuple(Process),
    ),
    Setting(
        name="WICKETGATE_DATABASE_SCHEMA",
        meaning="The schema that holds every table of ours.",
        default="wicketgate",
        example="clerk",
        processes=tuple(Process),
    ),
    Setting(
        name="WICKETGATE_REVOCATION_DATABASE_URL",
        meaning="Where the gate hears of revocations: Postgres itself, because LISTEN passes "
        "no pooler; `off` for not at all.",
        default="the value of `DATABASE_URL`",
        example='"$(cat database-url.txt)"',
        secret=True,
    ),
    Setting(
        name="WICKETGATE_REVOCATION_MAX_STALE",
        meaning="Refuse users (503) once it has been unknown for so many seconds who was "
        "revoked; unset, the gate goes on with what it knew.",
        example="60",
    ),
    Setting(
        name="WICKETGATE_REVOCATION_START_WAIT",
        meaning="How many seconds a gate that starts is NOT_SERVING at most, until it knows who "
        "was revoked.",
        default="10",
        example="30",
    ),
    Setting(
        name="WICKETGATE_DATABASE_POOL_SIZE",
        meaning="How many connections to Postgres are held at most.",
        default="8",
        example="16",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="WICKETGATE_WEBHOOKS_ADDRESS",
        meaning="Where Clerk's deliveries arrive: `host:port`, `[ipv6]:port` or `unix:/path`.",
        default="127.0.0.1:8080",
        example="0.0.0.0:8080",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="WICKETGATE_WEBHOOKS_ADMIN_ADDRESS",
        meaning="Where the receiver's status page, `/metrics`, `/healthz` and `/readyz` are "
        "served.",
        default="127.0.0.1:9465",
        example="0.0.0.0:9465",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="WICKETGATE_WEBHOOKS_PATH",
        meaning="The one path that takes deliveries.",
        default="/webhooks/clerk",
        example="/hooks/clerk",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="WICKETGATE_SYNC_ORGANIZATIONS",
        meaning="Keep organizations and their memberships, too.",
        default="false",
        example="true",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="WICKETGATE_DELIVERY_RETENTION_DAYS",
        meaning="How long it is remembered which deliveries there were.",
        default="30",
        example="7",
        processes=(Process.WEBHOOKS,),
    ),
    Setting(
        name="CLERK_SECRET_KEY",
        meaning="The key to Clerk's Backend API.",
        example='"$(cat clerk-secret-key.txt)"',
        secret=True,
        processes=(Process.SYNC,),
    ),
    Setting(
        name="CLERK_API_URL",
        meaning="Where Clerk's Backend API is: https, or http to a loopback host.",
        default="https://api.clerk.com",
        example="http://127.0.0.1:8081",
        processes=(Process.SYNC,),
    ),
)

BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def settings_of(process: Process) -> tuple[Setting, ...]:
    """Return the settings that `process` reads, in display order."""
    return tuple(setting for setting in SETTINGS if process in setting.processes)


def settings_table() -> str:
    """Return the settings of every process as a Markdown table, in display order."""
    rows = (
        f"| {_variable(setting)} | {', '.join(setting.processes)} | {setting.meaning} "
        f"| {_default(setting.default)} |"
        for setting in SETTINGS
    )
    head = "| variable | process | meaning | default |"
    return "\n".join((head, "|---|---|---|---|", *rows)) + "\n"


def _variable(setting: Setting) -> str:
    twin = f" or `{setting.file_name}`" if setting.secret else ""
    return f"`{setting.name}`{twin}"


def _default(default: str) -> str:
    if not default:
        return "none"
    return default if " " in default else f"`{default}`"
