#!/usr/bin/env python3
"""Draws what run.py has measured: idle pick-up and throughput of each contender, as SVG.

Usage: benchmarks/peers/plot.py FIGURES.json PICTURE.svg
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from report import US, median, percentile

WIDTH, LEFT, ROW, TITLE = 760, 130, 24, 46
BARS = WIDTH - LEFT - 90
OURS, OTHERS = "#0a7d5a", "#9aa5b1"


def chart(top: int, title: str, values: dict[str, float], *, logarithmic: bool, digits: int) -> list[str]:
    """Returns one bar for each contender, in the order given."""
    parts = [f'<text x="8" y="{top + 22}" font-weight="bold">{title}</text>']
    longest = max(values.values())
    for number, (name, value) in enumerate(values.items()):
        y = top + TITLE + number * ROW
        # The shortest bar of a logarithmic chart stands for half a millisecond.
        share = math.log(value / 0.5) / math.log(longest / 0.5) if logarithmic else value / longest
        length = max(2.0, share * BARS)
        parts += [
            f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{name}</text>',
            f'<rect x="{LEFT}" y="{y - 12}" width="{length:.0f}" height="16" fill="{OURS if name == US else OTHERS}"/>',
            f'<text x="{LEFT + length + 6:.0f}" y="{y}">{value:,.{digits}f}</text>',
        ]
    return parts


def draw(results: dict[str, Any]) -> str:
    """Returns the picture."""
    names = [name for name in results["sessions"] if "," not in name]
    waits = {name: percentile(results, name, 50) or 0.0 for name in names}
    rates = {name: median(results, name, "completed") or 0.0 for name in names}
    waits = dict(sorted(waits.items(), key=lambda item: item[1]))
    rates = dict(sorted(rates.items(), key=lambda item: -item[1]))
    half = TITLE + len(names) * ROW + 10
    parts = chart(0, "Idle pick-up, p50 in ms (logarithmic, less is better)", waits, logarithmic=True, digits=1)
    title = "No-op messages completed in a second by one process (more is better)"
    parts += chart(half, title, rates, logarithmic=False, digits=0)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{2 * half}" '
        f'viewBox="0 0 {WIDTH} {2 * half}" font-family="sans-serif" font-size="13">'
    )
    background = '<rect width="100%" height="100%" fill="white"/>'
    return "\n".join([opening, background, *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
