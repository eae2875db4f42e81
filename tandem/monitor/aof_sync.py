"""The monitor syncs the embedded Redis's append-only file to the disk once a second, against power failures.

Redis could do this itself (`appendfsync everysec`), but while such a sync is in progress it postpones writing for up to
two seconds and answers nevertheless: the accepted data is then only in its memory, and is lost when Redis is killed.
Without syncs of its own it writes before each answer (flushAppendOnlyFile in Redis's aof.c).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from tandem.process import aof
from tandem.support.periodic import Periodic

logger = logging.getLogger(__name__)

FOLDER = aof.DATA / aof.FOLDER
INTERVAL = 1.0


class AofSync:
    """Syncs once a second as long as the process runs."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._marked = False

    def start(self) -> None:
        """Start to sync."""
        Periodic("AOF sync", self._sync_or_report, INTERVAL).start()

    def _sync_or_report(self) -> None:
        try:
            self.sync()
        except OSError as error:
            logger.error("syncing the append-only file to the disk failed: %s", error)

    def sync(self) -> None:
        """Sync everything written so far to the disk. Raises OSError.

        After the first sync, a start without the file is refused (see aof.py).
        """
        paths = list(self._folder.glob("*.incr.aof"))
        if paths and not self._marked:
            aof.mark(self._folder.parent)
            self._marked = True
        for path in paths:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # Redis has just rewritten it
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
