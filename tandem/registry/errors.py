"""The exception for workloads that cannot run."""

from __future__ import annotations


class LoadError(Exception):
    """Workloads that cannot run: `lines` has one for each error, with file and line if known."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
