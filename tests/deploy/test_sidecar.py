"""A gate beside each Envoy: what the pod says, and that it works over the socket that it names."""

import asyncio
import json
import re
import shlex
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from socket import AF_UNIX, socket
from stat import S_IMODE
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped] # no stubs here
import pytest
import pytest_asyncio
import yaml
from aiohttp import ClientSession, UnixConnector

from conformance.table import World
from deploy.attacks import arriving, unasked, with_token
from deploy.edges import FORGED, IMPOSTOR, Edge, complaint_about
from deploy.sidecar_config import DERIVED, OURS, REPOSITORY, derived
from deploy_manifests import built_as_it_is
from processes import environ, gate
from wicketgate import __version__
from wicketgate.doctor.examine import examine
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Client, bearer
from wicketgate.local.envoy import EnvoyProcess, find_envoy
from wicketgate.local.ports import LOOPBACK, held_ports
from wicketgate.local.upstream import EchoUpstream

HERE: Final = DERIVED.parent
SOCKET: Final = "/run/wicketgate/checks.sock"
ADMIN: Final = "/run/envoy/admin.sock"

Document = dict[str, Any]


@cache
def objects() -> list[Document]:
    """Return what Kustomize makes of the directory."""
    return built_as_it_is(HERE)


def pod() -> Document:
    """Return the template of the pod."""
    (deployment,) = [each for each in objects() if each["kind"] == "Deployment"]
    spec: Document = deployment["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Document:
    """Return a container by name."""
    (found,) = [
        each for each in (*pod()["initContainers"], *pod()["containers"]) if each["name"] == name
    ]
    return dict(found)


def envoy_yaml() -> Document:
    """Return the configuration, its anchors resolved and no longer shared."""
    document: Document = json.loads(json.dumps(yaml.safe_load(DERIVED.read_text("utf-8"))))
    return document


# ------------------------------------------------------------------------------- what it says


def test_envoy_yaml_is_that_of_the_repository_with_three_other_addresses() -> None:
    """
    If not: run ``tests/deploy/sidecar_config.py``.
    """
    assert derived(OURS.read_text("utf-8")) == DERIVED.read_text("utf-8")


def test_an_envoy_yaml_without_the_addresses_is_not_derived_from() -> None:
    with pytest.raises(ValueError, match="9191"):
        derived(OURS.read_text("utf-8").replace("9191", "9192"))


def test_the_listener_that_admits_service_tokens_stays_on_loopback() -> None:
    listeners = {each["name"]: each for each in envoy_yaml()["static_resources"]["listeners"]}

    assert listeners["internal"]["address"]["socket_address"]["address"] == LOOPBACK


def test_envoy_s_admin_is_a_socket_of_its_user_alone() -> None:
    assert envoy_yaml()["admin"]["address"] == {"pipe": {"path": ADMIN, "mode": 0o600}}


@pytest.mark.parametrize(
    ("path", "containers"), [(ADMIN, {"envoy"}), (SOCKET, {"wicketgate", "envoy"})]
)
def test_a_socket_s_volume_is_mounted_where_it_is_used_and_not_in_the_service(
    path: str, containers: set[str]
) -> None:
    """
    All containers run as one user, so it is the mount that keeps the service out; with shared
    processes there would be a way around it, through /proc.
    """
    assert not pod().get("shareProcessNamespace")
    mounts = [
        (each["name"], mount)
        for each in (*pod()["initContainers"], *pod()["containers"])
        for mount in each.get("volumeMounts", [])
    ]
    (volume,) = {
        mount["name"] for _, mount in mounts if Path(path).is_relative_to(mount["mountPath"])
    }

    assert {name for name, mount in mounts if mount["name"] == volume} == containers


def test_the_doctor_finds_nothing() -> None:
    assert examine([envoy_yaml()]) == []


def test_kubernetes_takes_every_object() -> None:
    for each in objects():
        kubernetes_validate.validate(each, "1.37", strict=True)


def test_kubernetes_would_refuse_a_misspelt_field() -> None:
    (deployment,) = [each for each in objects() if each["kind"] == "Deployment"]
    spoilt = json.loads(json.dumps(deployment))
    spoilt["spec"]["template"]["spec"]["initContainers"][0]["restartPolizy"] = "Always"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, "1.37", strict=True)


