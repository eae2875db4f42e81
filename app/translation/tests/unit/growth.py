"""Measure how the time of a function grows with the size of its input, whatever the load of the machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

# 4 if the time is linear, 16 if it is quadratic.
MAX_RATIO = 9
# Seconds of tolerance for a coarse clock.
PAUSE = 0.02
TRIES = 4


def assert_linear(small: Callable[[], object], large: Callable[[], object]) -> None:
    """Run both alternately until `large`, of four times the size, takes not much more than four times as long.

    The CPU seconds of this thread count, the least of some tries: what runs beside it disturbs both alike.
    """
    shorter, longer = seconds(small), seconds(large)
    for _ in range(TRIES - 1):
        if longer <= MAX_RATIO * shorter + PAUSE:
            return
        shorter, longer = max(shorter, seconds(small)), min(longer, seconds(large))
    assert longer <= MAX_RATIO * shorter + PAUSE, f"{shorter:.3f} s became {longer:.3f} s"


def seconds(call: Callable[[], object]) -> float:
    """Return CPU seconds of this thread without the garbage collector, which traverses what other tests have left."""
    gc.disable()
    try:
        began = time.thread_time()
        call()
        return time.thread_time() - began
    finally:
        gc.enable()
