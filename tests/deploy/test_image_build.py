"""`make image` and `make image-check`: what they ask a builder for, and what they would notice."""

import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from compositions import DEPLOY, TOP, image_environment
from image_check import contents
from image_check.base import mirrors, mounts_below
from image_check.image import Broken, Image
from processes import surroundings
from wicketgate import __version__

MAKE: Final = shutil.which("make") or ""
SCRIPT: Final = DEPLOY / "image" / "build.sh"
RECORDING: Final = (
    '#!/bin/sh\nif [ "$1" = info ]; then exit {info}; fi\nprintf "%s\\n" {name} "$@" > {out}\n'
)
CONFIG: Final[dict[str, Any]] = {
    "User": "65532:65532",
    "Entrypoint": ["wicketgate"],
    "Cmd": ["authz"],
    "StopSignal": "SIGTERM",
    "WorkingDir": "/",
    "ExposedPorts": {"8080/tcp": {}, "9191/tcp": {}, "9464/tcp": {}, "9465/tcp": {}},
    "Volumes": {"/var/cache/wicketgate": {}},
    "Env": [f"{name}={value}" for name, value in image_environment().items()],
    "Healthcheck": {"Test": ["CMD", "python", "/opt/wicketgate/health.py"]},
    "Labels": {
        f"org.opencontainers.image.{name}": value
        for name, value in {
            "title": "wicketgate",
            "description": "…",
            "licenses": "MIT",
            "version": __version__,
            "revision": "image-check",
        }.items()
    },
}


def build(tmp_path: Path, works: dict[str, bool], **variables: str) -> list[str]:
    """Return what the script asks of the builders that are there, of which some work."""
    out = tmp_path / "asked"
    for name, info in works.items():
        program = tmp_path / name
        program.write_text(RECORDING.format(info=int(not info), name=name, out=out))
        program.chmod(0o755)
    done = subprocess.run(
        (SCRIPT, "registry.example.com/wicketgate:test"),
        env=surroundings() | {"PATH": f"{tmp_path}:/usr/bin:/bin"} | variables,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    return out.read_text().splitlines()


# -- building


@pytest.mark.parametrize(
    ("works", "wanted"),
    [
        ({"docker": True, "podman": True, "buildah": True}, "docker"),
        ({"docker": False, "podman": True, "buildah": True}, "podman"),
        ({"docker": False, "podman": False, "buildah": True}, "buildah"),
    ],
)
def test_the_first_builder_that_works_builds(
    tmp_path: Path, works: dict[str, bool], wanted: str
) -> None:
    """A client without its daemon does not work."""
    asked = build(tmp_path, works)

    assert asked[:2] == [wanted, "build"]
    # Without it the other two lose the health check.
    assert ("docker" in asked[2:]) == (wanted != "docker")
    assert f"VERSION={__version__}" in asked
    assert "REQUIREMENTS=runtime" in asked
    assert asked[-1] == "."


@pytest.mark.skipif(not MAKE, reason="there is no make here")
@pytest.mark.parametrize(
    "hostile", ["a;touch {mark}", "a'$(touch {mark})'", "a`touch {mark}`", '"|touch {mark}|"']
)
def test_what_an_image_is_called_is_no_command(tmp_path: Path, hostile: str) -> None:
    """
    In a pipeline it comes from the name of a branch.
    """
    out, mark = tmp_path / "asked", tmp_path / "mark"
    program = tmp_path / "docker"
    program.write_text(RECORDING.format(info=0, name="docker", out=out))
    program.chmod(0o755)
    name = hostile.format(mark=mark)

    subprocess.run(
        # Make itself reads a dollar as two.
        (MAKE, "image", f"IMAGE={name.replace('$', '$$')}", f"REQUIREMENTS={name}"),
        cwd=TOP,
        env=surroundings() | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
    )

    assert not mark.exists()
    asked = out.read_text().splitlines()
    assert asked[asked.index("--tag") + 1] == name


def test_where_no_builder_works_the_script_says_so(tmp_path: Path) -> None:
    for name in ("docker", "podman", "buildah"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        (SCRIPT, "x"),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "image-check needs no daemon" in done.stderr


def test_what_is_chosen_reaches_the_builder(tmp_path: Path) -> None:
    asked = build(
        tmp_path,
        {"docker": True, "podman": True},
        BUILDER="podman",
        REQUIREMENTS="otel",
        BASE="registry.example.com/python:3.13-slim",
        PIP_CONF="/etc/my pip.conf",
        PIP_CA="/etc/ca.pem",
    )

    assert asked[0] == "podman"
    for word in (
        "REQUIREMENTS=otel",
        "BASE=registry.example.com/python:3.13-slim",
        "id=pip.conf,src=/etc/my pip.conf",
        "id=ca.pem,src=/etc/ca.pem",
    ):
        assert word in asked


# -- the base


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ("deb http://a.example/debian bookworm main", ["http://a.example/debian"]),
        (
            "deb [signed-by=/k arch=amd64] http://a.example/debian bookworm main",
            ["http://a.example/debian"],
        ),
        ("deb-src http://a.example/debian bookworm main", []),
        ("# deb http://a.example/debian bookworm main", []),
        ("deb http://a.example/debian bookworm-updates main", []),
        (
            "Types: deb deb-src\n# x\nURIs: http://a.example http://b.example\nSuites: x bookworm",
            ["http://a.example", "http://b.example"],
        ),
        ("Types: deb\nURIs: http://a.example\nSuites: trixie", []),
        ("Types: deb-src\nURIs: http://a.example\nSuites: bookworm", []),
        ("", []),
    ],
)
def test_packages_come_from_where_apt_has_them(sources: str, found: list[str]) -> None:
    assert list(mirrors(sources, "bookworm")) == found