def test_the_gate_starts_before_envoy_and_ends_after_it() -> None:
    """
    Sidecars start in the order of the list, each when the one before it has started, and
    end the other way round, after the service.
    """
    sidecars = pod()["initContainers"]

    assert [each["name"] for each in sidecars] == ["wicketgate", "envoy"]
    assert all(each["restartPolicy"] == "Always" for each in sidecars)
    assert all("startupProbe" in each for each in sidecars)


def test_the_service_waits_for_less_time_than_the_pod_is_given() -> None:
    service = container("core")["lifecycle"]["preStop"]["sleep"]["seconds"]
    arguments = container("envoy")["args"]
    drain = int(arguments[arguments.index("--drain-time-s") + 1])

    assert drain < service < pod()["terminationGracePeriodSeconds"]


def test_gate_and_envoy_are_one_user_who_is_not_root() -> None:
    """
    Only its owner may write to the socket, and to connect is to write.
    """
    context = pod()["securityContext"]

    assert context["runAsNonRoot"]
    assert context["runAsUser"] == context["fsGroup"] == 65532
    for name in ("wicketgate", "envoy"):
        own = container(name)["securityContext"]
        assert "runAsUser" not in own
        assert own["readOnlyRootFilesystem"]
        assert not own["allowPrivilegeEscalation"]
        assert own["capabilities"] == {"drop": ["ALL"]}


def test_the_gate_listens_where_envoy_asks() -> None:
    variables = {each["name"]: each["value"] for each in container("wicketgate")["env"]}
    clusters = {each["name"]: each for each in envoy_yaml()["static_resources"]["clusters"]}
    (locality,) = clusters["authz"]["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]

    assert variables["WICKETGATE_AUTHZ_ADDRESS"] == f"unix:{SOCKET}"
    assert endpoint["endpoint"]["address"] == {"pipe": {"path": SOCKET}}
    for name in ("wicketgate", "envoy"):
        mounts = {each["name"]: each["mountPath"] for each in container(name)["volumeMounts"]}
        assert mounts["socket"] == str(Path(SOCKET).parent)


def test_the_keys_have_a_directory_of_their_own_inside_the_volume() -> None:
    """
    The volume belongs to the group as well, and the gate believes no such directory.
    """
    variables = {each["name"]: each["value"] for each in container("wicketgate")["env"]}
    mounts = {each["name"]: each["mountPath"] for each in container("wicketgate")["volumeMounts"]}

    assert Path(variables["WICKETGATE_JWKS_CACHE_FILE"]).parent.parent == Path(mounts["keys"])


def test_the_image_is_of_this_version() -> None:
    assert container("wicketgate")["image"] == f"registry.example.com/wicketgate:{__version__}"


def test_other_pods_reach_envoy_and_not_the_service() -> None:
    (service,) = [each for each in objects() if each["kind"] == "Service"]
    (port,) = service["spec"]["ports"]
    (edge,) = container("envoy")["ports"]

    assert port["targetPort"] == edge["name"]
    assert "ports" not in container("core")


# ------------------------------------------------------------------------------- what it does


@pytest.mark.envoy
def test_envoy_takes_the_file(tmp_path: Path) -> None:
    document = envoy_yaml()

    assert complaint_about(document, tmp_path) == ""
    (manager, *_) = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    manager["typed_config"]["merge_slashs"] = True
    assert "merge_slashs" in complaint_about(document, tmp_path)


class EnvoyOfThePod(EnvoyProcess):
    """An Envoy whose admin interface is a socket."""

    def __init__(self, config: str, *, admin: Path) -> None:
        super().__init__(config, admin_port=0, binary=find_envoy())
        self.admin = admin

    async def _get(self, path: str) -> str:
        async with (
            ClientSession(connector=UnixConnector(str(self.admin))) as session,
            session.get(f"http://admin{path}") as response,
        ):
            return await response.text()


@dataclass(frozen=True, slots=True)
class Pod:
    """Gate and Envoy, with a socket between them.

    Attributes:
        edge: What clients reach.
        envoy: The process.
    """

    edge: Edge
    envoy: EnvoyOfThePod


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pod]:
    run = tmp_path_factory.mktemp("run")
    checks, admin = run / "checks.sock", run / "admin.sock"
    with socket(AF_UNIX) as left_over:
        left_over.bind(str(admin))  # the volume outlives a container that is killed
    variables = environ(
        world, WICKETGATE_AUTHZ_ADDRESS=f"unix:{checks}", WICKETGATE_AZP_CHECK="off"
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate(variables))
        upstream = await stack.enter_async_context(EchoUpstream())
        edge, internal = stack.enter_context(held_ports(2))
        text = DERIVED.read_text("utf-8").replace(SOCKET, str(checks)).replace(ADMIN, str(admin))
        for port, here in ((8000, edge), (8001, internal), (8081, upstream.port)):
            text = text.replace(f"port_value: {port} ", f"port_value: {here} ")
        config = json.dumps(yaml.safe_load(text))
        envoy = await stack.enter_async_context(EnvoyOfThePod(config, admin=admin))
        client = await stack.enter_async_context(Client())
        yield Pod(Edge(client, upstream, {"edge": f"http://{LOOPBACK}:{edge}"}), envoy)


