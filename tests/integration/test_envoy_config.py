"""The project's envoy.yaml: what it says, that Envoy takes it, and what it does."""

import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from wicketgate.core.identity import STRIPPED, spellings_of
from wicketgate.core.policy.routes import Admission
from wicketgate.core.policy.rule import Exposure
from wicketgate.errors import ConfigurationError, EnvironmentFaultError
from wicketgate.local.client import Client
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.envoy_config import (
    AS_SHIPPED,
    AUTHZ_FILTER,
    STRIP_FILTER,
    EnvoyOptions,
    connection_managers,
    envoy_document,
    render_config,
)
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.upstream import EchoUpstream

SPELLINGS = [
    spell(name)
    for header in STRIPPED
    for name in spellings_of(header)
    for spell in (str.lower, str.upper, str.title)
]
INNOCENT = ["clerk-user", "my-clerk-user-id", "clerk-user-idx", "user-id", "wicketgate-principals"]
FAILED_OPEN = "x-envoy-auth-failure-mode-allowed"


def shipped() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(envoy_document())
    return document


def rendered(options: EnvoyOptions = AS_SHIPPED, **clusters: str | list[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        render_config(
            envoy_document(),
            listeners={"edge": 1111, "internal": 2222},
            clusters=clusters,
            admin_port=3333,
            options=options,
        )
    )
    return document


def filters_of(manager: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["typed_config"] for each in manager["http_filters"]}


def endpoints_of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    clusters = {each["name"]: each for each in document["static_resources"]["clusters"]}
    (locality,) = clusters[name]["load_assignment"]["endpoints"]
    return [each["endpoint"]["address"] for each in locality["lb_endpoints"]]


def words_of(place: dict[str, Any]) -> dict[str, str]:
    authz = place.get("typed_per_filter_config", {}).get(AUTHZ_FILTER, {})
    assert not authz.get("disabled")
    words: dict[str, str] = authz.get("check_settings", {}).get("context_extensions", {})
    return words


def routes() -> Iterator[Any]:
    for manager in connection_managers(shipped()):
        for host in manager["route_config"]["virtual_hosts"]:
            for route in host["routes"]:
                name = f"{host['name']} {next(iter(route['match'].values()))}"
                yield pytest.param(words_of(host) | words_of(route), id=name)


def removed_names(document: dict[str, Any]) -> list[re.Pattern[str]]:
    patterns = []
    for manager in connection_managers(document):
        for each in filters_of(manager)[STRIP_FILTER]["mutations"]["request_mutations"]:
            matcher = each.get("remove_on_match", {}).get("key_matcher")
            exact = re.escape(each.get("remove", ""))
            patterns.append(re.compile(matcher["safe_regex"]["regex"] if matcher else exact))
    return patterns


@pytest.mark.envoy
def test_envoy_accepts_the_file_as_it_is() -> None:
    (path,) = [p for p in Path(__file__).parents if (p / "envoy.yaml").is_file()]

    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", path / "envoy.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "[warning]" not in done.stderr


@pytest.mark.parametrize("words", [*routes()])
def test_every_route_is_checked_and_says_so_in_known_words(words: dict[str, str]) -> None:
    """
    Policy and exposure are both there, from the route or from its virtual host.
    """
    assert {"policy", "exposure"} == words.keys()
    assert Admission(words["policy"])
    assert Exposure(words["exposure"])


def test_exposure_is_a_matter_of_the_listener() -> None:
    exposures = {
        manager["stat_prefix"]: {words_of(host)["exposure"] for host in hosts}
        for manager in connection_managers(shipped())
        for hosts in [manager["route_config"]["virtual_hosts"]]
    }

    assert {"edge": {"public"}, "internal": {"internal"}} == exposures


def test_the_connection_managers_differ_in_name_and_routes_only() -> None:
    """
    Envoy knows no YAML merge keys, so most of the second one is a copy.
    """
    edge, internal = connection_managers(shipped())

    differences = {name for name in edge.keys() | internal.keys() if edge[name] != internal[name]}
    assert {"stat_prefix", "route_config"} == differences


@pytest.mark.parametrize("name", [*SPELLINGS, FAILED_OPEN])
def test_every_spelling_of_an_identity_header_is_stripped(name: str) -> None:
    assert any(pattern.fullmatch(name) for pattern in removed_names(shipped()))


@pytest.mark.parametrize("name", INNOCENT)
def test_other_headers_are_left_alone(name: str) -> None:
    assert not any(pattern.fullmatch(name) for pattern in removed_names(shipped()))


def test_the_gate_may_touch_what_it_plans_to_and_nothing_else() -> None:
    for manager in connection_managers(shipped()):
        rules = filters_of(manager)[AUTHZ_FILTER]["decoder_header_mutation_rules"]
        allowed = re.compile(rules["allow_expression"]["regex"])

        planned = ["authorization", *(n for header in STRIPPED for n in spellings_of(header))]
        assert [name for name in planned if allowed.search(name)] == planned
        assert not [
            name for name in ("host", "x-authorization", *INNOCENT) if allowed.search(name)
        ]
        assert rules["disallow_all"]
        assert rules["disallow_is_error"]


def test_addresses_are_replaced_by_name() -> None:
    document = rendered(upstream="127.0.0.1:4444", authz=["10.0.0.1:1", "[::1]:2", "unix:/a/b"])

    listeners = document["static_resources"]["listeners"]
    ports = [each["address"]["socket_address"]["port_value"] for each in listeners]
    assert ports == [1111, 2222]
    assert document["admin"]["address"]["socket_address"]["port_value"] == 3333
    assert endpoints_of(document, "upstream") == [
        {"socket_address": {"address": "127.0.0.1", "port_value": 4444}}
    ]
    assert endpoints_of(document, "authz") == [
        {"socket_address": {"address": "10.0.0.1", "port_value": 1}},
        {"socket_address": {"address": "::1", "port_value": 2}},
        {"pipe": {"path": "/a/b"}},
    ]


def test_without_options_nothing_but_addresses_changes() -> None:
    document, original = rendered(), shipped()

    for each in (document, original):
        del each["admin"], each["static_resources"]["listeners"][0]["address"]
        del each["static_resources"]["listeners"][1]["address"]
        for manager in connection_managers(each):
            # Said aloud when rendered; false is also what it is unsaid.
            filters_of(manager)[AUTHZ_FILTER].pop("encode_raw_headers", None)

    assert original == document


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"nothing called 'upstraem'.*upstream, authz"):
        rendered(upstraem="127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (EnvoyOptions(normalise=False), "normalize_path", False),
        (EnvoyOptions(normalise=False), "merge_slashes", False),
        (
            EnvoyOptions(normalise=False),
            "path_with_escaped_slashes_action",
            "KEEP_UNCHANGED",
        ),
    ],
)
def test_an_option_weakens_both_listeners(options: EnvoyOptions, name: str, value: object) -> None:
    assert [value, value] == [each[name] for each in connection_managers(rendered(options))]