def test_a_directory_with_a_mount_below_it_is_told_from_others() -> None:
    mounts = "proc /proc proc rw 0 0\noverlay /srv/a/b overlay rw 0 0\nx /srv/ab x rw 0 0\n"

    assert mounts_below(Path("/srv/a"), mounts) == ["/srv/a/b"]
    assert mounts_below(Path("/srv/c"), mounts) == []


# -- looking


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """An image as it should be, of files and of words."""
    root = tmp_path / "root"
    place = root / "opt" / "wicketgate"
    (place / "bin").mkdir(parents=True)
    requirements = (TOP / "requirements" / "runtime.txt").read_text()
    (place / "requirements.txt").write_text(requirements)
    pins = [line.split()[0] for line in requirements.splitlines() if "==" in line]
    (place / "installed.txt").write_text("\n".join([*pins, f"wicketgate=={__version__}"]))
    cache = root / "var" / "cache" / "wicketgate"
    cache.mkdir(parents=True)
    cache.chmod(0o700)
    return Image(
        root=root,
        config={**CONFIG, "Labels": dict(CONFIG["Labels"])},
        bytes=3,
        base_bytes=2,
        description="{}",
        index=("https://packages.example/simple",),
    )


def look(which: contents.Look, image: Image) -> str:
    return which(image, "runtime", __version__)


@pytest.mark.parametrize(
    "which", [each for each in contents.CONTENTS if each is not contents.no_privileges]
)
def test_an_image_as_it_should_be_is_found_so(image: Image, which: contents.Look) -> None:
    assert look(which, image)


@pytest.mark.parametrize(
    ("member", "value", "complaint"),
    [
        ("User", "0:0", "run otherwise"),
        ("Entrypoint", ["/bin/sh", "-c", "wicketgate"], "run otherwise"),
        ("StopSignal", "SIGKILL", "run otherwise"),
        ("Volumes", {}, "run otherwise"),
        (
            "Labels",
            CONFIG["Labels"] | {"org.opencontainers.image.version": "0"},
            "labelled otherwise",
        ),
        (
            "Labels",
            CONFIG["Labels"] | {"org.opencontainers.image.revision": "unknown"},
            "revision",
        ),
    ],
)
def test_an_image_that_is_run_otherwise_is_noticed(
    image: Image, member: str, value: object, complaint: str
) -> None:
    image.config[member] = value

    with pytest.raises(Broken, match=complaint):
        look(contents.the_way_it_is_run, image)


