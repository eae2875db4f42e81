"""Reads log files as they grow and across rotations, complete lines only and each one once.

supervisord rotates by renaming: `x.log` becomes `x.log.1`, which becomes `x.log.2`. A renamed file gets no more lines,
so it is read to its end before the next one is opened, which is identified by its inode.
supervisord rotates only after complete lines (tandem/process/supervisord.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

BACKUPS = 3
# Bytes read at once from one file, so that a fast-growing file does not delay the others.
BLOCK = 262_144


@dataclass(frozen=True)
class Position:
    """Where reading continues: after `offset` bytes of the file with this inode."""

    inode: int
    offset: int


class Tail:
    """The lines of `path` from `position` on; None means from the beginning of the oldest backup."""

    def __init__(self, path: Path, position: Position | None = None) -> None:
        self.path = path
        self._next = position
        self._file: BinaryIO | None = None
        self._rest = b""
        self._inode = 0
        self._older: set[int] = set()

    @property
    def position(self) -> Position | None:
        """The position after the last complete line that was read."""
        if self._file is None:
            return self._next
        return Position(self._inode, self._file.tell() - len(self._rest))

    def lines(self) -> Iterator[bytes]:
        """Yield the complete new lines without their line ends; a bounded number of them if there are many."""
        if self._unchanged() or (self._file is None and not self._open()):
            return
        self._rewind_if_truncated()
        # Checked before the block is read: if the file has been renamed by then, this block is its last one.
        successor = self._successor()
        yield from self._read()
        if successor is not None and self._at_end():
            if self._rest:
                # A line whose writer died in the middle of it: it will never be completed.
                yield self._rest
            self._close()
            self._next = Position(successor, 0)

    def skip_to_end(self) -> None:
        """Skip the existing complete lines."""
        for _ in self.lines():
            pass

    def _unchanged(self) -> bool:
        """Return whether the file still has its name and has not grown or shrunk since it was read: nothing to do."""
        if self._file is None:
            return False
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return found.st_ino == self._inode and found.st_size == self._file.tell()

    def _read(self) -> Iterator[bytes]:
        assert self._file  # noqa: S101 (lines() has opened it)
        block = self._rest + self._file.read(BLOCK)
        *whole, self._rest = block.split(b"\n")
        yield from whole

    def _rewind_if_truncated(self) -> None:
        """Go back to the beginning of a file that is shorter than the read position: it was truncated in place."""
        assert self._file  # noqa: S101
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""

    def _at_end(self) -> bool:
        assert self._file  # noqa: S101
        return self._file.tell() >= os.fstat(self._file.fileno()).st_size

    def _open(self) -> bool:
        files = dict(_generations(self.path))
        if not files:
            return False
        position = self._next
        if position is None or position.inode not in files:
            # Rotated away while it was not read: the oldest remaining file is nearest to the missed lines.
            position = Position(next(iter(files)), 0)
        try:
            self._file = files[position.inode].open("rb")
        except FileNotFoundError:
            return False
        if os.fstat(self._file.fileno()).st_ino != position.inode:
            self._close()
            return False
        self._inode = position.inode
        self._older = set(takewhile(lambda inode: inode != position.inode, files))
        # A file that was truncated in place is read from its beginning.
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(position.offset if position.offset <= size else 0)
        return True

    def _successor(self) -> int | None:
        """Return the inode of the file that follows the open one; None while the open one is still written to."""
        assert self._file  # noqa: S101
        inodes = [inode for inode, _ in _generations(self.path)]
        if self._inode not in inodes:
            # Rotated away, or deleted: then its backups, which were read before it, are not successors.
            return next((inode for inode in inodes if inode not in self._older), None)
        at = inodes.index(self._inode)
        self._older = set(inodes[:at])
        return inodes[at + 1] if at + 1 < len(inodes) else None

    def _close(self) -> None:
        if self._file:
            self._file.close()
        self._file, self._rest = None, b""


def _generations(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield inode and path of the backups, oldest first, and of the file itself."""
    names = [path.with_name(f"{path.name}.{number}") for number in range(BACKUPS, 0, -1)]
    for candidate in [*names, path]:
        try:
            yield candidate.stat().st_ino, candidate
        except FileNotFoundError:
            continue
