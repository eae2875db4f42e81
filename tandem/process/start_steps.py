"""Runs the start steps: executables in /etc/tandem/init.d, in the order of their names, before any program starts.

Each container runs all of them, so a step finds out by itself whether its work is done already. With an external Redis,
which several containers may share, one container at a time runs them. `python -m tandem.process.start_steps`: a process
of its own, so that supervisord does not keep the memory of a client of Redis.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from tandem.config import settings
from tandem.config.settings import Settings
from tandem.process.log_forwarder import as_json, prefixed
from tandem.support.backoff import Backoff

FOLDER = Path("/etc/tandem/init.d")
#: Is there if the schema of a database is brought up to date before all steps.
UPGRADE = Path("/run/tandem/upgrade-database")
_UPGRADE_COMMAND = ("queue", "db", "upgrade")
LEASE = "tandem:start"
# A container that dies with the lease keeps the others from starting for this long (seconds).
LEASE_SECONDS = 30
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
_NAME = re.compile(r"[0-9]{2}-[A-Za-z0-9._-]+")
_MAX_LINE = 65_536


class StepFailed(Exception):
    """A start step cannot run, or has failed; the text is one line."""


def plan_upgrade(wanted: bool) -> None:
    """Note whether the start brings a database up to date: the check of the workloads knows, the steps come later."""
    if wanted:
        UPGRADE.touch()
    else:
        UPGRADE.unlink(missing_ok=True)


def steps(folder: Path = FOLDER) -> list[Path]:
    """Return the start steps in their order. Raises StepFailed for a file that is none."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in found:
        if not _NAME.fullmatch(path.name):
            raise StepFailed(f"{path} is no start step: expected a name such as 10-migrate; rename or remove it")
        if not os.access(path, os.X_OK) or not path.is_file():
            raise StepFailed(f"{path} is not executable: type chmod +x {path.name} where the image is built")
    return found


def run(command: Sequence[str | Path], seconds: float, out: BinaryIO, *, name: str, json: bool = False) -> None:
    """Run a step and copy its output, each line with the step's name. Raises StepFailed, also after `seconds`."""
    # A session of its own, so that what it has started ends with it.
    try:
        process = subprocess.Popen(  # noqa: S603  # the image's own file
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        raise StepFailed(
            f"the start step {name} cannot be started: {error.strerror}; a script needs a first line such as "
            "#!/bin/sh with a program that is in the image"
        ) from error
    timed_out = threading.Event()

    def end() -> None:
        timed_out.set()
        _kill(process.pid)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    last = deque[bytes](maxlen=1)
    form = as_json if json else prefixed
    # One that hangs has printed nothing yet.
    out.write(form(name, b"begins"))
    out.flush()
    output = cast(BinaryIO, process.stdout)
    try:
        for line in iter(lambda: output.readline(_MAX_LINE), b""):
            out.write(form(name, line.rstrip(b"\n")))
            out.flush()
            if line.strip():
                last.append(line.strip())
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process.pid)
    if timed_out.is_set():
        raise StepFailed(f"the start step {name} did not end within {seconds:g} s (START_STEP_TIMEOUT)")
    if code:
        text = last[0].decode(errors="replace") if last else "it has printed nothing"
        raise StepFailed(f"the start step {name} failed with code {code}: {text}")


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


@contextmanager
def lease(config: Settings) -> Iterator[None]:
    """Hold the lease of the shared Redis in the block. Raises StepFailed if it cannot be had in time."""
    import redis  # only with an external Redis

    from tandem.broker.connection import connect

    lock = connect(config).lock(LEASE, timeout=LEASE_SECONDS, sleep=0.2)
    _acquire(lock, config.start_step_timeout, redis.RedisError)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(LEASE_SECONDS / 3):
            # Without Redis it cannot be renewed; whoever gets it meanwhile runs the same steps.
            with suppress(redis.RedisError):
                lock.reacquire()

    threading.Thread(target=renew, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with suppress(redis.RedisError):
            lock.release()


def _acquire(lock: object, seconds: float, redis_error: type[Exception]) -> None:
    deadline, backoff = time.monotonic() + seconds, Backoff(0.1, 2)
    while True:
        try:
            if lock.acquire(blocking_timeout=max(0.0, deadline - time.monotonic())):  # type: ignore[attr-defined]
                return
            reason = "another container runs its start steps"
        except redis_error as error:
            reason = f"Redis does not answer: {error}"
        if time.monotonic() > deadline:
            raise StepFailed(f"the start steps did not begin within {seconds:g} s (START_STEP_TIMEOUT): {reason}")
        backoff.wait()


def run_all(config: Settings, folder: Path = FOLDER) -> None:
    """Bring the database up to date, if there is one, then run all start steps. Raises StepFailed."""
    if UPGRADE.exists():
        # Behind a lock of the database, so that one container at a time does it.
        _run(_UPGRADE_COMMAND, "database", config)
    found = steps(folder)
    if config.redis_url is None or not found:
        _run_each(found, config)
        return
    with lease(config):
        _run_each(found, config)


def _run_each(found: list[Path], config: Settings) -> None:
    for path in found:
        _run([path], path.name, config)


def _run(command: Sequence[str | Path], name: str, config: Settings) -> None:
    run(command, config.start_step_timeout, sys.stdout.buffer, name=name, json=config.log_format == "json")


if __name__ == "__main__":
    try:
        run_all(settings.current())
    except StepFailed as failure:
        print(failure, file=sys.stderr)
        sys.exit(EXIT_CONFIG)
