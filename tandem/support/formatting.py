"""Formats numbers, sizes, durations and tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

NOTHING = "-"


def counted(number: int, what: str) -> str:
    """Return `1 message`, `1,234 messages`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def memory(count: int) -> str:
    """Return bytes as `48 MiB`."""
    return f"{count / 2**20:,.0f} MiB"


def duration(seconds: float) -> str:
    """Return `0.4 ms`, `14 ms`, `3.2 s`, `5 min 02 s`, `2 h 05 min` or `3 d 04 h`, rounded to the shown digits."""
    if seconds < 0.9995:
        return _short(seconds * 1000, "ms")
    if seconds < 59.5:
        return _short(seconds, "s")
    if seconds < 3599.5:
        return "{} min {:02} s".format(*divmod(round(seconds), 60))
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return "{} h {:02} min".format(*divmod(minutes, 60))
    return "{} d {:02} h".format(*divmod(round(minutes / 60), 24))


def _short(number: float, unit: str) -> str:
    if number < 0.05:
        return f"0 {unit}"
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"


def table(titles: Sequence[str], aligned: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for the titles and one for each row; `aligned` has < or > for each column."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, aligned, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]
