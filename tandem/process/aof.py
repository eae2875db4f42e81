"""Examines the embedded Redis's append-only file before Redis reads it.

Redis itself starts silently if the file's folder or its manifest is missing, truncates everything after a damaged
length, and exits with an error for zeros at the end, which a power failure leaves where the file had grown and its
blocks were not written. So Redis only reads a complete file: an unfinished end is truncated here and reported, and any
other damage stops the start with the command that repairs it. See docs/how-to/back-up-and-repair.md.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

DATA = Path("/data")
FOLDER = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
#: There has been an append-only file on this volume.
MARKER = ".has-data"
# An unfinished command is at most one message and its record.
_MAX_TAIL = 64 * 2**20
_BLOCK = 2**20
_CHECK_SECONDS = 600
_ENTRY = re.compile(r"file (\S+) seq (\d+) type ([bhi])( .*)?")
_FILE = re.compile(r"appendonly\.aof\.(\d+)\.(base|incr)\.(rdb|aof)")
_ANALYZED = re.compile(r"AOF analyzed: filename=(\S+), size=(\d+), ok_up_to=(\d+),")
_COUNT = re.compile(rb"\*(\d{1,9})\r\n")
_LENGTH = re.compile(rb"\$(\d{1,10})\r\n")
# The start of a command: if a value contains one, the value's length is wrong.
_COMMAND = re.compile(rb"\r\n\*\d{1,9}\r\n\$\d{1,9}\r\n[A-Za-z.]+\r\n")
_RUN = "docker compose stop app; docker compose run --rm app"
_BACKUP = "put a backup of /data back (docs/how-to/back-up-and-repair.md)"


class Damaged(Exception):
    """Redis must not start on this file; the text is one line with what to do."""


@dataclass(frozen=True)
class Truncation:
    """The file ends in the middle of a command: bytes `keep` to `size` have to be removed."""

    path: Path
    keep: int
    size: int

    def apply(self) -> None:
        """Truncate the file and sync it to the disk. Raises OSError."""
        with self.path.open("r+b") as file:
            file.truncate(self.keep)
            os.fsync(file.fileno())

    def __str__(self) -> str:
        return (
            f"the last {self.size - self.keep} bytes of {self.path.name} were not a complete command and were removed, "
            "as after a power failure: data accepted in the second before it may be missing"
        )


def examine(data: Path = DATA) -> Truncation | None:
    """Return the truncation needed before Redis may start, None if the file is complete or does not exist yet.

    Raises Damaged, OSError, and subprocess.TimeoutExpired.
    """
    folder = data / FOLDER
    if not (folder / MANIFEST).exists():
        _require_fresh(data)
        return None
    last = _last_file(folder)
    mark(data)
    checked = subprocess.run(  # noqa: S603
        ["/usr/bin/redis-check-aof", str(folder / MANIFEST)],
        capture_output=True,
        timeout=_CHECK_SECONDS,
        check=False,
    )
    return None if checked.returncode == 0 else evaluate(last, checked.stdout.decode(errors="replace"))


def mark(data: Path = DATA) -> None:
    """Note that there is an append-only file; fails silently on a full or read-only disk."""
    try:
        (data / MARKER).touch(exist_ok=True)
    except OSError:
        return


def evaluate(last: Path, output: str) -> Truncation:
    """Return the truncation for an incomplete file by redis-check-aof's output. Raises Damaged, OSError."""
    analyzed = _ANALYZED.findall(output)
    if not analyzed:
        lines = [line for line in output.splitlines() if line.strip()]
        raise Damaged(
            f"the append-only file cannot be read: {(lines or ['redis-check-aof printed nothing'])[-1]}: {_BACKUP}"
        )
    name, size, keep = analyzed[-1][0], int(analyzed[-1][1]), int(analyzed[-1][2])
    if name != last.name:
        raise Damaged(f"{name} is damaged at byte {keep} of {size}, and newer files follow it: {_BACKUP}")
    if not is_unfinished(_without_zeros(last, keep)):
        raise Damaged(
            f"{name} is damaged at byte {keep} of {size}: {_BACKUP}, or remove those {size - keep} bytes and lose "
            f"their data: {_RUN} redis-check-aof --fix {last.parent / MANIFEST}"
        )
    return Truncation(last, keep, size)


