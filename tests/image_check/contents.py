"""What is in the image, and what is not: each function says what it has seen.

Looked at are the files themselves, whatever the image would say of them.
"""

import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from image_check.image import Image, nothing, same

TOP: Final = Path(__file__).parents[2]
CACHE: Final = "var/cache/wicketgate"
USER: Final = 65532
PROGRAM_PLACES: Final = (
    "opt/wicketgate/bin",
    "usr/local/bin",
    "usr/bin",
    "bin",
    "usr/sbin",
    "sbin",
)
TOOLS: Final = re.compile(
    r"(pip|easy_install|cc|c\+\+|gcc|g\+\+|clang|cpp|ld|as|make|cmake|rustc|cargo|go)[0-9.-]*"
)
PSEUDO: Final = frozenset({"dev", "proc", "sys"})
"""What the machine puts there when a container runs."""


def files(root: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield everything below `root` but links: its name, where it is, and its mode."""
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.partition("/")[0] not in PSEUDO and not path.is_symlink():
            yield name, path, path.stat().st_mode


def the_way_it_is_run(image: Image, requirements: str, version: str) -> str:  # noqa: ARG001
    """Look at the configuration, which a builder may lose in part."""
    config = image.config
    wanted = {
        "User": f"{USER}:{USER}",
        "Entrypoint": ["wicketgate"],
        "Cmd": ["authz"],
        "StopSignal": "SIGTERM",
        "WorkingDir": "/",
        "ExposedPorts": {f"{port}/tcp": {} for port in (8080, 9191, 9464, 9465)},
        "Volumes": {f"/{CACHE}": {}},
    }
    same("it is run otherwise", wanted, {name: config.get(name) for name in wanted})
    nothing("it has no health check", "Healthcheck" not in config)
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    same("it is labelled otherwise", version, labels["version"])
    same("its revision was not told", "image-check", labels["revision"])
    nothing("a label is missing", {"title", "description", "licenses"} - set(labels))
    return f"runs `wicketgate authz` as {USER}, stops on SIGTERM, and says that it is {version}"


def what_is_installed(image: Image, requirements: str, version: str) -> str:
    """Compare what is installed with what was pinned."""
    wanted = (TOP / "requirements" / f"{requirements}.txt").read_text()
    place = image.root / "opt" / "wicketgate"
    pinned = {normal(line) for line in re.findall(r"^[a-z].+?==[^ ]+", wanted, re.MULTILINE)}
    installed = {normal(line) for line in (place / "installed.txt").read_text().split()}
    listed = (place / "requirements.txt").read_text()
    same("its list of requirements is another", wanted, listed)
    nothing("not pinned", installed - pinned - {f"wicketgate=={version}"})
    nothing("wicketgate itself is missing", f"wicketgate=={version}" not in installed)
    # What is not for this system is pinned and not installed.
    markers = {normal(line) for line in re.findall(r"^([a-z].+?==[^ ]+) ;", wanted, re.MULTILINE)}
    nothing("pinned and not installed", pinned - markers - installed)
    return f"holds {len(installed)} packages, each of which is pinned by hash"


def no_tools(image: Image, requirements: str, version: str) -> str:  # noqa: ARG001
    """Look for what installs or compiles."""
    found = [
        f"{place}/{path.name}"
        for place in PROGRAM_PLACES
        if (image.root / place).is_dir()
        for path in (image.root / place).iterdir()
        if TOOLS.fullmatch(path.name)
    ]
    nothing("programs to install or to compile with", found)
    modules = [
        name
        for name, path, _ in files(image.root)
        if path.name in {"pip", "ensurepip"} and "/python3" in f"/{name}"
    ]
    nothing("Python can still install", modules)
    return "holds no pip, no ensurepip and no compiler"


def no_privileges(image: Image, requirements: str, version: str) -> str:  # noqa: ARG001
    """Look for what runs as its owner, and for what anybody may write."""
    user = int(image.config["User"].partition(":")[0])
    owned, shared, special = [], [], []
    for name, path, mode in files(image.root):
        is_sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            special.append(name)
        if mode & stat.S_IWOTH and not is_sticky:
            shared.append(name)
        if user in {path.stat().st_uid, path.stat().st_gid}:
            owned.append((name, stat.S_IMODE(mode)))
    nothing("programs that run as their owner or group", special)
    nothing("what anybody may write", shared)
    same("what belongs to its user", [(CACHE, 0o700)], owned)
    return f"holds no setuid program, and nothing that its user may write but /{CACHE}"


def nothing_of_the_build(image: Image, requirements: str, version: str) -> str:  # noqa: ARG001
    """Look for what the build was allowed to see, and nobody after it."""
    nothing("pip's settings", (image.root / "etc" / "pip.conf").exists())
    secrets = image.root / "run" / "secrets"
    nothing("secrets of the build", secrets.exists() and list(secrets.iterdir()))
    nothing(
        "an index, in what describes the image",
        [each for each in image.index if each in image.description],
    )
    nothing("the sources", (image.root / "build").exists())
    return "holds nothing of the build: no pip.conf, no authorities, no sources"


def normal(pin: str) -> str:
    """Return a pin with the name as PEP 503 compares it."""
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


Look = Callable[[Image, str, str], str]

CONTENTS: Final[tuple[Look, ...]] = (
    the_way_it_is_run,
    what_is_installed,
    no_tools,
    no_privileges,
    nothing_of_the_build,
)
