"""The monitor syncs the embedded Redis's file to the disk once a second, for the case that the power fails.

Redis could do it by itself (`appendfsync everysec`), but while such a sync is not over it puts its writing off, for
two seconds at most, and answers nevertheless: what it has accepted is in its memory alone then, and is lost when it is
killed. Without syncs of its own it writes before each answer (flushAppendOnlyFile in Redis's aof.c).
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = Path("/data/appendonlydir")
INTERVAL = 1.0


class Syncing(threading.Thread):
    """Syncs once a second for ever, and ends with its process."""

    def __init__(self, folder: Path = FOLDER) -> None:
        super().__init__(name="syncing", daemon=True)
        self._folder = folder

    def run(self) -> None:
        pause = threading.Event()
        while not pause.wait(INTERVAL):
            try:
                self.sync()
            except OSError as error:
                logger.error("what Redis has accepted does not come to the disk: %s", error)

    def sync(self) -> None:
        """Returns when everything that was written by now is on the disk. Raises OSError."""
        for path in self._folder.glob("*.incr.aof"):
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # Redis has just rewritten it
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
