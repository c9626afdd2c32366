"""The settings that change what a real Envoy does, each seen from the upstream."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from certificates import Authority
from conformance.table import INSIDE, ORIGIN, USERS, World, bearer
from meshes import Document, Mesh, authz_filters, cluster, managers, mesh
from processes import environ
from transports import on_both_transports
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Reply
from wicketgate.local.envoy import envoy_version, find_envoy
from wicketgate.settings import Transport

pytestmark = pytest.mark.envoy

SERVICE_TOKEN = "a-service-token-that-is-long-enough-0123"
ENVOY = "spiffe://mesh/ns/edge/sa/envoy"


async def send(running: Mesh, url: str, headers: Mapping[str, str], method: str = "GET") -> Reply:
    return await running.client.send(url, method=method, headers=list(headers.items()))


async def test_a_client_cannot_steer_envoy_with_its_own_headers(world: World) -> None:
    """
    Not from a private address either: loopback is one to Envoy's default.
    """
    steering = {
        "x-envoy-original-path": "/admin",
        "x-envoy-decorator-operation": "x",
        "x-envoy-downstream-service-cluster": "trusted",
        "x-envoy-retry-on": "5xx",
        "x-envoy-max-retries": "20",
        "x-envoy-internal": "true",
    }
    async with mesh(environ(world)) as running:
        await send(running, running.edge + USERS.path, {**bearer()(world), **steering})
        (seen,) = running.upstream.seen

    assert {name for name, _ in seen.headers} & steering.keys() == set()


def unnormalised(document: Document) -> None:
    """Let every path through as it came."""
    for manager in managers(document):
        manager["normalize_path"] = manager["merge_slashes"] = False
        manager["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED"


def any_target(document: Document) -> None:
    """Opt the whole edge out of strict targets."""
    unnormalised(document)
    for manager in managers(document):
        for host in manager["route_config"]["virtual_hosts"]:
            (authz,) = [
                config
                for name, config in host["typed_per_filter_config"].items()
                if name.endswith("ext_authz")
            ]
            authz["check_settings"]["context_extensions"]["targets"] = "any"


@pytest.mark.parametrize(("edit", "expected"), [(unnormalised, 400), (any_target, 200)])
async def test_an_encoded_slash_passes_where_the_route_opts_out(
    edit: Callable[[Document], None], expected: int, world: World
) -> None:
    async with mesh(environ(world), edit=edit) as running:
        reply = await send(running, running.edge + "/projects/a%2Fb", bearer()(world))
        seen = [each.path for each in running.upstream.seen]

    assert expected == reply.status
    assert seen == (["/projects/a%2Fb"] if expected == 200 else [])


async def test_an_alias_carries_the_user_and_a_client_s_own_does_not_arrive(
    world: World,
) -> None:
    settings = environ(world, WICKETGATE_IDENTITY_ALIASES="x-clerk-user-id")
    async with mesh(settings) as running:
        spoofed = {**bearer()(world), "x-clerk-user-id": "user_attacker"}
        await send(running, running.edge + USERS.path, spoofed)
        (seen,) = running.upstream.seen

    assert seen.values("x-clerk-user-id") == [USER]
    assert seen.values("clerk_user_id") == [USER]


@pytest.mark.parametrize("forward", [False, True])
async def test_a_service_token_travels_on_only_when_told_to(
    world: World, *, forward: bool
) -> None:
    settings = environ(
        world,
        SERVICE_AUTH_TOKEN=SERVICE_TOKEN,
        WICKETGATE_FORWARD_SERVICE_TOKEN=str(forward).lower(),
    )
    async with mesh(settings) as running:
        sent = {"authorization": f"Bearer {SERVICE_TOKEN}"}
        await send(running, running.internal + INSIDE.path, sent)
        (seen,) = running.upstream.seen

    assert forward == bool(seen.values("authorization"))


@pytest.mark.parametrize("error_response", [False, True])
async def test_a_gate_that_cannot_decide_says_503_either_way(
    world: World, *, error_response: bool
) -> None:
    """
    With ``error_response`` Envoy calls it an error, and its own status is the same. Envoy
    1.36 does not know the field, and denies with the status that it has for that.
    """
    settings = environ(world, WICKETGATE_ERROR_RESPONSE=str(error_response).lower())

    def misconfigure(document: Document) -> None:
        for manager in managers(document):
            for host in manager["route_config"]["virtual_hosts"]:
                for config in host["typed_per_filter_config"].values():
                    if "check_settings" in config:
                        config["check_settings"]["context_extensions"]["policy"] = "usr"

    is_unknown = error_response and (await envoy_version(find_envoy())).startswith("1.36.")
    async with mesh(settings, edit=misconfigure) as running:
        reply = await send(running, running.edge + USERS.path, bearer()(world))
        logged = await running.gates[0].next_event("decision")

    assert reply.status == (403 if is_unknown else 503)
    assert not running.upstream.seen
    assert str(logged["detail"]).startswith("context_extensions.policy is 'usr'")


def with_cookies(document: Document) -> None:
    """Show the gate cookies."""
    for authz in authz_filters(document):
        authz["allowed_headers"]["patterns"].append({"exact": "cookie"})


@pytest.mark.parametrize(
    ("method", "extra", "expected"),
    [
        ("GET", {}, 200),
        ("POST", {"origin": ORIGIN}, 200),
        ("POST", {"sec-fetch-site": "same-origin"}, 200),
        ("POST", {}, 403),
        ("POST", {"origin": "https://evil.example"}, 403),
        ("GET", {"origin": "https://evil.example"}, 403),
    ],
)
async def test_a_session_cookie_counts_when_our_own_pages_send_it(
    method: str, extra: dict[str, str], expected: int, world: World
) -> None:
    settings = environ(
        world,
        CLERK_PUBLISHABLE_KEY=world.clerk.publishable_key,
        CLERK_AUTHORIZED_PARTIES=ORIGIN,
        WICKETGATE_SESSION_COOKIES="true",
    )
    token = bearer()(world)["authorization"].split()[1]
    async with mesh(settings, edit=with_cookies) as running:
        sent = {"cookie": f"a=b; __session={token}", **extra}
        reply = await send(running, running.edge + USERS.path, sent, method)

    assert expected == reply.status


@on_both_transports
@pytest.mark.parametrize(("san", "expected"), [(ENVOY, 200), ("spiffe://mesh/other", 503)])
async def test_envoy_and_the_gate_know_each_other_by_certificate(
    san: str, expected: int, world: World, tmp_path: Path, transport: Transport
) -> None:
    """
    The transport socket of docs/operations.md, with real certificates.
    """
    authority = Authority()
    certificate, key = authority.server().write(tmp_path, "gate")
    client = authority.client(san).write(tmp_path, "envoy")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    settings = environ(
        world,
        WICKETGATE_TRANSPORT=transport,
        WICKETGATE_TLS_CERT_FILE=str(certificate),
        WICKETGATE_TLS_KEY_FILE=str(key),
        WICKETGATE_TLS_CLIENT_CA_FILE=str(tmp_path / "ca.pem"),
        WICKETGATE_TLS_ALLOWED_SANS=ENVOY,
    )

    def with_tls(document: Document) -> None:
        cluster(document, "authz")["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
                "UpstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_certificates": [
                        {
                            "certificate_chain": {"filename": str(client[0])},
                            "private_key": {"filename": str(client[1])},
                        }
                    ],
                    "validation_context": {"trusted_ca": {"filename": str(tmp_path / "ca.pem")}},
                },
            },
        }

    async with mesh(settings, edit=with_tls) as running:
        reply = await send(running, running.edge + USERS.path, bearer()(world))

    assert expected == reply.status
    if expected != 200:
        assert json.loads(reply.body)["reason"] == "peer_not_allowed"
