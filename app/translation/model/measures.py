"""Measurements in the last object of a chat."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Measures:
    """Measured durations in nanoseconds; counts are words, since Apertium knows no tokens.

    load is the wait for a free process, prompt_eval the reading of the prompt, eval the translation and all
    the rest.
    """

    def __init__(self) -> None:
        self.prompt_eval_count = 0
        self.eval_count = 0
        self._started = time.perf_counter_ns()
        self._parts = {"load": 0, "prompt_eval": 0}

    @contextmanager
    def prompt_eval(self) -> Iterator[None]:
        """Measure the reading of the prompt."""
        started = time.perf_counter_ns()
        yield
        self._parts["prompt_eval"] = time.perf_counter_ns() - started

    def loaded(self, since: int) -> None:
        """Note the end of a wait that began at ``since`` (``time.perf_counter_ns``)."""
        self._parts["load"] = time.perf_counter_ns() - since

    def as_json(self) -> dict[str, int]:
        """Ollama's fields as of now; their durations add up to ``total_duration``."""
        total = time.perf_counter_ns() - self._started
        return {
            "total_duration": total,
            "load_duration": self._parts["load"],
            "prompt_eval_count": self.prompt_eval_count,
            "prompt_eval_duration": self._parts["prompt_eval"],
            "eval_count": self.eval_count,
            "eval_duration": total - sum(self._parts.values()),
        }
