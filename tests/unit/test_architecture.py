"""The dependency rule: who may import whom, and what the core may not touch."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import wicketgate

PACKAGE: Final = Path(wicketgate.__file__).parent
MODULES: Final = sorted(
    path for path in PACKAGE.rglob("*.py") if "_gen" not in path.relative_to(PACKAGE).parts
)
CORE: Final = sorted((PACKAGE / "core").rglob("*.py"))
DOCTOR: Final = sorted((PACKAGE / "doctor").rglob("*.py"))
ADAPTERS: Final = sorted((PACKAGE / "adapters").rglob("*.py"))

RANK: Final = {
    "": 0,  # the package itself: its version
    "_gen": 0,
    "core": 0,
    "errors": 0,
    "status": 0,  # the files of the status page
    "grpc": 1,
    "metrics": 1,
    "sql": 1,
    "adapters": 2,
    "lifecycle": 2,
    "settings": 2,
    "doctor": 3,
    "gate": 3,
    "reload": 3,
    "sync": 3,
    "sync_report": 3,
    "app": 4,
    "tools": 4,
    "discreet": 5,
    "doctor_cli": 5,
    "local": 5,
    "local_cli": 6,
    "policy_cli": 5,
    "process_cli": 5,
    "revocation_cli": 5,
    "token_cli": 5,
    "cli": 7,
    "__main__": 8,
}
"""Inner parts have smaller numbers. A new part has to find its place here."""

FORBIDDEN: Final = {
    "IO": {
        *("aiohttp", "asyncio", "codecs", "fileinput", "glob", "google", "grpc", "http", "httpx"),
        *("io", "mmap", "multiprocessing", "os", "pathlib", "psycopg", "requests", "select"),
        *("selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl"),
        *("subprocess", "sys", "tempfile", "threading", "urllib"),
    },
    "a clock": {"datetime", "sched", "time", "zoneinfo"},
    "randomness": {"random", "secrets", "uuid"},
    "logging": {"logging", "prometheus_client", "structlog", "warnings"},
    "the unknown": {"ctypes", "importlib", "pickle"},
}
PURE: Final = ("urllib.parse.", "sys.intern")
"""These only split and decode text, or keep one copy of it."""
FORBIDDEN_NAMES: Final = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}


def imported(source: str, package: str = "wicketgate.core") -> set[str]:
    """Return the dotted name of everything that `source`, a module of `package`, imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(above) + "." if node.level else ""
            origin = f"{start}{node.module or ''}".rstrip(".")
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def part_of(name: str) -> str:
    """Return the part of the package that a dotted name below ``wicketgate`` belongs to."""
    first = name.split(".")[1] if "." in name else ""
    if first.startswith("settings"):
        return "settings"
    exists = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file()
    return first if exists or first in RANK else ""


