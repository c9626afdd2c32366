"""What machine the numbers are of: figures of two machines say nothing about each other."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from wicketgate.errors import EnvironmentFaultError
from wicketgate.local.envoy import envoy_version, find_envoy

IDLE = 0.5
"""Load average for each core up to which nobody is in the way."""
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


def busy(note: Mapping[str, str]) -> str:
    """Return a warning when the machine had other things to do; empty when it had not."""
    load, cores = float(note["load average"]), int(note["cores"])
    if load <= cores * IDLE:
        return ""
    return (
        f"THE MACHINE WAS BUSY: load average {load:.2f} on {cores} cores before anything was "
        "measured. Ratios move less than figures; for either, run this again when it is idle."
    )


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
