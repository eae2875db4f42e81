"""The resource usage of the container and of this process: memory and disks."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

FOLDERS = ("/data", "/var/log/supervisor")
_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
#: For cgroup v2 and v1: the file with the usage, and the name of the droppable cache in memory.stat.
_ACCOUNTS = (
    ("memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int:
    """Return the bytes that this container uses without droppable cache, as `docker stats` counts.

    Without a control group it is the sum over all processes, which counts shared pages more than once.
    """
    for used, statistics, cache in _ACCOUNTS:
        with suppress(OSError, KeyError, ValueError):
            figures = dict(line.split() for line in (cgroup / statistics).read_text().splitlines())
            return max(0, int((cgroup / used).read_text()) - int(figures[cache]))
    return sum(_resident(path) for path in proc.glob("[0-9]*/statm"))


def resident_memory() -> int:
    """Return the resident bytes of this process (proc(5), statm)."""
    return _resident(_PROC / "self" / "statm")


def _resident(statm: Path) -> int:
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0  # it has exited by now


def free(folders: tuple[str, ...] = FOLDERS) -> dict[str, int]:
    """Return the bytes that can still be written to the disk of each folder."""
    left = {}
    for folder in folders:
        with suppress(OSError):
            left[folder] = shutil.disk_usage(folder).free
    return left


def disks(folders: tuple[str, ...] = FOLDERS) -> dict[str, float]:
    """Return the used share of the disk of each folder, from 0 to 1, as `df` counts: of what non-root users may use."""
    shares = {}
    for folder in folders:
        with suppress(OSError):
            usage = shutil.disk_usage(folder)
            shares[folder] = usage.used / max(1, usage.used + usage.free)
    return shares