def name_of(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def complaints_about_core(source: str) -> Iterator[str]:
    """Yield whatever a module of the core does that the core must not."""
    for name in imported(source):
        for what, modules in FORBIDDEN.items():
            if name.split(".")[0] in modules and not name.startswith(PURE):
                yield f"{name} is {what}"
        if name.startswith("wicketgate.") and not name.startswith("wicketgate.core"):
            yield f"{name} is outside the core"
        if name == "jwt.PyJWKClient":
            yield f"{name} fetches"
        if name.endswith(".generate_private_key"):
            yield f"{name} is randomness"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield f"{node.id} is not pure"


def complaints_about_layers(source: str, name: str) -> Iterator[str]:
    """Yield every import of the module `name` that does not point inward."""
    own = part_of(name)
    for target in imported(source, package=name.rpartition(".")[0]):
        if target.split(".")[0] != "wicketgate":
            continue
        part = part_of(target)
        if part != own and RANK[part] >= RANK[own]:
            yield f"{name} imports {target}"


def complaints_about_adapters(source: str, name: str) -> Iterator[str]:
    """Yield every adapter, other than `envoy`, that the adapter `name` imports."""
    for target in imported(source, package=name.rpartition(".")[0]):
        parts = target.split(".")
        is_other = parts[:2] == ["wicketgate", "adapters"] and ".".join(parts[:3]) != name
        if is_other and parts[2:3] != ["envoy"]:
            yield f"{name} imports {target}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_touches_nothing(path: Path) -> None:
    """
    Core modules import no IO, no clock, no randomness, no logging and no adapter.
    """
    assert not list(complaints_about_core(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", DOCTOR, ids=name_of)
def test_the_doctor_touches_nothing_either(path: Path) -> None:
    """
    It knows settings beside the core, and is as free of IO, clocks and randomness.
    """
    found = complaints_about_core(path.read_text(encoding="utf-8"))

    assert not [each for each in found if not each.endswith(" is outside the core")]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_part_has_its_place(path: Path) -> None:
    assert part_of(name_of(path)) in RANK


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_dependencies_point_inward(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    assert not list(complaints_about_layers(source, name_of(path)))


@pytest.mark.parametrize("path", ADAPTERS, ids=name_of)
def test_adapters_do_not_know_each_other(path: Path) -> None:
    """
    One outside thing per file; all of them may speak Envoy's language.
    """
    source = path.read_text(encoding="utf-8")

    assert not list(complaints_about_adapters(source, name_of(path)))


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import sys",
        "from sys import argv",
        "import os.path",
        "from os import path",
        "from datetime import datetime",
        "from logging import getLogger as get",
        "import random as r",
        "def f():\n    import socket",
        "if TYPE_CHECKING:\n    import asyncio",
        "from wicketgate.adapters import envoy",
        "from wicketgate import settings",
        "from wicketgate.errors import WicketgateError",
        "from ..adapters.envoy import Responses",
        "from .. import app",
        "from jwt import PyJWKClient",
        "from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key",
        "open('x')",
        "print()",
        "__import__('os')",
    ],
)
def test_the_rule_of_the_core_finds_what_breaks_it(source: str) -> None:
    assert list(complaints_about_core(source))


@pytest.mark.parametrize(
    "source",
    [
        "import re",
        "from sys import intern",
        "from wicketgate.core.reason import Reason",
        "from .reason import Reason",
        "f()",
    ],
)
def test_the_rule_of_the_core_finds_nothing_else(source: str) -> None:
    assert not list(complaints_about_core(source))


@pytest.mark.parametrize(
    ("name", "source", "is_inward"),
    [
        ("wicketgate.adapters.x", "from wicketgate.core.reason import Reason", True),
        ("wicketgate.adapters.x", "from wicketgate import __version__", True),
        ("wicketgate.adapters.x", "from wicketgate.app import run", False),
        ("wicketgate.adapters.x", "from wicketgate import app", False),
        ("wicketgate.adapters.x", "from wicketgate.settings import Settings", False),
        ("wicketgate.settings_values", "from wicketgate.settings import Settings", True),
        ("wicketgate.app", "from wicketgate.adapters.envoy import Responses", True),
        ("wicketgate.app", "from wicketgate.cli import main", False),
        ("wicketgate.errors", "from wicketgate.core.reason import Reason", False),
    ],
)
def test_the_rule_of_layers_finds_what_points_outward(
    name: str, source: str, *, is_inward: bool
) -> None:
    assert is_inward == (not list(complaints_about_layers(source, name)))


@pytest.mark.parametrize(
    ("source", "is_allowed"),
    [
        ("from wicketgate.adapters.envoy import Responses", True),
        ("from wicketgate.adapters import envoy", True),
        ("from wicketgate.adapters.jwks import JwksClient", False),
        ("from wicketgate.adapters import jwks", False),
        ("from .jwks import JwksClient", False),
        ("from . import jwks", False),
        ("import wicketgate.adapters.jwks", False),
    ],
)
def test_the_rule_of_adapters_finds_what_breaks_it(source: str, *, is_allowed: bool) -> None:
    found = list(complaints_about_adapters(source, "wicketgate.adapters.x"))

    assert is_allowed == (not found)
