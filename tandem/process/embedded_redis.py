"""The program `redis`: examines the append-only file and becomes redis-server, with the users of this container.

`check` is also called before supervisord starts, so that a container that must not start exits with one line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tandem.broker import accounts
from tandem.process import aof, exit_code

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
#: What was removed from the end of the append-only file in this container's life: a line for each time.
NOTES = Path("/run/tandem/redis-notes")
_CHECKED = Path("/run/tandem/aof-checked")


class Unusable(Exception):
    """Redis must not start; the text is one line with the reason and what to do."""


def check() -> None:
    """Examine the append-only file, and remove an incomplete command at its end. Raises Unusable."""
    try:
        truncation = aof.examine()
        if truncation:
            truncation.apply()
            _note(f"{truncation}")
    except (aof.Damaged, OSError, subprocess.TimeoutExpired) as trouble:
        raise Unusable(f"Redis cannot start: {trouble}") from trouble


def check_before_start() -> None:
    """Do the same once for the container, so that the program's first start skips it. Raises Unusable."""
    NOTES.unlink(missing_ok=True)
    check()
    # Every program finds its password, whichever starts first.
    accounts.write()
    _CHECKED.touch()


def notes() -> list[str]:
    """Return what was removed in this container's life, a sentence for each time."""
    try:
        return NOTES.read_text().splitlines()
    except FileNotFoundError:
        return []


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
    with NOTES.open("a") as file:
        file.write(line + "\n")


def main() -> None:
    """Become redis-server with the given arguments. Exits the container with 78 if it must not start."""
    if not _was_checked():
        try:
            check()
        except Unusable as trouble:
            print(trouble, file=sys.stderr, flush=True)
            exit_code.write(EXIT_CONFIG)
            os.kill(os.getppid(), signal.SIGTERM)
            sys.exit(EXIT_CONFIG)
    accounts.write()
    os.execvp("redis-server", ["redis-server", *sys.argv[1:], "--aclfile", str(accounts.ACL_FILE)])  # noqa: S606, S607


def _was_checked() -> bool:
    """Return whether `check_before_start` ran right before this start; it counts once."""
    try:
        _CHECKED.unlink()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