def before_the_stop(admin: Path) -> list[str]:
    """Return what the manifest runs before Envoy is told to end, for a socket elsewhere."""
    command = container("envoy")["lifecycle"]["preStop"]["exec"]["command"]
    assert any(ADMIN in each for each in command)
    return [each.replace(ADMIN, str(admin)) for each in command]


needs_perl: Final = pytest.mark.skipif(
    shutil.which("perl") is None, reason="perl is not installed"
)


def signed_in(world: World) -> tuple[str, str]:
    return bearer(world.clerk.mint(now=time.time()))


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_over_the_socket_a_user_comes_in_and_no_forged_name(
    running: Pod, world: World
) -> None:
    edge = running.edge
    reply = await edge.client.send(
        edge.urls["edge"] + "/v1/me", headers=[signed_in(world), *FORGED]
    )

    assert reply.status == 200
    seen = edge.seen()
    assert seen.values("clerk_user_id") == [USER]
    assert IMPOSTOR not in [value for _, value in seen.headers]


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_over_the_socket_nobody_comes_in_without_a_token(running: Pod) -> None:
    edge = running.edge
    reply = await edge.client.send(edge.urls["edge"] + "/v1/me")

    assert (reply.status, reply.reason) == (401, "no_credential")
    assert edge.upstream.take() == []


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_arrives_unasked_and_no_way_to_write_a_name_makes_another_user(
    running: Pod, world: World
) -> None:
    assert await arriving(running.edge, "edge", unasked()) == []

    token = world.clerk.mint(now=time.time())
    seen = await arriving(running.edge, "edge", with_token(token))
    assert len(seen) > 5
    for each in seen:
        assert each.values("clerk_user_id") == [USER]
        assert IMPOSTOR not in [value for _, value in each.headers]


@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_but_envoy_s_user_may_use_the_admin_socket_that_it_makes(
    running: Pod,
) -> None:
    assert S_IMODE(running.envoy.admin.stat().st_mode) == 0o600


@needs_perl
@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_the_admin_interface_answers_what_the_page_asks_it(running: Pod) -> None:
    page = (REPOSITORY / "docs" / "deploy.md").read_text("utf-8")
    (asked,) = re.findall(r"--container envoy -- (perl .*?)\n```", page, re.DOTALL)
    line = asked.replace("\\\n", " ").replace(ADMIN, str(running.envoy.admin))

    process = await asyncio.create_subprocess_exec(
        *shlex.split(line), stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await asyncio.wait_for(process.communicate(), 10)

    assert b"authz::default_priority" in answer


@needs_perl
@pytest.mark.envoy
@pytest.mark.asyncio(loop_scope="module")
async def test_what_runs_before_the_stop_has_envoy_drain_and_go_on_answering(
    running: Pod, world: World
) -> None:
    """
    The words of the manifest, sent to Envoy's admin interface by the program that they name.
    """
    edge = running.edge
    before = await edge.client.send(edge.urls["edge"] + "/v1/me", headers=[signed_in(world)])

    process = await asyncio.create_subprocess_exec(*before_the_stop(running.envoy.admin))
    assert await asyncio.wait_for(process.wait(), 10) == 0

    after = await edge.client.send(edge.urls["edge"] + "/v1/me", headers=[signed_in(world)])
    assert (before.status, after.status) == (200, 200)


@needs_perl
@pytest.mark.asyncio(loop_scope="module")
async def test_what_runs_before_the_stop_says_so_when_there_is_no_envoy(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *before_the_stop(tmp_path / "admin.sock"), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 10)

    assert process.returncode
    assert b"admin.sock" in said