def test_a_health_check_that_the_builder_lost_is_missed(image: Image) -> None:
    del image.config["Healthcheck"]

    with pytest.raises(Broken, match="no health check"):
        look(contents.the_way_it_is_run, image)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("installed.txt", "backdoor==1.0\n", "not pinned.*backdoor"),
        ("installed.txt", "aiohttp==0.0.1\n", "not pinned.*aiohttp"),
        ("requirements.txt", "more", "list of requirements"),
    ],
)
def test_what_was_not_pinned_is_noticed(
    image: Image, file: str, text: str, complaint: str
) -> None:
    with (image.root / "opt" / "wicketgate" / file).open("a") as opened:
        opened.write(f"\n{text}")

    with pytest.raises(Broken, match=complaint):
        look(contents.what_is_installed, image)


def test_what_is_pinned_and_missing_is_noticed(image: Image) -> None:
    installed = image.root / "opt" / "wicketgate" / "installed.txt"
    lines = installed.read_text().splitlines()
    installed.write_text("\n".join(line for line in lines if not line.startswith("aiohttp==")))

    with pytest.raises(Broken, match=r"not installed.*aiohttp"):
        look(contents.what_is_installed, image)


@pytest.mark.parametrize(
    ("which", "path"),
    [
        (contents.no_tools, "usr/bin/pip3.13"),
        (contents.no_tools, "opt/wicketgate/bin/pip"),
        (contents.no_tools, "usr/bin/gcc-14"),
        (contents.no_tools, "usr/local/lib/python3.13/ensurepip/__init__.py"),
        (contents.no_tools, "usr/local/lib/python3.13/site-packages/pip/__init__.py"),
        (contents.nothing_of_the_build, "etc/pip.conf"),
        (contents.nothing_of_the_build, "run/secrets/ca.pem"),
        (contents.nothing_of_the_build, "build/pyproject.toml"),
    ],
)
def test_what_should_not_be_there_is_found(image: Image, which: contents.Look, path: str) -> None:
    (image.root / path).parent.mkdir(parents=True, exist_ok=True)
    (image.root / path).write_text("")

    with pytest.raises(Broken):
        look(which, image)


@pytest.mark.parametrize(
    ("path", "mode", "complaint"),
    [
        ("bin/su", 0o4755, "as their owner"),
        ("bin/wall", 0o2755, "as their owner"),
        ("etc/passwd", 0o666, "anybody may write"),
    ],
)
def test_what_gives_privileges_is_found(
    image: Image, path: str, mode: int, complaint: str
) -> None:
    image.config["User"] = f"{Path(__file__).stat().st_uid + 1}:1"
    (image.root / path).parent.mkdir()
    (image.root / path).write_text("")
    (image.root / path).chmod(mode)
    assert stat.S_IMODE((image.root / path).stat().st_mode) == mode

    with pytest.raises(Broken, match=complaint):
        look(contents.no_privileges, image)


def test_what_belongs_to_the_user_is_the_cache_alone(image: Image) -> None:
    """Here everything belongs to whoever runs the tests, and that is too much."""
    image.config["User"] = f"{Path(__file__).stat().st_uid}:1"

    with pytest.raises(Broken, match=r"belongs to its user.*opt/wicketgate"):
        look(contents.no_privileges, image)


def test_an_index_in_the_history_is_noticed(image: Image) -> None:
    told = replace(image, description=f"RUN pip --index-url {image.index[0]}")

    with pytest.raises(Broken, match="an index"):
        look(contents.nothing_of_the_build, told)
