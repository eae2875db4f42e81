"""A pipeline of programs that keeps running and translates one text after the other."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from .errors import ApiError, ClientGone

#: Ends a text on the way in, and its translation on the way out.
END = b"\0"
BLOCK = 65_536
# How often a running translation checks that its client is still connected, in seconds.
LOOK_FOR_CLIENT = 0.1


def environment() -> dict[str, str]:
    """Return the environment of Apertium's programs: they read and write UTF-8."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


class Pipeline:
    """Programs that answer each text with one text, both ended by a NUL (Apertium's null flush).

    Starting Apertium's programs takes a hundred times as long as translating a sentence. For one thread at a time;
    after an error it is unusable, and `end` has to be called.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start the programs. Raises ApiError 500 when they cannot be started."""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                # Ten programs run: in a group of their own all of them can be ended.
                start_new_session=True,
            )
        except OSError as error:
            raise ApiError(500, f"apertium cannot be started: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout  # noqa: S101 (they are pipes)
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    def exchange(self, text: bytes, deadline: float, gone: Callable[[], bool]) -> bytes:
        """Return the answer to `text`, which contains no NUL.

        `deadline`: by time.monotonic(). Raises ApiError 500 after it or when a program ends, ClientGone as soon as
        `gone` is true.
        """
        rest, answer = memoryview(text + END), bytearray()
        while not answer.endswith(END):
            # Both ways at once: a long text is answered before it has been read to its end.
            readable, writable, _ = select.select([self._out], [self._in] if rest else [], [], LOOK_FOR_CLIENT)
            if writable:
                rest = rest[self._write(rest) :]
            if readable:
                answer += self._read()
            elif gone():
                raise ClientGone
            if time.monotonic() > deadline:
                raise ApiError(500, "timed out waiting for apertium to translate")
        return bytes(answer[: -len(END)])

    def _write(self, rest: memoryview) -> int:
        try:
            return os.write(self._in, rest)
        except BrokenPipeError:
            raise self._ended() from None

    def _read(self) -> bytes:
        block = os.read(self._out, BLOCK)
        if not block:
            raise self._ended()
        return block

    def _ended(self) -> ApiError:
        # Its output is closed, so it is ending; a child that goes on without its output is killed by `end`.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return ApiError(500, f"apertium process has terminated: exit status {self._process.returncode}")

    def end(self) -> None:
        """Make sure that nothing of the pipeline is left, neither running nor as a zombie."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        # As PID 1 of a container this process inherits the programs and has to reap them.
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-self._process.pid, 0)
