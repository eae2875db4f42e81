"""Apertium, the rule-based translator: a pipeline of programs for each pair of languages, which keeps running."""

import re
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from .errors import ApiError
from .layout import LayoutLost, keep_lines
from .pipeline import Pipeline, environment
from .translator import MODES

TIMEOUT = 60.0
#: Where Debian's packages of languages describe their pipelines.
FOLDER = Path("/usr/share/apertium/modes")
# What hides a text's special characters and line breaks from the pipeline, and what shows them again.
DEFORMAT, REFORMAT = ("apertium-destxt",), ("apertium-retxt",)
# How many pipelines of one kind wait for the next text; further ones are ended after their text.
KEPT = 3
#: The tagger carries what it has guessed over to the next text, which would be translated otherwise than alone. It
#: starts within 10 ms; all the other programs together take 300.
ONE_TEXT = "apertium-tagger"


class Apertium:
    """Translates with the pipelines of the modes in `folder`. For any number of threads."""

    def __init__(
        self,
        folder: Path = FOLDER,
        timeout: float = TIMEOUT,
        *,
        deformat: Sequence[str] = DEFORMAT,
        reformat: Sequence[str] = REFORMAT,
    ) -> None:
        self._folder = folder
        self._timeout = timeout
        self._deformat, self._reformat = deformat, reformat
        self._waiting: defaultdict[str, list[Pipeline]] = defaultdict(list)
        self._lock = threading.Lock()

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

    def close(self) -> None:
        """End the pipelines that wait."""
        with self._lock:
            waiting = [pipeline for pipelines in self._waiting.values() for pipeline in pipelines]
            self._waiting.clear()
        for pipeline in waiting:
            pipeline.end()

    def _run(self, mode: str, text: str, deadline: float, gone: Callable[[], bool]) -> str:
        passed = _filtered(self._deformat, text.encode())
        for part in self._parts(mode):
            if part.startswith(ONE_TEXT):
                passed = _filtered(_shell(part), passed)
            else:
                passed = self._exchange(part, passed, deadline, gone)
        return _filtered(self._reformat, passed).decode("utf-8", "replace")

    def _parts(self, mode: str) -> list[str]:
        """Return the parts of a mode's pipeline: programs that go on with the next text, and those that cannot."""
        try:
            programs = (self._folder / f"{mode}.mode").read_text().strip().split("|")
        except OSError as error:
            raise ApiError(500, f"apertium cannot be started: {error.strerror}") from error
        parts = groupby(map(str.strip, programs), lambda program: program.startswith(ONE_TEXT))
        return [" | ".join(group) if once else _flushing(group) for once, group in parts]

    def _exchange(self, part: str, text: bytes, deadline: float, gone: Callable[[], bool]) -> bytes:
        pipeline = self._take(part)
        try:
            answer = pipeline.exchange(text, deadline, gone)
        except BaseException:
            # It may still answer this text, or never again.
            pipeline.end()
            raise
        self._give_back(part, pipeline)
        return answer

    def _take(self, part: str) -> Pipeline:
        with self._lock:
            if waiting := self._waiting[part]:
                return waiting.pop()
        return Pipeline(_shell(part))

    def _give_back(self, part: str, pipeline: Pipeline) -> None:
        with self._lock:
            if kept := len(self._waiting[part]) < KEPT:
                self._waiting[part].append(pipeline)
        if not kept:
            pipeline.end()


def _flushing(programs: Iterable[str]) -> str:
    """Return the pipeline of programs that answer at each NUL, which is what their option -z is for."""
    return " | ".join(re.sub(r"^(\S+)", r"\1 -z", program) for program in programs)


def _shell(part: str) -> list[str]:
    """Return the command of a part with the two arguments of a mode.

    $1: how the generator shows unknown words (-n: without a mark); $2: options of the tagger.
    """
    return ["sh", "-c", part, "mode", "-n", ""]


def _filtered(program: Sequence[str], text: bytes) -> bytes:
    try:
        return subprocess.run(
            program, input=text, stdout=subprocess.PIPE, env=environment(), check=True, timeout=TIMEOUT
        ).stdout
    except OSError as error:
        raise ApiError(500, f"{program[0]} cannot be started: {error.strerror}") from error
    except subprocess.SubprocessError as error:
        raise ApiError(500, f"{program[0]} failed: {error}") from error
