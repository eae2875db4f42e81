"""Apertium, the rule-based translator: one run of its pipeline of programs for each text."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .errors import ApiError, ClientGone
from .layout import LayoutLost, keep_lines
from .translator import MODES

TIMEOUT = 60.0
# How often a running translation checks that its client is still connected, in seconds.
LOOK_FOR_CLIENT = 0.1


class Apertium:
    """Runs ``apertium -u MODE``; ``-u`` leaves out the marks of unknown words."""

    def __init__(self, program: str = "apertium", timeout: float = TIMEOUT) -> None:
        self._program = program
        self._timeout = timeout

    def translate(self, text: str, source: str, target: str, gone: Callable[[], bool]) -> str:
        """See Translator.

        Raises ApiError 500 when Apertium fails or takes longer than the timeout (seconds).
        """
        deadline = time.monotonic() + self._timeout
        mode = MODES[source, target]
        try:
            return keep_lines(text, lambda piece: self._run(mode, piece, deadline, gone))
        except LayoutLost as error:
            raise ApiError(500, "apertium changed the number of lines") from error

    def _run(self, mode: str, text: str, deadline: float, gone: Callable[[], bool]) -> str:
        # A separate folder: the script leaves a temporary file when it is killed.
        with tempfile.TemporaryDirectory(prefix="apertium-") as scratch:
            process = self._start(mode, text, Path(scratch))
            try:
                output = _read(process, deadline, gone)
            finally:
                _end(process)
        if process.returncode != 0:
            raise ApiError(500, f"apertium process has terminated: exit status {process.returncode}")
        return output.decode("utf-8", "replace")

    def _start(self, mode: str, text: str, scratch: Path) -> subprocess.Popen[bytes]:
        source = scratch / "text"
        try:
            source.write_bytes(text.encode())
            # A file and not a pipe: after a timeout communicate() forgets what it has not sent yet.
            with source.open("rb") as stdin:
                return subprocess.Popen(
                    [self._program, "-u", mode],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TMPDIR": str(scratch)},
                    # The script starts ten programs; in a group of their own all of them can be ended.
                    start_new_session=True,
                )
        except OSError as error:
            raise ApiError(500, f"apertium cannot be started: {error.strerror}") from error


def _read(process: subprocess.Popen[bytes], deadline: float, gone: Callable[[], bool]) -> bytes:
    while True:
        try:
            return process.communicate(timeout=LOOK_FOR_CLIENT)[0]
        except subprocess.TimeoutExpired:
            if gone():
                raise ClientGone from None
            if time.monotonic() > deadline:
                raise ApiError(500, "timed out waiting for apertium to translate") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that nothing of the pipeline is left, neither running nor as a zombie."""
    if process.returncode is not None:
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
    # As PID 1 of a container this process inherits the script's children and has to reap them.
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-process.pid, 0)
