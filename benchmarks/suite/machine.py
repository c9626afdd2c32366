"""What machine the numbers are of: figures of two machines say nothing about each other."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.envoy import envoy_version, find_envoy

CHANGING = frozenset({"load average", "time"})
"""What differs from run to run on one machine."""


async def machine() -> dict[str, str]:
    """Return a note of the machine and of the programs that matter."""
    try:
        envoy = await envoy_version(find_envoy())
    except EnvironmentFaultError:
        envoy = "not installed"
    return {**_system(), "Envoy": envoy}


def _system() -> dict[str, str]:
    return {
        "CPU": cpu_model(Path("/proc/cpuinfo").read_text("utf-8", "replace")),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "grpcio": version("grpcio"),
        "uvloop": version("uvloop"),
        "load average": f"{os.getloadavg()[0]:.2f}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cpu_model(cpuinfo: str) -> str:
    """Return the model named by ``/proc/cpuinfo``; on ARM it names none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """Return what two notes disagree on, as sentences."""
    names = [*first, *(name for name in second if name not in first)]
    return [
        f"{name}: {first.get(name, 'not noted')} against {second.get(name, 'not noted')}"
        for name in names
        if name not in CHANGING and first.get(name) != second.get(name)
    ]
