"""The folders that a container writes to: each must be writable, and two of them belong to one container at a time.

A lock is held as long as supervisord lives: the kernel releases it, whatever ends supervisord.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

DATA = Path("/data")
LOGS = Path("/var/log/supervisor")
_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT)

_OWNED = "run as the image's user 10001, and give it the volume: chown -R 10001:10001 on the volume's folder"
_MOUNTED = "mount the volume writable, without :ro"
#: What to do about each folder that cannot be written to.
_REMEDIES = {
    DATA: _OWNED,
    LOGS: _OWNED,
    Path("/run"): "on a read-only root, add --tmpfs /run",
    Path("/tmp"): "on a read-only root, add --tmpfs /tmp",  # noqa: S108
}


class InUse(Exception):
    """Another container holds the lock of this folder; the text names the folder and what to do."""


def needed(programs: Sequence[str]) -> list[Path]:
    """Return the folders that a container with these programs writes to."""
    return [folder for folder in _REMEDIES if folder != DATA or "redis" in programs]


def problems(programs: Sequence[str]) -> list[str]:
    """Return one line for each folder that is not writable, or that another container uses."""
    folders = needed(programs)
    found = [line for folder in folders if (line := _not_writable(folder))]
    return found or [line for folder in _locked(folders) if (line := _in_use(folder))]


def lock(programs: Sequence[str]) -> list[int]:
    """Lock the folders for this process; return the file descriptors of the locks. Raises InUse, OSError."""
    return [_acquire(folder) for folder in _locked(needed(programs))]


def _locked(folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if folder in (DATA, LOGS)]


def _not_writable(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        if error.errno in _FULL:
            # Freeing disk space is the operator's task; the existing messages can be handled meanwhile.
            return None
        reason = error.strerror or str(error)
        remedy = _MOUNTED if error.errno == errno.EROFS and _REMEDIES[folder] == _OWNED else _REMEDIES[folder]
    return f"{folder} is not writable for user {os.getuid()}: {reason}; {remedy}"


def _in_use(folder: Path) -> str | None:
    try:
        os.close(_acquire(folder))
    except InUse as error:
        return str(error)
    except OSError as error:
        if error.errno in _FULL:
            return None
        return f"{folder / _LOCK} cannot be locked: {error.strerror}; {_REMEDIES[folder]}"
    return None


def _acquire(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUse(
            f"another container uses {folder}, and two would overwrite each other's data: stop that one, or give this "
            "one its own volume (containers that share the work share a REDIS_URL, not a volume)"
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
