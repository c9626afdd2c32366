"""What a process costs, as Linux accounts it.

Source: clock_getcpuclockid(3) for the time of all threads, those that ended included,
in nanoseconds; proc(5) ``VmRSS``.
"""

import time
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used."""
    # The clock of a process is its id's complement with CPUCLOCK_SCHED in the low bits.
    return time.clock_gettime(~pid << 3 | 2)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
