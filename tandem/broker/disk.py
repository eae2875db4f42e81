"""The disk on which the embedded Redis stores accepted messages.

Redis confirms a write before it notices that writing to the disk failed, and refuses only later writes: with a full
disk the last accepted message would exist only in its memory. So new work is refused while there is still space, and
the rest is for running messages. Only processes of the container with the disk reach this Redis, so each of them checks
the disk itself (2 µs), independently of any other process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tandem.config.settings import Settings
from tandem.config.values import MIB, show_size

FOLDER = "/data"


@dataclass(frozen=True)
class Disk:
    """A disk with a limit. `limit`: bytes; new work is refused while less is free."""

    limit: int
    folder: str = FOLDER

    @classmethod
    def of(cls, settings: Settings) -> Disk | None:
        """Return the disk of the embedded Redis; None if Redis is external or the limit is 0."""
        return cls(settings.disk_free_limit) if settings.disk_free_limit and settings.redis_url is None else None

    def shortage(self) -> str:
        """Return why no new work can be accepted, or ''; '' also if the disk cannot be checked."""
        try:
            found = os.statvfs(self.folder)
        except OSError:
            return ""
        free = found.f_bavail * found.f_frsize
        if free >= self.limit:
            return ""
        return (
            f"{free // MIB} MiB are free on the disk of {self.folder}, and new work is refused below "
            f"{show_size(self.limit)} (DISK_FREE_LIMIT): free disk space; accepted messages are still handled"
        )