def is_unfinished(tail: bytes | None) -> bool:
    """Return whether this is empty, or an unfinished command (or transaction)."""
    if tail is None:
        return False
    at = 0
    while at < len(tail):
        count = _COUNT.match(tail, at)
        if not count:
            return _is_partial_number(tail[at:], b"*")
        at = count.end()
        for _ in range(int(count[1])):
            length = _LENGTH.match(tail, at)
            if not length:
                return _is_partial_number(tail[at:], b"$")
            end = length.end() + int(length[1])
            if len(tail) < end + 2:
                return not _COMMAND.search(tail, length.end())
            if tail[end : end + 2] != b"\r\n":
                return False
            at = end + 2
    return True


def _is_partial_number(rest: bytes, prefix: bytes) -> bool:
    return bool(re.fullmatch(rb"(%s(\d{1,10}\r?)?)?" % re.escape(prefix), rest))


def _without_zeros(path: Path, start: int) -> bytes | None:
    """Return the bytes after `start` without the zeros at the end, None if they are too many for one command."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > start:
            begin = max(start, end - _BLOCK)
            file.seek(begin)
            if kept := len(file.read(end - begin).rstrip(b"\0")):
                end = begin + kept
                break
            end = begin
        if end - start > _MAX_TAIL:
            return None
        file.seek(start)
        return file.read(end - start)


def _last_file(folder: Path) -> Path:
    """Return the file that Redis appends to. Raises Damaged if the manifest names missing files, or none."""
    manifest = folder / MANIFEST
    records = [_ENTRY.fullmatch(line) for line in manifest.read_text(errors="replace").splitlines() if line.strip("\0")]
    if not records or any(record is None or "/" in record[1] for record in records):
        raise Damaged(f"{manifest} is {'damaged' if records else 'empty'}: {_how_to_write_manifest(folder)}")
    names = [record[1] for record in records if record and record[3] != "h"]
    if missing := [name for name in names if not (folder / name).exists()]:
        raise Damaged(f"{folder} lacks {', '.join(missing)}, which its manifest names: {_BACKUP}")
    # Redis reads an empty base as one without keys, but never writes one; an increment may be empty.
    if empty := [
        record[1] for record in records if record and record[3] == "b" and not (folder / record[1]).stat().st_size
    ]:
        raise Damaged(f"{folder / empty[0]} is empty, so the data that Redis had stored is lost: {_BACKUP}")
    for name in names:
        (folder / name).open("rb").close()
    return folder / names[-1]


def _require_fresh(data: Path) -> None:
    """Check that Redis may start with an empty file. Raises Damaged if there has been data."""
    folder = data / FOLDER
    if any(_FILE.fullmatch(path.name) and path.name.endswith(".incr.aof") for path in folder.glob("*")):
        raise Damaged(f"{folder} has no {MANIFEST}: {_how_to_write_manifest(folder)}")
    if (data / MARKER).exists():
        raise Damaged(
            f"the append-only file is missing: {folder} is empty, although Redis has stored data on this volume: "
            f"{_BACKUP}, or start with an empty queue: {_RUN} rm {data / MARKER}"
        )


def _how_to_write_manifest(folder: Path) -> str:
    """Return the command that writes the manifest, if the files allow only one, and otherwise the advice to restore."""
    found = sorted((int(m[1]), m[2], m[0]) for path in folder.glob("*") if (m := _FILE.fullmatch(path.name)))
    bases = [file for file in found if file[1] == "base"]
    increments = [file for file in found if file[1] == "incr"]
    if len(bases) > 1 or len(increments) != 1:
        return _BACKUP
    lines = "".join(f"file {name} seq {number} type {kind[0]}\\n" for number, kind, name in bases + increments)
    return f"{_BACKUP}, or write it again: {_RUN} sh -c \"printf '{lines}' > {folder / MANIFEST}\""
