"""What the container takes of its machine: memory and disks."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

FOLDERS = ("/data", "/var/log/supervisor")
_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
#: Of cgroup v2 and v1: what is in use, and under what name memory.stat has the cache that can be dropped at any time.
_ACCOUNTS = (
    ("memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def memory(cgroup: Path = _CGROUP, proc: Path = _PROC) -> int:
    """Bytes of this container without droppable cache, as `docker stats` counts.

    Without a control group it is the sum over all processes, which counts shared pages more than once.
    """
    for used, statistics, cache in _ACCOUNTS:
        with suppress(OSError, KeyError, ValueError):
            figures = dict(line.split() for line in (cgroup / statistics).read_text().splitlines())
            return max(0, int((cgroup / used).read_text()) - int(figures[cache]))
    return sum(_resident(path) for path in proc.glob("[0-9]*/statm"))


def _resident(statm: Path) -> int:
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0  # it has ended by now


def disks(folders: tuple[str, ...] = FOLDERS) -> dict[str, float]:
    """How full the disk of each folder is, from 0 to 1, as `df` counts: of what may be used without being root."""
    shares = {}
    for folder in folders:
        with suppress(OSError):
            usage = shutil.disk_usage(folder)
            shares[folder] = usage.used / max(1, usage.used + usage.free)
    return shares