@pytest.mark.parametrize("name", ["failure_mode_allow", "encode_raw_headers"])
def test_an_option_of_the_authz_filter_reaches_both_listeners(name: str) -> None:
    weakened = rendered(EnvoyOptions(failure_mode_allow=True, encode_raw_headers=True))

    assert [filters_of(m)[AUTHZ_FILTER][name] for m in connection_managers(weakened)] == [
        True,
        True,
    ]
    assert [filters_of(m)[AUTHZ_FILTER][name] for m in connection_managers(rendered())] == [
        False,
        False,
    ]


def test_the_strip_filter_can_be_taken_out() -> None:
    weakened = rendered(EnvoyOptions(strip=False))

    assert all(STRIP_FILTER in filters_of(each) for each in connection_managers(rendered()))
    assert not any(STRIP_FILTER in filters_of(each) for each in connection_managers(weakened))


@asynccontextmanager
async def failing_open(*, strip: bool) -> AsyncIterator[tuple[str, EchoUpstream]]:
    """Run Envoy without a gate, letting everything in, underscores too."""
    with held_ports(4) as (edge, internal, admin, nobody):
        async with EchoUpstream() as upstream:
            config = render_config(
                envoy_document(),
                listeners={"edge": edge, "internal": internal},
                clusters={"upstream": upstream.address, "authz": f"{LOOPBACK}:{nobody}"},
                admin_port=admin,
                options=EnvoyOptions(strip=strip, underscores="ALLOW", failure_mode_allow=True),
            )
            async with EnvoyProcess(config, admin_port=admin, binary=find_envoy(), wait_for=()):
                yield f"http://{LOOPBACK}:{edge}/me", upstream


@pytest.mark.envoy
@pytest.mark.parametrize(("strip", "arriving"), [(True, 0), (False, len({*SPELLINGS}))])
async def test_the_strip_filter_alone_keeps_every_spelling_out(
    *, strip: bool, arriving: int
) -> None:
    """
    With nobody asked, nothing else stands between the client and the upstream;
    without the filter, all of them arrive.
    """
    async with failing_open(strip=strip) as (url, upstream):
        async with Client() as client:
            sent = [*((name, "user_impostor") for name in {*SPELLINGS}), ("x-innocent", "1")]
            reply = await client.send(url, headers=sent)

        (seen,) = upstream.take()
        assert reply.status == 200
        assert [value for _, value in seen.headers].count("user_impostor") == arriving
        assert seen.values("x-innocent") == ["1"]


@pytest.mark.envoy
async def test_a_configuration_that_envoy_refuses_is_reported_with_its_log() -> None:
    with pytest.raises(
        EnvironmentFaultError, match=r"(?s)envoy ended with status 1.*no_such_field"
    ):
        await EnvoyProcess('{"no_such_field": 1}', admin_port=1, binary=find_envoy()).start()


def test_a_missing_binary_is_reported_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFaultError, match="is not a program; WICKETGATE_ENVOY"):
        find_envoy(str(tmp_path / "envoy"))
