"""How many messages ended how, and how long they waited and ran: counted by settle.lua, read here.

Counts lie in stretches of STEPS seconds, each kept a little longer than the window that it is for: 1 s for the last
minute, 60 s for the last hour (and the 10 minutes of an alert), 900 s for the last day. Times lie in one histogram a
minute, kept for an hour, in buckets each a tenth wider than the one before, so a percentile is off by 5 % at most.
"""

from __future__ import annotations

import math

#: Seconds of a stretch -> seconds for which it is kept.
STEPS = {1: 120, 60: 3_720, 900: 88_200}
TIMES_KEPT = 3_720
GROWTH = 1.1

_LOG_GROWTH = math.log(GROWTH)


def bucket(milliseconds: float) -> int:
    """The histogram's bucket: 0 up to 1 ms, n up to GROWTH**n ms."""
    return max(0, math.ceil(math.log(milliseconds) / _LOG_GROWTH)) if milliseconds > 1 else 0


def upper_edge(number: int) -> float:
    """The longest time of a bucket, in milliseconds."""
    return float(GROWTH**number)
