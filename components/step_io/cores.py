"""The cores that a step may use: a container on a big node sees all of the node's."""

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "<quota or max> <period>", microseconds
QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")  # cgroup v1, -1 without a limit
PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def cores() -> int:
    """Return the number of cores, at least 1: those of the process, or the container's limit rounded up."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return own if quota is None else max(1, min(own, quota))


def _quota() -> int | None:
    """Return the container's CPU limit in whole cores; None without one."""
    for read in (lambda: CPU_MAX.read_text().split(), lambda: [QUOTA.read_text(), PERIOD.read_text()]):
        try:
            quota, period = (int(word) for word in read())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            return -(-quota // period)
    return None
