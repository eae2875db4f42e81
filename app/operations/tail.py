"""Reads log files as they grow and across their rotation, whole lines only and each one once.

supervisord rotates by renaming: `x.log` becomes `x.log.1`, which becomes `x.log.2`. A file that was renamed gets no
more lines, so it is read to its end before the next one is opened, and the inode tells which one that is.
supervisord is made to rotate behind whole lines only (app/operations/supervisord.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BACKUPS = 3
# What is read at once from one file, so that a file that grows fast does not keep the others waiting.
BLOCK = 262_144


@dataclass(frozen=True)
class Position:
    """Where reading goes on: behind `offset` bytes of the file with this inode."""

    inode: int
    offset: int


class Tail:
    """The lines of `path`, from `position` on: None means from the beginning of the oldest backup."""

    def __init__(self, path: Path, position: Position | None = None) -> None:
        self.path = path
        self._wanted = position
        self._file: BinaryIO | None = None
        self._rest = b""

    @property
    def position(self) -> Position | None:
        """Behind the last whole line that was read."""
        if self._file is None:
            return self._wanted
        return Position(os.fstat(self._file.fileno()).st_ino, self._file.tell() - len(self._rest))

    def lines(self) -> Iterator[bytes]:
        """The whole lines that have come since, without their ends; a bounded part of them if there are many."""
        if self._file is None and not self._open():
            return
        # Asked before the block is read: when the file was renamed by then, what is read now is its last part.
        successor = self._successor()
        yield from self._read()
        if successor is not None and self._at_end():
            if self._rest:
                # A writer that died in the middle of a line; nobody will end it.
                yield self._rest
            self._close()
            self._wanted = Position(successor, 0)

    def skip_to_end(self) -> None:
        """Leaves out what is there by now, up to the last whole line."""
        for _ in self.lines():
            pass

    def _read(self) -> Iterator[bytes]:
        assert self._file  # noqa: S101 (lines() has opened it)
        block = self._rest + self._file.read(BLOCK)
        *whole, self._rest = block.split(b"\n")
        yield from whole

    def _at_end(self) -> bool:
        assert self._file  # noqa: S101
        return self._file.tell() >= os.fstat(self._file.fileno()).st_size

    def _open(self) -> bool:
        files = dict(_generations(self.path))
        if not files:
            return False
        wanted = self._wanted
        if wanted is None or wanted.inode not in files:
            # Rotated away while nobody read: the oldest one that is left is nearest to what was missed.
            wanted = Position(next(iter(files)), 0)
        try:
            self._file = files[wanted.inode].open("rb")
        except FileNotFoundError:
            return False
        if os.fstat(self._file.fileno()).st_ino != wanted.inode:
            self._close()
            return False
        # A file that was emptied in its place starts anew.
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(wanted.offset if wanted.offset <= size else 0)
        return True

    def _successor(self) -> int | None:
        """The inode of the file that follows the open one; None while the open one is still written to."""
        assert self._file  # noqa: S101
        own = os.fstat(self._file.fileno()).st_ino
        inodes = [inode for inode, _ in _generations(self.path)]
        if own not in inodes:
            return inodes[0] if inodes else None
        at = inodes.index(own)
        return inodes[at + 1] if at + 1 < len(inodes) else None

    def _close(self) -> None:
        if self._file:
            self._file.close()
        self._file, self._rest = None, b""


def _generations(path: Path) -> Iterator[tuple[int, Path]]:
    """Inode and path of the backups, oldest first, and of the file itself."""
    names = [path.with_name(f"{path.name}.{number}") for number in range(BACKUPS, 0, -1)]
    for candidate in [*names, path]:
        try:
            yield candidate.stat().st_ino, candidate
        except FileNotFoundError:
            continue
